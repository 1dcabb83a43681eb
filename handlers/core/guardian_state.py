"""What a guardian remembers, and what follows from each thing that it learns. Pure: no clock, no thread, no AWS.

`step` is all there is: it takes what a guardian remembers and what it has just learnt, and returns what it remembers
from now on and what it does next, if anything. The rules of a tick are the table in `handlers.core.guardian`; here they
meet the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from handlers.core.control import ControlRecord
from handlers.core.fence import UNSEEN, FenceState, Lift
from handlers.core.guardian import (
    NO_LEASE,
    Decision,
    Own,
    Situation,
    decide,
    known_lease_end,
    lift_until,
    must_fence_first,
)
from handlers.core.health import Probe
from handlers.core.heartbeat import Beat
from handlers.core.lease import LEASE_S, TICK_S

# How long the first tick of a run may take from its look at the record to its decision: a tick and the longest probe of
# the own database that is not answered. The guardian before it may rest for a good reason, which only that decision
# finds; a run that moves the writer would have been seen in the record.
FIRST_TICK_S = 2 * TICK_S


@dataclass(frozen=True)
class GuardianState:
    """What the guardian of ``region`` remembers.

    Attributes
    ----------
    record
        the control record as it was last read; None before that.
    lease_ends_at
        until when its writer may write, as far as it knows; see `handlers.core.guardian.known_lease_end`.
    rests
        whether there is a good reason for being without a lease, so that its end needs no watching.
    fence
        what its last look saw of the fence.
    decides_by
        until when its first tick may wait for answers (seconds since 1970), so that the clock does not decide before it
        has; None once it has decided.
    """

    region: str
    record: ControlRecord | None = None
    lease_ends_at: float = NO_LEASE
    rests: bool = False
    fence: FenceState = UNSEEN
    decides_by: float | None = 0.0

    @property
    def is_writer(self) -> bool:
        """Whether this region is the writer, as far as is known."""
        return self.record is not None and self.record.writer_region == self.region

    @property
    def is_standby(self) -> bool:
        """Whether the other region is the writer, as far as is known."""
        return self.record is not None and not self.is_writer


# --- what a guardian learns


@dataclass(frozen=True)
class RecordRead:
    """The control record, asked for at ``asked_at`` (seconds since 1970)."""

    record: ControlRecord
    asked_at: float


@dataclass(frozen=True)
class DatabaseProbed:
    """What its own database answered at ``now``, and whether the control record could be read in this tick."""

    reached: Probe
    record_is_known: bool
    now: float


@dataclass(frozen=True)
class LookedAround:
    """Everything that a tick asked for has come: time to decide.

    ``record`` and ``reached`` are this tick's, None when nobody answered; ``can_renew``: see
    `handlers.core.guardian.Situation`.
    """

    now: float
    record: ControlRecord | None
    own: Own
    reached: Probe | None
    can_renew: bool


@dataclass(frozen=True)
class LeaseRenewed:
    """The lease now ends at ``expires_at``; ``reached`` is what the database answered before that."""

    expires_at: float
    reached: Probe


@dataclass(frozen=True)
class FenceSeen:
    """What was seen of the fence; ``to_open``: because a renewal has earned the opening of the security group."""

    fence: FenceState
    to_open: bool = False


@dataclass(frozen=True)
class ClockSeen:
    """The time is ``now``, whatever a tick may be waiting for."""

    now: float


Learnt = RecordRead | DatabaseProbed | LookedAround | LeaseRenewed | FenceSeen | ClockSeen


# --- what a guardian does


@dataclass(frozen=True)
class Renew:
    """Renew the lease of ``epoch`` to ``expires_at``, with the writer's newest heartbeat; None when it keeps none."""

    epoch: int
    expires_at: float
    beat: Beat | None


@dataclass(frozen=True)
class EndStop:
    """Take the lock from the switchover of ``run``, which has stopped the writer for too long."""

    run: str


@dataclass(frozen=True)
class PutFenceUp:
    """Keep applications out; ``with_group`` False leaves the security group alone."""

    why: str
    with_group: bool


@dataclass(frozen=True)
class LiftFence:
    """Let applications in again."""

    lift: Lift


@dataclass(frozen=True)
class LookAtFence:
    """See how the fence stands; ``to_open`` as in `FenceSeen`."""

    to_open: bool = False


