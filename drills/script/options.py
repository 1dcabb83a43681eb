"""What the command line asks of a drill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.outages import CIRCLE, NO_OUTAGE, demanded_end

if TYPE_CHECKING:
    from pathlib import Path

    from drills.ends import End
    from drills.outages import Outage


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

    @property
    def outage_name(self) -> str | None:
        """The outage as the result names it; None without one."""
        return self.outage.name if self.outage else None

    @property
    def demanded(self) -> End:
        """The end that the design demands; `UndemandedError` when it demands none."""
        return demanded_end(self.mode, self.outage, self.approve)

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
        if self.mode == CIRCLE:
            chosen.append(("--rounds", str(self.rounds)))
        flags = [
            ("--comes-back", self.comes_back),
            ("--guardian-dead", self.guardian_dead),
            ("--storm", self.storm),
        ]
        return [part for pair in chosen for part in pair] + [flag for flag, wanted in flags if wanted]
