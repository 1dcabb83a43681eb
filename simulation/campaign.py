"""Many histories, one seed after another, on one core or several: what they broke and what they reached."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from simulation import history
from simulation.checks import Violation, violations
from simulation.coverage import Reached
from simulation.faults import Fault
from simulation.happened import Ended, History, RunEnded
from simulation.shrink import shrink

# Seeds that a worker plays before it reports.
AT_ONCE = 20
# What is broken when the simulator itself ends in an exception: nothing is known then of the promises of that history.
PLAYED = "played to its end"


@dataclass
class Found:
    """What histories came to."""

    histories: int = 0
    virtual_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[int, Violation]] = field(default_factory=list)
    reached: Reached = field(default_factory=Reached)

    def update(self, other: Found) -> None:
        """Adds what others came to."""
        self.histories += other.histories
        self.virtual_s += other.virtual_s
        self.ends.update(other.ends)
        self.broken = sorted([*self.broken, *other.broken], key=lambda one: one[0])
        self.reached.update(other.reached)


def play(seeds: Sequence[int]) -> Found:
    """Plays these histories."""
    found = Found()
    for seed in seeds:
        played, broken = judged(seed)
        found.histories += 1
        found.virtual_s += next((fact.at for fact in reversed(played.happened) if isinstance(fact, Ended)), 0.0)
        found.broken += [(seed, one) for one in broken]
        found.reached.add(played)
        for fact in played.happened:
            if isinstance(fact, RunEnded):
                outcome = fact.output.get("outcome") if isinstance(fact.output, dict) else fact.error
                found.ends[str(outcome or fact.status)] += 1
    return found


def judged(seed: int, faults: tuple[Fault, ...] | None = None) -> tuple[History, list[Violation]]:
    """Plays the history of a seed, with its own faults or these, and returns it with what it broke.

    An exception of the simulator is one of that: the traceback is told, the history is empty, and the next seed is
    played.
    """
    try:
        played = history.run(seed, faults)
        return played, violations(played)
    except Exception:  # noqa: BLE001 - whatever it is, the other histories are worth playing
        return History(seed, (), faults or (), ()), [Violation(PLAYED, 0.0, traceback.format_exc())]


def campaign(first: int, histories: int, workers: int, minutes: float | None, seen: Callable[[Found], None]) -> Found:
    """Plays so many histories from a seed on, or as many as there is time for; tells ``seen`` how far it is."""
    ends = None if minutes is None else time.monotonic() + minutes * 60
    found = Found()
    for part in _in_order(first, histories, workers, ends):
        found.update(part)
        seen(found)
    return found


def _in_order(first: int, histories: int, workers: int, ends: float | None) -> Iterator[Found]:
    starts = iter(range(first, first + histories, AT_ONCE))
    chunks = (range(start, min(start + AT_ONCE, first + histories)) for start in starts)
    if workers == 1:
        for chunk in chunks:
            yield play(chunk)
            if ends is not None and time.monotonic() > ends:
                return
        return
    with ProcessPoolExecutor(workers) as pool:
        running: set[Future[Found]] = set()
        for chunk in chunks:
            running.add(pool.submit(play, chunk))
            if len(running) > workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
            if ends is not None and time.monotonic() > ends:
                break
        yield from (one.result() for one in wait(running).done)


def smallest(seed: int, promise: str) -> tuple[Fault, ...]:
    """Returns the fewest and simplest faults with which that promise still breaks in the history of a seed."""

    def breaks(faults: tuple[Fault, ...]) -> bool:
        return any(one.promise == promise for one in judged(seed, faults)[1])

    return shrink(history.faults_of(seed), breaks)
