"""What may be the case around a run of the workflow: the words of which the scenarios' sentences are made.

A condition changes a deployment before a run, or has something happen at a step of it. Conditions hold together, in
the order in which they are given: ``given=(writer_dies, fails("fence_old_writer"))``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from handlers.core.errors import Misconfigured
from handlers.core.heartbeat import Beat
from handlers.core.lease import LEASE_S
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.account import decimal
from tests.deployment.clock import patiently

Condition = Callable[[Deployment], object]

RUN, OTHER = "run-1", "run-0"  # the run that is looked at, and another
FOREVER = 10**9
PROMOTION_LIMIT_S = 16  # how long the workflow waits for one answer of Promote

# --- when


def before(step: str, *happen: Condition) -> Condition:
    """Those things happen each time that the step is about to run."""

    def hook(deployment: Deployment) -> None:
        earlier = deployment.lambdas.before

        def run(coming: str, event: Any) -> None:
            earlier(coming, event)
            if coming == step:
                for condition in happen:
                    condition(deployment)

        deployment.lambdas.before = run

    return hook


def before_again(step: str, *happen: Condition, runs: int = 1) -> Condition:
    """Those things happen when the step is about to run once more, after it has run that often."""

    def maybe(deployment: Deployment) -> None:
        if deployment.lambdas.calls.count(step) == runs + 1:  # the call that is coming is counted already
            for condition in happen:
                condition(deployment)

    return before(step, maybe)


def has_run(step: str) -> Condition:
    """That step has been called; waited for."""
    return lambda deployment: deployment.wait_for(lambda: step in deployment.lambdas.calls)


def run_has_ended(deployment: Deployment) -> None:
    """The execution of the scenario; waited for."""
    deployment.wait_for_end(RUN)


# --- the writer and its guardian


def writer_dies(deployment: Deployment) -> None:
    """Nothing was lost."""
    deployment.writer_dies()


def writer_dies_unmeasured(deployment: Deployment) -> None:
    """Nothing is known of the lag: there is no heartbeat."""
    deployment.databases.up[WRITER] = False
    deployment.guardian_was_here(ago_s=15.0)
    deployment.forget("heartbeat")


def writers_guardian_says_down(deployment: Deployment) -> None:
    """It lives, and has said so for longer than its database may take to recover by itself."""
    deployment.guardian_was_here(ago_s=3.0)
    deployment.databases.up[WRITER] = False
    deployment.change_record(word={"says": "down", "since": int(CLOCK.now() - 40)})


def all_is_well(deployment: Deployment) -> None:
    """The guardian renews as long as it may, however long this machine takes for a step."""
    deployment.guardian_was_here()
    before("check_health", lease_is_renewed)(deployment)


def lease_is_renewed(deployment: Deployment) -> None:
    """And nothing else."""
    deployment.change_record(lease_expires_at=decimal(CLOCK.now() + LEASE_S))


def writer_does_not_answer(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False


def writer_lives(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = True


def writer_is_fenced(deployment: Deployment) -> None:
    """By SQL."""
    deployment.databases.fenced[WRITER] = True


def fence_is_lifted(deployment: Deployment) -> None:
    """By somebody, behind everybody's back."""
    deployment.databases.fenced[WRITER] = False


def sessions_do_not_end(deployment: Deployment) -> None:
    """Those of applications, behind a fence."""
    deployment.databases.sessions_end = False


def guardian_renews(deployment: Deployment) -> None:
    """The writer may be cut off from the other region; it is not from the control record."""
    deployment.guardian_was_here()


def lease_was_renewed(seconds_ago: float) -> Condition:
    return lambda deployment: deployment.guardian_was_here(ago_s=seconds_ago)


def region_is_lost(region: str) -> Condition:
    return lambda deployment: deployment.lose_region(region)


# --- the standby


def standby_is_behind(heartbeats: int, seconds: float) -> Condition:
    def leave_behind(deployment: Deployment) -> None:
        last = deployment.databases.heartbeat[WRITER]
        assert last is not None
        deployment.databases.heartbeat[STANDBY] = Beat(last.seq - heartbeats, last.at - seconds)

    return leave_behind


def standby_misses_a_heartbeat(lag_ms: float) -> Condition:
    """The writer died between "noted" and "replicated": the standby has its commits up to so long before the last."""

    def leave_behind(deployment: Deployment) -> None:
        standby_is_behind(heartbeats=1, seconds=2.0)(deployment)
        last = deployment.databases.heartbeat[WRITER]
        assert last is not None
        deployment.databases.replicated_until = last.at - lag_ms / 1000

    return leave_behind


def standby_does_not_answer(deployment: Deployment) -> None:
    deployment.databases.up[STANDBY] = False


def standby_is_slow(times: int) -> Condition:
    """It does not answer so many looks at it, as one that has been idle may."""
    return _prober_answers(_probe("own_reader", None, STANDBY, "TimeoutError: timed out"), times)


