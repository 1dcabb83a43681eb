"""What may happen to a run of the failover workflow, as data: what the world is like, what is asked, how it must end.

A scenario's name says what happened and what must hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.deployment import CLOCK, STANDBY, WRITER, Deployment, Run

ASKED = {"mode": "failover", "started_by": "ada"}
REHEARSAL = {"mode": "rehearsal", "started_by": "ada"}
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
        texts that the message to people holds; none when nothing may be sent.
    cause
        a text that the execution's cause holds, for runs that end in an error.
    moved
        whether the writer is in the standby region now, by the control record, in the next epoch.
    detached
        whether the standby's cluster has left the global database.
    switched
        whether the writer switch leads clients to the standby region.
    locked_by
        the run that holds the lock at the end.
    """

    name: str
    given: Callable[[Deployment], object]
    end: str
    says: tuple[str, ...]
    asked: Any = None
    cause: str = ""
    moved: bool = False
    detached: bool = False
    switched: bool = False
    locked_by: str | None = None


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


def play(scenario: Scenario) -> Played:
    """Play a scenario, once in a session however often it is asked for."""
    return _play(BY_NAME[scenario.name].name)


@cache
def _play(name: str) -> Played:
    scenario = BY_NAME[name]
    before = CLOCK.skipped
    with Deployment() as deployment:
        scenario.given(deployment)
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
        )


# --- worlds


def writer_dies(deployment: Deployment) -> None:
    deployment.writer_dies()


def all_is_well(deployment: Deployment) -> None:
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


def held_by_other(seconds_left: float = 600.0, *, engaged: bool = False) -> Callable[[Deployment], None]:
    def make(deployment: Deployment) -> None:
        deployment.change_record(transition=lock(OTHER, seconds_left, engaged=engaged))

    return make


def lock(run: str, seconds_left: float, *, engaged: bool = False) -> dict[str, Any]:
    """A lock as it stands in the control record."""
    return {
        "run": run,
        "incident": "an earlier outage",
        "target_region": STANDBY,
        "started_at": int(CLOCK.now()) - 60,
        "deadline": int(CLOCK.now() + seconds_left),
        "dns_engaged": engaged,
    }


def lag(lag_ms: float, age_s: float = 30.0) -> Callable[[Deployment], None]:
    """The writer is dead, and that is all that is known of the lag."""

    def make(deployment: Deployment) -> None:
        deployment.databases.up[WRITER] = False
        deployment.ring("heartbeat-missing", STANDBY)
        deployment.publish_lag(lag_ms, age_s)

    return make


def lag_never_published(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.ring("heartbeat-missing", STANDBY)


def heartbeat_unhealthy(deployment: Deployment) -> None:
    all_is_well(deployment)
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


def promotion_never_ends(deployment: Deployment) -> None:
    switch_before_promotion(deployment)

    def hold(region: str) -> None:
        raise RuntimeError("made by the test")

    deployment.databases.before_promotion = hold


def person_takes_over_before(step: str) -> Callable[[Deployment], None]:
    def make(deployment: Deployment) -> None:
        def take(coming: str, event: Any) -> None:
            if coming == step:
                deployment.change_record(transition=lock(OTHER, 600.0, engaged=True))

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


AUTOMATIC = {"mode": "failover", "started_by": "alarm", "automatic": True, "incident": "alarm 03:04"}

# --- how runs end

RECOVERED: dict[str, Any] = {"end": "Recovered", "moved": True, "detached": True, "switched": True}
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
        **RECOVERED,
    ),
    Scenario(
        "the lag is exactly the budget and the standby becomes the writer",
        lag(1000.0),
        says=("replication lag was 1000 ms, inside",),
        **RECOVERED,
    ),
    Scenario(
        "the promotion takes minutes and the run waits for it",
        dead_and(prober_answers("own", 60, NOT_YET)),
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
        "the cluster was detached before and the run finishes the failover",
        dead_and(detached_already),
        says=("detached already; the failover has to be finished", *RECOVERED_MESSAGE),
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

REHEARSALS = (
    Scenario(
        "a rehearsal while the writer is dead says go",
        writer_dies,
        asked=REHEARSAL,
        end="Rehearsed",
        says=("Failover rehearsed: nothing was changed", "Health: go", "Replication lag: go"),
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
        "p5: the lag is over the budget and nothing moves",
        lag(1001.0),
        end="Refused",
        says=("Replication lag: no go: replication lag was 1001 ms, more than the RPO budget of 1000 ms",),
    ),
    Scenario(
        "p5: the lag was never published and nothing moves",
        lag_never_published,
        end="Refused",
        says=("Replication lag: no go: replication lag is unknown",),
    ),
    Scenario(
        "p5: the last known lag is stale and nothing moves",
        lag(40.0, age_s=400.0),
        end="Refused",
        says=("Replication lag: no go: replication lag is unknown: the last value",),
    ),
    Scenario(
        "p2: another run holds the lock and is named",
        dead_and(held_by_other()),
        end="Refused",
        says=(f"run {OTHER} is doing the work", f'"resumes": "{OTHER}"'),
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
        says=("us-west-2 is the writer already (epoch 2, moved by run run-0)",),
        moved=True,
        switched=True,
    ),
    Scenario(
        "p2: the incident was handled before the writer came back and is not handled again",
        dead_and(lambda deployment: deployment.change_record(last_run=OTHER, last_incident=AUTOMATIC["incident"])),
        asked=AUTOMATIC,
        end="Refused",
        says=(f"run {OTHER} has handled this incident already",),
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
        "a request without a mode", {"started_by": "ada"}, "field 'mode' is missing; give one of failover, rehearsal"
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

ABORTED: dict[str, Any] = {"end": "Aborted", "cause": "The run stopped before anything was changed"}

ABORTIONS = (
    Scenario(
        "rds refuses the detach and the lock and the switch are given back",
        dead_and(detach_is_refused),
        says=("Failover aborted: nothing was changed", "Error: DetachRejected: RDS refuses to detach"),
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
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the promotion never ends and a person is called",
        dead_and(promotion_never_ends),
        says=("Error: PromotionPending: the detached cluster is not a writer yet", GO_ON),
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "p2: a person takes the lock over and the old run commits nothing",
        dead_and(person_takes_over_before("commit_writer")),
        says=("Error: LockLost: run run-1 does not hold the lock", DETACH_DONE),
        detached=True,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": OTHER}),
    ),
    Scenario(
        "p2: a person takes the lock over and the old run detaches nothing",
        dead_and(person_takes_over_before("detach_secondary")),
        says=("Error: LockLost: run run-1 does not hold the lock", NOTHING_CERTAIN),
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
        detached=True,
        switched=True,
        **(NEEDS_PERSON | {"locked_by": None}),
    ),
    Scenario(
        "the switch cannot be engaged and a person is called",
        dead_and(switch_fails_after_promotion),
        says=("Error: Misconfigured: changing the control record in failover-control-test: An error occurred", GO_ON),
        detached=True,
        **NEEDS_PERSON,
    ),
    Scenario(
        "the commit fails for good and a person is called",
        dead_and(always_failing("commit_writer", "TransientFailure")),
        says=("Error: TransientFailure: made by the test", DETACH_DONE, GO_ON),
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
        detached=True,
        switched=True,
        **NEEDS_PERSON,
    ),
)

SCENARIOS = RECOVERIES + REHEARSALS + REFUSALS + REJECTIONS + ABORTIONS + HALF_WAY
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
