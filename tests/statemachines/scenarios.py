"""What may happen to a run of the failover workflow, as data: what the world is like, what is asked, how it must end.

A scenario's name says what happened and what must hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from handlers.core.approval import APPROVAL_S
from handlers.core.errors import Misconfigured
from handlers.core.heartbeat import Beat
from tests.deployment import CLOCK, STANDBY, WRITER, Databases, Deployment, Run

ASKED = {"mode": "failover", "started_by": "ada"}
SWITCHOVER = {"mode": "switchover", "started_by": "ada"}
REHEARSAL = {"mode": "rehearsal", "started_by": "ada"}
PROMOTION_LIMIT_S = 40  # how long the workflow waits for one answer of Promote
FOREVER = 10**9
OTHER = "run-0"  # another run than the scenario's own, which is called RUN
RUN = "run-1"


@dataclass(frozen=True)
class Scenario:
    """One row.

    Attributes
    ----------
    name
        what happened and what must hold; ends up in the test's name.
    given
        makes the world.
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
    no_primary
        the global database has no primary: a switchover is under way.
    switched_over
        whether the two clusters have changed roles in it.
    switched
        whether the writer switch leads clients to the standby region.
    locked_by
        the run that holds the lock at the end.
    fenced
        whether the old writer is kept from its applications, by SQL or by security group; None when the run ended
        while that was being done.
    """

    name: str
    given: Callable[[Deployment], object]
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
    no_primary: bool = False


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
        scenario.given(deployment)
        try:
            run = deployment.run(ASKED if scenario.asked is None else scenario.asked, RUN)
        finally:
            CLOCK.real_limits.clear()
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


# --- worlds


def writer_dies(deployment: Deployment) -> None:
    deployment.writer_dies()


def all_is_well(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    deployment.publish_lag(40.0)


def dead_and(*more: Callable[[Deployment], object]) -> Callable[[Deployment], None]:
    def make(deployment: Deployment) -> None:
        deployment.writer_dies()
        for change in more:
            change(deployment)

    return make


def failing(step: str, *errors: str) -> Callable[[Deployment], None]:
    return lambda deployment: deployment.fail(step, *errors)


def always_failing(step: str, error: str = "Misconfigured") -> Callable[[Deployment], None]:
    return failing(step, *[error] * 100)


def no_topic_answers(deployment: Deployment) -> None:
    deployment.trouble("sns.Publish", "InternalError", status=500, times=FOREVER)


def held_by_other(
    seconds_left: float = 600.0, *, engaged: bool = False, requests: int = 0
) -> Callable[[Deployment], None]:
    def make(deployment: Deployment) -> None:
        deployment.change_record(transition=lock(OTHER, seconds_left, engaged=engaged) | {"move_requests": requests})

    return make


def lock(run: str, seconds_left: float, *, engaged: bool = False, mode: str = "failover") -> dict[str, Any]:
    """A lock as it stands in the control record; a run that has engaged the switch has committed to move."""
    return {
        "run": run,
        "mode": mode,
        "phase": "moving" if engaged else "checking",
        "move_requests": 0,
        "incident": "an earlier outage",
        "target_region": STANDBY,
        "started_at": int(CLOCK.now()) - 60,
        "deadline": int(CLOCK.now() + seconds_left),
        "dns_engaged": engaged,
    }


def lag(lag_ms: float, age_s: float = 30.0) -> Callable[[Deployment], None]:
    """The writer is dead, and all that is known of the lag is Aurora's metric."""

    def make(deployment: Deployment) -> None:
        lag_unknown(deployment)
        deployment.publish_lag(lag_ms, age_s)

    return make


