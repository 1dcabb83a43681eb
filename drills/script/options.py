"""What the command line asks of a drill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.outages import CIRCLE, NO_OUTAGE, OUTAGES, UndemandedError
from drills.troubles import When, demanded_with

if TYPE_CHECKING:
    from pathlib import Path

    from drills.ends import End
    from drills.outages import Outage
    from drills.troubles import Phase, Trouble

BY_NAME = "name"


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see ``python -m drills --help``."""

    mode: str
    outage: Outage | None
    approve: str
    comes_back: bool
    guardian_dead: bool
    storm: bool
    rounds: int
    speed: float
    seed: int
    aurora_promotion_seconds: float
    postgres: Path | None
    output: Path
    troubles: tuple[Trouble, ...] = ()
    phase: Phase | None = None
    clients: str = BY_NAME
    lasts_seconds: float | None = None
    """What ``--for`` says."""
    then: tuple[Outage, ...] = ()
    """What fails in a circle's second round and the next ones; without more, what failed in the round before."""

    @property
    def outage_name(self) -> str | None:
        """The outage as the result names it; None without one."""
        return self.outage.name if self.outage else None

    @property
    def demanded(self) -> End:
        """The end that the design demands; `UndemandedError` when it demands none, or an option makes no sense."""
        end = demanded_with(self.mode, self.outage, self.approve, self.troubles)
        if self.lasts_seconds is not None and (self.outage is None or self.outage.passes_after_seconds is None):
            passing = ", ".join(row.name for row in OUTAGES.values() if row.passes_after_seconds is not None)
            raise UndemandedError(f"--for says how long an outage lasts that passes by itself: {passing}")
        if self.phase is not None and not any(trouble.when is When.PHASE for trouble in self.troubles):
            raise UndemandedError("--phase says where a run is when --trouble run-stopped or target-lost strikes it")
        if self.mode == CIRCLE and self.clients != BY_NAME:
            raise UndemandedError("in a circle clients find the writer by its name")
        if len(self.then) >= (self.rounds if self.mode == CIRCLE else 1):
            raise UndemandedError("--then says what fails in a circle's second round and the next ones: see --rounds")
        for outage in self.then:
            demanded_with(self.mode, outage, self.approve, self.troubles)
        return end

    @property
    def outages(self) -> list[Outage | None]:
        """What fails in each round."""
        given = [self.outage, *self.then]
        return given + given[-1:] * (self.rounds - len(given))

    @property
    def outage_seconds(self) -> float:
        """How long the outage lasts if it passes by itself (virtual seconds)."""
        usual = (self.outage.passes_after_seconds if self.outage else None) or 0.0
        return usual if self.lasts_seconds is None else self.lasts_seconds

    @property
    def arguments(self) -> list[str]:
        """The arguments that run the same drill again."""
        chosen = [
            ("--mode", self.mode),
            ("--outage", self.outage_name or NO_OUTAGE),
            ("--approve", self.approve),
            ("--speed", f"{self.speed:g}"),
            ("--seed", str(self.seed)),
            ("--aurora-promotion", f"{self.aurora_promotion_seconds:g}"),
        ]
        if self.postgres is not None:
            chosen.append(("--postgres", str(self.postgres)))
        chosen += [("--trouble", trouble.name) for trouble in self.troubles]
        if self.phase is not None:
            chosen.append(("--phase", self.phase))
        if self.clients != BY_NAME:
            chosen.append(("--clients", self.clients))
        if self.lasts_seconds is not None:
            chosen.append(("--for", f"{self.lasts_seconds:g}"))
        if self.mode == CIRCLE:
            chosen.append(("--rounds", str(self.rounds)))
        chosen += [("--then", outage.name) for outage in self.then]
        flags = [
            ("--comes-back", self.comes_back),
            ("--guardian-dead", self.guardian_dead),
            ("--storm", self.storm),
        ]
        return [part for pair in chosen for part in pair] + [flag for flag, wanted in flags if wanted]