def standby_is_detached(deployment: Deployment) -> None:
    deployment.client("rds", STANDBY).remove_from_global_cluster(
        GlobalClusterIdentifier=deployment.specification.global_identifier,
        DbClusterIdentifier=deployment.specification.names.cluster_arn(STANDBY),
    )


# --- the control record


def record_says(**attributes: Any) -> Condition:
    return lambda deployment: deployment.change_record(**attributes)


def record_lacks(*attributes: str) -> Condition:
    return lambda deployment: deployment.forget(*attributes)


def control_is_away(step: str, requests: int) -> Condition:
    """The control table answers so many requests of a step with 500."""
    return lambda deployment: deployment.trouble("*", "InternalServerError", status=500, step=step, times=requests)


def asked_to(wanted: str) -> Condition:
    """A person asks the run to hold or to abort."""

    def ask(deployment: Deployment) -> None:
        lock = deployment.lock()
        assert lock is not None
        deployment.change_record(transition=lock | {"wanted": wanted})

    return ask


def let_go_on(deployment: Deployment) -> None:
    """A person takes that back."""
    lock = deployment.lock()
    assert lock is not None
    deployment.change_record(transition={name: value for name, value in lock.items() if name != "wanted"})


def somebody_switches_over(deployment: Deployment) -> None:
    """By hand; it stays pending."""
    deployment.rds.behaviour.pending_for_s = FOREVER
    deployment.client("rds", WRITER).switchover_global_cluster(
        GlobalClusterIdentifier=deployment.specification.global_identifier,
        TargetDbClusterIdentifier=deployment.specification.names.cluster_arn(STANDBY),
    )


failover_is_paused = record_says(automatic_failover=False)


def writer_has_moved(seconds_ago: float) -> Condition:
    return lambda deployment: deployment.change_record(last_transition_at=int(CLOCK.now() - seconds_ago))


def lock(
    run: str, seconds_left: float, *, engaged: bool = False, mode: str = "failover", requests: int = 0
) -> dict[str, Any]:
    """A lock as it stands in the control record; a run that has engaged the switch has committed to move."""
    return {
        "run": run,
        "mode": mode,
        "phase": "moving" if engaged else "checking",
        "move_requests": requests,
        "incident": "an earlier outage",
        "target_region": STANDBY,
        "started_at": int(CLOCK.now()) - 60,
        "deadline": int(CLOCK.now() + seconds_left),
        "dns_engaged": engaged,
        **({"moving_since": int(CLOCK.now()) - 60} if engaged else {}),
        **(_stopped() if mode == "switchover" else {}),
    }


def _stopped() -> dict[str, Any]:
    """What the lock of a switchover holds besides: its guardian has signed it."""
    now = int(CLOCK.now())
    return {"stopping_until": now + 20, "writer_sign": {"at": now, "says": "up", "fenced": True}}


def other_run_holds_the_lock(seconds_left: float = 600.0, **more: Any) -> Condition:
    """As `lock` has it."""
    return lambda deployment: deployment.change_record(transition=lock(OTHER, seconds_left, **more))


def lock_is_given_back(deployment: Deployment) -> None:
    """Waited for."""
    deployment.wait_for(lambda: deployment.lock() is None, "the lock is not given back")


# As a person orders it, who has found the switch engaged.
other_run_takes_over = other_run_holds_the_lock(engaged=True)

# --- functions


def fails(step: str, error: str = "Misconfigured", times: int = 100) -> Condition:
    """For good, whenever it is called from now on, or so many times."""
    return lambda deployment: deployment.fail(step, *[error] * times)


def it_fails(deployment: Deployment) -> None:
    raise Misconfigured("made by the test")


def it_never_answers(deployment: Deployment) -> None:
    deployment.hang()


def fence_is_not_reached(deployment: Deployment) -> None:
    deployment.trouble("lambda.Invoke", "refused", region=WRITER, step="fence_old_writer", times=FOREVER)


def standby_is_not_asked_for_its_heartbeat(deployment: Deployment) -> None:
    deployment.trouble("lambda.Invoke", "refused", step="verify_lag", times=FOREVER)


def _probe(target: str, role: str | None, region: str, error: str | None = None) -> dict[str, Any]:
    return {"target": target, "role": role, "region": region, "error": error, "elapsed_ms": 12.5}


def _prober_answers(answer: dict[str, Any], times: int) -> Condition:
    def script(deployment: Deployment) -> None:
        left = iter(range(times))
        deployment.databases.script = lambda asked: (
            answer if asked == answer["target"] and next(left, None) is not None else None
        )

    return script


def own_cluster_refuses(times: int) -> Condition:
    """The cluster that is being promoted, by its endpoint and by its instances."""

    def script(deployment: Deployment) -> None:
        left = iter(range(times))
        deployment.databases.script = lambda asked: (
            _probe(asked, None, STANDBY, "ConnectionRefusedError: refused")
            if asked in ("own", "own_instances") and next(left, None) is not None
            else None
        )

    return script


def name_leads_to_the_old_writer(times: int) -> Condition:
    return _prober_answers(_probe("writer", "writer", WRITER), times)


name_never_moves = _prober_answers(_probe("writer", None, WRITER, "timed out"), FOREVER)


