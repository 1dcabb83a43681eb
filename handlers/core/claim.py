"""The claim: whether a run may proceed, and the lock that it takes. Pure.

The rules are the table in `decide_claim`; read it from the top, the first row that fits decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from handlers.core.control import LARGEST_EPOCH, ControlRecord, Transition
from handlers.core.duration import lasting
from handlers.core.heartbeat import END_OF_TIME_S, Beat
from handlers.core.reading import LARGEST_WHOLE, Fields
from handlers.core.request import MODES, Mode, Request, incident_of

# A run that holds the lock is over by then: the workflow's own TimeoutSeconds (30 min) has ended it, the function that
# it started last has ended too (40 s), and 20 s are left for clocks that differ. Only after that may another run take
# the lock without a person naming the run that it takes over.
LOCK_SECONDS = 1860

# A run that works soon tells people how it ended. If a run holds the lock for longer, people may have heard nothing of
# it, so they are told of each start that it causes to be refused.
BUSY_S = 300

# EventBridge gives an event up after 60 s, and an alarm may be late by as much. What comes later than both is about a
# state of things that the monitor has looked at again since.
LATEST_START_S = 120

# For how long a request to RDS that was noted may be on its way: longer than any step of a run lives. After a change of
# writer with more than one noted, nobody claims before that, for one would move the writer under the next run's hands;
# and a switchover of which RDS shows nothing is not ended before that.
LATE_REQUEST_S = 60.0

ClaimDecision = Literal["proceed", "refused", "duplicate"]
CLAIM_DECISIONS: tuple[ClaimDecision, ...] = ("proceed", "refused", "duplicate")


@dataclass(frozen=True)
class Claim:
    """The answer to a request, and what every later step works from.

    ``decision`` is ``proceed``, ``refused``, or ``duplicate``: refused because a run has handled it or is handling it,
    so nobody has to be told; ``reason`` says why in a sentence for people. ``heartbeat`` is the writer's last one that
    the record knew of; ``accept_data_loss`` opens the lag gate. ``only_forward``: an earlier run, whose lock this one
    takes over, has asked RDS to move the writer; ``continues``: see `continues`. ``lease_expires_at``: the end of
    the writer's lease as the record had it, in seconds since 1970. ``attempt`` and ``ignore_wrong_clock``: see
    `handlers.core.request.Request`.
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
    continues: bool = False
    lease_expires_at: float | None = None
    attempt: int | None = None
    ignore_wrong_clock: bool = False

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
            epoch=fields.whole("epoch", at_least=1, at_most=LARGEST_EPOCH),
            resumes=fields.optional_text("resumes"),
            accept_data_loss=fields.flag("accept_data_loss", False),
            heartbeat=Beat.read_optional(fields, "heartbeat"),
            only_forward=fields.flag("only_forward", False),
            continues=fields.flag("continues", False),
            lease_expires_at=fields.optional_number("lease_expires_at", at_least=0, at_most=END_OF_TIME_S),
            attempt=fields.optional_whole("attempt", at_most=LARGEST_WHOLE),
            ignore_wrong_clock=fields.flag("ignore_wrong_clock", False),
        )


def is_free(record: ControlRecord, holder_is_over: bool | None, now: float) -> bool:
    """Whether no living run holds the lock.

    ``holder_is_over``: whether the run that holds it has ended; where that is not known (None), its deadline decides.
    """
    held = record.transition
    return held is None or holder_is_over is True or held.deadline < now


def automation_is_off(record: ControlRecord, now: float) -> str | None:
    """Why automation does not begin anything at ``now`` (seconds since 1970), in a clause for people; None when it may.

    A pause and a person's no are for beginnings: what RDS has been asked for is finished all the same.
    """
    if record.only_forward:
        return None
    if not record.automatic_failover:
        return "automatic failover is turned off in the control record"
    pause = record.paused
    if pause and pause.lasts(now):
        left = f"for {lasting(pause.until - now)} more ({pause.reason})"
        if pause.maintenance:
            return f"{pause.by} maintains the writer {left}"
        return f"{pause.by} has paused automatic failover {left}"
    no = record.ended_by_person
    if no:
        return f"{no.by} has ended the automatic attempts of this epoch ({no.reason})"
    return None


