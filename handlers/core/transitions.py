"""Every change of the control record: one row of one table, `TRANSITIONS`. Pure.

A row says when the record may be changed, how, and why; its name is the one in logs, errors and the protocol's model
(`docs/protocol/writer.pml`). `handlers.gateways.control_table` carries out the rows.
"""

from __future__ import annotations

from handlers.core.conditional_write import (
    Absent,
    AbsentOr,
    AsRead,
    Copy,
    Differs,
    Effect,
    Equals,
    Given,
    Increment,
    LessThan,
    OneOf,
    Remove,
    Row,
    Set,
    SetIfKnown,
)

SAME_EPOCH = Equals("epoch", Given("epoch"))
HOLDS_LOCK = Equals("transition.run", Given("run"))
IS_MOVING = Equals("transition.phase", "moving")
HOLDS_REPROTECTION = Equals("reprotection.run", Given("run"))

# The new writer has no lease before its guardian's first; the epoch grows by one with every change of writer.
TARGET_IS_WRITER: tuple[Effect, ...] = (
    Set("writer_region", Given("target_region")),
    Increment("epoch"),
    Set("last_run", Given("run")),
    Set("last_incident", Given("incident")),
    Set("last_transition_at", Given("now")),
    Remove("transition"),
    Remove("lease_expires_at"),
)

