"""Times and amounts as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def lasting(seconds: float) -> str:
    """Returns a duration: ``9 s``, ``4 min 10 s``, ``3 h 5 min``, ``2 d 4 h``."""
    seconds = round(max(0.0, seconds))
    for unit, name, smaller, smaller_name in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if seconds >= unit:
            whole, rest = divmod(seconds, unit)
            parts = [f"{whole:.0f} {name}"] + ([f"{rest // smaller:.0f} {smaller_name}"] if rest >= smaller else [])
            return " ".join(parts)
    return f"{seconds:.0f} s"


def clock(at: float, now: float) -> str:
    """Returns a moment (seconds since 1970) as people compare it with ``now``; with its day, if that is another one.

    A pause of a day ends at the same time of day as it began: without the day it would read as over.
    """
    text = date(at)
    return f"{text.partition(' ')[2] if text[:10] == date(now)[:10] else text} UTC"


def date(at: float) -> str:
    """Returns a moment (seconds since 1970) with its day."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
