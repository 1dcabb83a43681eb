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

    @property
    def runs(self) -> list[Execution]:
        """The runs in the order of their start; a copy, because more may start while somebody looks at it."""
        return list(self.executions.values())


def acted(runs: Iterable[Execution]) -> list[Execution]:
    """Returns the runs that were not refused."""
    return [run for run in runs if run.end is not End.REFUSED]


def acting(runs: Iterable[Execution]) -> Execution | None:
    """Returns the run that did the work: the first that was not refused, else the first; None when there is none."""
    known = list(runs)
    return next(iter(acted(known) or known), None)
