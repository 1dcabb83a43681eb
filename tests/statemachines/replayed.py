"""A run of moto's interpreter, run again by the simulator's with the same answers to the same questions."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
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

# A state, and which visit of the Parallel state around it, from 1 on, or 0 where there is none: a branch that another
# one ended may have asked or even entered nothing, or go on for a moment beside the next visit.
Visit = tuple[str, int]
# By the first state of a scope and its visit, the states that were entered.
Visits = defaultdict[Visit, list[str]]


def assert_the_simulator_goes_the_same_way(machine: dict[str, Any], run: Run) -> set[graph.Transition]:
    """Both interpreters enter the same states in the same order, ask the same, and end in the same way.

    Returns what led the simulator's from state to state, beginnings left out.
    """
    replayed, transitions = _replay(_unlimited(machine), run)
    assert (replayed.status, replayed.output) == (run.status, run.output)
    assert (replayed.error, replayed.cause) == (run.error, run.cause)
    ours, lab, cut_off = _ours(machine, transitions), _lab(machine, run), _cut_off(machine, transitions)
    for visit in ours.keys() | lab.keys():
        here, there = ours[visit], lab[visit]
        # Where another branch fails, how far the others get is a matter of moments.
        together = min(len(here), len(there)) if visit in cut_off else None
        assert here[:together] == there[:together], f"{visit}: {here} in the simulator, {there} in the lab"
    return {(step.here, step.by, step.there) for step in transitions if step.here}


def _replay(machine: dict[str, Any], run: Run) -> tuple[Ended, list[Transition]]:
    around = _around(machine)
    answers = _answers(run, around)
    clock, taken = VirtualTime(), list[Transition]()
    began = clock.now

    def invoke(state: str, _resource: str, parameters: Any) -> Any:
        here = answers[state, _entered(around.get(state), taken)]
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


def _answers(run: Run, around: dict[str, str]) -> dict[Visit, list[tuple[Any, int, Any]]]:
    """What each attempt of a task asked, when in the run it was answered, and the event that says how."""
    attempts: dict[int, list[Any]] = {}
    by_state = defaultdict(list)
    for event in run.events:
        if event["type"] == "TaskScheduled":
            attempt = [json.loads(event["taskScheduledEventDetails"]["parameters"]), len(run.events), None]
            attempts[event["id"]] = attempt
            by_state[_visit(event, run, around)].append(attempt)
        elif event["type"] in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"):
            before = next(one for one in run.before(event) if one["type"].endswith(("Scheduled", "Entered")))
            if before["type"] == "TaskScheduled":  # not so where a branch was ended before it had asked
                attempts[before["id"]][1:] = [event["id"], event]
    return by_state  # type: ignore[return-value]


def _visit(event: dict[str, Any], run: Run, around: dict[str, str]) -> Visit:
    """The state that an event belongs to. What came before it in its own branch says which visit."""
    entered = [
        one["stateEnteredEventDetails"]["name"]
        for one in (event, *run.before(event))
        if "stateEnteredEventDetails" in one
    ]
    return entered[0], entered.count(around.get(entered[0]))


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


def _cut_off(machine: dict[str, Any], transitions: list[Transition]) -> set[Visit]:
    """The visits of branches that another branch may have ended."""
    cut_off = set()
    for name, state in machine["States"].items():
        left = [step for step in transitions if step.here == name]
        for number, step in enumerate(left, start=1):
            if step.by.startswith("Catch"):
                cut_off |= {(branch["StartAt"], number) for branch in state.get("Branches", ())}
    return cut_off


def _starts(machine: dict[str, Any]) -> dict[str, str]:
    """By state, the first state of its scope."""
    whole = [machine, *(branch for state in machine["States"].values() for branch in state.get("Branches", ()))]
    return {state: scope["StartAt"] for scope in whole for state in scope["States"]}


def _ours(machine: dict[str, Any], transitions: list[Transition]) -> Visits:
    starts, around = _starts(machine), _around(machine)
    visits: Visits = defaultdict(list)
    for so_far, step in enumerate(transitions):
        number = _entered(around.get(step.there), transitions[:so_far])
        visits[starts[step.there], number].append(step.there)
    return visits


def _entered(state: str | None, transitions: list[Transition]) -> int:
    return sum(step.there == state for step in transitions)


def _lab(machine: dict[str, Any], run: Run) -> Visits:
    starts, around = _starts(machine), _around(machine)
    visits: Visits = defaultdict(list)
    for event in run.events:
        if "stateEnteredEventDetails" in event:
            name, number = _visit(event, run, around)
            visits[starts[name], number].append(name)
    return visits
