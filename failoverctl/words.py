"""Moments as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def clock(at: float, now: float) -> str:
    """Returns a moment (seconds since 1970) as people compare it with ``now``; with its day, if that is another one.

    A pause of a day ends at the same time of day as it began: without the day it would read as over.
    """
    text = date(at)
    return f"{text.partition(' ')[2] if text[:10] == date(now)[:10] else text} UTC"


def date(at: float) -> str:
    """Returns a moment (seconds since 1970) with its day."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
