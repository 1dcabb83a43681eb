"""Every change of the control record: one row of one table, `TRANSITIONS`. Pure.

A row says when the record may be changed, how, and why; its name is the one in logs, errors and the protocol's model
(`docs/protocol`). `handlers.gateways.control_table` carries out the rows.
"""

from __future__ import annotations

from handlers.core.conditional_write import (
    Absent,
    AnyOf,
    AsRead,
    Condition,
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
SEEN_MOVE = AsRead("transition.moving_since", Given("seen_moving_since"))
NOBODY_STOPS_OR_MOVES = AnyOf((Absent("transition"), Equals("transition.phase", "checking")))
SEEN_PAUSE = AsRead("paused.at", Given("paused_at"))
# A person's pause and no, and whether failover is automatic at all: what a claim was decided on, and what may have been
# written since. A record that does not say is automatic.
SEEN_AUTOMATIC = AnyOf((Absent("automatic_failover"), Equals("automatic_failover", Given("automatic_failover"))))
SEEN_WORD = (SEEN_PAUSE, AsRead("ended_by_person.at", Given("no_at")), SEEN_AUTOMATIC)
HOLDS_REPROTECTION = Equals("reprotection.run", Given("run"))

# A person's flag stops the run at the next of these writes, until RDS was asked: from then on the way leads forward.
NOBODY_WANTS_IT_TO_STOP = Absent("transition.wanted")

# The lease that a guardian takes, and for whom: as long as no run stops or moves the writer. It outlasts the lease and
# the word that another guardian may rely on.
MAY_RENEW: tuple[Condition, ...] = (
    Equals("writer_region", Given("region")),
    SAME_EPOCH,
    NOBODY_STOPS_OR_MOVES,
    AnyOf((Absent("lease_expires_at"), LessThan("lease_expires_at", Given("expires_at")))),
    AnyOf((Absent("word.rests_until"), LessThan("word.rests_until", Given("expires_at")))),
)
RENEWED: tuple[Effect, ...] = (Set("lease_expires_at", Given("expires_at")), Set("heartbeat", Given("beat")))

# A request that was noted earlier may still be on its way when the writer changes: whoever commits knows how many.
MAY_COMMIT: tuple[Condition, ...] = (
    HOLDS_LOCK,
    IS_MOVING,
    SAME_EPOCH,
    Equals("transition.move_requests", Given("requests")),
)

# `moving_since` tells this move from an earlier one of the same run, of which a sign of life may be late.
MOVES_NOW: tuple[Effect, ...] = (
    Set("transition.phase", "moving"),
    Set("transition.moving_since", Given("now")),
    Remove("transition.writer_sign"),
)

# The new writer has no lease before its guardian's first; the epoch grows by one with every change of writer. A
# person's no was said of the outage that is over.
TARGET_IS_WRITER: tuple[Effect, ...] = (
    Set("writer_region", Given("target_region")),
    Increment("epoch"),
    Set("last_run", Given("run")),
    Set("last_incident", Given("incident")),
    Set("last_transition_at", Given("now")),
    Set("claims_from", Given("claims_from")),
    Remove("transition"),
    Remove("lease_expires_at"),
    Remove("renewing_since"),
    Remove("word"),
    Remove("ended_by_person"),
)

ROWS: tuple[Row, ...] = (
    # --- the lock
    Row(
        "take",
        "A free lock is taken while the writer is the one that the claim was decided on, and no person has paused "
        "automatic failover, turned it off or said no since: no attempt of before a maintenance begins in it.",
        when=(SAME_EPOCH, Equals("writer_region", Given("writer_region")), Absent("transition"), *SEEN_WORD),
        then=(Set("transition", Given("lock")),),
    ),
    Row(
        "take_over",
        "A lock is taken over from the run that was seen, if it has not moved on since: a lock that forgets how far "
        "that run got would let its work be undone under it. Nor where a person has paused it, turned it off or said "
        "no since.",
        when=(
            SAME_EPOCH,
            Equals("writer_region", Given("writer_region")),
            Equals("transition.run", Given("seen_run")),
            Equals("transition.phase", Given("seen_phase")),
            Equals("transition.dns_engaged", Given("seen_dns")),
            Equals("transition.move_requests", Given("seen_requests")),
            AsRead("transition.stopping_until", Given("seen_stopping_until")),
            SEEN_MOVE,
            *SEEN_WORD,
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
    Row(
        "ask_run",
        "A person asks the run that holds the lock to hold or to abort; it looks for that before each step.",
        when=(HOLDS_LOCK,),
        then=(Set("transition.wanted", Given("wanted")),),
    ),
    Row(
        "let_run_go_on",
        "A person takes back what the run that holds the lock was asked for.",
        when=(HOLDS_LOCK,),
        then=(Remove("transition.wanted"),),
    ),
    # --- the lease, and the word of a guardian that cannot renew it
    Row(
        "renew",
        "The writer's guardian takes a longer lease while no run stops or moves the writer; a late request must not "
        "shorten a lease, or take a word away, on which another guardian relies.",
        when=MAY_RENEW,
        then=(*RENEWED, SetIfKnown("renewing_since", Given("renewing_since")), Remove("word")),
    ),
    Row(
        "renew_unknown",
        "A guardian that does not know whether its database lives renews for a while all the same, and says so.",
        when=MAY_RENEW,
        then=(*RENEWED, Set("word", Given("word"))),
    ),
    Row(
        "give_word",
        "The guardian lives and cannot renew: it says why, and rests without fencing until its word ends, since no "
        "run asks RDS before that; a late word must not replace a longer one on which another guardian relies.",
        when=(
            Equals("writer_region", Given("region")),
            SAME_EPOCH,
            AsRead("lease_expires_at", Given("lease")),
            NOBODY_STOPS_OR_MOVES,
            AnyOf((Absent("word.rests_until"), LessThan("word.rests_until", Given("rests_until")))),
        ),
        then=(Set("word", Given("word")),),
    ),
    Row(
        "sign_of_life",
        "The guardian of a writer that is stopped or moved away lives, though it may not renew; that it has seen the "
        "fence stand in this phase ends the run's wait for the end of its word.",
        when=(
            HOLDS_LOCK,
            Equals("transition.phase", Given("seen_phase")),
            SEEN_MOVE,
            Equals("writer_region", Given("region")),
            SAME_EPOCH,
        ),
        then=(Set("transition.writer_sign", Given("sign")),),
    ),
    # --- a failover commits to move
    Row(
        "begin_move",
        "A failover commits to move on the lease whose end it waited for; from then on the old writer cannot renew.",
        when=(
            HOLDS_LOCK,
            SAME_EPOCH,
            AsRead("lease_expires_at", Given("lease")),
            Differs("transition.phase", "moving"),
            NOBODY_WANTS_IT_TO_STOP,
        ),
        then=(*MOVES_NOW, SetIfKnown("transition.replicated_xid", Given("replicated_xid"))),
    ),
    # --- a switchover stops the writer, then commits to move it
    Row(
        "begin_stop",
        "A switchover forbids the healthy writer to renew, so that it can be fenced; a run that moves never goes back.",
        when=(HOLDS_LOCK, SAME_EPOCH, Differs("transition.phase", "moving"), NOBODY_WANTS_IT_TO_STOP),
        then=(Set("transition.phase", "stopping"), Set("transition.stopping_until", Given("until"))),
    ),
    Row(
        "begin_move_of_stopped",
        "A switchover commits to move the writer that it has seen fenced in this stop, and whose lease no longer "
        "matters; after an earlier stop the guardian may have lifted that fence.",
        when=(
            HOLDS_LOCK,
            SAME_EPOCH,
            OneOf("transition.phase", ("stopping", "moving")),
            Equals("transition.stopping_until", Given("until")),
            NOBODY_WANTS_IT_TO_STOP,
        ),
        then=MOVES_NOW,
    ),
    Row(
        "end_stop",
        "The writer's guardian takes the lock from a switchover that has kept the writer stopped for too long.",
        when=(HOLDS_LOCK, Equals("transition.phase", "stopping")),
        then=(Remove("transition"),),
    ),
    Row(
        "end_move",
        "The writer's guardian takes the lock from a run that has committed to move and, for too long, has not asked "
        "RDS.",
        when=(HOLDS_LOCK, IS_MOVING, Equals("transition.move_requests", 0)),
        then=(Remove("transition"),),
    ),
    Row(
        "end_switchover",
        "RDS has shown nothing of a switchover for so long that no request is on its way any more: the writer, which "
        "is where it was, is given back.",
        when=(
            HOLDS_LOCK,
            Equals("transition.mode", "switchover"),
            IS_MOVING,
            Equals("transition.move_requests", Given("requests")),
        ),
        then=(Remove("transition"),),
    ),
    Row(
        "unlock_asked",
        "A person has seen in both regions that none of the requests noted has had any effect, and none is on its way "
        "any more: the writer, which is where it was, is given back.",
        when=(HOLDS_LOCK, IS_MOVING, Equals("transition.move_requests", Given("requests"))),
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
        "A request to RDS to move the writer is noted before it is sent: from then on there is only the way forward. "
        "The first one is not noted while the old writer's guardian may rest unfenced by its word.",
        when=(
            HOLDS_LOCK,
            IS_MOVING,
            AnyOf(
                (
                    Absent("word.rests_until"),
                    LessThan("word.rests_until", Given("rested_by")),
                    Equals("transition.writer_sign.fenced", True),
                )
            ),
            AnyOf((NOBODY_WANTS_IT_TO_STOP, Differs("transition.move_requests", 0))),
        ),
        then=(Increment("transition.move_requests"), Set("transition.asked_at", Given("now"))),
    ),
    Row(
        "end_request",
        "RDS has refused the only request that is noted, so the note is removed; others may still be on their way.",
        when=(HOLDS_LOCK, IS_MOVING, Equals("transition.move_requests", 1)),
        then=(Set("transition.move_requests", 0), Remove("transition.asked_at")),
    ),
    Row(
        "give_note_back",
        "RDS is busy and has not taken the only request of a failover that is noted: back to looking, so that a "
        "writer that recovers may renew, and veto.",
        when=(
            HOLDS_LOCK,
            IS_MOVING,
            Equals("transition.mode", "failover"),
            Equals("transition.move_requests", 1),
        ),
        then=(
            Set("transition.move_requests", 0),
            Remove("transition.asked_at"),
            Set("transition.phase", "checking"),
            Set("transition.dns_engaged", False),
            SetIfKnown("transition.seen_lease", Given("lease")),
            Remove("transition.moving_since"),
            Remove("transition.writer_sign"),
        ),
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
        when=MAY_COMMIT,
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
        when=MAY_COMMIT,
        then=TARGET_IS_WRITER,
    ),
    # --- people
    Row(
        "say_no",
        "A person's no ends the automatic attempts of this epoch.",
        when=(SAME_EPOCH,),
        then=(Set("ended_by_person", Given("no")),),
    ),
    Row(
        "take_no_back",
        "A person takes a no back, or the writer has recovered and renewed for so long that the next outage is "
        "another one; a no that was said since is not meant.",
        when=(SAME_EPOCH, Equals("ended_by_person.at", Given("said_at"))),
        then=(Remove("ended_by_person"),),
    ),
    Row(
        "pause",
        "A person pauses automatic failover until a moment, after which it comes again by itself; in place of the "
        "pause that was seen, and of no other.",
        when=(SAME_EPOCH, SEEN_PAUSE),
        then=(Set("paused", Given("pause")),),
    ),
    Row(
        "begin_maintenance",
        "A person who is about to work on the writer pauses automatic failover while no run holds a lock: one that is "
        "at work could still move the writer under that person's hands.",
        when=(SAME_EPOCH, SEEN_PAUSE, Absent("transition"), Absent("reprotection")),
        then=(Set("paused", Given("pause")),),
    ),
    Row(
        "end_maintenance",
        "A person ends the maintenance that was seen; where automatic failover was turned off, it stays off.",
        when=(SAME_EPOCH, SEEN_PAUSE),
        then=(Remove("paused"),),
    ),
    Row(
        "resume",
        "A person ends the pause that was seen, whoever's it is, and lets automatic failover come again.",
        when=(SAME_EPOCH, SEEN_PAUSE),
        then=(Remove("paused"), Set("automatic_failover", True)),
    ),
    Row(
        "note_told",
        "Of several that are about to tell people the same, the one that notes it first tells them.",
        when=(AsRead("told.at", Given("seen_told_at")),),
        then=(Set("told", Given("told")),),
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
