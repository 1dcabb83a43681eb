"""When a step ran: part of every step's result. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """When a step ran (seconds since 1970); `handlers.telemetry` adds it to each result."""

    began: float
    ended: float
