"""Time, which is skipped and not waited for: whoever would have slept moves one common clock."""

from __future__ import annotations

import datetime
import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest import mock

from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.eval.callback import callback

from failoverctl import together

# Only ends a test that would otherwise wait for ever; nothing is measured by it (real seconds).
PATIENCE_S = 60

# What is real time, unlike all else here: the limits of states and machines, and how long one thread waits for
# another. A machine that is busy with other work, or that stands still for minutes, must run into none of them, for on
# AWS each function is alone in its own environment. They last so many times as long; a test of a limit says by
# `SkippingClock.limits` what ends it instead.
UNHURRIED = 200

A_LOOK_S = 0.001  # passes with each look at the clock, so that no two moments are the same
A_MOMENT_S = 0.01  # the longest that somebody really sleeps

# The machine's own, for what waits for other threads.
real_monotonic, real_sleep = time.monotonic, time.sleep


def patiently(wait: Callable[[float], bool]) -> bool:
    """Whether ``wait`` sees in `PATIENCE_S` what it waits for; time in which this process was stopped hardly counts."""
    return any(wait(1.0) for _ in range(PATIENCE_S))


class SkippingClock:
    """The time of everything here. The machine's does not count: a test goes the same way however long it stands still.

    It passes by what is skipped, by whoever would have slept, and a little with each look.
    """

    def __init__(self) -> None:
        self.skipped = 0.0
        # Limits of that length are over, until the deployment is gone, once this number has grown.
        self.limits: dict[float, Callable[[], int]] = {}
        self._lock = threading.Lock()
        self._began = time.time()
        self._looks = itertools.count()

    def now(self) -> float:
        """Seconds since the epoch, and since some moment."""
        return self._began + next(self._looks) * A_LOOK_S + self.skipped

    def sleep(self, seconds: float) -> None:
        """Skip that time; other threads get a chance to run."""
        with self._lock:
            self.skipped += seconds
        real_sleep(0.0005)

    def sleep_a_moment(self, seconds: float) -> None:
        """Wait for others: sleep for that time, but no longer than a moment."""
        with self._lock:
            self.skipped += min(seconds, A_MOMENT_S)
        real_sleep(min(seconds, A_MOMENT_S))

    def to_real(self, seconds: float) -> float:
        """How long the time limit of a state or of a machine is here."""
        if seconds in self.limits:
            return Limit(self.limits, seconds)
        return min(seconds * UNHURRIED, threading.TIMEOUT_MAX)

    def install(self, stack: ExitStack, sleep: Callable[[float], None]) -> None:
        """Take the place of the machine's clock in this process until ``stack`` is closed; ``sleep`` sleeps."""
        for name, stand_in in (("time", self.now), ("monotonic", self.now), ("sleep", sleep)):
            stack.enter_context(mock.patch.object(time, name, stand_in))
        result = Future.result

        def unhurried(future: Future[Any], timeout: float | None = None) -> Any:
            return result(future, None if timeout is None else timeout * UNHURRIED)

        stack.enter_context(mock.patch.object(Future, "result", unhurried))
        queues = SimpleNamespace(SimpleQueue=_UnhurriedQueue, Empty=queue.Empty)
        stack.enter_context(mock.patch.object(together, "queue", queues))
        stack.enter_context(mock.patch.object(execute_state, "threading", SimpleNamespace(Event=_Event)))
        stack.enter_context(mock.patch.object(callback, "Event", _Event))
        stack.callback(self.limits.clear)


class Limit(float):
    """The limit of a state that ends by what has happened since it began, not by the machine's time."""

    _limits: dict[float, Callable[[], int]]
    _seconds: float
    _at_first: int

    def __new__(cls, limits: dict[float, Callable[[], int]], seconds: float) -> Limit:
        """Begins now."""
        self = super().__new__(cls, threading.TIMEOUT_MAX)
        self._limits, self._seconds, self._at_first = limits, seconds, limits[seconds]()
        return self

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        """A copy, as the history of an execution keeps it, is a number like any other."""
        return float, (float(self),)

    @property
    def is_over(self) -> bool:
        """Whether it has happened; or the deployment is gone."""
        happened = self._limits.get(self._seconds)
        return happened is None or happened() > self._at_first


class _Event(threading.Event):
    """What moto's interpreter waits for, at most until a limit."""

    def wait(self, timeout: float | None = None) -> bool:
        if not isinstance(timeout, Limit):
            return super().wait(timeout)
        while not super().wait(A_MOMENT_S):
            if timeout.is_over:
                return self.is_set()
        return True


class _UnhurriedQueue(queue.Queue[Any]):
    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return super().get(block, None if timeout is None else timeout * UNHURRIED)


CLOCK = SkippingClock()


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(CLOCK.now(), tz)


POWERTOOLS_TIME = SimpleNamespace(datetime=_Datetime, timedelta=datetime.timedelta)
