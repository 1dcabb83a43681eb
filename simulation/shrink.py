"""Makes a failing history small: fewer faults, shorter ones, simpler ones, as long as the same promise breaks.

A history is a function of its seed and its faults, so each try is one replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from simulation.faults import Fault

# What may be found is worth some seconds, and a story need not be the shortest there is.
MOST_TRIES = 150
SHORT_S = 0.5


def shrink(faults: Sequence[Fault], breaks: Callable[[tuple[Fault, ...]], bool]) -> tuple[Fault, ...]:
    """Returns a smaller list of faults with which ``breaks`` is still so; the list itself where there is none."""
    found, tries = tuple(faults), 0
    smaller = _smaller(found)
    while tries < MOST_TRIES:
        candidate = next(smaller, None)
        if candidate is None:
            break
        tries += 1
        if breaks(candidate):
            found = candidate
            smaller = _smaller(found)
    return found


def _smaller(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    """Yields simpler lists: the greatest simplification first."""
    for number in range(len(faults)):
        yield faults[:number] + faults[number + 1 :]
    for number, fault in enumerate(faults):
        for simpler in _simpler(fault):
            yield (*faults[:number], simpler, *faults[number + 1 :])


def _simpler(fault: Fault) -> Iterator[Fault]:
    if fault.lasts > 2 * SHORT_S:
        yield replace(fault, lasts=round(fault.lasts / 2, 2))
    if fault.start != round(fault.start):
        yield replace(fault, start=float(round(fault.start)))
    if fault.lasts != round(fault.lasts) and fault.lasts > 1:
        yield replace(fault, lasts=float(round(fault.lasts)))
    for name, value in fault.how.items():
        if value != round(value):
            yield replace(fault, how={**fault.how, name: float(round(value))})
