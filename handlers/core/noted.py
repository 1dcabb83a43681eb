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


@dataclass(frozen=True)
class Noted:
    """What was noted; ``application`` is how it is after the run (`handlers.core.application.Health`), None unseen."""

    application: str | None = None

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Noted:
        """Reads it from its item, as plain values."""
        return cls(item.get("application"))
