"""The control record: who the writer is, and which run may change that. Pure: no DynamoDB in here.

The rules of the claim are the table in `decide_claim`; read it from the top, the first row that fits decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.errors import Misconfigured
from handlers.core.heartbeat import END_OF_TIME_S, Beat
from handlers.core.reading import LARGEST_WHOLE, Fields
from handlers.core.request import MODES, Mode, Request

# A run that holds the lock is over by then: the workflow's own TimeoutSeconds (30 min) has ended it, the function that
# it started last has ended too (40 s), and 20 s are left for clocks that differ. Only after that may another run take
# the lock without a person naming the run that it takes over.
LOCK_SECONDS = 1860

# A run that works tells people soon how it ended. Of one that holds the lock for longer nobody may have heard anything,
# so that people are told of whoever is refused because of it.
BUSY_S = 300

LARGEST_EPOCH = LARGEST_COUNT = LARGEST_WHOLE

# `checking`: the run looks, and a writer that renews its lease stops it. `stopping`: a switchover stops the healthy
# writer, whose guardian renews no more and fences; until `stopping_until`, then its guardian takes the lock away.
# `moving`: the run has committed to move the writer, and the guardian of the old one renews no more and fences.
Phase = Literal["checking", "stopping", "moving"]
PHASES: tuple[Phase, ...] = ("checking", "stopping", "moving")


ClaimDecision = Literal["proceed", "refused", "duplicate"]
CLAIM_DECISIONS: tuple[ClaimDecision, ...] = ("proceed", "refused", "duplicate")


@dataclass(frozen=True)
class Transition:
    """The lock: the run that holds it and what it does. Times in seconds since 1970.

    ``seen_lease`` is the end of the writer's lease as the run saw it when it took the lock; ``move_requests`` counts
    the requests to RDS to move the writer (detach or switchover), each before it is sent, less one that RDS refused.
    ``replicated_xid``: every transaction of the old writer with a lower id had ended and was in the standby.
    """

    run: str
    mode: Mode
    phase: Phase
    incident: str
    target_region: str
    started_at: float
    deadline: float
    seen_lease: float | None = None
    stopping_until: float | None = None
    dns_engaged: bool = False
    move_requests: int = 0
    replicated_xid: int | None = None

    @classmethod
    def read(cls, fields: Fields) -> Transition:
        """Reads the lock out of a control item."""
        return cls(
            run=fields.text("run"),
            mode=fields.choice("mode", MODES),
            phase=fields.choice("phase", PHASES),
            incident=fields.text("incident"),
            target_region=fields.text("target_region"),
            started_at=_moment(fields, "started_at"),
            deadline=_moment(fields, "deadline"),
            seen_lease=_optional_moment(fields, "seen_lease"),
            stopping_until=_optional_moment(fields, "stopping_until"),
            dns_engaged=fields.flag("dns_engaged", False),
            move_requests=int(fields.number("move_requests", at_least=0, at_most=LARGEST_COUNT, default=0)),
            replicated_xid=fields.optional_whole("replicated_xid", at_most=LARGEST_COUNT),
        )


@dataclass(frozen=True)
class ReprotectionLock:
    """The run that re-protects, who started it, and since when (seconds since 1970)."""

    run: str
    started_by: str
    started_at: float

    @classmethod
    def read(cls, fields: Fields) -> ReprotectionLock:
        """Reads the lock out of a control item."""
        return cls(fields.text("run"), fields.text("started_by"), _moment(fields, "started_at"))


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
    lease_expires_at
        until when the writer may write without renewing, in seconds since 1970; None from a change of writer (and
        from the deployment) to the first renewal.
    heartbeat
        the last heartbeat row that the guardian knows to be committed.
    unfenced_region
        the old writer's region after a failover, until it is known to be fenced.
    last_run, last_incident, last_transition_at
        the run that moved the writer last, the incident it answered, and when (seconds since 1970).
    protected
        False from a failover until a re-protection has made a new standby: there is nothing to move the writer to.
    reprotection
        the lock of the run that re-protects.
    retiring
        RDS's resource id of the old cluster, once a run has begun to retire it.
    replicated_xid
        of the last failover: every transaction of the old writer with a lower id is in the new one.
    last_reprotection
        the run that re-protected last.
    """

    writer_region: str
    epoch: int
    automatic_failover: bool
    transition: Transition | None = None
    lease_expires_at: float | None = None
    heartbeat: Beat | None = None
    unfenced_region: str | None = None
    last_run: str | None = None
    last_incident: str | None = None
    last_transition_at: float | None = None
    protected: bool = True
    reprotection: ReprotectionLock | None = None
    retiring: str | None = None
    replicated_xid: int | None = None
    last_reprotection: str | None = None

    @classmethod
    def read(cls, item: object) -> ControlRecord:
        """Reads a control item; `Misconfigured` names the attribute that is wrong."""
        fields = Fields(item, "the control record", Misconfigured)
        return cls(
            writer_region=fields.text("writer_region"),
            epoch=int(fields.number("epoch", at_least=1, at_most=LARGEST_EPOCH)),
            automatic_failover=fields.flag("automatic_failover", True),
            transition=Transition.read(fields.section("transition")) if "transition" in fields.data else None,
            lease_expires_at=_optional_moment(fields, "lease_expires_at"),
            heartbeat=Beat.read_optional(fields, "heartbeat"),
            unfenced_region=fields.optional_text("unfenced_region"),
            last_run=fields.optional_text("last_run"),
            last_incident=fields.optional_text("last_incident"),
            last_transition_at=_optional_moment(fields, "last_transition_at"),
            protected=fields.flag("protected", True),
            reprotection=(
                ReprotectionLock.read(fields.section("reprotection")) if "reprotection" in fields.data else None
            ),
            retiring=fields.optional_text("retiring"),
            replicated_xid=fields.optional_whole("replicated_xid", at_most=LARGEST_COUNT),
            last_reprotection=fields.optional_text("last_reprotection"),
        )

    @property
    def only_forward(self) -> bool:
        """Whether RDS may be moving the writer for the run that holds the lock: there is no way back."""
        return self.transition is not None and self.transition.move_requests > 0

    @property
    def moving(self) -> Transition | None:
        """The lock of a run that has committed to move the writer."""
        return self.transition if self.transition and self.transition.phase == "moving" else None

    @property
    def stopping(self) -> Transition | None:
        """The lock of a switchover that stops the writer."""
        return self.transition if self.transition and self.transition.phase == "stopping" else None


