"""What a guardian remembers, and what follows from each thing that it learns. Pure: no clock, no thread, no AWS.

`step` is all there is: it takes what a guardian remembers and what it has just learnt, and returns what it remembers
from now on and what it does next, if anything. The rules of a tick are the table in `handlers.core.guardian`; here they
meet the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from handlers.core.claim import LATE_REQUEST_S
from handlers.core.control import ControlRecord, PersonsNo, Says, Word, WriterSign
from handlers.core.fence import UNSEEN, FenceState, Lift
from handlers.core.guardian import (
    NO_LEASE,
    Decision,
    Own,
    Situation,
    decide,
    ill_since,
    known_lease_end,
    known_word_end,
    lift_until,
    may_renew_nowhere,
    must_fence_first,
)
from handlers.core.health import Probe
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, NO_SIGN_S, REST_S, TICK_S

# How long the first tick of a run may take from its look at the record to its decision: a tick and the longest probe of
# the own database that is not answered. The guardian before it may rest for a good reason, which only that decision
# finds; a run that moves the writer would have been seen in the record.
FIRST_TICK_S = 2 * TICK_S

# How long a fence that was seen counts for a guardian that has to fence. Another guardian may lift it, renew once and
# die; what it then has left of its lease is what is kept for a fence, and the clocks' error, less a tick and the second
# that a fence takes. The next look is a tick later.
LOOK_COUNTS_S = FENCE_BEFORE_S + CLOCK_MARGIN_S - TICK_S - 1.0
FENCE_AGAIN_S = LOOK_COUNTS_S + TICK_S
# How old the look at the writer's fence may be while its security group may still close: it is looked at with every
# second tick. RDS closes it when it gets to it; only a look shows that, for a session tells of SQL. Then the next tick
# fences by SQL, and the one after that lifts both.
FENCE_LOOK_S = 1.5 * TICK_S
# For how long after a lift that may be. How late RDS is, is not documented; every look costs an invocation, and after
# that the first look of each run of the monitor has to do.
LATE_FENCE_S = 60.0
# A writer that has renewed for so long has recovered, and its next outage is another one, of which no person has said
# anything. Shorter, and a writer that comes and goes would be moved against that person's no.
OUTAGE_IS_OVER_S = 300.0


@dataclass(frozen=True)
class Silence:
    """RDS has shown nothing of the ``requests`` of ``run`` to switch over ``since`` then (seconds since 1970)."""

    run: str
    requests: int
    since: float


class GuardianState(NamedTuple):
    """What the guardian of ``region`` remembers.

    Attributes
    ----------
    grace_s
        how long a database that is not known to live is given.
    record
        the control record as it was last read; None before that.
    record_since
        since when it has said the same of who may write (seconds since 1970): what was seen before counts no more.
    lease_ends_at
        until when its writer may write, as far as it knows; see `handlers.core.guardian.known_lease_end`.
    word_ends_at
        until when a word lets it rest; see `handlers.core.guardian.known_word_end`.
    rests
        whether there is a good reason for being without a lease, so that its end needs no watching.
    fence
        what was seen of the fence.
    sql_seen_at, group_seen_at
        when (seconds since 1970).
    restarted_at
        when RDS last accepted, as far as was seen, a restart in the place of a fence by SQL (seconds since 1970).
    rds_silence
        since when RDS shows nothing of the switchover that is noted in the record.
    decides_by
        until when its first tick may wait for answers (seconds since 1970), and one that finds a lock gone, so that the
        clock does not decide before it has; None once it has, and the record says so.
    """

    region: str
    grace_s: float = 0.0
    record: ControlRecord | None = None
    record_since: float = 0.0
    lease_ends_at: float = NO_LEASE
    word_ends_at: float = NO_LEASE
    rests: bool = False
    fence: FenceState = UNSEEN
    sql_seen_at: float = 0.0
    group_seen_at: float = 0.0
    restarted_at: float = 0.0
    rds_silence: Silence | None = None
    decides_by: float | None = 0.0

    @property
    def is_writer(self) -> bool:
        """Whether this region is the writer, as far as is known."""
        return self.record is not None and self.record.writer_region == self.region

    @property
    def is_standby(self) -> bool:
        """Whether the other region is the writer, as far as is known."""
        return self.record is not None and not self.is_writer

    @property
    def lifted_at(self) -> float | None:
        """When this region's fence was last lifted (seconds since 1970); None where another region is the writer.

        Whoever lifts begins its renewals anew.
        """
        return (self.record.renewing_since or 0.0) if self.record and self.is_writer else None

    @property
    def rests_until(self) -> float:
        """Until when it need not fence, by the lease or the word that it knows."""
        return max(self.lease_ends_at, self.word_ends_at)


# --- what a guardian learns: named tuples, which a cold start makes in a quarter of a dataclass's time


class RecordRead(NamedTuple):
    """The control record, asked for at ``asked_at`` (seconds since 1970)."""

    record: ControlRecord
    asked_at: float


class DatabaseProbed(NamedTuple):
    """What its own database answered at ``now``, and whether the control record could be read in this tick."""

    reached: Probe
    record_is_known: bool
    now: float


class LookedAround(NamedTuple):
    """Everything that a tick asked for has come: time to decide.

    ``record`` and ``reached`` are this tick's, None when nobody answered; ``can_write`` and ``nowhere``: see
    `handlers.core.guardian.Situation`.
    """

    now: float
    record: ControlRecord | None
    own: Own
    reached: Probe | None
    can_write: bool
    nowhere: bool = False


class LeaseRenewed(NamedTuple):
    """The lease now ends at ``expires_at``; ``reached`` is what the database answered before that, None for nothing."""

    expires_at: float
    reached: Probe | None


class WordGiven(NamedTuple):
    """The word stands in the record, and lets rest until ``rests_until``."""

    rests_until: float


class RdsSeen(NamedTuple):
    """What RDS showed at ``now`` of a switchover of ``run``, while so many ``requests`` for it were noted.

    ``silent``: no sign of it, and the own cluster is the primary.
    """

    run: str
    requests: int
    silent: bool
    now: float


class FenceSeen(NamedTuple):
    """What was seen of the fence, which was asked for at ``asked_at`` (seconds since 1970).

    ``to_open``: because a renewal has earned the opening of the security group.
    """

    fence: FenceState
    asked_at: float
    to_open: bool = False


class ClockSeen(NamedTuple):
    """The time is ``now``, whatever a tick may be waiting for."""

    now: float


Learnt = RecordRead | DatabaseProbed | LookedAround | LeaseRenewed | WordGiven | RdsSeen | FenceSeen | ClockSeen


# --- what a guardian does; where only the name tells two of them apart they are dataclasses, for named tuples are equal


class Renew(NamedTuple):
    """Renew the lease of ``epoch`` to ``expires_at``, with the writer's newest heartbeat; None when it keeps none.

    ``word``: what to say beside it, when the database is not known to live. ``renewing_since``: when renewals begin
    anew with this one, else None.
    """

    epoch: int
    expires_at: float
    beat: Beat | None
    word: Word | None = None
    renewing_since: float | None = None


class TakeNoBack(NamedTuple):
    """Take back the ``no`` that a person said to the automatic attempts of ``epoch``: that outage is over."""

    epoch: int
    no: PersonsNo


class GiveWord(NamedTuple):
    """Give the word in ``epoch``, in which the lease was read to end at ``lease``."""

    epoch: int
    lease: float | None
    word: Word


class SignLife(NamedTuple):
    """Sign the lock in the record that was read, which stops or moves the writer."""

    record: ControlRecord
    sign: WriterSign


@dataclass(frozen=True)
class EndStop:
    """Take the lock from the switchover of ``run``, which has stopped the writer for too long."""

    run: str


@dataclass(frozen=True)
class EndMove:
    """Take the lock from ``run``, which has committed to move the writer and does not ask RDS."""

    run: str


@dataclass(frozen=True)
class EndSwitchover:
    """Take the lock from the switchover of ``run``, of whose ``requests`` RDS has shown nothing."""

    run: str
    requests: int


@dataclass(frozen=True)
class LookAtRds:
    """See what RDS shows of the switchover of ``run``, for which so many ``requests`` are noted."""

    run: str
    requests: int


class PutFenceUp(NamedTuple):
    """Keep applications out; ``with_group`` False leaves the security group alone.

    ``lease``: whose end is the reason (seconds since 1970), `NO_LEASE` where none is known; None where there is
    another reason. ``lifted_at``: see `GuardianState`.
    """

    why: str
    with_group: bool
    lease: float | None = None
    lifted_at: float | None = None


class LiftFence(NamedTuple):
    """Let applications in again."""

    lift: Lift


class LookAtFence(NamedTuple):
    """See how the fence stands; ``to_open`` as in `FenceSeen`."""

    to_open: bool = False


Change = Renew | GiveWord | SignLife | EndStop | EndMove | EndSwitchover  # of the record
Act = PutFenceUp | LiftFence | LookAtFence | LookAtRds | TakeNoBack
Orders = tuple[Change | Act, ...]


def step(state: GuardianState, learnt: Learnt) -> tuple[GuardianState, Orders]:
    """Returns what is remembered after ``learnt``, and what is to be done about it, in this order."""
    match learnt:
        case ClockSeen(now):
            return state, _clock_seen(state, now)
        case RecordRead():
            return _record_read(state, learnt)
        case DatabaseProbed():
            return _database_probed(state, learnt), ()
        case LookedAround():
            return _decided(state, learnt)
        case LeaseRenewed():
            return _lease_renewed(state, learnt)
        case WordGiven(rests_until):
            return state._replace(word_ends_at=max(state.word_ends_at, rests_until), decides_by=None), ()
        case RdsSeen():
            return _rds_seen(state, learnt), ()
        case FenceSeen():
            return _fence_seen(state, learnt)


def _who_may_write(record: ControlRecord | None) -> tuple[object, ...]:
    """Returns what the record says of who may write; a lock that stops or moves the writer is told from any other."""
    if record is None:
        return ()
    lock = record.moving or record.stopping
    return record.epoch, record.writer_region, (lock.run, lock.phase, lock.moving_since) if lock else None


def _is_locked(record: ControlRecord | None, region: str) -> bool:
    """Whether the region's writer is kept closed by a lock."""
    return record is not None and record.writer_region == region and may_renew_nowhere(record, region)


