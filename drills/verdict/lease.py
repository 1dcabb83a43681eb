"""The lease of the writer over the time of a drill, as the control record had it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.verdict.record import Record, Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.verdict.seen import LeaseSeen


class LeaseSpan(Record):
    """A time in which a region's lease was good, in seconds since the outage."""

    region: str
    started_s: Seconds
    ended_s: Seconds


def lease_spans(seen: Sequence[LeaseSeen]) -> list[LeaseSpan]:
    """Joins what the record said into spans; the times of ``seen`` are in seconds since the outage.

    A lease is good from the renewal that made it until it ends, or until the record says otherwise: another region, or
    another end.
    """
    spans: list[LeaseSpan] = []
    for number, now in enumerate(seen):
        if now.until is None or now.until <= now.at:
            continue
        until = min([now.until, *(later.at for later in seen[number + 1 : number + 2])])
        last = spans[-1] if spans else None
        if last and last.region == now.writer and last.ended_s >= round(now.at, 3):
            spans[-1] = last.model_copy(update={"ended_s": round(until, 3)})
        else:
            spans.append(LeaseSpan(region=now.writer, started_s=now.at, ended_s=until))
    return spans
