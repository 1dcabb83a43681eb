"""Virtual time: the production cadence, played faster on a laptop.

Every process of the lab rebuilds the same clock from two numbers, so that waits, caches and
measurements agree. Events are stamped in real time and reported in virtual seconds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Virtual time = ``epoch + (real time - epoch) * speed``.

    Parameters
    ----------
    speed : float
        Virtual seconds that pass in one real second; 1 is real time.
    epoch : float
        Real time (seconds since 1970) at which virtual and real time agree.

    Raises
    ------
    ValueError
        When ``speed`` is not a finite number above 0.
    """

    speed: float
    epoch: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speed) and self.speed > 0):
            raise ValueError(f"speed is {self.speed}: give a number above 0; 1 is real time, 10 is ten times faster")

    @classmethod
    def started_now(cls, speed: float) -> Clock:
        """Returns a clock whose virtual time equals real time at this moment."""
        return cls(speed, time.time())

    def now(self) -> float:
        """Returns the virtual time now, in seconds since 1970."""
        return self.virtual_time(time.time())

    def virtual_time(self, real_time: float) -> float:
        """Returns the virtual time (seconds since 1970) at a real time (seconds since 1970)."""
        return self.epoch + (real_time - self.epoch) * self.speed

    def to_real(self, virtual_seconds: float) -> float:
        """Returns how many real seconds a duration in virtual seconds takes."""
        return virtual_seconds / self.speed

    def to_virtual(self, real_seconds: float) -> float:
        """Returns the duration in virtual seconds of a duration in real seconds."""
        return real_seconds * self.speed

    def sleep(self, virtual_seconds: float) -> None:
        """Waits for a duration in virtual seconds; returns at once when it is not above 0."""
        if virtual_seconds > 0:
            time.sleep(self.to_real(virtual_seconds))