def _record_read(state: GuardianState, learnt: RecordRead) -> tuple[GuardianState, Orders]:
    record, asked_at = learnt.record, learnt.asked_at
    was_closed = bool(state.fence.by_sql)
    set_back = asked_at < state.record_since  # this machine's clock: what it has dated since then counts for nothing
    if set_back or _who_may_write(state.record) != _who_may_write(record):
        state = state._replace(fence=UNSEEN, record_since=asked_at, rds_silence=None)
    lease_ends_at = known_lease_end(record, state.region, asked_at, state.lease_ends_at)
    decides_by = asked_at + FIRST_TICK_S if state.record is None else state.decides_by
    if _is_locked(state.record, state.region) and not _is_locked(record, state.region):
        # A lock that ends after the lease leaves a fence behind, and so does one under which it was seen to stand:
        # whether to lift it is for a tick to decide, not the clock. Else the tick, which renews at once if it can, has
        # what a fence leaves it of the lease.
        leaves = lease_ends_at - (FENCE_BEFORE_S - TICK_S)
        fenced = was_closed or lease_ends_at < asked_at
        decides_by = asked_at + FIRST_TICK_S if fenced else min(asked_at + FIRST_TICK_S, leaves)
    after = state._replace(
        record=record,
        lease_ends_at=lease_ends_at,
        word_ends_at=known_word_end(record, state.region, asked_at),
        decides_by=decides_by,
    )
    may_close = after.lifted_at is not None and asked_at - after.lifted_at <= LATE_FENCE_S
    may_have_closed = may_close and asked_at - state.group_seen_at >= FENCE_LOOK_S
    looks: Orders = (LookAtFence(),) if state.fence.secondary is None or may_have_closed else ()
    moving = record.moving if after.is_writer else None
    if moving and moving.mode == "switchover" and moving.move_requests > 0:
        looks += (LookAtRds(moving.run, moving.move_requests),)
    return after, looks


