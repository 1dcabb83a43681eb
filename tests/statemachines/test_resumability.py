"""P3: kill any step at any of its requests, or the whole run at any step, and the result is the same."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication
from moto.stepfunctions.parser.utils import TMP_THREADS

from orchestration.specification.workflows import definition
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.clock import real_sleep
from tests.deployment.functions import Killed
from tests.statemachines.conditions import OTHER, RUN, all_is_well, promotion_is_held
from tests.statemachines.scenarios import ASKED, AUTOMATIC, BY_NAME, SWITCHOVER, play

MACHINE = definition()
CLEAN = BY_NAME["the writer region dies and the standby becomes the writer"]
STEPS = (
    "claim",
    "check_health",
    "verify_lag",
    "wait_for_lease",
    "fence_old_writer",
    "detach_secondary",
    "promote",
    "repoint_dns",
    "commit_writer",
    "verify_recovery",
    "record_run",
    "notify",
)
# The requests to AWS of the step that makes the most: Notify makes five (a token, two topics, the token again, and an
# event for programs), once when the run has begun to move the writer, beside the other steps, and once at its end.
MOST_REQUESTS = 10


SWITCHED = BY_NAME["a healthy writer is switched over"]
SWITCHOVER_STEPS = (
    "claim",
    "check_health",
    "verify_lag",
    "fence_old_writer",
    "wait_for_lease",
    "switch_over",
    "promote",
    "repoint_dns",
    "commit_writer",
    "verify_recovery",
    "record_run",
    "notify",
)


@pytest.fixture(scope="module", autouse=True)
def clean_run() -> None:
    """The run that is compared with, before any test's own deployment: two do not fit into one moto."""
    play(CLEAN)
    play(SWITCHED)