def prober_dies(times: int) -> Condition:
    """While it looks at the cluster that is being promoted."""

    def script(deployment: Deployment) -> None:
        left = iter(range(times))

        def die(asked: str) -> None:
            if asked == "own_instances" and next(left, None) is not None:
                raise MemoryError("made by the test")

        deployment.databases.script = die

    return script


# --- RDS and the switch


def detach_is_refused(deployment: Deployment) -> None:
    """For good: not because RDS is busy."""
    deployment.trouble("rds.RemoveFromGlobalCluster", "AccessDenied", status=403, times=FOREVER)


def detach_meets(kind: str, *, times: int = 1, arrives: bool = False, status: int = 400) -> Condition:
    """The next requests to detach: see `Trouble`; those that arrive have their effect."""
    return lambda deployment: deployment.trouble(
        "rds.RemoveFromGlobalCluster", kind, status=status, times=times, after=arrives
    )


def switchover_meets(kind: str, *, times: int = 1, arrives: bool = False) -> Condition:
    """The next requests to switch over: see `Trouble`; those that arrive have their effect."""
    return lambda deployment: deployment.trouble("rds.SwitchoverGlobalCluster", kind, times=times, after=arrives)


def switchover_is_refused(deployment: Deployment) -> None:
    deployment.trouble("rds.SwitchoverGlobalCluster", "AccessDenied", status=403, times=FOREVER)


def rds_is(**behaviour: Any) -> Condition:
    """As `drills.aws.rds_behaviour.Behaviour` has it."""

    def behave(deployment: Deployment) -> None:
        for name, value in behaviour.items():
            setattr(deployment.rds.behaviour, name, value)

    return behave


def rds_is_busy_for(seconds: float) -> Condition:
    return lambda deployment: rds_is(busy_until=CLOCK.now() + seconds)(deployment)


def rds_is_down_for(seconds: float) -> Condition:
    """That of the standby region."""
    return lambda deployment: rds_is(down_until={STANDBY: CLOCK.now() + seconds})(deployment)


def lambda_takes_no_events(deployment: Deployment) -> None:
    """What only has to be started is not."""
    deployment.lambdas.takes_no_events = True


def promotion_takes(seconds: float) -> Condition:
    """In Aurora."""

    def take(deployment: Deployment) -> None:
        def hold(_region: str) -> None:
            end = CLOCK.now() + seconds
            deployment.wait_for(lambda: CLOCK.now() >= end, "the promotion does not end")

        deployment.databases.before_promotion = hold

    return take


def tokens_are_away(deployment: Deployment) -> None:
    """The table of idempotency tokens answers nobody."""
    for operation in ("PutItem", "UpdateItem"):
        deployment.trouble(f"dynamodb.{operation}", "InternalServerError", status=500, step="notify", times=FOREVER)


def switch_is_engaged(deployment: Deployment) -> None:
    """Waited for."""
    deployment.wait_for_switch()


def old_writer_is_closed(deployment: Deployment) -> None:
    """Its fence has come to an end; waited for."""
    deployment.wait_for(lambda: not deployment.databases.admits[WRITER], "the old writer is not closed")


def cluster_breaks_in_promotion(deployment: Deployment) -> None:
    def break_cluster(region: str) -> None:
        deployment.set_cluster_status("inaccessible-encryption-credentials", region)
        raise RuntimeError("made by the test")

    deployment.databases.before_promotion = break_cluster


def promotion_is_held(deployment: Deployment) -> threading.Event:
    """Until the event that is returned is set."""
    held = threading.Event()

    def hold(_region: str) -> None:
        patiently(held.wait)

    deployment.databases.before_promotion = hold
    return held


def promotion_is_given_up_soon(deployment: Deployment) -> None:
    """Each call of Promote that does not answer; no other task's limit is as long."""
    CLOCK.limits[PROMOTION_LIMIT_S] = lambda: deployment.hangs


# --- people


def approved_by(name: str) -> Condition:
    return lambda deployment: deployment.answers("send_task_success", output=json.dumps({"approved_by": name}))


def approved_by_nobody(deployment: Deployment) -> None:
    """An answer without a name."""
    deployment.answers("send_task_success", output=json.dumps({"approved": True}))


def refused_by(name: str, reason: str) -> Condition:
    return lambda deployment: deployment.answers("send_task_failure", error="Refused", cause=f"{name}: {reason}")


def nobody_answers(deployment: Deployment) -> None:
    deployment.nobody_answers()


def nobody_can_be_asked(deployment: Deployment) -> None:
    """No topic takes the question; the message about the end is sent again later and arrives."""
    deployment.trouble("sns.Publish", "InternalError", status=500, step="ask_approval", times=FOREVER)


def no_topic_answers(deployment: Deployment) -> None:
    deployment.trouble("sns.Publish", "InternalError", status=500, times=FOREVER)


def topic_is_not_reached(region: str) -> Condition:
    return lambda deployment: deployment.trouble("sns.Publish", "refused", region=region, times=FOREVER)
