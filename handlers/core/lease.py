"""The writer's lease: how long it holds, and when a run may take the writer role without it. Pure.

The writer region's guardian renews the lease; only a writer whose lease has ended may be replaced. The rules of the
wait are the table in `decide_wait`; read it from the top, the first row that fits decides.

A guardian that cannot renew gives its word, and rests unfenced until the word ends: a run that has committed to move
waits for that, too, before it asks RDS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.claim import Claim
from handlers.core.control import ControlRecord, Transition

# How often the guardian looks and renews. Three missed renewals in a row still leave the lease alive.
TICK_S = 2.0
# How many looks in a row count, at the writer as at its guardian's signs of life: one lost packet, one restarted
# connection or one slow write is not an outage, and a true one is known after 6 s, well before the lease of 10 s ends.
TIMES_IN_A_ROW = 3
NO_SIGN_S = TIMES_IN_A_ROW * TICK_S
# A writer that loses sight of the control record for this long stops writing, and a failover waits this long at most:
# shorter fences healthy writers in hiccups, longer adds to every RTO. The detection takes 4 to 10 s, so that a run
# mostly waits for the rest of the lease.
LEASE_S = 10.0
# How long a guardian rests by its word: a tick, a probe and a write (1 s), what is kept for a fence, and the clocks.
REST_S = 7.0
# The guardian begins to fence when less than this is left, so that the fence is complete when the lease ends: a tick
# until it looks, and a cold start, the revocation and the end of all sessions, together about a second.
FENCE_BEFORE_S = 3.0
# How far the clocks of two regions may be apart (AWS hosts follow the Amazon Time Sync Service, whose error is in the
# milliseconds), and the last session's last commit after its end was asked for.
CLOCK_MARGIN_S = 1.0
# Two ends of a lease that are closer together are the same one: the record keeps fewer digits than a clock has.
SAME_LEASE_S = 0.001

WaitAction = Literal["lost", "refuse", "wait", "go", "ask", "commit", "hold"]


@dataclass(frozen=True)
class Wait:
    """What a run that wants to move the writer does now, and why.

    ``lost``: it holds the lock no more. ``refuse``: the writer lives. ``wait``: until ``until``, or until the record
    says otherwise. ``go``: it has committed to move, and may ask RDS. ``ask``: the lease is over, a person has to
    accept the loss. ``commit``: commit to move. ``hold``: a person has asked it to.
    """

    action: WaitAction
    reason: str
    until: float


def clock_error(asked_at: float, answered_at: float, date: float) -> float:
    """By how many seconds at least this machine's clock differs from that of a server, either way.

    ``date``: when the server says that it answered, in whole seconds, between the asking and the answer by this clock.
    """
    return max(0.0, asked_at - (date + 1.0), date - answered_at)


def is_renewed(record: ControlRecord, region: str, lease: float, now: float, spare_s: float) -> bool:
    """Whether the fence is not due any more that a guardian of ``region`` ordered because the ``lease`` it knew ends.

    For certain: the record has a later one, which no wrong clock wrote, nobody stops or moves the writer, and
    ``spare_s`` are left for that guardian's next look before a fence is due again. Times in seconds since 1970. A
    guardian that has just started, and has not read the record yet, knows of none (0): any lease is a later one.
    """
    renewed = record.lease_expires_at
    if record.writer_region != region or record.stopping or record.moving or renewed is None:
        return False
    if renewed < lease + SAME_LEASE_S:
        return False
    return FENCE_BEFORE_S + spare_s <= renewed - now <= LEASE_S + CLOCK_MARGIN_S


def may_be_alive_until(record: ControlRecord) -> float:
    """The moment up to which the writer's lease may be alive by any clock, in seconds since 1970.

    A record without a lease, as from a change of writer to the first renewal, is one of unknown end: a guardian that
    was told before the claim that the writer moves to its region takes that for a lease.
    """
    if record.lease_expires_at is not None:
        return record.lease_expires_at + CLOCK_MARGIN_S
    claimed_at = record.transition.started_at if record.transition else 0.0
    return claimed_at + LEASE_S + CLOCK_MARGIN_S


def may_be_unfenced_until(moving: Transition, record: ControlRecord) -> float:
    """The moment up to which a guardian may leave the old writer open although a run has committed to move it.

    It may rest by its word. And where a person has had the run commit on a lease that a wrong clock wrote, a guardian
    that lost sight of the record just before may count on it, though for no longer than `LEASE_S`.
    """
    fenced = moving.writer_sign is not None and moving.writer_sign.fenced
    counted_on = 0.0
    if record.lease_expires_at is not None and moving.moving_since is not None and not fenced:
        counted_on = min(record.lease_expires_at, moving.moving_since + LEASE_S)
    return max(record.rests_until or 0.0, counted_on) + CLOCK_MARGIN_S


def _is_back(moving: Transition | None, now: float) -> bool:
    """Whether the old writer's guardian says, now, that its database lives, in a failover that has not asked RDS yet.

    A sign that is older than three ticks is of a guardian that may have died since.
    """
    sign = moving.writer_sign if moving else None
    if moving is None or sign is None or moving.mode != "failover" or moving.move_requests > 0:
        return False
    return sign.says == "up" and now - sign.at <= NO_SIGN_S


def decide_wait(record: ControlRecord, claim: Claim, gate_open: bool, now: float) -> Wait:
    """Whether the run of ``claim`` may commit to move.

    ``gate_open``: the lag is inside the RPO budget, or a person has accepted the loss.
    """
    held = record.transition
    mine = held is not None and held.run == claim.run and record.epoch == claim.epoch
    seen, wanted = (held.seen_lease, held.wanted) if held else (None, None)
    lease = record.lease_expires_at
    wrong = lease is not None and lease > now + LEASE_S + CLOCK_MARGIN_S
    until = may_be_unfenced_until(record.moving, record) if record.moving else may_be_alive_until(record)
    rows: tuple[tuple[bool, WaitAction, str], ...] = (
        (not mine, "lost", "another run holds the lock, or the writer has changed"),
        (
            # Nothing was asked of RDS, so the lock can be given back, and the writer with it. Whoever overrides a wrong
            # clock moves a writer that may live.
            _is_back(record.moving, now) and not claim.ignore_wrong_clock,
            "refuse",
            f"the writer in {record.writer_region} is back: its guardian says that its database lives",
        ),
        (
            record.moving is not None and now <= until,
            "wait",
            f"the old writer's guardian may count on its word or its lease for {until - now:.1f} s more, and may not "
            "have fenced",
        ),
        (
            # A run that has committed by itself has passed the gate. One that takes a switchover over finds a lock that
            # moves already, and has its own loss to answer for.
            held is not None and held.phase == "moving" and gate_open,
            "go",
            "this run, or the one it took over, is moving already",
        ),
        (wanted == "abort", "refuse", f"a person has asked run {claim.run} to abort"),
        (
            # A switchover that was taken over has stopped the writer, whose lease can only end.
            lease is not None and (seen is None or lease > seen),
            "refuse",
            f"the writer in {record.writer_region} lives: it has renewed its lease since this run began, so the "
            "control record is in its sight although its database is not in ours",
        ),
        (
            wrong and not claim.ignore_wrong_clock,
            "refuse",
            f"the lease ends {(lease or 0) - now:.0f} s from now, later than any lease may: a clock is wrong. Whoever "
            'knows that the old writer is dead, or fenced, starts again with "ignore_wrong_clock": true; if it lives, '
            "there may be two writers",
        ),
        (wanted == "hold", "hold", f"a person has asked run {claim.run} to hold"),
        (now <= until and not wrong, "wait", f"the writer's lease may be alive for {until - now:.1f} s more"),
        (not gate_open, "ask", "the writer's lease has ended, or was given up; the loss is for a person to accept"),
        (True, "commit", "the writer's lease has ended"),
    )
    action, reason = next((action, reason) for fits, action, reason in rows if fits)
    return Wait(action, reason, until)
