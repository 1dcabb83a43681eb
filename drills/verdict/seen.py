"""What a drill has seen happen: alarms, runs of the workflow, messages to people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drills.ends import End

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class Execution:
    """One run of the workflow; ``input`` is JSON text, ``output`` is data, None when it failed."""

    name: str
    region: str
    status: str = "RUNNING"
    end: End | None = None
    output: Any = None
    input: str = ""
    asked_person: bool = False
    started_at: float = 0.0
    ended_at: float | None = None
    """Virtual seconds since 1970; None while it runs."""

    @property
    def record(self) -> dict[str, Any] | None:
        """What the run recorded of itself, which is its output; None when it has none."""
        return self.output if isinstance(self.output, dict) else None

    @property
    def bound_ms(self) -> float | None:
        """How old the run says that a lost write may be, at most; None when it says nothing.

        Where the old writer was not seen fenced, it is the bound that holds if its guardian fenced in time.
        """
        record = self.record or {}
        seen: float | None = record.get("rpo_at_most_ms")
        return record.get("rpo_if_guarded_ms") if seen is None else seen


@dataclass(frozen=True)
class LeaseSeen:
    """What the control record said of the lease from a moment on. Times in virtual seconds since 1970."""

    at: float
    writer: str
    until: float | None
    word: str | None = None
    """What the guardian says there of its database when it cannot renew: ``down`` or ``unknown``."""


@dataclass(frozen=True)
class Message:
    """What people were sent, from the topic of a region."""

    region: str
    subject: str
    text: str


@dataclass
class Seen:
    """What has happened so far."""

    alarms: dict[str, str] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    tolerated: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    lease: list[LeaseSeen] = field(default_factory=list)
    """Each change of the lease in the control record, in order."""
    phases: dict[str, float] = field(default_factory=dict)
    """The phases in which a lock has been, and since when; ``asked`` is ``moving`` with a request to RDS noted."""
    lock: str | None = None
    """The phase of the lock, while a run holds it."""

    @property
    def runs(self) -> list[Execution]:
        """The runs in the order of their start; a copy, because more may start while somebody looks at it."""
        return list(self.executions.values())

    @property
    def all_ended(self) -> bool:
        """Whether no run is at work."""
        return all(run.status != "RUNNING" for run in self.runs)


# Ends of runs that did what they were started for.
DONE = (End.FAILED_OVER, End.SWITCHED_OVER, End.REHEARSED, End.REPROTECTED)


def acted(runs: Iterable[Execution]) -> list[Execution]:
    """Returns the runs that were not refused."""
    return [run for run in runs if run.end is not End.REFUSED]


def done(runs: Iterable[Execution]) -> list[Execution]:
    """Returns the runs that did what they were started for."""
    return [run for run in runs if run.end in DONE]


def next_attempts_seconds(runs: Iterable[Execution]) -> list[float]:
    """Returns, for each run that ended before the work was done, how long it took until the next one began."""
    known = list(runs)
    doing = next(iter(done(known)), None)
    if doing is None:
        return []
    before = [run.ended_at for run in known if run.ended_at is not None and run.ended_at < doing.started_at]
    return [min(run.started_at for run in known if run.started_at >= ended) - ended for ended in before]


def acting(runs: Iterable[Execution]) -> Execution | None:
    """Returns the run that did the work: the first that did it, else the first that was not refused, else the first."""
    known = list(runs)
    return next(iter(done(known) or acted(known) or known), None)
