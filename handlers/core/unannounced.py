"""Ends of runs that no step announces: timed out, stopped by hand, failed before or beside the steps that tell. Pure.

Step Functions says of every execution how it ended, and EventBridge hands that on ("Step Functions Execution Status
Change", best effort). Runs that ended by themselves have told people already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from handlers.core.control import ControlRecord
from handlers.core.errors import InvalidRequest
from handlers.core.message import Message, Workflows, command, region_of, start_command, whereabouts
from handlers.core.outcome import no_attempt, resume
from handlers.core.plain import shortened
from handlers.core.progress import LONGEST_CAUSE
from handlers.core.reading import ANY_TEXT, Fields

STATE_MACHINE = r"arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:stateMachine:[\w-]{1,80}"

Status = Literal["TIMED_OUT", "ABORTED", "FAILED"]
ENDED: Mapping[Status, str] = {
    "TIMED_OUT": "it ran into its time limit",
    "ABORTED": "somebody stopped it by hand",
    "FAILED": "it failed",
}
# The errors in which both workflows fail after their last steps have told people how the run ended.
ANNOUNCED = frozenset({"Aborted", "NeedsPerson"})


@dataclass(frozen=True)
class Ended:
    """An execution that has ended badly: which, how, and why as far as the event says; its error may be missing."""

    run: str
    state_machine: str
    status: Status
    error: str | None
    cause: str | None

    @classmethod
    def read(cls, event: object) -> Ended:
        """Reads Step Functions' event; `InvalidRequest` names what is wrong with it."""
        fields = Fields(event, "the event", InvalidRequest).section("detail")
        return cls(
            run=fields.line("name"),
            state_machine=fields.text("stateMachineArn", pattern=STATE_MACHINE),
            status=fields.choice("status", tuple(ENDED)),
            error=fields.optional_text("error", pattern=ANY_TEXT),
            cause=fields.optional_text("cause", pattern=ANY_TEXT),
        )

    @property
    def is_announced(self) -> bool:
        """Whether the run itself has told people; where that is not known, they are told again."""
        return self.status == "FAILED" and self.error in ANNOUNCED


def message(ended: Ended, record: ControlRecord | None, workflows: Workflows, now: float) -> Message:
    """Says how the run ended, what is at risk, and how to go on at ``now``, in seconds since 1970.

    ``record`` is None where it could not be read.
    """
    reprotects = ended.state_machine == workflows.reprotect
    what = "RE-PROTECTION" if reprotects else "FAILOVER OR SWITCHOVER"
    lines = [
        f"{what} ENDED WITHOUT A WORD: {ENDED[ended.status]}",
        "",
        *whereabouts(ended.state_machine, ended.run),
    ]
    if ended.error or ended.cause:
        error, cause = ended.error or "none given", ended.cause or "no cause given"
        lines.append(f"Error: {shortened(error, LONGEST_CAUSE)}: {shortened(cause, LONGEST_CAUSE)}")
    state = _reprotection(ended.run, record, workflows) if reprotects else _move(ended.run, record, workflows, now)
    return Message.of([*lines, "", *state])


def _move(run: str, record: ControlRecord | None, workflows: Workflows, now: float) -> list[str]:
    if record is None:
        return [
            "At risk now: applications may have no writer. The control record cannot be read, so it is not known "
            "whether the run still holds the lock.",
            *no_attempt(workflows.failover, record, now),
            *resume(workflows.failover, run, None),
        ]
    held = record.transition
    lines = [f"Writer region: {record.writer_region}, epoch {record.epoch}"]
    if held is not None and held.run == run:
        asked = "was asked" if held.move_requests else "was not asked"
        risk = "nothing that this run has changed, but its lock keeps other runs out until one takes it over."
        if held.phase != "checking":
            risk = "applications may have no writer until this is finished, and no other run may move it."
        return [
            *lines,
            f"The run holds the lock, in phase {held.phase}; RDS {asked} to move the writer.",
            f"At risk now: {risk}",
            *no_attempt(workflows.failover, record, now),
            *resume(workflows.failover, run, record.writer_region if held.mode == "switchover" else None),
        ]
    if record.last_run == run:
        return [
            *lines,
            f"The run has moved the writer to {record.writer_region} and given the lock back; nobody has proved by a "
            "write through the public name that applications reach it.",
            *_without_standby(record, workflows),
        ]
    if held is not None:
        risk = "nothing that this run has changed."
        if held.phase != "checking":
            risk = "applications may have no writer until that run is over."
        return [
            *lines,
            f"Run {held.run}, a {held.mode} in phase {held.phase}, has the lock now.",
            f"At risk now: {risk}",
            "You will be told how it ends. To watch it:",
            command(workflows.failover, "watch", held.run),
        ]
    return [
        *lines,
        "The run holds no lock, and has not moved the writer.",
        "At risk now: nothing that this run has changed.",
        *_without_standby(record, workflows),
        *no_attempt(workflows.failover, record, now),
        "To try again, once the cause is gone:",
        start_command(workflows.failover, {"mode": "failover"}),
    ]


def _without_standby(record: ControlRecord, workflows: Workflows) -> list[str]:
    if record.protected:
        return []
    return [
        "At risk now: there is no standby; until there is one, no failover is possible.",
        "To make one again:",
        start_command(workflows.reprotect, {}),
    ]


def _reprotection(run: str, record: ControlRecord | None, workflows: Workflows) -> list[str]:
    held = record.reprotection if record else None
    if record is not None and record.protected:
        return [
            f"Writer region: {record.writer_region}, epoch {record.epoch}",
            f"At risk now: nothing; {_other(record.writer_region, workflows)} is the standby.",
        ]
    request: dict[str, object] = {}
    if record is None or (held is not None and held.run == run):  # its lock has no deadline
        request["resumes"] = run
    return [
        "At risk now: there is no standby until this is finished; until then, no failover is possible.",
        "Every step may be repeated; continue with:",
        start_command(workflows.reprotect, request),
    ]


def _other(region: str, workflows: Workflows) -> str:
    here, there = region_of(workflows.failover), region_of(workflows.failover_there)
    return there if region == here else here
