"""What is noted of a run beside its own record, by what runs beside the workflow. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of the item in the table of records, behind the run's name; no name of an execution has this character (Step Functions
# API reference, StartExecution). An item of its own, for the run's record replaces whatever stood in its place.
SUFFIX = "#noted"


WELL = {
    "healthy": "well again: its alarms are over",
    "unhealthy": "not well when it was last seen: alarms of it rang",
    "unknown": "not known: not all of its alarms said anything",
}


HOOKS = "hooks_"  # begins the name of what is noted of an event's hooks


@dataclass(frozen=True)
class FailedHook:
    """A hook that has not done its work: its ``event``, what went wrong, and whether it was required."""

    name: str
    event: str
    error: str
    required: bool


@dataclass(frozen=True)
class Noted:
    """What was noted.

    Attributes
    ----------
    application
        how it is after the run (`handlers.core.application.Health`); None where nobody has looked, or all was well.
    failed_hooks
        the hooks that have failed, in the order of their events' names.
    """

    application: str | None = None
    failed_hooks: tuple[FailedHook, ...] = ()

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Noted:
        """Reads it from its item, as plain values."""
        hooks = [
            FailedHook(one["name"], name.removeprefix(HOOKS), one["error"], one["required"])
            for name, failed in sorted(item.items())
            if name.startswith(HOOKS)
            for one in failed
        ]
        return cls(item.get("application"), tuple(hooks))

    @property
    def words(self) -> list[tuple[str, str]]:
        """What it says for people, each line with its title."""
        hooks = [
            (f"{'Required hook' if one.required else 'Hook'} failed", f"{one.name}, after {one.event}: {one.error}")
            for one in self.failed_hooks
        ]
        return [*([("Application", WELL[self.application])] if self.application else []), *hooks]