def _moment(fields: Fields, field: str) -> float:
    return fields.number(field, at_least=0, at_most=END_OF_TIME_S)


def _optional_moment(fields: Fields, field: str) -> float | None:
    return None if fields.data.get(field) is None else _moment(fields, field)


@dataclass(frozen=True)
class Claim:
    """The answer to a request, and what every later step works from.

    ``decision`` is ``proceed``, ``refused``, or ``duplicate``: refused, because a run has handled it or is at it, so
    that nobody has to be told; ``reason`` says why in a sentence for people. ``heartbeat`` is the last
    one of the writer that the record knew of; ``accept_data_loss`` opens the lag gate. ``only_forward``: an earlier
    run, whose lock this one takes over, has asked RDS to move the writer.
    """

    decision: ClaimDecision
    reason: str
    run: str
    mode: Mode
    started_by: str
    incident: str
    writer_region: str
    target_region: str
    epoch: int
    resumes: str | None = None
    accept_data_loss: bool = False
    heartbeat: Beat | None = None
    only_forward: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Claim:
        """Reads a claim out of a step's event."""
        return cls(
            decision=fields.choice("decision", CLAIM_DECISIONS),
            reason=fields.text("reason", pattern=".{1,1000}"),
            run=fields.text("run"),
            mode=fields.choice("mode", MODES),
            started_by=fields.text("started_by"),
            incident=fields.text("incident"),
            writer_region=fields.text("writer_region"),
            target_region=fields.text("target_region"),
            epoch=int(fields.number("epoch", at_least=1, at_most=LARGEST_EPOCH)),
            resumes=fields.optional_text("resumes"),
            accept_data_loss=fields.flag("accept_data_loss", False),
            heartbeat=Beat.read_optional(fields, "heartbeat"),
            only_forward=fields.flag("only_forward", False),
        )


def decide_claim(record: ControlRecord, request: Request, run: str, now: float, cool_down_s: float) -> Claim:
    """Whether ``run`` may go on, and why.

    ``now`` in seconds since 1970; ``cool_down_s``: how long automatic failovers stay off after a change of writer.
    """
    held = record.transition
    rested_at = (record.last_transition_at or 0) + cool_down_s
    rows: tuple[tuple[bool, ClaimDecision, str], ...] = (
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
            "duplicate",
            f"this run has moved the writer to {record.writer_region} already",
        ),
        (
            record.writer_region == request.target_region,
            "duplicate",
            f"{request.target_region} is the writer already (epoch {record.epoch}, "
            + (f"moved by run {record.last_run})" if record.last_run else "as deployed)"),
        ),
        (
            request.incident == record.last_incident,
            "duplicate",
            f"run {record.last_run} has handled this incident already",
        ),
        (
            not record.protected,
            "refused",
            f"there is no standby since run {record.last_run}: {request.target_region} cannot take over before it has "
            f"been re-protected (workflow reprotect in {record.writer_region})",
        ),
        (
            held is not None and request.resumes is not None and held.run == request.resumes,
            "proceed",
            f"takes over from run {request.resumes}, as {request.started_by} asked",
        ),
        (
            held is not None and held.deadline >= now,
            "duplicate"
            if held and (request.incident == held.incident or now < held.started_at + BUSY_S)
            else "refused",
            f"run {held.run if held else ''} is doing the work; to take over from it once it has stopped, "
            f'start this workflow with "resumes": "{held.run if held else ""}"',
        ),
        (
            not record.automatic_failover and request.automatic,
            "refused",
            "automatic failover is paused in the control record",
        ),
        (
            request.automatic and not request.ignore_cool_down and now < rested_at,
            "refused",
            f"the writer has just moved: automatic failovers stay off for {rested_at - now:.0f} s more; a person may "
            "start one",
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
        accept_data_loss=request.accept_data_loss,
        heartbeat=record.heartbeat,
        only_forward=record.only_forward,
    )


def lock_for(claim: Claim, record: ControlRecord, now: float) -> Transition:
    """The lock that a claim takes; a run that takes over keeps what the other one may have begun."""
    before = record.transition
    return Transition(
        run=claim.run,
        mode=claim.mode,
        phase=before.phase if before else "checking",
        incident=claim.incident,
        target_region=claim.target_region,
        started_at=now,
        deadline=now + LOCK_SECONDS,
        seen_lease=record.lease_expires_at,
        stopping_until=before.stopping_until if before else None,
        dns_engaged=before.dns_engaged if before else False,
        move_requests=before.move_requests if before else 0,
        replicated_xid=before.replicated_xid if before else None,
    )


def writer_switch_engaged(record: ControlRecord, region: str) -> bool:
    """Whether clients belong in ``region``: it is the writer, or a run is moving the writer there right now."""
    moving = record.transition
    if moving is not None and moving.dns_engaged:
        return moving.target_region == region
    return record.writer_region == region