ROWS: tuple[Row, ...] = (
    # --- the lock
    Row(
        "take",
        "A free lock is taken while the writer is the one that the claim was decided on.",
        when=(SAME_EPOCH, Equals("writer_region", Given("writer_region")), Absent("transition")),
        then=(Set("transition", Given("lock")),),
    ),
    Row(
        "take_over",
        "A lock is taken over from the run that was seen, if it has not moved on since: a lock that forgets how far "
        "that run got would let its work be undone under it.",
        when=(
            SAME_EPOCH,
            Equals("writer_region", Given("writer_region")),
            Equals("transition.run", Given("seen_run")),
            Equals("transition.phase", Given("seen_phase")),
            Equals("transition.dns_engaged", Given("seen_dns")),
            Equals("transition.move_requests", Given("seen_requests")),
        ),
        then=(Set("transition", Given("lock")),),
    ),
    Row(
        "release",
        "The holder gives the lock back while no request to RDS is noted: one that is still on its way would promote "
        "the standby beside a writer that may write again.",
        when=(HOLDS_LOCK, Equals("transition.move_requests", 0)),
        then=(Remove("transition"),),
    ),
    # --- the lease
    Row(
        "renew",
        "The writer's guardian takes a longer lease while no run stops or moves the writer; a late request must not "
        "shorten a lease on which another guardian relies.",
        when=(
            Equals("writer_region", Given("region")),
            SAME_EPOCH,
            AbsentOr("transition", Equals("transition.phase", "checking")),
            AbsentOr("lease_expires_at", LessThan("lease_expires_at", Given("expires_at"))),
        ),
        then=(Set("lease_expires_at", Given("expires_at")), Set("heartbeat", Given("beat"))),
    ),
    # --- a failover commits to move
    Row(
        "begin_move",
        "A failover commits to move on the lease whose end it waited for; from then on the old writer cannot renew.",
        when=(HOLDS_LOCK, SAME_EPOCH, AsRead("lease_expires_at", Given("lease"))),
        then=(Set("transition.phase", "moving"), SetIfKnown("transition.replicated_xid", Given("replicated_xid"))),
    ),
    # --- a switchover stops the writer, then commits to move it
    Row(
        "begin_stop",
        "A switchover forbids the healthy writer to renew, so that it can be fenced; a run that moves never goes back.",
        when=(HOLDS_LOCK, SAME_EPOCH, Differs("transition.phase", "moving")),
        then=(Set("transition.phase", "stopping"), Set("transition.stopping_until", Given("until"))),
    ),
    Row(
        "begin_move_of_stopped",
        "A switchover commits to move the writer that it has stopped and fenced, whose lease no longer matters.",
        when=(HOLDS_LOCK, SAME_EPOCH, OneOf("transition.phase", ("stopping", "moving"))),
        then=(Set("transition.phase", "moving"),),
    ),
    Row(
        "end_stop",
        "The writer's guardian takes the lock from a switchover that has kept the writer stopped for too long.",
        when=(HOLDS_LOCK, Equals("transition.phase", "stopping")),
        then=(Remove("transition"),),
    ),
    # --- the move
    Row(
        "assert_moving",
        "A run sees, in the order of all writes, that it holds the lock and has committed to move; nothing changes.",
        when=(HOLDS_LOCK, IS_MOVING),
        then=(Set("transition.run", Given("run")),),
    ),
    Row(
        "begin_request",
        "A request to RDS to move the writer is noted before it is sent: from then on there is only the way forward.",
        when=(HOLDS_LOCK, IS_MOVING),
        then=(Increment("transition.move_requests"),),
    ),
    Row(
        "end_request",
        "RDS has refused the only request that is noted, so the note is removed; others may still be on their way.",
        when=(HOLDS_LOCK, IS_MOVING, Equals("transition.move_requests", 1)),
        then=(Set("transition.move_requests", 0),),
    ),
    Row(
        "engage_dns",
        "The run that moves the writer lets the writer switch say that clients belong in the lock's target region.",
        when=(HOLDS_LOCK, IS_MOVING),
        then=(Set("transition.dns_engaged", True),),
    ),
    Row(
        "commit_failover",
        "The promoted region is the writer of the next epoch, without a lease before its guardian's first; the old "
        "writer is to be fenced, and there is no standby.",
        when=(HOLDS_LOCK, IS_MOVING, SAME_EPOCH),
        then=(
            *TARGET_IS_WRITER,
            Set("unfenced_region", Given("old_region")),
            Set("protected", False),
            Copy("replicated_xid", "transition.replicated_xid"),
        ),
    ),
    Row(
        "commit_switchover",
        "The target is the writer of the next epoch, without a lease before its guardian's first; the old writer, "
        "fenced before the move, is its standby.",
        when=(HOLDS_LOCK, IS_MOVING, SAME_EPOCH),
        then=TARGET_IS_WRITER,
    ),
    # --- after a failover
    Row(
        "note_fenced",
        "The old writer of this epoch's failover is known to be fenced.",
        when=(SAME_EPOCH, Equals("unfenced_region", Given("region"))),
        then=(Remove("unfenced_region"),),
    ),
    Row(
        "begin_reprotection",
        "A run begins to re-protect while there is no standby and nobody moves the writer.",
        when=(SAME_EPOCH, Equals("protected", False), Absent("transition"), Absent("reprotection")),
        then=(Set("reprotection", Given("lock")),),
    ),
    Row(
        "take_over_reprotection",
        "A re-protection is taken over from exactly the run that was seen.",
        when=(
            SAME_EPOCH,
            Equals("protected", False),
            Absent("transition"),
            Equals("reprotection.run", Given("seen_run")),
        ),
        then=(Set("reprotection", Given("lock")),),
    ),
    Row(
        "assert_reprotecting",
        "A run sees, in the order of all writes, that it holds the re-protection's lock; nothing changes.",
        when=(HOLDS_REPROTECTION, SAME_EPOCH),
        then=(Set("reprotection.run", Given("run")),),
    ),
    Row(
        "begin_retirement",
        "The old cluster is noted before it is retired: from then on there is only the way forward.",
        when=(HOLDS_REPROTECTION, SAME_EPOCH),
        then=(Set("retiring", Given("resource_id")),),
    ),
    Row(
        "arm",
        "The new standby replicates: the writer may be moved again, and what the failover left behind is settled.",
        when=(HOLDS_REPROTECTION, SAME_EPOCH),
        then=(
            Set("protected", True),
            Set("last_reprotection", Given("run")),
            Remove("reprotection"),
            Remove("retiring"),
            Remove("replicated_xid"),
            Remove("unfenced_region"),
        ),
    ),
    Row(
        "end_reprotection",
        "The holder gives the re-protection's lock back without having armed.",
        when=(HOLDS_REPROTECTION,),
        then=(Remove("reprotection"),),
    ),
)

TRANSITIONS = {row.name: row for row in ROWS}
