"""Things that are due at moments of virtual time: schedules, evaluations of alarms, health checks.

One thread for all of them, asleep until the next is due.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.world.clock import Clock

log = logging.getLogger(__name__)

Action = Callable[[float], None]


class Timetable:
    """Calls actions at regular moments, each with the virtual time at which it was due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, float, Action]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timetable", daemon=True)
        self._thread.start()

    def every(self, interval_seconds: float, first: float, action: Action) -> None:
        """Calls ``action`` at the virtual time ``first`` and then every ``interval_seconds``.

        Actions run in the timetable's own thread, one after another: a slow one must start a thread.
        """
        with self._changed:
            heapq.heappush(self._due, (first, next(self._order), interval_seconds, action))
            self._changed.notify()

    def close(self) -> None:
        """Stops, after an action under way has finished."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._wait_for_next()) is not None:
            due, _, interval, action = entry
            try:
                action(due)
            except Exception:
                log.exception("an action of the timetable failed")
            self.every(interval, due + interval, action)

    def _wait_for_next(self) -> tuple[float, int, float, Action] | None:
        """Sleeps until the next entry is due and takes it; None when the timetable is closed."""
        with self._changed:
            while not self._closed:
                left = self._due[0][0] - self._clock.now() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)
                self._changed.wait(None if left is None else self._clock.to_real(left))
        return None
