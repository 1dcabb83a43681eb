"""The control record: who the writer is, and which run may change that. Pure: no DynamoDB in here.

The rules of the claim are the table in `decide_claim`; read it from the top, the first row that fits decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.errors import Misconfigured
from handlers.core.reading import Fields
from handlers.core.request import Mode, Request

# A run that holds the lock is over by then: the workflow's own TimeoutSeconds (15 min) has ended it, the function that
# it started last has ended too (20 s), and 10 s are left for clocks that differ. Only after that may another run take
# the lock without a person naming the run that it takes over.
LOCK_SECONDS = 930

LARGEST_EPOCH = 2**53  # the largest whole number that JSON carries exactly
END_OF_TIME_S = 4_102_444_800  # 2100-01-01: a timestamp beyond it is milliseconds taken for seconds


@dataclass(frozen=True)
class Transition:
    """The lock: the run that holds it and what it does. Times in seconds since the epoch."""

    run: str
    incident: str
    target_region: str
    started_at: float
    deadline: float
    dns_engaged: bool = False
    detach_requested: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Transition:
        """Reads the lock out of a control item."""
        return cls(
            run=fields.text("run"),
            incident=fields.text("incident"),
            target_region=fields.text("target_region"),
            started_at=fields.number("started_at", at_least=0, at_most=END_OF_TIME_S),
            deadline=fields.number("deadline", at_least=0, at_most=END_OF_TIME_S),
            dns_engaged=fields.flag("dns_engaged", False),
            detach_requested=fields.flag("detach_requested", False),
        )


@dataclass(frozen=True)
class ControlRecord:
    """One item per global database.

    Attributes
    ----------
    writer_region
        the region that holds the writer role.
    epoch
        grows by one with every change of writer.
    automatic_failover
        False while a person has paused automatic failovers.
    transition
        the lock, while a run holds it.
    last_run, last_incident
        the run that moved the writer last, and the incident it answered.
    """

    writer_region: str
    epoch: int
    automatic_failover: bool
    transition: Transition | None = None
    last_run: str | None = None
    last_incident: str | None = None

    @classmethod
    def read(cls, item: object) -> ControlRecord:
        """Reads a control item; `Misconfigured` names the attribute that is wrong."""
        fields = Fields(item, "the control record", Misconfigured)
        return cls(
            writer_region=fields.text("writer_region"),
            epoch=int(fields.number("epoch", at_least=1, at_most=LARGEST_EPOCH)),
            automatic_failover=fields.flag("automatic_failover", True),
            transition=Transition.read(fields.section("transition")) if "transition" in fields.data else None,
            last_run=fields.optional_text("last_run"),
            last_incident=fields.optional_text("last_incident"),
        )


@dataclass(frozen=True)
class Claim:
    """The answer to a request, and what every later step works from.

    ``decision`` is ``proceed`` or ``refused``; ``reason`` says why in a sentence for people.
    """

    decision: Literal["proceed", "refused"]
    reason: str
    run: str
    mode: Mode
    started_by: str
    incident: str
    writer_region: str
    target_region: str
    epoch: int
    resumes: str | None

    @classmethod
    def read(cls, fields: Fields) -> Claim:
        """Reads a claim out of a step's event."""
        return cls(
            decision="proceed" if fields.text("decision", choices=("proceed", "refused")) == "proceed" else "refused",
            reason=fields.text("reason", pattern=".{1,1000}"),
            run=fields.text("run"),
            mode="failover" if fields.text("mode", choices=("failover", "rehearsal")) == "failover" else "rehearsal",
            started_by=fields.text("started_by"),
            incident=fields.text("incident"),
            writer_region=fields.text("writer_region"),
            target_region=fields.text("target_region"),
            epoch=int(fields.number("epoch", at_least=1, at_most=LARGEST_EPOCH)),
            resumes=fields.optional_text("resumes"),
        )


def decide_claim(record: ControlRecord, request: Request, run: str, now: float) -> Claim:
    """Whether ``run`` may go on, and why. ``now`` in seconds since the epoch."""
    held = record.transition
    rows: tuple[tuple[bool, Literal["proceed", "refused"], str], ...] = (
        (
            request.mode == "rehearsal",
            "proceed",
            "a rehearsal changes nothing and needs no lock",
        ),
        (
            held is not None and held.run == run,
            "proceed",
            "this run holds the lock already",
        ),
        (
            record.last_run == run,
            "refused",
            f"this run has moved the writer to {record.writer_region} already",
        ),
        (
            record.writer_region == request.target_region,
            "refused",
            f"{request.target_region} is the writer already (epoch {record.epoch}, "
            + (f"moved by run {record.last_run})" if record.last_run else "as deployed)"),
        ),
        (
            request.incident == record.last_incident,
            "refused",
            f"run {record.last_run} has handled this incident already",
        ),
        (
            held is not None and request.resumes is not None and held.run == request.resumes,
            "proceed",
            f"takes over from run {request.resumes}, as {request.started_by} asked",
        ),
        (
            held is not None and held.deadline >= now,
            "refused",
            f"run {held.run if held else ''} is doing the work; to take over from it once it has stopped, "
            f'start this workflow with "resumes": "{held.run if held else ""}"',
        ),
        (
            not record.automatic_failover and request.automatic,
            "refused",
            "automatic failover is paused in the control record",
        ),
        (
            held is not None,
            "proceed",
            f"takes over from run {held.run if held else ''}, which ended without giving the lock back",
        ),
        (
            True,
            "proceed",
            "the lock was free",
        ),
    )
    decision, reason = next((decision, reason) for fits, decision, reason in rows if fits)
    return Claim(
        decision=decision,
        reason=reason,
        run=run,
        mode=request.mode,
        started_by=request.started_by,
        incident=request.incident,
        writer_region=record.writer_region,
        target_region=request.target_region,
        epoch=record.epoch,
        resumes=request.resumes,
    )


def lock_for(claim: Claim, record: ControlRecord, now: float) -> Transition:
    """The lock that a claim takes; a run that takes over keeps what the other one may have begun."""
    before = record.transition
    return Transition(
        run=claim.run,
        incident=claim.incident,
        target_region=claim.target_region,
        started_at=now,
        deadline=now + LOCK_SECONDS,
        dns_engaged=before.dns_engaged if before else False,
        detach_requested=before.detach_requested if before else False,
    )


def writer_switch_engaged(record: ControlRecord, region: str) -> bool:
    """Whether clients belong in ``region``: it is the writer, or a run is moving the writer there right now."""
    moving = record.transition
    if moving is not None and moving.dns_engaged:
        return moving.target_region == region
    return record.writer_region == region
