"""Of which attempts people are told. Pure.

While an outage lasts, attempts come every minute, and each ends. People are told when the first begins to move the
writer, when the reason why nothing moves changes, every `REPEAT_S` while it lasts, and at the end: never of every
attempt. A run that a person has started is always told of. What was told last is in the control record.
"""

from __future__ import annotations

import re

from handlers.core.control import Told

BEGUN = "a run has begun to move the writer"
REPEAT_S = 900.0
LONGEST_REASON = 200  # characters; enough to tell one reason from another


def same_reason(reason: str) -> str:
    """Returns a reason without its numbers and names of runs: one that counts seconds is no new one each time."""
    plain = re.sub(r"\brun [\w-]+", "run", reason)
    return " ".join(re.sub(r"\d+(\.\d+)?", "#", plain).split())[:LONGEST_REASON]


def is_due(last: Told | None, about: str, reason: str, now: float) -> bool:
    """Returns whether people have to be told of the incident ``about`` that ``reason`` holds.

    ``last`` is what they were told last; ``now`` in seconds since 1970.
    """
    if last is None or last.about != about:
        return True
    if reason == BEGUN:  # they have heard of the incident
        return False
    return last.reason != reason or now - last.at >= REPEAT_S