Order = Renew | EndStop | PutFenceUp | LiftFence | LookAtFence


def step(state: GuardianState, learnt: Learnt) -> tuple[GuardianState, Order | None]:
    """Returns what is remembered after ``learnt``, and what is to be done about it; None for nothing."""
    match learnt:
        case RecordRead():
            return _record_read(state, learnt)
        case DatabaseProbed():
            return _database_probed(state, learnt), None
        case LookedAround():
            return _decided(state, learnt)
        case LeaseRenewed():
            return _lease_renewed(state, learnt)
        case FenceSeen():
            return _fence_seen(state, learnt)
        case ClockSeen():
            return state, _clock_seen(state, learnt.now)


def _record_read(state: GuardianState, learnt: RecordRead) -> tuple[GuardianState, Order | None]:
    record, known = learnt.record, state.record
    role_changed = known is None or (known.epoch, known.writer_region) != (record.epoch, record.writer_region)
    fence = UNSEEN if role_changed else state.fence
    ends_at = known_lease_end(record, state.region, learnt.asked_at, state.lease_ends_at)
    decides_by = None if state.decides_by is None else learnt.asked_at + FIRST_TICK_S
    after = replace(state, record=record, lease_ends_at=ends_at, fence=fence, decides_by=decides_by)
    return after, LookAtFence() if fence.secondary is None else None


def _database_probed(state: GuardianState, learnt: DatabaseProbed) -> GuardianState:
    reached = learnt.reached
    if reached.role == "writer" and reached.fenced is not None:
        state = replace(state, fence=replace(state.fence, by_sql=reached.closed))
    if not learnt.record_is_known and reached.noted_lease and not state.is_standby:
        # What another guardian of this region knew; the record that cannot be read holds at least that.
        noted = min(reached.noted_lease, learnt.now + LEASE_S)
        state = replace(state, lease_ends_at=max(state.lease_ends_at, noted))
    return state


def _decided(state: GuardianState, learnt: LookedAround) -> tuple[GuardianState, Order | None]:
    record, reached = learnt.record, learnt.reached
    situation = Situation(state.region, learnt.now, record, learnt.own, state.lease_ends_at, learnt.can_renew)
    decision = decide(situation)
    state = replace(state, rests=decision.action == "rest", decides_by=None)
    if decision.action == "end stop" and record and record.transition:
        return state, EndStop(record.transition.run)
    if decision.action == "renew" and record and reached:
        return state, Renew(record.epoch, learnt.now + LEASE_S, reached.heartbeat)
    return state, _close(state.fence, decision, learnt.own)


def _close(fence: FenceState, decision: Decision, own: Own) -> Order | None:
    """Returns the order for the part of the fence decided on that does not stand yet."""
    if decision.action not in ("fence", "fence by sql"):
        return None
    with_group = decision.action == "fence"
    by_sql_done = fence.by_sql or own == "down" or (own == "unknown" and fence.by_group)
    by_group_done = fence.by_group or fence.secondary or not with_group
    return None if by_sql_done and by_group_done else PutFenceUp(decision.why, with_group)


def _lease_renewed(state: GuardianState, learnt: LeaseRenewed) -> tuple[GuardianState, Order | None]:
    """Lifts the fence that stood before the renewal; one by security group alone gets one by SQL first."""
    state = replace(state, lease_ends_at=learnt.expires_at)
    reached = learnt.reached
    if reached.fenced and reached.fence_number is not None:
        return state, LiftFence(Lift(reached.fence_number, lift_until(learnt.expires_at)))
    # Look once more, because another run of the monitor may have opened it; a new fence ends all sessions.
    return state, LookAtFence(to_open=True) if state.fence.by_group else None


def _fence_seen(state: GuardianState, learnt: FenceSeen) -> tuple[GuardianState, Order | None]:
    closed = learnt.to_open and learnt.fence.by_group
    order = PutFenceUp("the security group is about to be opened", with_group=False) if closed else None
    return replace(state, fence=learnt.fence), order


def _clock_seen(state: GuardianState, now: float) -> Order | None:
    """Fences a writer whose lease is about to end, whatever else the guardian waits for."""
    waits = state.rests or (state.decides_by is not None and now <= state.decides_by)
    if waits or not must_fence_first(state.is_writer, state.lease_ends_at, now):
        return None
    return _close(state.fence, Decision("fence", "the lease ends and has not been renewed"), "unknown")