def lag_unknown(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.guardian_was_here(ago_s=15.0)
    deployment.forget("heartbeat")
    deployment.ring("heartbeat-missing", STANDBY)


def behind(heartbeats: int, seconds: float) -> Callable[[Deployment], None]:
    """The writer is dead, and the standby is so far behind it."""

    def make(deployment: Deployment) -> None:
        deployment.writer_dies()
        last = deployment.databases.heartbeat[WRITER]
        assert last is not None
        deployment.databases.heartbeat[STANDBY] = Beat(last.seq - heartbeats, last.at - seconds)

    return make


def answered(command: str, **answer: str) -> Callable[[Deployment], None]:
    return lambda deployment: deployment.answers(command, **answer)


def approved_by(name: str) -> Callable[[Deployment], None]:
    return answered("send_task_success", output=json.dumps({"approved_by": name}))


def nobody_answers(deployment: Deployment) -> None:
    CLOCK.real_limits[APPROVAL_S] = 0.3  # of the time that a person has


def guardian_renews_before(step: str) -> Callable[[Deployment], None]:
    """The writer is cut off from this region, but not from the control record."""

    def make(deployment: Deployment) -> None:
        def renew(coming: str, event: Any) -> None:
            if coming == step:
                deployment.guardian_was_here()

        deployment.lambdas.before = renew

    return make


def at_once(*hooks: Callable[[Deployment], None]) -> Callable[[Deployment], None]:
    """Several worlds whose hooks before or after a step must all be called."""

    def make(deployment: Deployment) -> None:
        before, after = [], []
        for hook in hooks:
            hook(deployment)
            before.append(deployment.lambdas.before)
            after.append(deployment.lambdas.after)
        deployment.lambdas.before = lambda step, event: [run(step, event) for run in dict.fromkeys(before)] and None
        deployment.lambdas.after = lambda step, event: [run(step, event) for run in dict.fromkeys(after)] and None

    return make


def nobody_is_asked(deployment: Deployment) -> None:
    """No topic takes the question; the message about the end is sent again later and arrives."""
    deployment.trouble("sns.Publish", "InternalError", status=500, step="ask_approval", times=FOREVER)


def fails_after(first: str, step: str) -> Callable[[Deployment], None]:
    """A step fails for good once another one has been called."""

    def make(deployment: Deployment) -> None:
        def break_it(coming: str, event: Any) -> None:
            if coming == first:
                deployment.fail(step, *["Misconfigured"] * 100)

        deployment.lambdas.before = break_it

    return make


def old_writer_fences_badly(deployment: Deployment) -> None:
    deployment.trouble("lambda.Invoke", "refused", region=WRITER, step="fence_old_writer", times=FOREVER)


def fence_is_lifted_behind_its_back(deployment: Deployment) -> None:
    """After the fence and before the lease is given up, somebody lets the applications in again."""

    def lift(coming: str, event: Any) -> None:
        if coming == "wait_for_lease":
            deployment.databases.fenced[WRITER] = False

    all_is_well(deployment)
    deployment.lambdas.before = lift


def heartbeat_unhealthy(deployment: Deployment) -> None:
    deployment.publish_lag(40.0)
    deployment.guardian_was_here(ago_s=40.0)
    deployment.databases.up[WRITER] = False
    deployment.ring("heartbeat-unhealthy", STANDBY)


def link_is_cut(deployment: Deployment) -> None:
    all_is_well(deployment)
    deployment.databases.up[WRITER] = False


def prober_answers(target: str, first: int, answer: dict[str, Any]) -> Callable[[Deployment], None]:
    """The ``first`` probes of a target are answered so."""

    def make(deployment: Deployment) -> None:
        left = [answer] * first
        deployment.databases.script = lambda asked: left.pop() if asked == target and left else None

    return make


def prober_crashes(target: str, first: int) -> Callable[[Deployment], None]:
    """The ``first`` probes of a target kill the prober."""

    def make(deployment: Deployment) -> None:
        left = [None] * first

        def crash(asked: str) -> None:
            if asked == target and left:
                left.pop()
                raise MemoryError("made by the test")

        deployment.databases.script = crash

    return make


def probe(target: str, role: str | None, region: str | None, error: str | None = None) -> dict[str, Any]:
    return {"target": target, "role": role, "region": region, "error": error, "elapsed_ms": 12.5}


NOT_YET = probe("own", None, STANDBY, "ConnectionRefusedError: refused")


def detached_already(deployment: Deployment) -> None:
    standby = deployment.specification.regions[STANDBY]
    deployment.client("rds", STANDBY).remove_from_global_cluster(
        GlobalClusterIdentifier=deployment.specification.global_identifier,
        DbClusterIdentifier=standby.functions["claim"].environment["CLUSTER_ARN"],
    )


def detach_is_refused(deployment: Deployment) -> None:
    deployment.trouble("rds.RemoveFromGlobalCluster", "InvalidGlobalClusterStateFault", times=FOREVER)


def switch_before_promotion(deployment: Deployment) -> None:
    """The branches of MoveWriter run side by side and the first failure stops both: here the switch comes first."""

    def wait(coming: str, event: Any) -> None:
        if coming == "promote":
            deployment.wait_for_switch()

    deployment.lambdas.before = wait


def promotion_hangs(deployment: Deployment) -> None:
    """The function never answers; its state's limit, which no other task's is as long as, gives it up each time."""
    CLOCK.real_limits[PROMOTION_LIMIT_S] = 0.3

    def hang(coming: str, event: Any) -> None:
        if coming == "promote":
            deployment.wait_for_switch()
            deployment.hang()

    deployment.lambdas.before = hang


def switch_fails_after_promotion(deployment: Deployment) -> None:
    def wait(coming: str, event: Any) -> None:
        if coming == "repoint_dns":
            deployment.wait_for_promotion()

    deployment.lambdas.before = wait
    deployment.trouble("dynamodb.UpdateItem", "AccessDeniedException", step="repoint_dns")


def promotion_breaks(deployment: Deployment) -> None:
    switch_before_promotion(deployment)

    def break_cluster(region: str) -> None:
        deployment.set_cluster_status("inaccessible-encryption-credentials", region)
        raise RuntimeError("made by the test")

    deployment.databases.before_promotion = break_cluster


def switch_fails_once_promoted(deployment: Deployment) -> None:
    def fail(step: str, event: Any) -> None:
        if step == "repoint_dns":
            deployment.wait_for(lambda: "promote" in deployment.lambdas.calls)
            raise Misconfigured("made by the test")

    deployment.lambdas.before = fail


def promotion_never_ends(deployment: Deployment) -> None:
    switch_before_promotion(deployment)

    def hold(region: str) -> None:
        raise RuntimeError("made by the test")

    deployment.databases.before_promotion = hold


def person_takes_over_before(step: str) -> Callable[[Deployment], None]:
    def make(deployment: Deployment) -> None:
        def take(coming: str, event: Any) -> None:
            if coming == step:
                taken = lock(OTHER, 600.0, engaged=True)
                deployment.change_record(transition=taken)

        deployment.lambdas.before = take

    return make


def name_never_moves(deployment: Deployment) -> None:
    deployment.databases.script = lambda asked: (
        probe("writer", None, WRITER, "timed out") if asked == "writer" else None
    )


def rule_input(deployment: Deployment) -> dict[str, Any]:
    """What EventBridge makes of the rule's input template."""
    (rule,) = deployment.specification.regions[STANDBY].rules
    text = rule.input_template.replace("<alarm>", "writer-down-usw2-test").replace(
        "<at>", "2026-01-02T03:04:05.000+0000"
    )
    return json.loads(text)  # type: ignore[no-any-return]


def all_is_well_again(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = True
    deployment.ring("heartbeat-missing", STANDBY, "OK")


def fence(deployment: Deployment) -> None:
    deployment.databases.fenced[WRITER] = True


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
GO_ON = '"resumes": "run-1"'
DETACH_DONE = "Done: the standby's cluster is detached and promoted"
NOTHING_CERTAIN = "Done: nothing that is certain"

RECOVERIES = (
    Scenario(
        "the writer region dies and the standby becomes the writer", writer_dies, says=RECOVERED_MESSAGE, **RECOVERED
    ),
    Scenario(
        "the writer's region says that its database is unhealthy and the standby becomes the writer",
        heartbeat_unhealthy,
        says=("its heartbeat is unhealthy",),
        **RECOVERED,
    ),
    Scenario(
        "p4: every endpoint of the failed region refuses and the standby becomes the writer",
        dead_and(lambda deployment: deployment.lose_region(WRITER)),
        says=RECOVERED_MESSAGE,
        **(RECOVERED | {"fenced": False}),
    ),
    Scenario(
        "the fence of the old writer fails for good and the standby becomes the writer",
        dead_and(always_failing("fence_old_writer")),
        says=RECOVERED_MESSAGE,
        **(RECOVERED | {"fenced": False}),
    ),
    Scenario(
        "p1: a writer that has fenced itself counts as down",
        dead_and(lambda deployment: [deployment.databases.up.update({WRITER: True}), fence(deployment)]),
        says=("the writer does not answer this region (it is fenced)", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "p1: the writer's lease ends in seconds and the run waits for its end",
        dead_and(lambda deployment: deployment.guardian_was_here(ago_s=4.0)),
        says=("Lease: go: the writer's lease has ended",),
        **RECOVERED,
    ),
    Scenario(
        "p1: there has never been a lease and the run waits as long as one may last",
        dead_and(lambda deployment: deployment.forget("lease_expires_at")),
        says=("Lease: go: the writer's lease has ended",),
        **RECOVERED,
    ),
    Scenario(
        "p5: the standby is behind by more than the budget and a person accepts the loss",
        at_once(behind(2, 4.0), approved_by("grace")),
        says=("replication lag was 4000 ms by heartbeats", "Loss approved by: grace", *RECOVERED_MESSAGE),
        asks=True,
        **RECOVERED,
    ),
    Scenario(
        "the lag is unknown and the request accepts the loss",
        lag_unknown,
        asked=ASKED | {"accept_data_loss": True},
        says=("Replication lag: no go", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "the prober cannot be asked for the standby's heartbeat and the metric is taken",
        dead_and(lambda deployment: deployment.trouble("lambda.Invoke", "refused", step="verify_lag", times=FOREVER)),
        says=("replication lag was 40 ms by AuroraGlobalDBReplicationLag",),
        **RECOVERED,
    ),
    Scenario(
        "a person starts a failover in the cool-down",
        dead_and(lambda deployment: deployment.change_record(last_transition_at=int(CLOCK.now()) - 60)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the cool-down is overridden and the alarm moves the writer",
        dead_and(lambda deployment: deployment.change_record(last_transition_at=int(CLOCK.now()) - 60)),
        asked={"mode": "failover", "started_by": "alarm", "automatic": True, "ignore_cool_down": True},
        says=("Failover done",),
        **RECOVERED,
    ),
    Scenario(
        "the record of the run cannot be kept and the end is the same",
        dead_and(always_failing("record_run")),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the lag is exactly the budget and the standby becomes the writer",
        lag(1000.0),
        says=("replication lag was 1000 ms by AuroraGlobalDBReplicationLag, inside",),
        **RECOVERED,
    ),
    Scenario(
        "the promotion takes minutes and the run waits for it",
        dead_and(prober_answers("own", 300, NOT_YET)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the prober dies while the promotion is awaited and the run goes on",
        dead_and(prober_crashes("own", 3)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "the public name follows late and the run waits for it",
        dead_and(prober_answers("writer", 8, probe("writer", "writer", WRITER))),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "an earlier run has detached the cluster and another one finishes the failover",
        dead_and(detached_already, held_by_other(engaged=True, requests=1)),
        asked=ASKED | {"resumes": OTHER},
        says=("has been asked to move the writer already; the failover has to be finished", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "a run that ended long ago left its lock and the next one takes it over",
        dead_and(held_by_other(-1.0)),
        says=(f"takes over from run {OTHER}, which ended without giving the lock back", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "a person resumes a stopped run",
        dead_and(held_by_other(engaged=True)),
        asked=ASKED | {"resumes": OTHER},
        says=(f"takes over from run {OTHER}, as ada asked", *RECOVERED_MESSAGE),
        **RECOVERED,
    ),
    Scenario(
        "a person starts a failover while automatic failover is paused",
        dead_and(lambda deployment: deployment.change_record(automatic_failover=False)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario(
        "p4: one topic of two takes the message and that is enough",
        dead_and(lambda deployment: deployment.trouble("sns.Publish", "refused", region=WRITER, times=FOREVER)),
        says=RECOVERED_MESSAGE,
        **RECOVERED,
    ),
    Scenario("no topic takes the message and the end is the same", dead_and(no_topic_answers), says=(), **RECOVERED),
)

SWITCHOVER_MESSAGE = (
    "Switchover done: us-west-2 is the writer",
    "Health: go: the writer and the standby are healthy",
    "Lease: go: the writer is stopped and fenced",
    "Writer region: us-west-2, epoch 2",
    "Lost, by heartbeats: 0 ms of writes",
)
SWITCHOVERS = (
    Scenario(
        "a healthy writer is switched over", all_is_well, asked=SWITCHOVER, says=SWITCHOVER_MESSAGE, **SWITCHED_OVER
    ),
    Scenario(
        "a switchover that has stopped half way is resumed",
        lambda deployment: [
            all_is_well(deployment),
            deployment.change_record(transition=lock(OTHER, 600.0, engaged=True, mode="switchover")),
            fence(deployment),
        ],
        asked=SWITCHOVER | {"resumes": OTHER},
        says=(f"takes over from run {OTHER}, as ada asked", *SWITCHOVER_MESSAGE),
        **SWITCHED_OVER,
    ),
)

REHEARSALS = (
    Scenario(
        "a rehearsal while the writer is dead says go",
        writer_dies,
        asked=REHEARSAL,
        end="Rehearsed",
        says=("Failover rehearsed: nothing was changed", "Health: go", "Replication lag: go"),
    ),
    Scenario(
        "a rehearsal while the lag is unknown says that a failover would ask",
        lag_unknown,
        asked=REHEARSAL,
        end="Rehearsed",
        says=("A failover would now wait for the end of the writer's lease, then ask people", "The checks took "),
    ),
    Scenario(
        "a rehearsal while all is well says no go",
        all_is_well,
        asked=REHEARSAL,
        end="Rehearsed",
        says=("Health: no go: the writer answers this region", "Replication lag: go"),
    ),
    Scenario(
        "a rehearsal beside a run that holds the lock leaves the lock alone",
        dead_and(held_by_other()),
        asked=REHEARSAL,
        end="Rehearsed",
        says=("a rehearsal changes nothing and needs no lock",),
        locked_by=OTHER,
    ),
    Scenario(
        "a rehearsal whose message cannot be sent ends the same",
        dead_and(no_topic_answers),
        asked=REHEARSAL,
        end="Rehearsed",
        says=(),
    ),
)

REFUSALS = (
    Scenario(
        "p5: a cluster that no run has detached is no standby and is not made the writer",
        dead_and(detached_already),
        says=("this region's cluster is no member of the global database: it cannot take over",),
        detached=True,
        end="Refused",
    ),
    Scenario(
        "p5: the writer answers and nothing moves",
        all_is_well,
        end="Refused",
        says=("Failover refused: nothing was changed", "Health: no go: the writer answers this region"),
    ),
    Scenario(
        "p5: only one of two observers says that the writer is down and nothing moves",
        link_is_cut,
        end="Refused",
        says=("Health: no go: the writer's own region says that it is healthy",),
    ),
    Scenario(
        "the standby's own database does not answer and nothing moves",
        dead_and(lambda deployment: deployment.databases.up.update({STANDBY: False})),
        end="Refused",
        says=("Health: no go: this region's own database does not answer (TimeoutError: timed out)",),
    ),
    Scenario(
        "p5: the lag is over the budget, nobody answers and nothing moves",
        at_once(lag(1001.0), nobody_answers),
        end="Refused",
        says=(
            "Replication lag: no go: replication lag was 1001 ms by AuroraGlobalDBReplicationLag, more than",
            "Lease: go: the writer's lease has ended; the loss is for a person to accept",
            "Error: States.Timeout",
        ),
        asks=True,
    ),
    Scenario(
        "p5: the lag was never published, a person refuses and nothing moves",
        at_once(lag_unknown, answered("send_task_failure", error="Refused", cause="grace: not without finance")),
        end="Refused",
        says=("Replication lag: no go: replication lag is unknown", "Error: Refused: "),
        asks=True,
    ),
    Scenario(
        "p5: the last known lag is stale, nobody can be asked and nothing moves",
        at_once(lag(40.0, age_s=400.0), nobody_is_asked),
        end="Aborted",
        says=(
            "Replication lag: no go: replication lag is unknown: the last value",
            "Error: NotificationFailed: no topic took the message",
        ),
    ),
    Scenario(
        "p5: somebody answers without a name and nothing moves",
        at_once(behind(1, 2.0), answered("send_task_success", output='{"approved": true}')),
        end="Refused",
        says=("Error: InvalidRequest: the answer to the approval: field 'approved_by' is missing",),
        asks=True,
    ),
    Scenario(
        "p1: the writer renews while people are asked and keeps its role",
        at_once(behind(1, 2.0), approved_by("grace"), guardian_renews_before("ask_approval")),
        end="Refused",
        says=("Lease: no go: the writer in us-east-1 lives: it has renewed its lease",),
        asks=True,
    ),
    Scenario(
        "p1: the writer renews after the claim and keeps its role",
        dead_and(guardian_renews_before("wait_for_lease")),
        end="Refused",
        says=("Failover refused", "Lease: no go: the writer in us-east-1 lives: it has renewed its lease"),
    ),
    Scenario(
        "p1: a lease that is longer than any may be comes from a clock that is wrong and nothing moves",
        dead_and(lambda deployment: deployment.guardian_was_here(ago_s=-60.0)),
        end="Refused",
        says=("later than any lease may: a clock is wrong",),
    ),
    Scenario(
        "the writer has just moved and the alarm starts nothing",
        dead_and(lambda deployment: deployment.change_record(last_transition_at=int(CLOCK.now()) - 60)),
        asked=AUTOMATIC,
        end="Refused",
        says=("the writer has just moved: automatic failovers stay off for 17",),
    ),
    Scenario(
        "a switchover of a dead writer is refused",
        writer_dies,
        asked=SWITCHOVER,
        end="Refused",
        says=("Switchover refused: nothing was changed", "a switchover needs it healthy"),
    ),
    Scenario(
        "a switchover to a standby that is behind is refused",
        lambda deployment: [behind(2, 4.0)(deployment), all_is_well_again(deployment)],
        asked=SWITCHOVER,
        end="Refused",
        says=("Replication lag: no go: replication lag was 4000 ms by heartbeats",),
    ),
    Scenario(
        "p2: another run holds the lock and is named",
        dead_and(held_by_other()),
        end="Refused",
        says=(),
        locked_by=OTHER,
    ),
    Scenario(
        "automatic failover is paused and the alarm starts nothing",
        dead_and(lambda deployment: deployment.change_record(automatic_failover=False)),
        asked=AUTOMATIC,
        end="Refused",
        says=("automatic failover is paused",),
    ),
    Scenario(
        "automatic failover is paused and the alarm does not take over an old lock either",
        dead_and(lambda deployment: deployment.change_record(automatic_failover=False), held_by_other(-1.0)),
        asked=AUTOMATIC,
        end="Refused",
        says=("automatic failover is paused",),
        locked_by=OTHER,
    ),
    Scenario(
        "p2: the writer is in this region already and stays there",
        dead_and(
            lambda deployment: deployment.change_record(writer_region=STANDBY, epoch=2, last_run=OTHER),
        ),
        end="Refused",
        says=(),
        moved=True,
        switched=True,
    ),
    Scenario(
        "p2: the incident was handled before the writer came back and is not handled again",
        dead_and(lambda deployment: deployment.change_record(last_run=OTHER, last_incident=AUTOMATIC["incident"])),
        asked=AUTOMATIC,
        end="Refused",
        says=(),
    ),
    Scenario(
        "a refusal whose message cannot be sent ends the same",
        no_topic_answers,
        end="Refused",
        says=(),
    ),
)


def rejected(name: str, asked: Any, cause: str) -> Scenario:
    return Scenario(f"{name} is rejected", writer_dies, asked=asked, end="RejectRequest", says=(), cause=cause)


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
        dead_and(detach_is_refused),
        says=("Failover aborted: the writer stays in its region", "Error: DetachRejected: RDS refuses to detach"),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "the health check fails for good and the lock is given back",
        dead_and(always_failing("check_health")),
        says=("Error: Misconfigured: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "the lag check fails for good and the lock is given back",
        dead_and(always_failing("verify_lag", "TransientFailure")),
        says=("Error: TransientFailure: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "the claim fails for good and nothing was changed",
        dead_and(always_failing("claim")),
        says=("Error: Misconfigured: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "an abortion whose message cannot be sent ends the same",
        dead_and(detach_is_refused, no_topic_answers),
        says=(),
        fenced=True,
        **ABORTED,
    ),
    Scenario(
        "the lease cannot be read and the lock is given back",
        dead_and(always_failing("wait_for_lease", "TransientFailure")),
        says=("Error: TransientFailure: made by the test",),
        **ABORTED,
    ),
    Scenario(
        "the lease cannot be read after the approval and the lock is given back",
        at_once(behind(1, 2.0), approved_by("grace"), fails_after("ask_approval", "wait_for_lease")),
        says=("Error: Misconfigured: made by the test",),
        asks=True,
        **ABORTED,
    ),
    Scenario(
        "a switchover whose fence does not answer changes nothing",
        lambda deployment: [all_is_well(deployment), old_writer_fences_badly(deployment)],
        asked=SWITCHOVER,
        says=("Switchover aborted", "Error: FenceFailed: the fence of us-east-1 did not answer"),
        **ABORTED,
    ),
    Scenario(
        "a switchover whose sessions do not end gives up",
        lambda deployment: [all_is_well(deployment), setattr(deployment.databases, "sessions_end", False)],
        asked=SWITCHOVER,
        says=("Error: FenceFailed: the writer in us-east-1 is not fenced by SQL: SQL: sessions of applications",),
        fenced=True,  # the guardian lets the applications in again
        **ABORTED,
    ),
    Scenario(
        "p1: a switchover does not move a writer that takes writes",
        fence_is_lifted_behind_its_back,
        asked=SWITCHOVER,
        says=("Error: FenceFailed: the writer is not seen to be fenced: it takes writes",),
        **ABORTED,
    ),
    Scenario(
        "rds refuses the switchover and the lock and the switch are given back",
        lambda deployment: [
            all_is_well(deployment),
            deployment.trouble("rds.SwitchoverGlobalCluster", "InvalidGlobalClusterStateFault", times=FOREVER),
        ],
        asked=SWITCHOVER,
        says=("Switchover aborted", "Error: SwitchoverRejected: RDS refuses to switch"),
        fenced=True,  # its guardian lifts the fence after it has renewed
        **ABORTED,
    ),
)

HALF_WAY = (
    Scenario(
        "the promotion breaks and a person is called",
        dead_and(promotion_breaks),
        says=(
            "FAILOVER STOPPED HALF WAY: a person is needed",
            "Error: PromotionFailed: the detached cluster will not become a writer by itself",
            NOTHING_CERTAIN,
            GO_ON,
        ),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the promotion never ends and a person is called",
        dead_and(promotion_never_ends),
        says=("Error: PromotionPending: the detached cluster is not a writer yet", GO_ON),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the promotion's function never answers and a person is called",
        dead_and(promotion_hangs),
        says=("FAILOVER STOPPED HALF WAY: a person is needed", "Error: States.Timeout", NOTHING_CERTAIN, GO_ON),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "p2: a person takes the lock over and the old run commits nothing",
        dead_and(person_takes_over_before("commit_writer")),
        says=("Error: LockLost: run run-1 does not hold the lock", DETACH_DONE),
        fenced=True,
        detached=True,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": OTHER}),
    ),
    Scenario(
        "p2: a person takes the lock over and the old run detaches nothing",
        dead_and(person_takes_over_before("detach_secondary")),
        says=("Error: LockLost: run run-1 does not hold the lock", NOTHING_CERTAIN),
        fenced=None,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": OTHER}),
    ),
    Scenario(
        "p7: no write through the public name arrives and success is not declared",
        dead_and(name_never_moves),
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
        "the switch cannot be engaged and a person is called",
        dead_and(switch_fails_once_promoted),
        says=("Error: Misconfigured: made by the test", GO_ON),
        fenced=None,
        detached=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "a switchover never ends and a person is called",
        lambda deployment: [all_is_well(deployment), promotion_never_ends(deployment)],
        asked=SWITCHOVER,
        says=(
            "SWITCHOVER STOPPED HALF WAY: a person is needed",
            "Error: PromotionPending",
            '{"mode": "switchover", "started_by": "<your name>", "resumes": "run-1"}',
        ),
        switched=True,
        fenced=True,
        no_primary=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "p7: a detach that may be under way is not reported as nothing changed",
        dead_and(
            lambda deployment: deployment.trouble("rds.RemoveFromGlobalCluster", "refused", times=2),
            detach_is_refused,
        ),
        says=("Error: MoveUncertain: RDS refuses to detach", "an earlier request of this run got no answer", GO_ON),
        switched=True,
        fenced=None,
        **NEEDS_PERSON,
    ),
    Scenario(
        "p1: a resumed run that fails does not lead clients back to the old writer",
        dead_and(detached_already, held_by_other(engaged=True, requests=1), always_failing("check_health")),
        asked=ASKED | {"resumes": OTHER},
        says=("Error: Misconfigured: made by the test", "Error: HalfWay: run run-1 keeps the lock", GO_ON),
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the commit fails for good and a person is called",
        dead_and(always_failing("commit_writer", "TransientFailure")),
        says=("Error: TransientFailure: made by the test", DETACH_DONE, GO_ON),
        fenced=True,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the lock cannot be given back after a refusal and a person is called",
        always_failing("release_claim"),
        says=("FAILOVER STOPPED HALF WAY", "Error: Misconfigured: made by the test", GO_ON),
        **NEEDS_PERSON,
    ),
    Scenario(
        "the lock cannot be given back after a failure and a person is called",
        dead_and(always_failing("check_health"), always_failing("release_claim")),
        says=("FAILOVER STOPPED HALF WAY", "Error: Misconfigured: made by the test", GO_ON),
        **NEEDS_PERSON,
    ),
    Scenario(
        "a person cannot be told and the end is the same",
        dead_and(promotion_breaks, no_topic_answers),
        says=(),
        fenced=None,
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
)

SCENARIOS = RECOVERIES + SWITCHOVERS + REHEARSALS + REFUSALS + REJECTIONS + ABORTIONS + HALF_WAY
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
