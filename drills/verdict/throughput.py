"""How many writes per second were answered, and by whom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import FiniteFloat, model_validator

from drills.verdict.record import Record, Seconds, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Throughput(Record):
    """Commits by answering region and failed writes, per virtual second, in buckets of equal width."""

    started_s: Seconds
    bucket_s: Seconds
    commits_per_second: dict[str, list[FiniteFloat]]
    failures_per_second: list[FiniteFloat]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if self.bucket_s <= 0:
            raise ValueError(f"bucket_s is {self.bucket_s}: give a width above 0 seconds")
        for region, rates in self.commits_per_second.items():
            if len(rates) != len(self.failures_per_second):
                raise ValueError(
                    f"commits_per_second[{region!r}] has {len(rates)} buckets and failures_per_second has "
                    f"{len(self.failures_per_second)}: count both over the same time"
                )
        return self

    @property
    def ended_s(self) -> float:
        """The end of the last bucket, in seconds since the outage."""
        return rounded(self.started_s + self.bucket_s * len(self.failures_per_second))

    @classmethod
    def count(
        cls,
        commits: Mapping[str, Iterable[float]],
        failures: Iterable[float],
        started_s: float,
        ended_s: float,
        bucket_s: float = 1.0,
    ) -> Self:
        """Counts single writes into buckets.

        Parameters
        ----------
        commits : Mapping[str, Iterable[float]]
            By answering region, the time of each acknowledgement (seconds since the outage).
        failures : Iterable[float]
            The time of each failed write.
        started_s, ended_s : float
            The time to cover; writes outside it are left out. A last bucket that the time does not fill is left out
            too, because its rate would look like a fall.
        bucket_s : float
            The width of a bucket in virtual seconds.
        """
        # Half a millisecond prevents rounding of floats from turning 30 buckets into 29.999999 and losing one.
        buckets = math.floor((ended_s - started_s) / bucket_s + 0.0005)

        def rates(moments: Iterable[float]) -> list[float]:
            counts = [0] * buckets
            for moment in moments:
                bucket = math.floor((moment - started_s) / bucket_s)
                if 0 <= bucket < buckets:
                    counts[bucket] += 1
            return [round(count / bucket_s, 1) for count in counts]

        return cls(
            started_s=started_s,
            bucket_s=bucket_s,
            commits_per_second={region: rates(moments) for region, moments in commits.items()},
            failures_per_second=rates(failures),
        )