def decide_claim(
    record: ControlRecord,
    request: Request,
    run: str,
    now: float,
    cool_down_s: float,
    *,
    holder_is_over: bool | None = None,
) -> Claim:
    """Whether ``run`` may go on, and why.

    Parameters
    ----------
    now
        seconds since 1970.
    cool_down_s
        how long automatic failovers stay off after one of them; a change of writer that a person wanted starts none.
    holder_is_over
        whether the run that holds the lock has ended; None when that is not known, or nobody holds it.
    """
    held = record.transition
    holder = held.run if held else ""
    automatic, only_forward = request.automatic, record.only_forward
    incident = incident_of(record.epoch) if automatic else request.incident
    age = now - request.asked_at if request.asked_at is not None else 0.0
    off = automation_is_off(record, now)
    failed_over_by_itself = record.last_incident == incident_of(record.epoch - 1)
    rested_at = (record.last_transition_at or 0) + cool_down_s if failed_over_by_itself else 0.0
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
            automatic and request.epoch not in (None, record.epoch),
            "duplicate",
            f"it was started for epoch {request.epoch}, and the writer is that of epoch {record.epoch}",
        ),
        (
            automatic and age > LATEST_START_S,
            "duplicate",
            f"its start has been on its way for {age:.0f} s; the monitor has looked again since",
        ),
        (
            automatic and request.mode == "switchover" and held is None,
            "duplicate",
            "it was to finish a switchover, whose run has given the lock back since",
        ),
        (
            incident == record.last_incident,
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
            record.claims_from is not None and now < record.claims_from,
            "refused",
            f"the writer has just moved, and a request to RDS of run {record.last_run} may still be on its way: wait "
            f"{(record.claims_from or 0) - now:.0f} s more",
        ),
        (
            held is not None and request.resumes is not None and held.run == request.resumes,
            "proceed",
            f"takes over from run {request.resumes}, as {request.started_by} asked",
        ),
        (
            held is not None and not is_free(record, holder_is_over, now),
            "duplicate" if held and (incident == held.incident or now < held.started_at + BUSY_S) else "refused",
            f"run {holder} is doing the work; to take over from it once it has stopped, "
            f'start this workflow with "resumes": "{holder}"',
        ),
        (
            automatic and off is not None,
            "refused",
            off or "",
        ),
        (
            automatic and not only_forward and not request.ignore_cool_down and now < rested_at,
            "refused",
            f"a failover has just moved the writer: automatic ones stay off for {lasting(rested_at - now)} more, then "
            "they begin by themselves; a person may start one now",
        ),
        (
            held is not None,
            "proceed",
            f"takes over from run {holder}, which ended without giving the lock back",
        ),
        (
            True,
            "proceed",
            "the lock was free",
        ),
    )
    decision, reason = next((decision, reason) for fits, decision, reason in rows if fits)
    mode = mode_over(held, request.mode)
    return Claim(
        decision=decision,
        reason=reason,
        run=run,
        mode=mode,
        started_by=request.started_by,
        # What automation finishes of a switchover is still the switchover that a person wanted.
        incident=held.incident if automatic and held and mode == "switchover" else incident,
        writer_region=record.writer_region,
        target_region=request.target_region,
        epoch=record.epoch,
        resumes=request.resumes,
        accept_data_loss=request.accept_data_loss,
        heartbeat=record.heartbeat,
        only_forward=only_forward,
        continues=continues(held, mode),
        lease_expires_at=record.lease_expires_at,
        attempt=request.attempt,
        ignore_wrong_clock=request.ignore_wrong_clock,
    )


def continues(held: Transition | None, mode: Mode) -> bool:
    """Returns whether a run that takes this lock over has nothing to decide: the other one had seen all that it needs.

    A failover that has committed to move goes on, and so does a switchover for which RDS was asked. A switchover that
    becomes a failover is another thing, whose loss is judged anew.
    """
    if held is None or held.phase != "moving" or held.mode != mode:
        return False
    return mode == "failover" or held.move_requests > 0


def mode_over(held: Transition | None, asked: Mode) -> Mode:
    """Returns the mode of a run that was ``asked`` for one and finds a lock ``held``.

    A failover never becomes a switchover: its detach may be on its way, after which the old cluster looks like one that
    was never switched over, and the guardian would open it.
    """
    return "failover" if asked == "switchover" and held is not None and held.mode == "failover" else asked


def lock_for(claim: Claim, record: ControlRecord, now: float) -> Transition:
    """Returns the lock that a claim takes; a run that takes over keeps what the other one may have begun.

    Not what a person asked the other run for: that run is over, and who says no to every run says so in the record.
    """
    before = record.transition
    own: dict[str, Any] = {
        "run": claim.run,
        "mode": claim.mode,
        "incident": claim.incident,
        "target_region": claim.target_region,
        "started_at": now,
        "deadline": now + LOCK_SECONDS,
        "seen_lease": record.lease_expires_at,
        "wanted": None,
    }
    return replace(before, **own) if before else Transition(phase="checking", **own)
