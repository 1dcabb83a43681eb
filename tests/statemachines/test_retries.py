"""Errors that a retry may cure do not change how a run ends."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.specification.workflows import asks_a_person, definition, is_not_waited_for, tasks
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.account import waited_for
from tests.statemachines import graph
from tests.statemachines.scenarios import BY_NAME, Scenario, play

MACHINE = definition()
# What is not waited for fails without anybody's knowing, and is no part of the end.
TASKS = {name: (step, state) for name, step, state in tasks(MACHINE) if not is_not_waited_for(state)}

# One scenario for each way to end; between them they pass through every task.
ENDINGS = [
    BY_NAME[name]
    for name in (
        "the writer region dies and the standby becomes the writer",
        "a healthy writer is switched over",
        "p5: the standby is behind by more than the budget and a person accepts the loss",
        "a rehearsal while all is well says no go",
        "p5: the writer answers and nothing moves",
        "rds refuses the detach and the lock and the switch are given back",
        "the promotion breaks and a person is called",
    )
]

# The first retrier of every task: its names, and how often it may be used. `States.Timeout` is no error that a
# function can report; a test of its own below has a function hang.
NAMES = [name for name in TASKS["Claim"][1]["Retry"][0]["ErrorEquals"] if name != "States.Timeout"]
ATTEMPTS = TASKS["Claim"][1]["Retry"][0]["MaxAttempts"]
LIMITS = {name: state["TimeoutSeconds"] for name, (_, state) in TASKS.items()}


@pytest.fixture(scope="module", autouse=True)
def clean_runs() -> None:
    """The runs that are compared with, before any test's own deployment: two do not fit into one moto."""
    for scenario in ENDINGS:
        play(scenario)


# The writer is closed to its applications meanwhile: if these do not succeed soon, it is given back.
HURRIED = {"FenceOldWriterFirst", "WaitForLeaseOfFencedWriter", "SwitchOver"}


def test_every_task_has_the_same_first_retrier() -> None:
    first = TASKS["Claim"][1]["Retry"][0]
    deadline = [name for name in first["ErrorEquals"] if name != "States.Timeout"]
    for name, (_, state) in TASKS.items():
        wanted = first | ({"ErrorEquals": deadline} if asks_a_person(state) else {})
        assert state["Retry"][0] == wanted | ({"MaxAttempts": 4} if name in HURRIED else {})


def test_p9_a_transient_is_retried_for_about_a_minute() -> None:
    first = TASKS["Claim"][1]["Retry"][0]
    pauses = [
        min(first["IntervalSeconds"] * first["BackoffRate"] ** number, first["MaxDelaySeconds"])
        for number in range(first["MaxAttempts"])
    ]
    assert 50 <= sum(pauses) <= 70


def test_the_endings_pass_through_every_task() -> None:
    visited = {state for scenario in ENDINGS for state in play(scenario).run.visited}
    assert set(TASKS) <= visited


@pytest.mark.parametrize("first", range(0, len(NAMES), ATTEMPTS))
@pytest.mark.parametrize("scenario", ENDINGS, ids=lambda scenario: scenario.end)
def test_every_step_fails_as_often_as_it_may_and_the_end_is_the_same(
    scenario: Scenario, first: int, deployment: Deployment
) -> None:
    errors = NAMES[first : first + ATTEMPTS]
    scenario.prepare(deployment)
    # Of a switchover, whose guardian has to be heard of again and again, each step fails as often as the hurried may.
    least = min(TASKS[name][1]["Retry"][0]["MaxAttempts"] for name in play(scenario).run.visited if name in TASKS)
    for step, _ in TASKS.values():
        deployment.lambdas.errors[step] = errors[:least]
    run = deployment.run(scenario.asked or {"mode": "failover", "started_by": "ada"})
    assert run.end == scenario.end
    assert len(run.visited) == len(set(run.visited))  # nothing was entered twice, not even at once
    # Where a branch has failed, how far the others got, and whether they have begun at all, is a matter of time.
    of_branches = {name for name in graph.states(MACHINE) if name not in MACHINE["States"]}
    ended = of_branches if scenario.end in ("Aborted", "NeedsPerson") else set()
    assert set(run.visited) - ended == set(play(scenario).run.visited) - ended
    assert subjects(deployment.messages(STANDBY)) == subjects(play(scenario).messages[STANDBY])


def subjects(messages: list[tuple[str, str]]) -> list[str]:
    return [subject for subject, _ in waited_for(messages)]


@pytest.mark.parametrize("task", TASKS)
def test_the_busy_and_the_waiting_errors_are_retried_where_they_are_named(task: str) -> None:
    own = {name for retrier in TASKS[task][1]["Retry"][1:] for name in retrier["ErrorEquals"]}
    assert own <= {
        "IdempotencyAlreadyInProgressError",
        "LeaseLive",
        "FenceFailed",
        "NotificationFailed",
        "StandbySilent",
        "Held",
        "WordLives",
        "NotRecoveredYet",
    }


def test_p3_a_function_that_hangs_is_given_up_and_called_again(deployment: Deployment) -> None:
    deployment.writer_dies()
    CLOCK.limits |= {LIMITS[state]: lambda: deployment.hangs for state in ("Claim", "VerifyRecovery")}
    hanging = {"claim", "verify_recovery"}

    def hang(step: str, event: Any) -> None:
        if step in hanging:
            hanging.remove(step)
            deployment.hang()

    deployment.lambdas.before = hang
    run = deployment.run({"mode": "failover", "started_by": "ada"})
    assert run.end == "Recovered"
    assert [event["type"] for event in run.events].count("TaskTimedOut") == 2
    assert deployment.record()["writer_region"] == STANDBY
    assert deployment.members() == {WRITER}
