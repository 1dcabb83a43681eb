"""What may happen to a run of the failover workflow, as data: what is the case, what is asked, how it must end.

A scenario's name says what happened and what must hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from tests.deployment import CLOCK, STANDBY, WRITER, Databases, Deployment, Run
from tests.statemachines.conditions import (
    FOREVER,
    OTHER,
    RUN,
    Condition,
    all_is_well,
    approved_by,
    approved_by_nobody,
    asked_to,
    before,
    before_again,
    cluster_breaks_in_promotion,
    control_is_away,
    detach_is_refused,
    detach_meets,
    failover_is_paused,
    fails,
    fence_is_lifted,
    fence_is_not_reached,
    guardian_renews,
    it_never_answers,
    lambda_takes_no_events,
    lease_was_renewed,
    let_go_on,
    name_leads_to_the_old_writer,
    name_never_moves,
    no_topic_answers,
    nobody_answers,
    nobody_can_be_asked,
    old_writer_is_closed,
    other_run_holds_the_lock,
    other_run_takes_over,
    own_cluster_refuses,
    prober_dies,
    promotion_is_given_up_soon,
    promotion_takes,
    rds_is,
    rds_is_busy_for,
    rds_is_down_for,
    record_lacks,
    record_says,
    refused_by,
    region_is_lost,
    sessions_do_not_end,
    somebody_switches_over,
    standby_does_not_answer,
    standby_is_behind,
    standby_is_detached,
    standby_is_not_asked_for_its_heartbeat,
    standby_is_slow,
    standby_misses_a_heartbeat,
    switch_is_engaged,
    switchover_is_refused,
    switchover_meets,
    tokens_are_away,
    topic_is_not_reached,
    writer_dies,
    writer_dies_unmeasured,
    writer_does_not_answer,
    writer_has_moved,
    writer_is_fenced,
    writer_lives,
    writers_guardian_says_down,
)

ASKED = {"mode": "failover", "started_by": "ada"}
SWITCHOVER = {"mode": "switchover", "started_by": "ada"}
REHEARSAL = {"mode": "rehearsal", "started_by": "ada"}


@dataclass(frozen=True)
class Scenario:
    """One row.

    Attributes
    ----------
    name
        what happened and what must hold; ends up in the test's name.
    given
        what is the case, or happens, in this order.
    asked
        the execution's input.
    end
        the last state.
    says
        texts that the last message to people holds; none when nothing may be sent.
    asks
        whether people are sent a question before that.
    cause
        a text that the execution's cause holds, for runs that end in an error.
    moved
        whether the writer is in the standby region now, by the control record, in the next epoch.
    detached
        whether the standby's cluster has left the global database.
    switched_over
        whether the two clusters have changed roles in it.
    switched
        whether the writer switch leads clients to the standby region.
    locked_by
        the run that holds the lock at the end.
    refused_by_person
        whether a person's no is kept, which ends the automatic attempts.
    fenced
        whether the old writer is kept from its applications, by SQL or by security group; None when the run ended
        while that was being done.
    """

    name: str
    given: tuple[Condition, ...]
    end: str
    says: tuple[str, ...]
    asked: Any = None
    asks: bool = False
    cause: str = ""
    moved: bool = False
    detached: bool = False
    switched_over: bool = False
    switched: bool = False
    locked_by: str | None = None
    fenced: bool | None = False
    told_beside: bool = True
    refused_by_person: bool = False

    def prepare(self, deployment: Deployment) -> None:
        """Make it the case."""
        for condition in self.given:
            condition(deployment)


@dataclass(frozen=True)
class Played:
    """What a scenario came to."""

    run: Run
    record: dict[str, Any]
    members: set[str]
    switched: bool
    messages: dict[str, list[tuple[str, str]]]
    proofs: list[tuple[str, str, int]]
    calls: list[str]
    skipped_s: float
    databases: Databases
    kept: dict[str, Any] | None
    primaries: set[str]


def play(scenario: Scenario) -> Played:
    """Play a scenario, once in a session however often it is asked for."""
    return _play(BY_NAME[scenario.name].name)


@cache
def _play(name: str) -> Played:
    scenario = BY_NAME[name]
    before = CLOCK.skipped
    with Deployment() as deployment:
        scenario.prepare(deployment)
        run = deployment.run(ASKED if scenario.asked is None else scenario.asked, RUN)
        return Played(
            run,
            deployment.record(),
            deployment.members(),
            deployment.is_switched(STANDBY),
            {region: deployment.messages(region) for region in (WRITER, STANDBY)},
            deployment.databases.proofs,
            deployment.lambdas.calls,
            CLOCK.skipped - before,
            deployment.databases,
            deployment.run_record(RUN),
            deployment.primaries(),
        )


def rule_input(deployment: Deployment) -> dict[str, Any]:
    """What EventBridge makes of the rule's input template."""
    rule = next(rule for rule in deployment.specification.regions[STANDBY].rules if rule.key == "trigger")
    now = datetime.fromtimestamp(CLOCK.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = rule.input_template.replace("<alarm>", "writer-down-usw2-test").replace("<at>", now)
    return json.loads(text)  # type: ignore[no-any-return]


AUTOMATIC = {"mode": "failover", "started_by": "alarm", "automatic": True, "incident": "alarm 03:04"}

# --- how runs end

RECOVERED: dict[str, Any] = {"end": "Recovered", "moved": True, "detached": True, "switched": True, "fenced": True}
# The old writer is a reader then, and its data says "fenced" until the lift on the new one has been replicated.
SWITCHED_OVER: dict[str, Any] = {
    "end": "Recovered",
    "moved": True,
    "switched_over": True,
    "switched": True,
    "fenced": True,
}
RECOVERED_MESSAGE = (
    "Failover done: us-west-2 is the writer",
    "Started by: ada",
    "Writer region: us-west-2, epoch 2",
)
NEEDS_PERSON: dict[str, Any] = {
    "end": "NeedsPerson",
    "cause": "The run stopped half way",
    "locked_by": RUN,
}
GO_ON = "--resumes run-1"
DETACH_DONE = "Done: the standby's cluster is detached and promoted"
NOTHING_CERTAIN = "Done: nothing for certain"
# The branches of MoveWriter run side by side, and the first failure stops the others: here they have done their part.
BESIDE_THE_DETACH = (switch_is_engaged, old_writer_is_closed)

RECOVERIES = (
    Scenario(
        "the writer region dies and the standby becomes the writer",
        given=(writer_dies,),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the writer's guardian says that its database is down and the standby becomes the writer",
        given=(writers_guardian_says_down,),
        says=("its guardian has said for 4",),
        **RECOVERED,
    ),
    Scenario(
        "p4: every endpoint of the failed region refuses and the standby becomes the writer",
        given=(writer_dies, region_is_lost(WRITER)),
        says=RECOVERED_MESSAGE,
        **(RECOVERED | {"fenced": False}),
    ),
    Scenario(
        "the fence of the old writer fails for good and the standby becomes the writer",
        given=(writer_dies, fails("fence_old_writer")),
        says=RECOVERED_MESSAGE,
        **(RECOVERED | {"fenced": False}),
    ),
    Scenario(
        "p1: a writer that has fenced itself counts as down",
        given=(writer_dies, writer_lives, writer_is_fenced),
        says=("the writer does not answer this region (it is fenced)", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "p1: the writer's lease ends in seconds and the run waits for its end",
        given=(writer_dies, lease_was_renewed(seconds_ago=7.0)),
        says=("Lease: go: the writer's lease has ended",),
        **RECOVERED,
    ),
    Scenario(
        "p5: the standby is behind by more than the budget and a person accepts the loss",
        given=(writer_dies, standby_is_behind(heartbeats=2, seconds=4.0), approved_by("grace")),
        says=("replication lag was 4000 ms by heartbeats", "Loss approved by: grace", *RECOVERED_MESSAGE),
        asks=True,
        **RECOVERED,
    ),
    Scenario(
        "the lag is unknown and the request accepts the loss",
        given=(writer_dies_unmeasured,),
        asked=ASKED | {"accept_data_loss": True},
        says=("Replication lag: no go", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "p5: the writer dies between two heartbeats and the standby says how little is missing",
        given=(writer_dies, standby_misses_a_heartbeat(lag_ms=40.0)),
        says=(
            "replication lag was 40 ms by the standby's own account (1 heartbeats, of one every 2000 ms, are missing",
        ),
        **RECOVERED,
    ),
    Scenario(
        "a person starts a failover in the cool-down",
        given=(writer_dies, writer_has_moved(seconds_ago=60.0)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the cool-down is overridden and the alarm moves the writer",
        given=(writer_dies, writer_has_moved(seconds_ago=60.0)),
        asked={"mode": "failover", "started_by": "alarm", "automatic": True, "ignore_cool_down": True},
        says=("Failover done",),
        **RECOVERED,
    ),
    Scenario(
        "the record of the run cannot be kept and the end is the same",
        given=(writer_dies, fails("record_run")),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the lag is exactly the budget and the standby becomes the writer",
        given=(writer_dies, standby_misses_a_heartbeat(lag_ms=1000.0)),
        says=("replication lag was 1000 ms by the standby's own account", "inside the RPO budget of 1000 ms"),
        **RECOVERED,
    ),
    Scenario(
        "the promotion takes minutes and the run waits for it",
        given=(writer_dies, own_cluster_refuses(times=300)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: rds is busy for 15 s and the run looks again until it is not",
        given=(writer_dies, rds_is_busy_for(15.0)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: rds is busy and a person who has accepted the loss is not asked again",
        given=(
            writer_dies,
            standby_is_behind(heartbeats=2, seconds=4.0),
            approved_by("grace"),
            rds_is_busy_for(15.0),
        ),
        says=("Loss approved by: grace", *RECOVERED_MESSAGE),
        asks=True,
        **RECOVERED,
    ),
    Scenario(
        "p9: the answer to the detach is lost, the member stays listed and is available before it is promoting",
        given=(
            writer_dies,
            detach_meets("unanswered", arrives=True),
            rds_is(lists_until_promoted=True, available_for_s=10.0),
            promotion_takes(120.0),
        ),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p7: aurora takes minutes, nobody can be told of that and the writer moves all the same",
        given=(writer_dies, promotion_takes(90.0), lambda_takes_no_events),
        says=RECOVERED_MESSAGE,
        told_beside=False,
        **RECOVERED,
    ),
    Scenario(
        "p9: the detach never arrives and is sent again",
        given=(writer_dies, detach_meets("unanswered")),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: the answer is lost and rds refuses to detach twice",
        given=(
            writer_dies,
            detach_meets("InternalFailure", status=500, arrives=True),
            rds_is(lists_until_promoted=True, available_for_s=40.0),
            promotion_takes(60.0),
        ),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: rds throttles the detach and is asked again",
        given=(writer_dies, detach_meets("Throttling", times=5)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: rds answers nothing but 503 for 60 s and is asked again",
        given=(writer_dies, before_again("detach_secondary", rds_is_down_for(60.0), runs=0)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: the step that asks rds dies for a minute and the run asks later",
        given=(writer_dies, fails("detach_secondary", "Lambda.Unknown", times=21)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: the standby's database is slow to answer when the run looks at it",
        given=(writer_dies, standby_is_slow(times=8)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: the control table is away for seconds at every step",
        given=(
            writer_dies,
            *(control_is_away(step, requests=10) for step in ("claim", "wait_for_lease", "detach_secondary")),
            *(control_is_away(step, requests=10) for step in ("repoint_dns", "commit_writer")),
        ),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: the switch cannot be engaged and the commit engages it",
        given=(writer_dies, fails("repoint_dns")),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p9: the tokens' table is away and people are told all the same",
        given=(writer_dies, tokens_are_away),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "a person holds a failover for a while before it commits to move",
        given=(
            writer_dies,
            before_again("wait_for_lease", asked_to("hold"), runs=0),
            before_again("wait_for_lease", let_go_on, runs=3),
        ),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "a person wants a failover to abort that has asked rds and it goes on",
        given=(writer_dies, before("promote", asked_to("abort"))),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the prober dies while the promotion is awaited and the run goes on",
        given=(writer_dies, prober_dies(times=3)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the public name follows late and the run waits for it",
        given=(writer_dies, name_leads_to_the_old_writer(times=8)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "an earlier run has detached the cluster and another one finishes the failover",
        given=(writer_dies, standby_is_detached, other_run_holds_the_lock(engaged=True, requests=1)),
        asked=ASKED | {"resumes": OTHER},
        says=(f"takes over from run {OTHER}, as ada asked", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "a run that ended long ago left its lock and the next one takes it over",
        given=(writer_dies, other_run_holds_the_lock(seconds_left=-1.0)),
        says=(f"takes over from run {OTHER}, which ended without giving the lock back", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "a person resumes a stopped run",
        given=(writer_dies, other_run_holds_the_lock(engaged=True)),
        asked=ASKED | {"resumes": OTHER},
        says=(f"takes over from run {OTHER}, as ada asked", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "a person starts a failover while automatic failover is turned off",
        given=(writer_dies, failover_is_paused),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p4: one topic of two takes the message and that is enough",
        given=(writer_dies, topic_is_not_reached(WRITER)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "no topic takes the message and the end is the same", (writer_dies, no_topic_answers), says=(), **RECOVERED
    ),
)

SWITCHOVER_MESSAGE = (
    "Switchover done: us-west-2 is the writer",
    "Health: go: the writer and the standby are healthy",
    "Lease: go: the writer is stopped and fenced",
    "Writer region: us-west-2, epoch 2",
    "Lost: nothing; the old writer was fenced first",
)
SWITCHOVERS = (
    Scenario(
        "p7: a switchover takes minutes and people are told so",
        given=(all_is_well, promotion_takes(90.0)),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
    Scenario(
        "p7: a switchover takes minutes, nobody can be told of that and it is done all the same",
        given=(all_is_well, promotion_takes(90.0), lambda_takes_no_events),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        told_beside=False,
        **SWITCHED_OVER,
    ),
    Scenario(
        "a healthy writer is switched over",
        given=(all_is_well,),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
    Scenario(
        "a switchover that has stopped half way is resumed",
        given=(all_is_well, other_run_holds_the_lock(engaged=True, mode="switchover"), writer_is_fenced),
        asked=SWITCHOVER | {"resumes": OTHER},
        says=(f"takes over from run {OTHER}, as ada asked", *SWITCHOVER_MESSAGE),
        **SWITCHED_OVER,
    ),
    Scenario(
        "a switchover for which rds was asked is resumed",
        given=(all_is_well, other_run_holds_the_lock(engaged=True, mode="switchover", requests=1), writer_is_fenced),
        asked=SWITCHOVER | {"resumes": OTHER},
        says=(f"takes over from run {OTHER}, as ada asked", "Writer region: us-west-2, epoch 2"),
        **SWITCHED_OVER,
    ),
    Scenario(
        "rds keeps a switchover pending and the run waits for it",
        given=(all_is_well, rds_is(pending_for_s=40.0)),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
    Scenario(
        "rds cancels a switchover and is asked again",
        given=(all_is_well, rds_is(pending_for_s=5.0, cancels=1)),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
    Scenario(
        "the answer to a switchover is lost and it is not asked for twice",
        given=(all_is_well, switchover_meets("unanswered", arrives=True)),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
    Scenario(
        "the switch cannot be engaged in a switchover and the commit engages it",
        given=(all_is_well, fails("repoint_dns")),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
    Scenario(
        "a person holds a switchover for a while before it stops the writer",
        given=(
            all_is_well,
            before_again("fence_old_writer", asked_to("hold"), runs=0),
            before_again("fence_old_writer", let_go_on, runs=3),
        ),
        asked=SWITCHOVER,
        says=SWITCHOVER_MESSAGE,
        **SWITCHED_OVER,
    ),
)

REHEARSALS = (
    Scenario(
        "a rehearsal while the writer is dead says go",
        given=(writer_dies,),
        asked=REHEARSAL,
        end="Rehearsed",
        says=("Failover rehearsed: nothing was changed", "Health: go", "Replication lag: go"),
    ),
    Scenario(
        "a rehearsal while the lag is unknown says that a failover would ask",
        given=(writer_dies_unmeasured,),
        asked=REHEARSAL,
        end="Rehearsed",
        says=("A failover would now wait for the end of the writer's lease, then ask people", "The checks took "),
    ),
    Scenario(
        "a rehearsal while all is well says no go",
        given=(all_is_well,),
        asked=REHEARSAL,
        end="Rehearsed",
        says=("Health: no go: the writer answers this region", "Replication lag: go"),
    ),
    Scenario(
        "a rehearsal beside a run that holds the lock leaves the lock alone",
        given=(writer_dies, other_run_holds_the_lock()),
        asked=REHEARSAL,
        end="Rehearsed",
        says=("a rehearsal changes nothing and needs no lock",),
        locked_by=OTHER,
    ),
    Scenario(
        "a rehearsal whose message cannot be sent ends the same",
        given=(writer_dies, no_topic_answers),
        asked=REHEARSAL,
        end="Rehearsed",
        says=(),
    ),
)

REFUSALS = (
    Scenario(
        "p5: a cluster that no run has detached is no standby and is not made the writer",
        given=(writer_dies, standby_is_detached),
        says=("this region's cluster is no member of the global database: it cannot take over",),
        detached=True,
        end="Refused",
    ),
    Scenario(
        "p5: the writer answers and nothing moves",
        given=(all_is_well,),
        end="Refused",
        says=("Failover refused: nothing was changed", "Health: no go: the writer answers this region"),
    ),
    Scenario(
        "p5: the first writer has never had a lease and nothing moves",
        given=(writer_dies, record_lacks("lease_expires_at")),
        end="Refused",
        says=("the first writer has had no lease yet: it is being set up",),
    ),
    Scenario(
        "p5: only one of two observers says that the writer is down and nothing moves",
        given=(all_is_well, writer_does_not_answer),
        end="Refused",
        says=("Health: no go: the writer does not answer this region, but its guardian lives",),
    ),
    Scenario(
        "p5: the standby cannot be asked for its heartbeat and nobody has to decide because of that",
        given=(writer_dies, standby_is_not_asked_for_its_heartbeat),
        end="Aborted",
        says=("Error: TransientFailure: ",),
    ),
    Scenario(
        "p5: the lag is over the budget, nobody answers and nothing moves",
        given=(writer_dies, standby_misses_a_heartbeat(lag_ms=1001.0), nobody_answers),
        end="Refused",
        says=(
            "Replication lag: no go: replication lag was 1001 ms by the standby's own account",
            "Lease: go: the writer's lease has ended, or was given up; the loss is for a person to accept",
            "Error: States.Timeout",
        ),
        asks=True,
    ),
    Scenario(
        "p5: the lag was never measured, a person refuses and nothing moves",
        given=(writer_dies_unmeasured, refused_by("grace", reason="not without finance")),
        end="Refused",
        says=("Replication lag: no go: replication lag is unknown", "Error: Refused: "),
        asks=True,
        refused_by_person=True,
    ),
    Scenario(
        "p5: the last known lag is stale, nobody can be asked and nothing moves",
        given=(writer_dies, lease_was_renewed(seconds_ago=400.0), nobody_can_be_asked),
        end="Aborted",
        says=(
            "Replication lag: no go: replication lag is unknown",
            "Error: NotificationFailed: no topic took the message",
        ),
    ),
    Scenario(
        "p5: somebody answers without a name and nothing moves",
        given=(writer_dies, standby_is_behind(heartbeats=1, seconds=2.0), approved_by_nobody),
        end="Refused",
        says=("Error: InvalidRequest: the answer to the approval: field 'approved_by' is missing",),
        asks=True,
    ),
    Scenario(
        "p1: the writer renews while people are asked and keeps its role",
        given=(
            writer_dies,
            standby_is_behind(heartbeats=1, seconds=2.0),
            approved_by("grace"),
            before("ask_approval", guardian_renews),
        ),
        end="Refused",
        says=("Lease: no go: the writer in us-east-1 lives: it has renewed its lease",),
        asks=True,
    ),
    Scenario(
        "p1: the writer renews after the claim and keeps its role",
        given=(writer_dies, before("wait_for_lease", guardian_renews)),
        end="Refused",
        says=("Failover refused", "Lease: no go: the writer in us-east-1 lives: it has renewed its lease"),
    ),
    Scenario(
        "p1: a lease that is longer than any may be comes from a clock that is wrong and nothing moves",
        given=(writer_dies, lease_was_renewed(seconds_ago=-60.0)),
        end="Refused",
        says=("later than any lease may: a clock is wrong",),
    ),
    Scenario(
        "the writer has just moved and the alarm starts nothing",
        given=(writer_dies, writer_has_moved(seconds_ago=60.0), record_says(last_incident="epoch 0")),
        asked=AUTOMATIC,
        end="Refused",
        says=("a failover has just moved the writer: automatic ones stay off for 2",),
    ),
    Scenario(
        "a switchover of a dead writer is refused",
        given=(writer_dies,),
        asked=SWITCHOVER,
        end="Refused",
        says=("Switchover refused: nothing was changed", "a switchover needs it healthy"),
    ),
    Scenario(
        "a switchover to a standby that is behind is refused",
        given=(all_is_well, standby_is_behind(heartbeats=2, seconds=4.0)),
        asked=SWITCHOVER,
        end="Refused",
        says=("Replication lag: no go: replication lag was 4000 ms by heartbeats",),
    ),
    Scenario(
        "a person aborts a failover that looks and no attempt follows",
        given=(writer_dies, before("wait_for_lease", asked_to("abort"))),
        end="Refused",
        says=("Lease: no go: a person has asked run run-1 to abort",),
        refused_by_person=True,
    ),
    Scenario(
        "p9: the writer renews while a person holds a failover and automatic failover stays on",
        given=(
            writer_dies,
            before_again("wait_for_lease", asked_to("hold"), runs=0),
            before_again("wait_for_lease", guardian_renews, runs=3),
        ),
        end="Refused",
        says=("Lease: no go: the writer in us-east-1 lives: it has renewed its lease",),
    ),
    Scenario(
        "p10: rds is at work and a switchover does not stop the writer for nothing",
        given=(all_is_well, somebody_switches_over),
        asked=SWITCHOVER,
        end="Refused",
        says=("Health: no go: RDS is at work on the global database (pending)",),
    ),
    Scenario(
        "p10: rds is busy, the writer renews meanwhile and keeps its role",
        given=(writer_dies, rds_is_busy_for(600.0), before_again("wait_for_lease", guardian_renews)),
        end="Refused",
        says=("Lease: no go: the writer in us-east-1 lives: it has renewed its lease",),
        fenced=None,
    ),
    Scenario(
        "p2: another run holds the lock and is named",
        given=(writer_dies, other_run_holds_the_lock()),
        end="Refused",
        says=(),
        locked_by=OTHER,
    ),
    Scenario(
        "automatic failover is turned off and the alarm starts nothing",
        given=(writer_dies, failover_is_paused),
        asked=AUTOMATIC,
        end="Refused",
        says=("automatic failover is turned off",),
    ),
    Scenario(
        "automatic failover is turned off and the alarm does not take over an old lock either",
        given=(writer_dies, failover_is_paused, other_run_holds_the_lock(seconds_left=-1.0)),
        asked=AUTOMATIC,
        end="Refused",
        says=("automatic failover is turned off",),
        locked_by=OTHER,
    ),
    Scenario(
        "p2: the writer is in this region already and stays there",
        given=(writer_dies, record_says(writer_region=STANDBY, epoch=2, last_run=OTHER)),
        end="Refused",
        says=(),
        moved=True,
        switched=True,
    ),
    Scenario(
        "p2: the incident was handled before the writer came back and is not handled again",
        given=(writer_dies, record_says(last_run=OTHER, last_incident="epoch 1")),
        asked=AUTOMATIC,
        end="Refused",
        says=(),
    ),
    Scenario(
        "a refusal whose message cannot be sent ends the same",
        given=(no_topic_answers,),
        end="Refused",
        says=(),
    ),
)


def rejected(name: str, asked: Any, cause: str) -> Scenario:
    return Scenario(f"{name} is rejected", given=(writer_dies,), asked=asked, end="RejectRequest", says=(), cause=cause)


REJECTIONS = (
    rejected("an unknown mode", {"mode": "faliover", "started_by": "ada"}, "field 'mode' is 'faliover'; give one of"),
    rejected(
        "a request without a mode",
        {"started_by": "ada"},
        "field 'mode' is missing; give one of failover, switchover, rehearsal",
    ),
    rejected("a request without a starter", {"mode": "failover"}, "field 'started_by' is missing"),
    rejected("a list", ["failover"], "the execution's input is ['failover']; it must be a JSON object"),
    rejected("a text", "failover", "the execution's input is 'failover'; it must be a JSON object"),
    rejected("a number", 7, "the execution's input is 7; it must be a JSON object"),
    rejected("an unknown field", ASKED | {"forse": True}, "unknown field 'forse'; remove it, known are"),
    rejected("a starter that is a number", ASKED | {"started_by": 5}, "field 'started_by' is 5; give a text"),
    rejected("a flag that is a text", ASKED | {"automatic": "yes"}, "field 'automatic' is 'yes'; give true or false"),
    rejected(
        "another region's failover",
        ASKED | {"target_region": WRITER},
        "this workflow moves the writer to us-west-2; start the workflow of us-east-1 instead",
    ),
)

ABORTED: dict[str, Any] = {"end": "Aborted", "cause": "The run stopped, and the writer is where it was"}

ABORTIONS = (
    Scenario(
        "rds refuses the detach and the lock and the switch are given back",
        given=(writer_dies, before("detach_secondary", *BESIDE_THE_DETACH), detach_is_refused),
        says=("Failover aborted: the writer stays in its region", "Error: DetachRejected: RDS refuses to detach"),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "the health check fails for good and the lock is given back",
        given=(writer_dies, fails("check_health")),
        says=("Error: Misconfigured: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "the standby's own database does not answer for a minute and the lock is given back",
        given=(writer_dies, standby_does_not_answer),
        says=("Error: StandbySilent: this region's own database does not answer (TimeoutError: timed out)",),
        **ABORTED,
    ),
    Scenario(
        "the lag check fails for good and the lock is given back",
        given=(writer_dies, fails("verify_lag", "TransientFailure")),
        says=("Error: TransientFailure: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "the claim fails for good and nothing was changed",
        given=(writer_dies, fails("claim")),
        says=("Error: Misconfigured: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "an abortion whose message cannot be sent ends the same",
        given=(writer_dies, before("detach_secondary", *BESIDE_THE_DETACH), detach_is_refused, no_topic_answers),
        says=(),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "the lease cannot be read and the lock is given back",
        given=(writer_dies, fails("wait_for_lease", "TransientFailure")),
        says=("Error: TransientFailure: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "the lease cannot be read after the approval and the lock is given back",
        given=(
            writer_dies,
            standby_is_behind(heartbeats=1, seconds=2.0),
            approved_by("grace"),
            before("ask_approval", fails("wait_for_lease")),
        ),
        says=("Error: Misconfigured: made by the test",),
        asks=True,
        **ABORTED,
    ),
    Scenario(
        "a switchover whose fence does not answer changes nothing",
        given=(all_is_well, fence_is_not_reached),
        asked=SWITCHOVER,
        says=("Switchover aborted", "Error: FenceFailed: the fence of us-east-1 did not answer"),
        **ABORTED,
    ),
    Scenario(
        "a switchover whose sessions do not end gives up",
        given=(all_is_well, sessions_do_not_end),
        asked=SWITCHOVER,
        says=("Error: FenceFailed: the writer in us-east-1 is not fenced by SQL: SQL: sessions of applications",),
        fenced=True,  # the guardian lets the applications in again
        **ABORTED,
    ),
    Scenario(
        "p1: a switchover does not move a writer that takes writes",
        given=(all_is_well, before("wait_for_lease", fence_is_lifted)),
        asked=SWITCHOVER,
        says=("Error: FenceFailed: the writer is not seen to be fenced: it takes writes",),
        **ABORTED,
    ),
    Scenario(
        "rds refuses the switchover and the lock and the switch are given back",
        given=(all_is_well, before("switch_over", switch_is_engaged), switchover_is_refused),
        asked=SWITCHOVER,
        says=("Switchover aborted", "Error: SwitchoverRejected: RDS refuses to switch"),
        fenced=True,  # its guardian lifts the fence after it has renewed
        **ABORTED,
    ),
    Scenario(
        "p10: a switchover that fails before RDS was asked gives the writer back",
        given=(all_is_well, fails("switch_over")),
        asked=SWITCHOVER,
        says=("Switchover aborted: the writer stays in its region", "Error: Misconfigured: made by the test"),
        fenced=True,  # its guardian lifts the fence after it has renewed
        **ABORTED,
    ),
    Scenario(
        "p10: rds is too busy for a switchover and the writer is given back at once",
        given=(all_is_well, rds_is_busy_for(600.0)),
        asked=SWITCHOVER,
        says=("Switchover aborted: the writer stays in its region", "Error: RdsBusy: asking RDS to switch"),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "p10: nothing comes of a switchover that was asked for twice and the writer is given back",
        given=(all_is_well, switchover_meets("unanswered", times=FOREVER)),
        asked=SWITCHOVER,
        says=("Error: SwitchoverRejected: RDS has shown nothing of the request for 6", "the writer is given back"),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "a person aborts a switchover before it stops the writer",
        given=(all_is_well, before("fence_old_writer", asked_to("abort"))),
        asked=SWITCHOVER,
        says=("Error: LockLost: run run-1 does not hold the lock", "asked to abort"),
        refused_by_person=True,
        **ABORTED,
    ),
    Scenario(
        "a person aborts a switchover after it has stopped the writer",
        given=(all_is_well, before("wait_for_lease", asked_to("abort"))),
        asked=SWITCHOVER,
        says=("asked to abort",),
        refused_by_person=True,
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "a person holds a switchover that moves the writer already and it is given back",
        given=(all_is_well, before("switch_over", asked_to("hold"))),
        asked=SWITCHOVER,
        says=("asked to hold",),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "p9: nobody releases a failover that a person holds and automatic failover stays on",
        given=(writer_dies, before_again("wait_for_lease", asked_to("hold"), runs=0)),
        says=("Error: Held: a person has asked run run-1 to hold",),
        **ABORTED,
    ),
    Scenario(
        "a person aborts a failover before rds is asked",
        given=(writer_dies, before("detach_secondary", asked_to("abort"))),
        says=("asked to abort",),
        refused_by_person=True,
        fenced=None,
        **ABORTED,
    ),
    Scenario(
        "p10: a failover that fails before RDS was asked gives the lock back",
        given=(writer_dies, fails("detach_secondary")),
        says=("Failover aborted: the writer stays in its region", "Error: Misconfigured: made by the test"),
        fenced=None,
        **ABORTED,
    ),
)

HALF_WAY = (
    Scenario(
        "the promotion breaks and a person is called",
        given=(writer_dies, before("promote", switch_is_engaged), cluster_breaks_in_promotion),
        says=(
            "FAILOVER STOPPED HALF WAY: a person is needed",
            "Error: PromotionFailed: the cluster will not become a writer by itself",
            NOTHING_CERTAIN,
            GO_ON,
        ),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the promotion's function never answers and a person is called",
        given=(writer_dies, before("promote", switch_is_engaged, it_never_answers), promotion_is_given_up_soon),
        says=("FAILOVER STOPPED HALF WAY: a person is needed", "Error: States.Timeout", NOTHING_CERTAIN, GO_ON),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "p2: a person takes the lock over and the old run commits nothing",
        given=(writer_dies, before("commit_writer", other_run_takes_over)),
        says=("Error: LockLost: run run-1 does not hold the lock", DETACH_DONE),
        fenced=True,
        detached=True,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": OTHER}),
    ),
    Scenario(
        "p2: a person takes the lock over and the old run detaches nothing",
        given=(writer_dies, before("detach_secondary", other_run_takes_over)),
        says=("Error: LockLost: run run-1 does not hold the lock", NOTHING_CERTAIN),
        fenced=None,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": OTHER}),
    ),
    Scenario(
        "p2: a person takes the lock over and the old run switches nothing over",
        given=(all_is_well, before("switch_over", other_run_takes_over)),
        asked=SWITCHOVER,
        says=("Error: LockLost: run run-1 does not hold the lock", NOTHING_CERTAIN),
        switched=True,
        fenced=True,
        **(NEEDS_PERSON | {"locked_by": OTHER}),
    ),
    Scenario(
        "p9: the writer goes down before rds has begun to switch over and the lock is left to a failover",
        given=(all_is_well, switchover_meets("unanswered", times=FOREVER), before("promote", writer_dies)),
        asked=SWITCHOVER,
        says=("Error: WriterLost: RDS has shown nothing of the request for", "only a failover can end this"),
        switched=True,
        fenced=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "p7: no write through the public name arrives and success is not declared",
        given=(writer_dies, name_never_moves),
        says=(
            "Error: NotRecoveredYet: no write through the public name yet: timed out",
            "the control record names the new writer",
        ),
        moved=True,
        fenced=True,
        detached=True,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": None}),
    ),
    Scenario(
        "p1: a resumed run that fails does not lead clients back to the old writer",
        given=(
            writer_dies,
            standby_is_detached,
            other_run_holds_the_lock(engaged=True, requests=1),
            fails("promote"),
        ),
        asked=ASKED | {"resumes": OTHER},
        says=("Error: Misconfigured: made by the test", "Error: HalfWay: run run-1 keeps the lock", GO_ON),
        detached=True,
        switched=True,
        **NEEDS_PERSON,
        fenced=None,
    ),
    Scenario(
        "the commit fails for good and a person is called",
        given=(writer_dies, fails("commit_writer", "TransientFailure")),
        says=("Error: TransientFailure: made by the test", DETACH_DONE, GO_ON),
        fenced=True,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the lock cannot be given back after a refusal and a person is called",
        given=(fails("release_claim"),),
        says=("FAILOVER STOPPED HALF WAY", "Error: Misconfigured: made by the test", GO_ON),
        **NEEDS_PERSON,
    ),
    Scenario(
        "the lock cannot be given back after a failure and a person is called",
        given=(writer_dies, fails("check_health"), fails("release_claim")),
        says=("FAILOVER STOPPED HALF WAY", "Error: Misconfigured: made by the test", GO_ON),
        **NEEDS_PERSON,
    ),
    Scenario(
        "a person cannot be told and the end is the same",
        given=(writer_dies, before("promote", switch_is_engaged), cluster_breaks_in_promotion, no_topic_answers),
        says=(),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
)

SCENARIOS = RECOVERIES + SWITCHOVERS + REHEARSALS + REFUSALS + REJECTIONS + ABORTIONS + HALF_WAY
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
