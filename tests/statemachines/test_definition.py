"""The failover workflow as it is written: lint, names, retries and catches."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from aws_lambda_powertools.utilities.idempotency import exceptions as idempotency_errors

from handlers.core import errors
from handlers.core.approval import APPROVAL_S
from handlers.core.claim import LOCK_SECONDS
from handlers.core.failover_progress import FailoverProgress
from handlers.core.progress import Parts
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import Specification, describe, failover, reprotection
from orchestration.specification.permissions import KEEP_TOKENS
from orchestration.specification.rows import Step
from orchestration.specification.workflows import (
    ASKING_TIMEOUT_SECONDS,
    FAILOVER_ASL,
    REPROTECT_ASL,
    asks_a_person,
    definition,
    is_not_waited_for,
    tasks,
)
from tests.statemachines import graph

MACHINE = definition()
STATES = graph.states(MACHINE)
TASKS = {name: (step, state) for name, step, state in tasks(MACHINE)}
BY_TASK = pytest.mark.parametrize("task", TASKS)

# What Step Functions itself reports of a function that did not run or did not end (Step Functions guide, "Handle
# Lambda service exceptions" and "Handling errors"); none says anything about the step, so all are worth a retry.
LAMBDA_FAILURES = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",
    "States.Timeout",
    "Sandbox.Timedout",
    # Lambda reports a process that ended by itself or by a signal (out of memory) so.
    "Runtime.ExitError",
}
# These ask to be called again, by their own meaning.
ASK_AGAIN = {
    "wait_for_lease": {"LeaseLive", "FenceFailed", "Held"},
    "ask_approval": {"NotificationFailed"},
    "fence_old_writer": {"FenceFailed", "Held"},
    "notify": {"NotificationFailed"},
    "check_health": {"StandbySilent"},
    "verify_lag": {"StandbySilent"},
    "detach_secondary": {"WordLives"},
    "switch_over": {"WordLives"},
    "verify_recovery": {"NotRecoveredYet"},
}
STEPS = {row.name for row in failover.STEPS}
# What must happen once however often the workflow repeats it, and is no conditional write: messages.
IDEMPOTENT = {"notify"}


@pytest.fixture(scope="module")
def specification() -> Specification:
    return describe(load(environment_suffix="test", environment="development"), "123456789012")


def statelint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "statelint", str(path)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2"])
def test_statelint_finds_nothing_in_the_deployed_definition(
    region: str, specification: Specification, tmp_path: Path
) -> None:
    deployed = tmp_path / "failover.asl.json"
    deployed.write_text(specification.regions[region].state_machine.definition)
    result = statelint(deployed)
    assert result.returncode == 0, result.stdout


def test_statelint_would_find_a_misspelt_field(tmp_path: Path) -> None:
    misspelt = tmp_path / "failover.asl.json"
    misspelt.write_text(FAILOVER_ASL.read_text().replace('"Default"', '"Defualt"', 1))
    assert statelint(misspelt).returncode != 0


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2"])
def test_every_placeholder_becomes_the_name_of_a_function_of_the_region(
    region: str, specification: Specification
) -> None:
    there = specification.regions[region]
    text = there.state_machine.definition
    assert "${" not in text
    invoked = set(re.findall(r'"FunctionName": "([^"]+)"', text))
    assert invoked == {there.functions[step].name for step in STEPS}


def test_the_workflow_may_invoke_exactly_its_steps(specification: Specification) -> None:
    for region in specification.regions.values():
        (permission,) = region.state_machine.permissions
        names = {arn.rsplit(":", 1)[1] for arn in permission.resources}
        assert names == {region.functions[step].name for step in STEPS}


@BY_TASK
def test_the_step_of_every_task_is_a_module_of_that_name(task: str) -> None:
    step, _ = TASKS[task]
    found = importlib.util.find_spec(f"handlers.failover.{step}")
    assert found is not None
    assert found.origin is not None
    assert re.search(r"^def handler\(", Path(found.origin).read_text(), re.MULTILINE)


@BY_TASK
def test_a_state_is_named_as_its_step(task: str) -> None:
    step, _ = TASKS[task]
    assert task.startswith(state_of(step))


@pytest.mark.parametrize("state", STATES)
def test_every_state_says_what_it_is_for(state: str) -> None:
    assert len(STATES[state]["Comment"]) > 20


def test_names_of_states_are_unique_across_branches() -> None:
    assert sum(len(scope) for scope in graph.scopes(MACHINE)) == len(STATES)


@BY_TASK
def test_every_task_is_told_which_run_it_works_for(task: str) -> None:
    _, state = TASKS[task]
    assert state["Parameters"]["Payload"]["run.$"] == "$$.Execution.Name"


@BY_TASK
def test_every_task_retries_what_a_retry_may_cure(task: str) -> None:
    step, state = TASKS[task]
    if is_not_waited_for(state):
        assert retried(state) == set()
        return
    wanted = LAMBDA_FAILURES | {"TransientFailure"}
    if asks_a_person(state):
        wanted -= {"States.Timeout"}  # the deadline of the answer
    if step in IDEMPOTENT:
        wanted |= {"IdempotencyAlreadyInProgressError"}
    assert retried(state) - ASK_AGAIN.get(step, set()) == wanted


@pytest.mark.parametrize("step", ASK_AGAIN)
def test_a_step_that_asks_to_be_called_again_is(step: str) -> None:
    found = [retried(state) & ASK_AGAIN[step] for own, state in TASKS.values() if own == step and "Retry" in state]
    assert set().union(*found) == ASK_AGAIN[step]
    assert step == "fence_old_writer" or all(found)  # best effort in a failover


def test_p5_a_person_has_as_long_to_answer_as_the_message_says() -> None:
    (state,) = [state for _, state in TASKS.values() if asks_a_person(state)]
    assert state["TimeoutSeconds"] == APPROVAL_S


@BY_TASK
def test_no_task_retries_what_a_retry_cannot_cure(task: str) -> None:
    _, state = TASKS[task]
    final = {
        "InvalidRequest",
        "Misconfigured",
        "LockLost",
        "HalfWay",
        "DetachRejected",
        "RdsBusy",
        "WriterLost",
        "SwitchoverRejected",
        "PromotionFailed",
        "States.ALL",
    }
    assert not final & retried(state)


@BY_TASK
def test_every_error_name_exists(task: str) -> None:
    _, state = TASKS[task]
    known = {name for module in (errors, idempotency_errors) for name, _ in inspect.getmembers(module, inspect.isclass)}
    known |= LAMBDA_FAILURES | {"States.ALL", "Runtime.ExitError"}
    known |= {"Refused"}  # what a person answers who refuses, by the command in the message
    assert retried(state) | caught(state) <= known


def test_every_error_of_every_task_leads_to_a_defined_end() -> None:
    for name, state in MACHINE["States"].items():
        if state["Type"] in ("Task", "Parallel"):
            assert "States.ALL" in caught(state), name
    for state in STATES.values():
        for catcher in state.get("Catch", ()):
            assert STATES[catcher["Next"]]["Type"] in ("Task", "Pass", "Choice", "Wait", "Fail")


def test_every_named_error_has_one_meaning() -> None:
    own = [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if found.__module__ == errors.__name__ and found is not errors.FailoverError
    ]
    assert own
    assert all(error.__bases__ == (errors.FailoverError,) and error.__doc__ for error in own)


def test_p2_a_lock_outlives_every_run_that_holds_it() -> None:
    # The execution is ended after TimeoutSeconds; a function that it has started by then may still run.
    longest_step_s = max(state["TimeoutSeconds"] for _, state in TASKS.values() if not asks_a_person(state))
    assert MACHINE["TimeoutSeconds"] + longest_step_s < LOCK_SECONDS


@BY_TASK
def test_a_function_may_run_as_long_as_its_state_waits(task: str, specification: Specification) -> None:
    step, state = TASKS[task]
    for region in specification.regions.values():
        limit = ASKING_TIMEOUT_SECONDS if asks_a_person(state) else state["TimeoutSeconds"]
        assert region.functions[step].timeout_seconds >= limit


@pytest.mark.parametrize(
    ("folder", "steps", "path"),
    [("failover", failover.STEPS, FAILOVER_ASL), ("reprotect", reprotection.STEPS, REPROTECT_ASL)],
    ids=["failover", "reprotect"],
)
def test_a_step_has_a_row_a_state_and_a_handler(folder: str, steps: tuple[Step, ...], path: Path) -> None:
    rows = [row.name for row in steps]
    assert sorted(set(rows)) == sorted(rows)
    assert {step for _, step, _ in tasks(definition(path))} == set(rows)
    assert {file.stem for file in (PROJECT_ROOT / "handlers" / folder).glob("[!_]*.py")} == set(rows)


def test_only_steps_that_act_once_keep_tokens() -> None:
    for folder, steps, once in (
        ("failover", failover.STEPS, IDEMPOTENT),
        ("reprotect", reprotection.STEPS, {"notify_reprotection"}),
    ):
        sources = {row.name: (PROJECT_ROOT / "handlers" / folder / f"{row.name}.py").read_text() for row in steps}
        assert {step for step, source in sources.items() if "@acts_once_by(" in source} == once
        assert {row.name for row in steps if KEEP_TOKENS in row.may} == once


# Phases that are a step at another state than the one of its name.
OTHER_STATES = {"fence_first": "FenceOldWriterFirst", "ask_approval": "WaitForLeaseAfterApproval"}


def phases_of(parts: type[Parts], base: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every phase of the typed progress, and the path of its part."""
    for name, hint in get_type_hints(parts, include_extras=True).items():
        if get_origin(hint) is Annotated:
            yield get_args(hint)[1], (*base, name)
        elif isinstance(hint, type) and issubclass(hint, Parts):
            yield from phases_of(hint, (*base, name))


