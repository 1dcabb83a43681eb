"""The time budgets of the critical path: what each step may take, and that they add up to the promise.

The numbers are in the ASL file, where the console shows them, and in the specification of alarms; here is only which of
them follow each other. One attempt of each step counts: a step that has to be repeated spends the budget of the next
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestration.specification.workflows import definition, tasks

# From the alarm's change (detection) to a standby that takes writes.
DETECTION_TO_PROMOTION_S = 60

# The states that follow each other on it; those in one row run in parallel, and the longest of them counts.
CRITICAL_PATH = (
    ("Claim",),
    ("CheckHealth", "VerifyLag"),
    ("WaitForLease",),
    ("DetachSecondary",),
    ("Promote",),
)
# What runs in parallel with the promotion, and must not outlast it.
BESIDE_PROMOTION = ("RepointDns", "FenceOldWriter", "NotifyBegun", "NotifyLasts")


@dataclass(frozen=True)
class Budget:
    """How long one attempt of a state, or of parallel states, may take (s)."""

    states: tuple[str, ...]
    seconds: int


def budgets() -> tuple[Budget, ...]:
    """Returns the budgets of the critical path in its order."""
    limits = _limits()
    return tuple(Budget(states, max(limits[state] for state in states)) for states in CRITICAL_PATH)


def limit(state: str) -> int:
    """Returns how long one attempt of a state may take (s)."""
    return _limits()[state]


def _limits() -> dict[str, int]:
    found: dict[str, dict[str, Any]] = {name: state for name, _, state in tasks(definition())}
    return {name: int(state["TimeoutSeconds"]) for name, state in found.items()}
