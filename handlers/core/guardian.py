"""What the guardian of a region does in one tick: renew the writer's lease, fence its own database, or nothing. Pure.

The rules are the table in `decide`; read it from the top, the first row that fits decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.control import ControlRecord
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S

FIRST_EPOCH = 1
NO_LEASE = 0.0  # the end of the lease of a guardian that knows of none: it has to fence

# `down`: it does not answer. `unknown`: nobody could ask it, the prober gave no answer.
Own = Literal["writer", "reader", "down", "unknown"]
Action = Literal["renew", "fence", "fence by sql", "end stop", "wait", "rest"]


@dataclass(frozen=True)
class Situation:
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
    lease_ends_at
        until when the writer may write, as far as this guardian knows; see `known_lease_end`.
    can_renew
        False when a renewal has just failed for want of a quorum.
    """

    region: str
    now: float
    record: ControlRecord | None
    own: Own
    lease_ends_at: float
    can_renew: bool = True


@dataclass(frozen=True)
class Decision:
    """The action, and a sentence that says why.

    ``wait``: the lease lives, and its end has to be watched. ``rest``: nothing has to be.
    ``fence by sql`` leaves the security group alone; ``end stop`` takes the lock from a switchover that has stopped the
    writer for too long.
    """

    action: Action
    why: str


def decide(now: Situation) -> Decision:
    """What to do in this situation."""
    record, region = now.record, now.region
    moving = record.moving if record else None
    stopping = record.stopping if record and record.writer_region == region else None
    too_long = stopping is not None and now.now > (stopping.stopping_until or 0) + CLOCK_MARGIN_S
    writer = record.writer_region if record else None
    by_sql = moving is not None and moving.mode == "switchover"
    rows: tuple[tuple[bool, Action, str], ...] = (
        (now.own == "reader", "rest", "a reader takes no writes"),
        (
            moving is not None and moving.target_region == region,
            "rest",
            f"run {moving.run if moving else ''} is moving the writer here",
        ),
        (
            moving is not None,
            # Aurora refuses to switch over a cluster that is being modified, so its security group has to stay.
            "fence by sql" if by_sql else "fence",
            f"run {moving.run if moving else ''} is moving the writer to {moving.target_region if moving else ''}",
        ),
        (too_long, "end stop", f"run {stopping.run if stopping else ''} has stopped the writer for too long"),
        (stopping is not None, "fence by sql", f"run {stopping.run if stopping else ''} stops the writer to move it"),
        (
            record is not None and writer != region,
            "fence",
            f"{writer} is the writer (epoch {record.epoch if record else 0})",
        ),
        (
            record is not None and now.own == "writer" and now.can_renew,
            "renew",
            "this region is the writer and its database takes writes",
        ),
        (
            # The database is being set up: a fence would only be in the way, and there are no clients yet.
            record is not None and record.lease_expires_at is None and record.epoch == FIRST_EPOCH,
            "rest",
            "the writer of the deployment has had no lease yet; its first healthy answer takes one",
        ),
        (
            record is not None and now.own == "unknown",
            "rest",
            "nothing is known of the database, and a run that moves the writer will be seen in the record",
        ),
        (
            now.now <= now.lease_ends_at - FENCE_BEFORE_S,
            "wait",
            "the lease cannot be renewed now, but is alive",
        ),
        (True, "fence", "the lease ends and cannot be renewed"),
    )
    action, why = next((action, why) for fits, action, why in rows if fits)
    return Decision(action, why)


def must_fence_first(is_writer: bool, lease_ends_at: float, now: float) -> bool:
    """Whether a guardian has to fence before it makes any call that could hang: it has slept, or every call failed."""
    return is_writer and lease_ends_at != NO_LEASE and now > lease_ends_at - FENCE_BEFORE_S


def known_lease_end(record: ControlRecord, region: str, asked_at: float, known: float) -> float:
    """Until when the writer of ``region`` may write, now that ``record`` was read; ``known`` is what held so far.

    ``asked_at`` is from before the read: the record may be as old as that.

    What stands in the record counts: a run that wants to move the writer waits for it. That the writer moves here is as
    good as a lease, and until the first renewal the only one. A lease that is longer than any may be comes from a clock
    that was wrong, and nobody has a right to its end.
    """
    if record.moving and record.moving.target_region == region:
        return asked_at + LEASE_S - CLOCK_MARGIN_S
    if record.writer_region != region or record.moving or record.stopping:
        return NO_LEASE
    if record.lease_expires_at is None:
        return known
    return min(record.lease_expires_at, asked_at + LEASE_S)


def lift_until(lease_ends_at: float) -> float:
    """Until when a lift counts that was earned by the renewal to ``lease_ends_at``: later it could undo a fence."""
    return lease_ends_at - FENCE_BEFORE_S - CLOCK_MARGIN_S