def _database_probed(state: GuardianState, learnt: DatabaseProbed) -> GuardianState:
    reached = learnt.reached
    asked_at = learnt.now - reached.elapsed_ms / 1000
    if reached.role == "writer" and reached.fenced is not None and asked_at >= state.record_since:
        state = state._replace(fence=replace(state.fence, by_sql=reached.closed), sql_seen_at=asked_at)
    if not learnt.record_is_known and reached.noted_lease and not state.is_standby:
        # What another guardian of this region knew; the record that cannot be read holds at least that.
        noted = min(reached.noted_lease, learnt.now + LEASE_S)
        state = state._replace(lease_ends_at=max(state.lease_ends_at, noted))
    return state


def _rds_seen(state: GuardianState, learnt: RdsSeen) -> GuardianState:
    known = state.rds_silence
    if not learnt.silent:
        return state._replace(rds_silence=None)
    if known and (known.run, known.requests) == (learnt.run, learnt.requests):
        return state
    return state._replace(rds_silence=Silence(learnt.run, learnt.requests, learnt.now))


def _decided(state: GuardianState, learnt: LookedAround) -> tuple[GuardianState, Orders]:
    record, now = learnt.record, learnt.now
    silent = _rds_is_silent(state.rds_silence, record, now)
    situation = Situation(
        state.region,
        now,
        record,
        learnt.own,
        state.rests_until,
        state.grace_s,
        learnt.can_write,
        silent,
        learnt.nowhere,
    )
    decision = decide(situation)
    writes = decision.action in ("renew", "renew unknown", "give word")  # what it decides counts when it is written
    state = state._replace(rests=decision.action == "rest", decides_by=state.decides_by if writes else None)
    orders = (*_signs(state, learnt), *_orders(state, learnt, decision))
    return state, orders


