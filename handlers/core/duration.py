"""Durations as people read them."""

from __future__ import annotations

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
