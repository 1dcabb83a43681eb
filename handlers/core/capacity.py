"""How much the new writer must have at least, so that it bears what the old one bore. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from handlers.core.message import Message, command

STEP_ACU = 0.5


@dataclass(frozen=True)
class Bounds:
    """The least and the most capacity of a cluster, in ACU."""

    least: float
    most: float


def raised(bounds: Bounds, used: float | None, floor: float) -> Bounds | None:
    """Returns what the bounds have to be; None where they do.

    ``used`` is the most that the old writer used before the move, None where nobody can tell; ``floor`` is the least
    that the settings give a writer. Nothing is ever lowered, nor is the most raised.
    """
    wanted = max(floor, math.ceil((used or 0.0) / STEP_ACU) * STEP_ACU)
    least = min(wanted, bounds.most)
    return Bounds(least, bounds.most) if least > bounds.least else None


def message(cluster: str, before: Bounds, after: Bounds, used: float | None, error: str | None, run: str) -> Message:
    """Says what was raised, or what could not be; ``cluster`` is the ARN of the new writer's cluster."""
    seen = "is not known" if used is None else f"was {used:g} ACU at most"
    done = f"its least is {after.least:g} ACU now, from {before.least:g}"
    return Message.of(
        [
            f"CAPACITY RAISED: {done}" if error is None else f"CAPACITY NOT RAISED: it should be {after.least:g} ACU",
            "",
            f"Cluster: {cluster}",
            f"What the old writer used in the hour before {seen}.",
            f"Run {run} is over, and nothing depends on this: the cluster grows by itself, only more slowly.",
            *([f"Error: {error}", "Raise it by RDS."] if error else ["It costs that much until you lower it, by RDS."]),
            "What the run did:",
            command(cluster, "show", run),
        ]
    )
