"""The faults of a history: a table, one row each, drawn from the seed.

A history is a function of its seed and of its rows; without one of them it is the same history where that fault does
not act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes
    ----------
    kind
        its name in `KINDS`.
    where
        the region that it strikes, or two with an arrow between them (``us-west-2->us-east-1``: nothing that goes that
        way arrives); empty where it strikes none in particular.
    start, lasts
        seconds from the history's beginning.
    how
        what else its kind says of it, by name.
    """

    kind: str
    where: str
    start: float
    lasts: float
    how: Mapping[str, float] = field(default_factory=dict)