def test_no_step_makes_more_requests_than_are_killed_below(deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.run(ASKED)
    of_step = [[operation for step, _, operation in deployment.gate.seen if step == wanted] for wanted in STEPS]
    assert max(len(operations) for operations in of_step) == MOST_REQUESTS
    assert all(of_step)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_number", range(MOST_REQUESTS))
def test_p3_every_step_is_killed_at_one_of_its_requests(
    request_number: int, after: bool, deployment: Deployment
) -> None:
    deployment.writer_dies()
    for step in STEPS:
        deployment.trouble("*", "killed", step=step, skip=request_number, after=after)
    run = deployment.run(ASKED)
    killed = [trouble.step for trouble in deployment.gate.troubles if trouble.times == 0]
    assert killed
    # Of a Notify that the workflow does not wait for, it sees no failure.
    waited_for = [step for step in killed if step != "notify"]
    assert [event["type"] for event in run.events].count("TaskFailed") >= len(waited_for)
    assert_as_if_never_killed(deployment, run.end, killed_beside=1)


def test_a_deployment_that_is_gone_runs_no_function_any_more() -> None:
    """An execution that is still at work when a test ends would otherwise go on in the deployment of the next one."""
    with Deployment() as gone:
        gone.writer_dies()
        gone.run_until("detach_secondary", ASKED, OTHER)
    with pytest.raises(Killed):
        gone.call("claim", {})


def test_a_deployment_that_is_gone_leaves_no_execution_at_work() -> None:
    """It would end in the deployment of the next test, where somebody may wait for the end of the same name."""
    ended = BaseExecutionWorkerCommunication.terminated

    def end_late(execution: BaseExecutionWorkerCommunication) -> None:
        real_sleep(0.2)
        ended(execution)

    with mock.patch.object(BaseExecutionWorkerCommunication, "terminated", end_late), Deployment() as gone:
        gone.writer_dies()
        gone.databases.heartbeat[STANDBY] = None
        gone.start(ASKED, RUN)
        gone.wait_for(lambda: bool(gone.messages(STANDBY)), "nobody is asked")
        gone.run_until("claim", ASKED, OTHER)
    assert not [thread for thread in TMP_THREADS if thread.is_alive()]


@pytest.mark.parametrize("step", STEPS)
def test_p3_the_run_stands_still_after_a_step_and_another_resumes_it(step: str, deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.run_until(step, ASKED, OTHER)
    resumed = deployment.run(ASKED | {"resumes": OTHER}, "run-1")
    if deployment.record()["last_run"] == OTHER:  # it had got to the commit: what is left is to see that it worked
        assert resumed.end == "Refused"
        assert "us-west-2 is the writer already" in resumed.output["claim"]
    else:
        assert_as_if_never_killed(deployment, resumed.end)
    assert deployment.record()["writer_region"] == STANDBY
    assert deployment.record()["epoch"] == 2
    assert deployment.members() == {WRITER}
    assert deployment.is_switched(STANDBY)


@pytest.mark.parametrize("step", STEPS)
def test_p3_a_step_that_is_called_again_gives_the_same_answer(step: str, deployment: Deployment) -> None:
    deployment.writer_dies()
    answers: dict[str, list[Any]] = {}
    again = {step}
    call = deployment.lambdas.call

    def call_twice(region: str, called: str, event: Any) -> Any:
        result = call(region, called, event)
        if called in again:
            again.discard(called)
            answers[called] = [result, call(region, called, event)]
        return result

    deployment.lambdas.call = call_twice  # type: ignore[method-assign, assignment]
    run = deployment.run(ASKED)
    assert_as_if_never_killed(deployment, run.end)
    first, second = answers[step]
    volatile = {"proved_at", "elapsed_ms", "probe_ms", "age_s", "reason", "timing", "ended_at", "phases"}
    volatile |= {"asked_at", "doubt", "looked_until"}
    assert {key: value for key, value in first.items() if key not in volatile} == {
        key: value for key, value in second.items() if key not in volatile
    }
    if step == "notify":
        assert len(deployment.messages(STANDBY)) == len(play(CLEAN).messages[STANDBY])


def assert_as_if_never_killed(deployment: Deployment, end: str, killed_beside: int = 0) -> None:
    clean = play(CLEAN)
    assert end == clean.run.end
    record = deployment.record()
    # A request that was killed counts: nobody claims for a minute after the commit.
    volatile = {"last_transition_at", "last_incident", "lease_expires_at", "heartbeat", "claims_from"}
    # What people were told is noted of automatic runs only; the messages themselves are compared below.
    volatile |= {"told"}
    assert {key: value for key, value in record.items() if key not in volatile} == {
        key: value for key, value in clean.record.items() if key not in volatile
    }
    assert deployment.members() == clean.members
    assert deployment.is_switched(STANDBY) == clean.switched
    assert deployment.databases.proofs == clean.proofs
    assert told_at_the_end(deployment.messages(STANDBY)) == told_at_the_end(clean.messages[STANDBY])
    # A killed step may have left a token behind; none is left that says "in progress", but of a Notify that nobody
    # waited for.
    assert [token["status"] for token in deployment.tokens()].count("INPROGRESS") <= killed_beside


# Of these messages none has to come: nobody waits for them, and Lambda's own second try is not played here.
BESIDE = ("Failover has begun", "Failover goes on", "FAILOVER OR SWITCHOVER ENDED WITHOUT A WORD")


def told_at_the_end(messages: list[tuple[str, str]]) -> set[str]:
    return {subject for subject, _ in messages if not subject.startswith(BESIDE)}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_number", range(MOST_REQUESTS))
def test_p3_every_step_of_a_switchover_is_killed_at_one_of_its_requests(
    request_number: int, after: bool, deployment: Deployment
) -> None:
    all_is_well(deployment)
    for step in SWITCHOVER_STEPS:
        deployment.trouble("*", "killed", step=step, skip=request_number, after=after)
    run = deployment.run(SWITCHOVER)
    assert [trouble for trouble in deployment.gate.troubles if trouble.times == 0]
    clean = play(SWITCHED)
    assert run.end == clean.run.end
    assert deployment.record()["epoch"] == clean.record["epoch"]
    assert deployment.primaries() == clean.primaries
    assert deployment.databases.open_writers() == clean.databases.open_writers()
    assert deployment.databases.proofs == clean.proofs


@pytest.mark.parametrize("step", SWITCHOVER_STEPS)
def test_p3_a_switchover_stands_still_after_a_step_and_another_resumes_it(step: str, deployment: Deployment) -> None:
    all_is_well(deployment)
    deployment.run_until(step, SWITCHOVER, OTHER)
    resumed = deployment.run(SWITCHOVER | {"resumes": OTHER}, "run-1")
    if deployment.record()["last_run"] == OTHER:
        assert resumed.end == "Refused"
    else:
        assert resumed.end == "Recovered"
    assert deployment.record()["epoch"] == 2
    assert deployment.primaries() == {STANDBY}
    assert deployment.databases.open_writers() == {STANDBY}


@pytest.mark.parametrize("step", STEPS[: STEPS.index("commit_writer")])
def test_p9_a_failover_that_was_stopped_by_hand_is_taken_over_by_the_next_attempt_at_once(
    step: str, deployment: Deployment
) -> None:
    deployment.writer_dies()
    deployment.run_until(step, ASKED, OTHER)
    deployment.stop(OTHER)
    assert_as_if_never_killed(deployment, deployment.run(AUTOMATIC, "run-1").end)


@pytest.mark.parametrize("step", SWITCHOVER_STEPS[: SWITCHOVER_STEPS.index("commit_writer")])
def test_p9_a_switchover_that_was_stopped_by_hand_is_finished_as_one_by_the_next_attempt(
    step: str, deployment: Deployment
) -> None:
    all_is_well(deployment)
    deployment.run_until(step, SWITCHOVER, OTHER)
    deployment.stop(OTHER)
    assert deployment.run(AUTOMATIC | {"mode": "switchover"}, "run-1").end == "Recovered"
    assert deployment.record()["epoch"] == 2
    assert deployment.primaries() == {STANDBY}
    assert deployment.databases.open_writers() == {STANDBY}


def test_p9_a_run_that_ran_out_of_time_is_taken_over_by_the_next_attempt_at_once(deployment: Deployment) -> None:
    """Aurora does not get on with the promotion; the bound is the workflow's own."""
    deployment.writer_dies()
    held = promotion_is_held(deployment)
    to_real = CLOCK.to_real

    def limit_ends_in_the_promotion(seconds: float) -> float:
        if seconds != MACHINE["TimeoutSeconds"]:
            return to_real(seconds)
        deployment.wait_for(lambda: "promote" in deployment.lambdas.calls, "nothing is promoted")
        return 0.0

    with mock.patch.object(CLOCK, "to_real", limit_ends_in_the_promotion):
        assert deployment.run(ASKED, OTHER).status == "TIMED_OUT"
    assert deployment.lock()["run"] == OTHER  # type: ignore[index]
    held.set()
    assert_as_if_never_killed(deployment, deployment.run(AUTOMATIC, "run-1").end)