PHASES = dict(phases_of(FailoverProgress))


def test_the_record_of_a_run_looks_for_each_phase_where_the_workflow_keeps_its_result() -> None:
    kept = dict(results(MACHINE))
    for phase, path in PHASES.items():
        where = kept[OTHER_STATES.get(phase) or state_of(phase)]
        assert where in (path, (*path, "result")), phase
    # Whatever way a run goes through the workflow, the same step keeps its result in the same place.
    assert kept["WaitForLeaseOfFencedWriter"] == kept["WaitForLease"]
    assert kept["PromoteSwitchedOver"] == kept["Promote"]
    assert kept["RepointDnsBesideSwitchover"] == kept["RepointDns"]


def test_every_step_is_a_phase_but_those_that_end_a_run() -> None:
    assert STEPS - PHASES.keys() == {"release_claim", "record_run", "notify"}


def state_of(step: str) -> str:
    return "".join(word.capitalize() for word in step.split("_"))


def results(scope: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every task's name, and where the workflow's data has its function's result once the run has passed it."""
    for name, state in scope["States"].items():
        base = tuple((state.get("ResultPath", "$") or "$").split(".")[1:])  # null keeps nothing
        kept_as = {key.removesuffix(".$"): source for key, source in state.get("ResultSelector", {}).items()}
        if state["Type"] == "Task":
            yield name, (*base, *(key for key, source in kept_as.items() if source == "$.Payload"))
        for number, branch in enumerate(state.get("Branches", ())):
            for inner, path in results(branch):
                for key, source in kept_as.items():
                    at, *taken = source.removeprefix("$").split(".")
                    if at == f"[{number}]" and list(path[: len(taken)]) == taken:
                        yield inner, (*base, key, *path[len(taken) :])


def retried(state: dict[str, Any]) -> set[str]:
    return {name for retrier in state.get("Retry", ()) for name in retrier["ErrorEquals"]}


def caught(state: dict[str, Any]) -> set[str]:
    return {name for catcher in state.get("Catch", ()) for name in catcher["ErrorEquals"]}
