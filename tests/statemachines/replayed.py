"""A run of moto's interpreter, run again by the simulator's with the same answers to the same questions."""

from __future__ import annotations

import copy
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from simulation.interpreter import Ended, Execution, TaskFailed, Transition, load
from simulation.virtual_time import VirtualTime
from tests.deployment import Run
from tests.statemachines import graph

# Answers come in the order in which they came in the run: each has its own moment, later than any retry may wait.
BETWEEN_ANSWERS_S = 1000.0
# ... and no limit ends what was not ended by one: a state's that was, comes as an answer.
UNLIMITED_S = 1e9
# What differs between two runs: moments, and tokens.
OWN = {"started_at", "at", "token"}

# A task, and which visit of the Parallel state around it, if there is one: a branch that another one ended may have
# asked nothing, and the answer of the next visit is none to it.
Asked = tuple[str, int]
# By the first state of a scope, the states that each visit of it entered.
Visits = defaultdict[str, list[list[str]]]


def assert_the_simulator_goes_the_same_way(machine: dict[str, Any], run: Run) -> set[graph.Transition]:
    """Both interpreters enter the same states in the same order, ask the same, and end in the same way.

    Returns what led the simulator's from state to state, beginnings left out.
    """
    replayed, transitions = _replay(_unlimited(machine), run)
    assert (replayed.status, replayed.output) == (run.status, run.output)
    assert (replayed.error, replayed.cause) == (run.error, run.cause)
    ours, lab = _ours(machine, transitions), _lab(machine, run)
    for scope, cut_off in _scopes(machine, transitions):
        visits: Iterator[tuple[list[str], list[str]]] = itertools.zip_longest(ours[scope], lab[scope], fillvalue=[])
        for number, (here, there) in enumerate(visits):
            # Where another branch fails, how far the others get is a matter of moments.
            together = min(len(here), len(there)) if number in cut_off else None
            assert here[:together] == there[:together]
    return {(step.here, step.by, step.there) for step in transitions if step.here}


def _replay(machine: dict[str, Any], run: Run) -> tuple[Ended, list[Transition]]:
    around = _around(machine)
    answers = _answers(run, around)
    clock, taken = VirtualTime(), list[Transition]()
    began = clock.now

    def invoke(state: str, _resource: str, parameters: Any) -> Any:
        here = answers[state, sum(step.there == around.get(state) for step in taken)]
        if not here:
            clock.sleep(UNLIMITED_S)  # another branch has ended this one in the run before it asked
        asked, number, event = here.pop(0)
        assert _comparable(parameters["Payload"]) == _comparable(asked["Payload"])
        assert parameters.get("InvocationType") == asked.get("InvocationType")
        token = parameters["Payload"].get("token")
        if event is None:
            clock.sleep(UNLIMITED_S)
        clock.sleep(began + number * BETWEEN_ANSWERS_S - clock.now)
        result, failed = _answer(event)
        if token and not (failed and _is_functions(failed)):
            execution.answer(token, result, failed)
            return None
        if failed:
            raise failed
        return result["Payload"]

    asked = json.loads(run.events[0]["executionStartedEventDetails"]["input"])
    execution = Execution(load(machine), run.name, asked, invoke, clock, taken.append)
    ended = clock.spawn(execution.run)
    clock.run(began + (len(run.events) + 2) * BETWEEN_ANSWERS_S)
    assert ended.done(), f"the simulator's run of {run.name} waits in {taken[-1].there}"
    clock.close()
    return ended.result(), taken


def _unlimited(machine: dict[str, Any]) -> dict[str, Any]:
    machine = copy.deepcopy(machine)
    for scope in graph.scopes(machine):
        for state in scope.values():
            state.pop("TimeoutSeconds", None)
    return {**machine, "TimeoutSeconds": UNLIMITED_S}


def _around(machine: dict[str, Any]) -> dict[str, str]:
    """The Parallel state around each state that is in one."""
    return {
        inner: name
        for name, state in machine["States"].items()
        for branch in state.get("Branches", ())
        for inner in branch["States"]
    }


def _answers(run: Run, around: dict[str, str]) -> dict[Asked, list[tuple[Any, int, Any]]]:
    """What each attempt of a task asked, when in the run it was answered, and the event that says how."""
    events = {event["id"]: event for event in run.events}
    attempts: dict[int, list[Any]] = {}
    by_state = defaultdict(list)
    for event in run.events:
        if event["type"] == "TaskScheduled":
            attempt = [json.loads(event["taskScheduledEventDetails"]["parameters"]), len(events), None]
            attempts[event["id"]] = attempt
            entered = [
                one["stateEnteredEventDetails"]["name"]
                for one in _before(event, events)
                if "stateEnteredEventDetails" in one
            ]
            by_state[entered[0], entered.count(around.get(entered[0]))].append(attempt)
        elif event["type"] in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"):
            before = next(one for one in _before(event, events) if one["type"].endswith(("Scheduled", "Entered")))
            if before["type"] == "TaskScheduled":  # not so where a branch was ended before it had asked
                attempts[before["id"]][1:] = [event["id"], event]
    return by_state  # type: ignore[return-value]


def _before(event: dict[str, Any], events: dict[int, Any]) -> Iterator[dict[str, Any]]:
    while event["previousEventId"]:
        event = events[event["previousEventId"]]
        yield event


def _answer(event: dict[str, Any]) -> tuple[Any, TaskFailed | None]:
    if event["type"] == "TaskSucceeded":
        return json.loads(event["taskSucceededEventDetails"]["output"]), None
    if event["type"] == "TaskTimedOut":
        return None, TaskFailed(event["taskTimedOutEventDetails"]["error"])
    details = event["taskFailedEventDetails"]
    return None, TaskFailed(details["error"], details.get("cause"))


def _is_functions(failed: TaskFailed) -> bool:
    return (failed.cause or "").startswith('{"errorType"')


def _comparable(payload: Any) -> Any:
    return {name: value for name, value in payload.items() if name not in OWN}


def _scopes(machine: dict[str, Any], transitions: list[Transition]) -> Iterator[tuple[str, set[int]]]:
    """The first state of each scope, and the numbers of its visits that were cut off."""
    yield machine["StartAt"], set()
    for name, state in machine["States"].items():
        left = [step for step in transitions if step.here == name]
        cut_off = {number for number, step in enumerate(left) if step.by.startswith("Catch")}
        for branch in state.get("Branches", ()):
            yield branch["StartAt"], cut_off


def _starts(machine: dict[str, Any]) -> dict[str, str]:
    """By state, the first state of its scope."""
    whole = [machine, *(branch for state in machine["States"].values() for branch in state.get("Branches", ()))]
    return {state: scope["StartAt"] for scope in whole for state in scope["States"]}


def _ours(machine: dict[str, Any], transitions: list[Transition]) -> Visits:
    starts = _starts(machine)
    visits: Visits = defaultdict(list)
    for step in transitions:
        scope = visits[starts[step.there]]
        if not step.here:
            scope.append([])
        scope[-1].append(step.there)
    return visits


def _lab(machine: dict[str, Any], run: Run) -> Visits:
    events = {event["id"]: event for event in run.events}
    starts = _starts(machine)
    visits: Visits = defaultdict(list)
    for event in run.events:
        if "stateEnteredEventDetails" in event:
            name = event["stateEnteredEventDetails"]["name"]
            before = next(_before(event, events), None)
            if before is None or before["type"] == "ParallelStateStarted":
                visits[starts[name]].append([])
            visits[starts[name]][-1].append(name)
    return visits