def _rds_is_silent(known: Silence | None, record: ControlRecord | None, now: float) -> bool:
    """Whether RDS shows nothing of all the requests that are noted in the lock, and none is on its way any more.

    The note, which the record keeps, says how old the last one is. A silence of that length would have to be seen by
    one run of the monitor, which lives little longer.
    """
    lock = record.transition if record else None
    if known is None or lock is None or (known.run, known.requests) != (lock.run, lock.move_requests):
        return False
    noted_at = known.since if lock.asked_at is None else lock.asked_at  # None: noted by an earlier version
    return now - known.since >= NO_SIGN_S and now - noted_at >= LATE_REQUEST_S + CLOCK_MARGIN_S


def _orders(state: GuardianState, learnt: LookedAround, decision: Decision) -> Orders:
    """Returns what follows from the decision of a tick."""
    record, now = learnt.record, learnt.now
    lock = record.transition if record else None
    says: Says = "down" if learnt.own == "down" else "unknown"
    match decision.action:
        case "renew" if record and learnt.reached:
            return _renewal(record, learnt.reached, now)
        case "renew unknown" if record:
            word = Word(says, ill_since(record, now))
            return (Renew(record.epoch, now + LEASE_S, record.heartbeat, word),)
        case "give word" if record:
            word = Word(says, ill_since(record, now), rests_until=now + REST_S)
            return (GiveWord(record.epoch, record.lease_expires_at, word),)
        case "end stop" if lock:
            return (EndStop(lock.run),)
        case "end move" if lock:
            return (EndMove(lock.run),)
        case "end switchover" if lock:
            return (EndSwitchover(lock.run, lock.move_requests),)
        case "fence" | "fence by sql":
            for_good = may_renew_nowhere(record, state.region)
            return _close(state, decision, learnt.own, now, for_good=for_good)
    return ()


def _renewal(record: ControlRecord, reached: Probe, now: float) -> Orders:
    """Returns the renewal by a guardian that knows its database to live, and what a long row of them ends.

    One that lifts a fence begins anew.
    """
    in_time = record.lease_expires_at is not None and now <= record.lease_expires_at
    unbroken = in_time and record.word is None and not reached.fenced
    since = record.renewing_since if unbroken else None
    renewal = Renew(record.epoch, now + LEASE_S, reached.heartbeat, renewing_since=now if since is None else None)
    no = record.ended_by_person
    if no is None or since is None or now - max(since, no.at) < OUTAGE_IS_OVER_S:
        return (renewal,)
    return (renewal, TakeNoBack(record.epoch, no))


