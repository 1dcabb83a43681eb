"""The interpreter of workflows in virtual time. Every path of the workflows shows that it goes as the lab's does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestration.specification.workflows import FAILOVER_ASL, REPROTECT_ASL, definition
from simulation.interpreter import Ended, Execution, TaskFailed, Transition, Unsupported, load
from simulation.virtual_time import VirtualTime

LAMBDA = "arn:aws:states:::lambda:invoke"
WITH_TOKEN = "arn:aws:states:::lambda:invoke.waitForTaskToken"


def task(**more: Any) -> dict[str, Any]:
    payload = {"FunctionName": "${work}", "Payload": {"run.$": "$$.Execution.Name", "given.$": "$"}}
    return {"Type": "Task", "Resource": LAMBDA, "Parameters": payload, "OutputPath": "$.Payload", "End": True} | more


def machine(more: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    """A machine whose first state is a task."""
    return {"StartAt": "Work", "States": {"Work": task(**state), **(more or {})}}


class Run:
    """An execution that has been played for a while."""

    def __init__(self, machine: dict[str, Any], does: Callable[[Run, Any], Any], asked: Any = None) -> None:
        self.time = VirtualTime()
        self.began = self.time.now
        self.asked: list[float] = []  # when the function was called
        self.entered: list[tuple[float, Transition]] = []
        self.done: list[float] = []  # when the function had done its work
        self.execution = Execution(
            load(machine), "run-1", asked, lambda _state, _resource, given: self._call(does, given), self.time, self._on
        )
        self._ended = self.time.spawn(self._run)
        self.ended_at = 0.0

    def _run(self) -> Ended:
        ended = self.execution.run()
        self.ended_at = self.now
        return ended

    @property
    def now(self) -> float:
        return round(self.time.now - self.began, 3)

    def _call(self, does: Callable[[Run, Any], Any], given: Any) -> Any:
        self.asked.append(self.now)
        result = does(self, given)
        self.done.append(self.now)
        return result

    def _on(self, step: Transition) -> None:
        self.entered.append((self.now, step))

    def ends(self, within: float = 1000.0) -> Ended:
        self.time.run(self.began + within)
        return self._ended.result(0)

    @property
    def states(self) -> list[str]:
        return [step.there for _, step in self.entered]


def fails(error: str) -> Callable[[Run, Any], Any]:
    def fail(_run: Run, _given: Any) -> None:
        raise TaskFailed(error, "the cause")

    return fail


def takes(seconds: float, result: Any = None) -> Callable[[Run, Any], Any]:
    def work(run: Run, _given: Any) -> Any:
        run.time.sleep(seconds)
        return result

    return work


# --- what is read


@pytest.mark.parametrize("path", [FAILOVER_ASL, REPROTECT_ASL])
def test_the_workflows_are_known_in_full(path: Any) -> None:
    load(definition(path))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"HeartbeatSeconds": 3}, "Work: HeartbeatSeconds is not known here"),
        ({"Resource": "arn:aws:states:::sns:publish"}, "Work: the resource arn:aws:states:::sns:publish is not known"),
        ({"Type": "Map"}, "Work: a state of type Map is not known here"),
        ({"InputPath": "$.a"}, "Work: InputPath is not known here"),
        ({"Parameters": {"a.$": "States.UUID()"}}, r"Work: the path States.UUID\(\) is not known here"),
        ({"Parameters": {"a.$": "$.list[*]"}}, r"Work: the path \$.list\[\*\] is not known here"),
        ({"Parameters": {"a.$": "$$.Map.Item.Index"}}, r"Work: the path \$\$.Map.Item.Index is not known here"),
        ({"Parameters": {"a": [1]}}, "Work: a list in a template is not known here"),
        ({"Retry": [{"ErrorEquals": ["A"], "JitterStrategy": "FULL"}]}, "Work: JitterStrategy is not known here"),
        (
            {"Retry": [{"ErrorEquals": ["States.TaskFailed"]}]},
            "Work: what .*States.TaskFailed.* stand for is not known",
        ),
        ({"QueryLanguage": "JSONata"}, "Work: QueryLanguage is not known here"),
        ({"Next": "Nowhere"}, "the machine leads to .*Nowhere.*, and has no such state"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(state: dict[str, Any], said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        load(machine(**state))


def test_a_comparison_that_is_not_known_is_refused() -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "Work"}], "Default": "Work"}
    with pytest.raises(Unsupported, match="NumericEquals"):
        load({"StartAt": "Choose", "States": {"Choose": choice, "Work": task()}})


# --- tasks


def test_a_task_is_given_its_parameters_and_gives_its_result() -> None:
    given: list[Any] = []

    def work(_run: Run, asked: Any) -> Any:
        given.append(asked)
        return {"a": 1}

    run = Run(machine(), work, {"mode": "failover"})
    assert run.ends() == Ended("SUCCEEDED", {"a": 1})
    assert given == [{"FunctionName": "${work}", "Payload": {"run": "run-1", "given": {"mode": "failover"}}}]


def test_retries_wait_longer_and_longer_up_to_their_limit_and_their_number() -> None:
    retry = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 4, "BackoffRate": 2, "MaxDelaySeconds": 3}]
    run = Run(machine(Retry=retry), fails("Busy"))
    assert run.ends() == Ended("FAILED", error="Busy", cause="the cause")
    assert run.asked == [0, 1, 3, 6, 9]


def test_retriers_count_for_themselves_and_anew_at_each_visit() -> None:
    retry = [
        {"ErrorEquals": ["A"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1},
        {"ErrorEquals": ["B"], "IntervalSeconds": 10, "MaxAttempts": 1, "BackoffRate": 1},
    ]
    loops = {"Again": {"Type": "Wait", "Seconds": 100, "Next": "Work"}}
    errors = iter("ABC" + "AD")

    def fail(_run: Run, _given: Any) -> None:
        raise TaskFailed(next(errors))

    catch = [{"ErrorEquals": ["C"], "Next": "Again"}]
    run = Run(machine(loops, Retry=retry, Catch=catch), fail)
    assert run.ends().error == "D"
    assert run.asked == [0, 1, 11, 111, 112]


def test_a_time_limit_ends_the_state_and_leaves_the_function_running() -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.error", "Next": "Late"}]
    run = Run(machine({"Late": {"Type": "Succeed"}}, TimeoutSeconds=4, Catch=catch), takes(30.0), {"a": 1})
    assert run.ends() == Ended("SUCCEEDED", {"a": 1, "error": {"Error": "States.Timeout", "Cause": ""}})
    assert (run.ended_at, run.done) == (4, [30])


def test_data_that_are_not_there_end_the_run_and_nothing_catches_that() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    run = Run(machine({"Caught": {"Type": "Succeed"}}, OutputPath="$.Payload.missing", Catch=catch), takes(0, {}))
    assert run.ends() == Ended("FAILED", error="States.Runtime", cause="Work: there is nothing at $.Payload.missing")


def test_the_time_limit_of_the_run_ends_it() -> None:
    run = Run(machine() | {"TimeoutSeconds": 60}, takes(100.0))
    assert run.ends() == Ended("TIMED_OUT")
    assert run.ended_at == 60


def test_a_run_that_is_stopped_is_over_at_once() -> None:
    run = Run(machine({"After": {"Type": "Succeed"}}, Next="After") | {}, takes(100.0))
    run.time.after(7.0, lambda: run.execution.stop("Stopped", "by ada"))
    run.time.run(run.began + 7.0)
    assert run.execution.ended == Ended("ABORTED", error="Stopped", cause="by ada")
    assert (run.ends(), run.states) == (Ended("ABORTED", error="Stopped", cause="by ada"), ["Work"])


def test_an_error_of_the_world_is_no_error_of_a_task() -> None:
    def breaks(_run: Run, _given: Any) -> None:
        raise KeyError("a defect of the simulator")

    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    with pytest.raises(KeyError):
        Run(machine({"Caught": {"Type": "Succeed"}}, Catch=catch), breaks).ends()


# --- questions

ASKS = machine(
    Resource=WITH_TOKEN,
    Parameters={"FunctionName": "${ask}", "Payload": {"token.$": "$$.Task.Token"}},
    OutputPath="$",
    TimeoutSeconds=50,
    Retry=[{"ErrorEquals": ["Busy"], "IntervalSeconds": 5, "MaxAttempts": 1, "BackoffRate": 1}],
)


def test_a_question_waits_for_its_answer_and_each_attempt_has_its_token() -> None:
    tokens: list[str] = []

    def ask(_run: Run, given: Any) -> None:
        tokens.append(given["Payload"]["token"])
        if len(tokens) == 1:
            raise TaskFailed("Busy")

    run = Run(ASKS, ask)
    run.time.run(run.began + 20)
    assert len(set(tokens)) == 2
    assert not run.execution.answer(tokens[0], "too late")
    assert run.execution.answer(tokens[1], {"approved_by": "ada"})
    assert run.ends() == Ended("SUCCEEDED", {"approved_by": "ada"})
    assert not run.execution.answer(tokens[1], "twice")


def test_a_question_is_refused_or_given_up() -> None:
    run = Run(ASKS, takes(0.0))

    def refuse() -> None:
        run.execution.answer("run-1/1", failed=TaskFailed("Refused", "ada: no"))

    run.time.after(9.0, refuse)
    assert run.ends() == Ended("FAILED", error="Refused", cause="ada: no")
    nobody = Run(ASKS, takes(0.0))
    assert (nobody.ends().error, nobody.ended_at) == ("States.Timeout", 50)


# --- branches


def branches(*, left: dict[str, Any], right: dict[str, Any], **parallel: Any) -> dict[str, Any]:
    both = [{"StartAt": name, "States": {name: one}} for name, one in (("Left", left), ("Right", right))]
    states = {"Both": {"Type": "Parallel", "Branches": both, "Next": "End"} | parallel, "End": {"Type": "Succeed"}}
    return {"StartAt": "Both", "States": states}


def by_name(**does: Callable[[Run, Any], Any]) -> Callable[[Run, Any], Any]:
    return lambda run, given: does[given["FunctionName"]](run, given)


def of(name: str, **more: Any) -> dict[str, Any]:
    return task(Parameters={"FunctionName": name}, **more)


def test_branches_run_side_by_side_and_their_results_keep_their_order() -> None:
    run = Run(branches(left=of("left"), right=of("right")), by_name(left=takes(5.0, "l"), right=takes(3.0, "r")))
    assert run.ends() == Ended("SUCCEEDED", ["l", "r"])
    assert run.ended_at == 5


def test_a_branch_that_fails_stops_the_others_and_what_they_have_called_goes_on() -> None:
    def fail(run: Run, _given: Any) -> None:
        run.time.sleep(2.0)
        raise TaskFailed("Broken", "left")

    again = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 9, "BackoffRate": 1}]
    catch = [{"ErrorEquals": ["Broken"], "ResultPath": "$.error", "Next": "End"}]
    asked = branches(left=of("left"), right=of("right", Retry=again), Catch=catch)
    run = Run(asked, by_name(left=fail, right=fails("Busy")), {})
    assert run.ends() == Ended("SUCCEEDED", {"error": {"Error": "Broken", "Cause": "left"}})
    assert run.ended_at == 2
    assert run.asked == [0, 0, 1, 2]  # the last of them in the moment of the failure
    slow = Run(asked, by_name(left=fail, right=takes(10.0)), {})
    slow.ends()
    assert (slow.ended_at, slow.done) == (2, [10])


def test_transitions_say_what_led_on() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {
                "And": [{"Variable": "$.a", "BooleanEquals": True}, {"Variable": "$.b", "IsPresent": True}],
                "Next": "Pass",
            },
            {"Variable": "$.a", "StringEquals": "x", "Next": "Work"},
        ],
        "Default": "Refuse",
    }
    states = {
        "Choose": choice,
        "Pass": {"Type": "Pass", "Result": 1, "ResultPath": "$.c", "Next": "Work"},
        "Work": task(Catch=[{"ErrorEquals": ["A", "B"], "Next": "Refuse"}]),
        "Refuse": {"Type": "Fail", "Error": "Refused", "CausePath": "$.Cause"},
    }
    whole = {"StartAt": "Choose", "States": states}
    run = Run(whole, fails("B"), {"a": True, "b": None})
    assert run.ends() == Ended("FAILED", error="Refused", cause="the cause")
    assert [step for _, step in run.entered] == [
        ("", "StartAt", "Choose"),
        ("Choose", "Choice 0", "Pass"),
        ("Pass", "Next", "Work"),
        ("Work", "Catch A, B", "Refuse"),
    ]
    assert Run(whole, fails("B"), {"a": "x"}).ends().error == "Refused"
    assert Run(whole, fails("B"), {"a": 1, "Cause": "neither"}).ends().cause == "neither"
