"""The lines of the timeline."""

from __future__ import annotations

from enum import StrEnum

from drills.verdict.record import Record, Seconds


class Kind(StrEnum):
    """What part of the system an event belongs to."""

    LAB = "lab"
    OUTAGE = "outage"
    ALARM = "alarm"
    WORKFLOW = "workflow"
    DATABASE = "database"
    DNS = "dns"
    CLIENT = "client"
    NOTIFICATION = "notification"


class Event(Record):
    """One line of the timeline.

    ``at`` is a time of the drill's clock (virtual seconds since 1970) while the drill runs, and seconds since
    the outage in a result.
    """

    at: Seconds
    kind: Kind
    text: str
    detail: str = ""
