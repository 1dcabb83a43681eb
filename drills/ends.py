"""How a drill can end."""

from __future__ import annotations

from enum import StrEnum


class End(StrEnum):
    """How a drill can end, as an operator would put it."""

    FAILED_OVER = "failed over"
    SWITCHED_OVER = "switched over"
    REHEARSED = "rehearsed"
    REPROTECTED = "re-protected"
    FULL_CIRCLE = "full circle"
    NOTHING_MOVED = "nothing moved"
    SETTLED = "finished or given back"
    HELD = "held for want of approval"
    REFUSED = "refused"
    ABORTED = "aborted"
    NEEDS_PERSON = "needs a person"
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"
