"""Numbers and moments as every report says them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds(value: float | None, decimals: int = 1) -> str:
    """Returns a duration for people, a dash when there is none."""
    return "-" if value is None else f"{value:.{decimals}f} s"


def since(at: float) -> str:
    """Returns a time since a report's zero for people: ``+12.4 s``."""
    return f"{round(at, 1) + 0.0:+.1f} s"  # adding 0 turns -0.0 into 0.0


def moment(at: float | None) -> str:
    """Returns a moment (seconds since 1970) with its day, a dash when there is none."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
