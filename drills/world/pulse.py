"""What the clients are doing at this moment, for the display: their totals turned into rates."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.world.clock import Clock
    from drills.world.workload import Progress

# The time over which the display averages commits (real seconds).
RATE_WINDOW_SECONDS = 1.0


@dataclass(frozen=True)
class Load:
    """What the workload is doing now."""

    commits_per_second: dict[str, float]
    """By answering region, per virtual second."""
    clients: int
    failing_clients: int
    """Clients whose last write failed."""


class Pulse:
    """Turns the clients' totals into rates for the display."""

    def __init__(self, clock: Clock, clients: int) -> None:
        """Takes ``clients``, the number of clients in each region."""
        self._clock = clock
        self._clients = clients
        self._lock = threading.Lock()
        self._seen: dict[str, list[Progress]] = {}

    def saw(self, progress: Progress) -> None:
        """Keeps one progress report; called from the workloads' threads."""
        with self._lock:
            reports = self._seen.setdefault(progress.region, [])
            reports.append(progress)
            while reports[-1].t - reports[0].t > RATE_WINDOW_SECONDS and len(reports) > 2:
                reports.pop(0)

    def load(self, regions: tuple[str, ...], region_of: Callable[[str], str]) -> Load:
        """Returns the commits per second by answering region, and how many clients fail (silent ones count)."""
        rates = dict.fromkeys(regions, 0.0)
        failing = 0
        with self._lock:
            for reports in self._seen.values():
                first, last = reports[0], reports[-1]
                elapsed = self._clock.to_virtual(last.t - first.t)
                writing = bool(last.cluster) and time.time() - last.t < RATE_WINDOW_SECONDS
                if writing and elapsed > 0:
                    rates[region_of(last.cluster)] += (last.acknowledged - first.acknowledged) / elapsed
                failing += 0 if writing else self._clients
        return Load(rates, self._clients * len(self._seen), failing)