def _signs(state: GuardianState, learnt: LookedAround) -> Orders:
    """Returns the sign of life of the guardian of a writer that is stopped or moved away."""
    record = learnt.record
    if record is None or record.writer_region != state.region or not may_renew_nowhere(record, state.region):
        return ()
    says: Says = "up" if learnt.own in ("writer", "reader") else "down" if learnt.own == "down" else "unknown"
    # A group that is closed keeps nobody out who is in.
    emptied = learnt.own == "down" and _is_emptied(state)
    fenced = bool(state.fence.by_sql or emptied)
    return (SignLife(record, WriterSign(learnt.now, says, fenced)),)


def _is_emptied(state: GuardianState) -> bool:
    """Whether the security group is closed with nobody behind it: RDS has restarted the instances since the last lift.

    Without that, it may be one that RDS closed after the lift, for a fence of before. Where another region is the
    writer nobody can tell, and the database is fenced by SQL as soon as it answers.
    """
    fence, lifted_at = state.fence, state.lifted_at
    if not fence.by_group or fence.restarted is False:
        return False
    return lifted_at is None or state.restarted_at > lifted_at


def _close(state: GuardianState, decision: Decision, own: Own, now: float, *, for_good: bool) -> Orders:
    """Returns the order for the part of the fence decided on that does not stand yet.

    ``for_good``: nobody can lift what stands, so that it need not be seen again and again.
    """
    fence, with_group = state.fence, decision.action == "fence"

    def counts(seen_at: float) -> bool:
        return for_good or now - seen_at <= FENCE_AGAIN_S

    by_sql = fence.by_sql and counts(state.sql_seen_at)
    by_group = fence.by_group and (by_sql or counts(state.group_seen_at))
    # Where SQL cannot, the fence function has the instances restarted, and asks again if RDS refused.
    emptied = own in ("down", "unknown") and by_group and _is_emptied(state)
    left_alone = own == "down" and (fence.secondary or not with_group)
    by_sql_done = by_sql or emptied or left_alone
    by_group_done = by_group or fence.secondary or not with_group
    if by_sql_done and by_group_done:
        return ()
    lease = None if for_good else state.lease_ends_at
    return (PutFenceUp(decision.why, with_group, lease, state.lifted_at),)


def _lease_renewed(state: GuardianState, learnt: LeaseRenewed) -> tuple[GuardianState, Orders]:
    """Lifts the fence that stood before the renewal; one by security group alone gets one by SQL first."""
    state = state._replace(lease_ends_at=learnt.expires_at, word_ends_at=NO_LEASE, decides_by=None)
    reached = learnt.reached
    if reached is None or reached.role != "writer":
        return state, ()  # a renewal in the dark: it has seen no fence that it could name
    if reached.fenced and reached.fence_number is not None:
        lift = Lift(reached.fence_number, lift_until(learnt.expires_at))
        return state, (LiftFence(lift),)
    # Look once more, because another run of the monitor may have opened it; a new fence ends all sessions.
    return state, (LookAtFence(to_open=True),) if state.fence.by_group else ()


def _fence_seen(state: GuardianState, learnt: FenceSeen) -> tuple[GuardianState, Orders]:
    seen, asked_at = learnt.fence, learnt.asked_at
    if asked_at < state.record_since:
        return state, ()  # in another state of things: who may lift it has changed since
    closed = learnt.to_open and seen.by_group
    orders = (PutFenceUp("the security group is about to be opened", with_group=False),) if closed else ()
    # Another environment of the fence function may know of no restart: what one has said stays known.
    restarted_at = max(state.restarted_at, seen.restarted_at or 0.0)
    return (
        state._replace(fence=seen, sql_seen_at=asked_at, group_seen_at=asked_at, restarted_at=restarted_at),
        orders,
    )


def _clock_seen(state: GuardianState, now: float) -> Orders:
    """Fences a writer whose lease is about to end, whatever else the guardian waits for."""
    if not must_fence_first(state.is_writer, state.rests_until, now):
        return ()
    if state.rests or (state.decides_by is not None and now <= state.decides_by):
        return ()
    decision = Decision("fence", "the lease ends and has not been renewed")
    return _close(state, decision, "unknown", now, for_good=False)
