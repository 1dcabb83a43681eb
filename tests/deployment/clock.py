"""Time, which is skipped and not waited for: whoever would have slept moves one common clock."""

from __future__ import annotations

import datetime
import threading
import time
from types import SimpleNamespace
from typing import Any

# Only ends a test that would otherwise wait for ever; nothing is measured by it (real seconds).
PATIENCE_S = 60.0

# A machine that is busy with other work must run into no limit, and no lease may end meanwhile: on AWS a function is
# alone in its own environment. The machine's time passes so many times more slowly here, and the limits of states and
# machines, which are real time, last as many times as long, so that the shortest (4 s) outlasts `PATIENCE_S`; a test of
# a limit sets `SkippingClock.real_limits`.
UNHURRIED = 20


class SkippingClock:
    """The time of everything here: the machine's, slowed down, plus what was skipped by whoever would have slept."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.real_limits: dict[
            float, float
        ] = {}  # limits of that length last so long here, until the deployment is gone
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._began_at = time.time()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._began_at + self._passed()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._began + self._passed()

    def _passed(self) -> float:
        return (time.monotonic() - self._began) / UNHURRIED + self.skipped

    def sleep(self, seconds: float) -> None:
        """Skip that time; other threads get a chance to run."""
        with self._lock:
            self.skipped += seconds
        time.sleep(0.0005)

    def to_real(self, seconds: float) -> float:
        """How long the time limit of a state or of a machine is here."""
        return self.real_limits.get(seconds, seconds * UNHURRIED)


CLOCK = SkippingClock()
HANDLERS_TIME = SimpleNamespace(time=CLOCK.now, monotonic=CLOCK.monotonic, sleep=CLOCK.sleep)


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(CLOCK.now(), tz)


POWERTOOLS_TIME = SimpleNamespace(datetime=_Datetime, timedelta=datetime.timedelta)
