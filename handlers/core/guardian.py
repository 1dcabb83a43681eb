"""What the guardian of a region does in one tick: renew the writer's lease, give its word, fence, or nothing. Pure.

The rules are the table in `decide`; read it from the top, the first row that fits decides.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from handlers.core.control import FIRST_EPOCH, ControlRecord, Transition
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, REST_S

NO_LEASE = 0.0  # the end of the lease of a guardian that knows of none: it has to fence

# How long a run may keep the writer closed before it asks RDS to move it. It waits for the end of the guardian's word
# at most, REST_S and twice the clocks' error.
END_MOVE_S = 10.0

assert REST_S + 2 * CLOCK_MARGIN_S < END_MOVE_S, "a run that waits for the word would lose its lock"

# `down`: it does not answer. `unknown`: nobody could ask it, or it did not say.
Own = Literal["writer", "reader", "down", "unknown"]
Action = Literal[
    "renew",
    "renew unknown",
    "give word",
    "fence",
    "fence by sql",
    "end stop",
    "end move",
    "end switchover",
    "wait",
    "rest",
]


class Situation(NamedTuple):
    """What a guardian knows in a tick.

    Attributes
    ----------
    region
        its own region.
    now
        seconds since 1970, by its own clock.
    record
        the control record as just read; None when no replica shows it.
    own
        what its own region's database is.
    rests_until
        until when it need not fence, by the lease or the word that it knows; see `known_lease_end`, `known_word_end`.
    grace_s
        how long a database that is not known to live is given.
    can_write
        False when a write has just failed for want of a quorum.
    rds_silent
        whether RDS has shown nothing of the switchover that is noted for as long as a request may be on its way.
    nowhere
        whether every replica says for certain that there is no control record.
    """

    region: str
    now: float
    record: ControlRecord | None
    own: Own
    rests_until: float
    grace_s: float
    can_write: bool = True
    rds_silent: bool = False
    nowhere: bool = False


class Decision(NamedTuple):
    """The action, and a sentence that says why.

    ``renew unknown``: the lease, with a word beside it. ``give word``: to rest by, instead of a lease. ``wait``: the
    lease or the word lives, and its end has to be watched. ``rest``: nothing has to be. ``fence by sql`` leaves the
    security group alone; the ``end ...`` take the lock from a run that keeps the writer closed for too long.
    """

    action: Action
    why: str


def decide(now: Situation) -> Decision:
    """What to do in this situation."""
    record, region = now.record, now.region
    moving = record.moving if record else None
    here = record is not None and record.writer_region == region
    stopping = record.stopping if record and here else None
    ours = record if record and here and not (moving or stopping) else None
    run = moving.run if moving else stopping.run if stopping else ""
    rows: tuple[tuple[bool, Action, str], ...] = (
        (now.own == "reader", "rest", "a reader takes no writes"),
        (moving is not None and moving.target_region == region, "rest", f"run {run} is moving the writer here"),
        (here and _moves_too_long(moving, now.now), "end move", f"run {run} has kept the writer closed for too long"),
        (
            here and moving is not None and moving.mode == "switchover" and moving.move_requests > 0 and now.rds_silent,
            "end switchover",
            f"RDS shows nothing of the switchover that run {run} has asked for",
        ),
        (
            moving is not None,
            # Aurora refuses to switch over a cluster that is being modified, so its security group has to stay.
            "fence by sql" if moving and moving.mode == "switchover" else "fence",
            f"run {run} is moving the writer to {moving.target_region if moving else ''}",
        ),
        (
            stopping is not None and now.now > (stopping.stopping_until or 0) + CLOCK_MARGIN_S,
            "end stop",
            f"run {run} has stopped the writer for too long",
        ),
        (stopping is not None, "fence by sql", f"run {run} stops the writer to move it"),
        (
            record is not None and not here,
            "fence",
            f"{record.writer_region if record else ''} is the writer (epoch {record.epoch if record else 0})",
        ),
        (
            ours is not None and now.own == "writer" and now.can_write,
            "renew",
            "this region is the writer and its database takes writes",
        ),
        (
            # The database is being set up: a fence would only be in the way, and there are no clients yet.
            ours is not None and ours.lease_expires_at is None and ours.epoch == FIRST_EPOCH,
            "rest",
            "the writer of the deployment has had no lease yet; its first healthy answer takes one",
        ),
        (
            ours is not None
            and now.own == "unknown"
            and now.can_write
            and ours.heartbeat is not None
            and now.now - ill_since(ours, now.now) <= now.grace_s,
            "renew unknown",
            "nothing is known of the database; it is given the time that a recovery takes",
        ),
        (
            ours is not None and now.own != "writer" and now.can_write,
            "give word",
            "the lease cannot be renewed now, and a run that moves the writer will be seen in the record",
        ),
        (
            # As before the global stack is applied, and after it is destroyed, around a database that others use.
            record is None and now.nowhere,
            "rest",
            "there is no control record in any region, by which a run could move the writer",
        ),
        (now.now <= now.rests_until - FENCE_BEFORE_S, "wait", "the lease cannot be renewed now, but is alive"),
        (True, "fence", "the lease ends and cannot be renewed"),
    )
    action, why = next((action, why) for fits, action, why in rows if fits)
    return Decision(action, why)


def _moves_too_long(moving: Transition | None, now: float) -> bool:
    """Whether a run that has committed to move should have asked RDS by now."""
    if moving is None or moving.move_requests > 0:
        return False
    return now > moving.began_at + END_MOVE_S + CLOCK_MARGIN_S


def may_renew_nowhere(record: ControlRecord | None, region: str) -> bool:
    """Whether the record keeps every guardian of ``region`` from renewing, so that nobody lifts what fence stands."""
    return record is not None and (record.writer_region != region or bool(record.moving or record.stopping))


def ill_since(record: ControlRecord, now: float) -> float:
    """Since when the writer is not known to live, as far as the record tells; ``now``, if it tells nothing.

    A renewal of a writer that lives removes the word, so that one that stands has stood since then.
    """
    return record.word.since if record.word else now


def must_fence_first(is_writer: bool, rests_until: float, now: float) -> bool:
    """Whether a guardian has to fence before it makes any call that could hang: it has slept, or every call failed."""
    return is_writer and rests_until != NO_LEASE and now > rests_until - FENCE_BEFORE_S


def known_lease_end(record: ControlRecord, region: str, asked_at: float, known: float) -> float:
    """Until when the writer of ``region`` may write, now that ``record`` was read; ``known`` is what held so far.

    ``asked_at`` is from before the read: the record may be as old as that.

    What stands in the record counts: a run that wants to move the writer waits for it. That the writer moves here is as
    good as a lease, and until the first renewal the only one. A lease that is longer than any may be comes from a clock
    that was wrong, and nobody has a right to its end.
    """
    if record.moving and record.moving.target_region == region:
        return asked_at + LEASE_S - CLOCK_MARGIN_S
    if may_renew_nowhere(record, region):
        return NO_LEASE
    if record.lease_expires_at is None:
        return known
    return min(record.lease_expires_at, asked_at + LEASE_S)


def known_word_end(record: ControlRecord, region: str, asked_at: float) -> float:
    """Until when a word in the record lets every guardian of ``region`` rest: the run that moves waits for that, too.

    While a run stops or moves the writer, its guardians fence, whatever was said before.
    """
    if may_renew_nowhere(record, region) or record.rests_until is None:
        return NO_LEASE
    return min(record.rests_until, asked_at + REST_S)


def lift_until(lease_ends_at: float) -> float:
    """Until when a lift counts that was earned by the renewal to ``lease_ends_at``: later it could undo a fence."""
    return lease_ends_at - FENCE_BEFORE_S - CLOCK_MARGIN_S
