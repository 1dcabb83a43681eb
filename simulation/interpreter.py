"""Step Functions in virtual time: runs a workflow of ``statemachines/`` as it stands in its file.

A definition is read once (`load`) into states whose paths and templates are functions already, so that a state costs
some microseconds. Only what our two files use is known; anything else is refused when it is loaded, with its place.

The lab runs moto's interpreter. It cannot serve here: each task, each branch and each time limit is a thread of the
machine that waits in real time, a state costs milliseconds, and it brings boto3. A test has both take every path of the
workflows with the same answers (``tests/statemachines/test_every_path.py``, ``test_every_way_back.py``).

What is from the documentation: intervals, backoff and their limits, which errors ``States.ALL`` does not catch, a
Parallel state that stops its other branches when one fails, a time limit that leaves the function running (Amazon
States Language; Step Functions guide, "Handling errors in Step Functions workflows").

Limits: states take no time of their own; an execution's history has no greatest length.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from simulation.virtual_time import Event, VirtualTime

LAMBDA = "arn:aws:states:::lambda:invoke"
LAMBDA_WITH_TOKEN = "arn:aws:states:::lambda:invoke.waitForTaskToken"  # noqa: S105 - the name of a resource
ALL_ERRORS = "States.ALL"
TIMED_OUT = "States.Timeout"
WRONG_DATA = "States.Runtime"  # no retrier and no catcher sees it (Step Functions guide, "Error names")

Status = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


class Unsupported(ValueError):
    """A definition has something that this interpreter does not know."""


class TaskFailed(Exception):
    """A task ended in an error, as Step Functions sees it: its name, and a cause for people, if one was given."""

    def __init__(self, error: str, cause: str | None = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Transition(NamedTuple):
    """An execution left ``here``, empty at a beginning, for ``there``.

    ``by`` says what led there: ``StartAt``, ``Next``, ``Default``, ``Choice 0``, ``Catch States.ALL``.
    """

    here: str
    by: str
    there: str


class Ended(NamedTuple):
    """How an execution ended."""

    status: Status
    output: Any = None
    error: str | None = None
    cause: str | None = None


# Carries out a task: the state's name, the resource and the evaluated parameters; returns what the function returned.
# Raises `TaskFailed`. It may sleep in virtual time, and goes on when its state has given up.
Invoke = Callable[[str, str, Mapping[str, Any]], Any]


# --- what a definition is made of

# Of the state's data and the running branch, what stands at a path.
_Get = Callable[[Any, "_Branch"], Any]


@dataclass(frozen=True)
class _Retrier:
    errors: frozenset[str]
    interval_s: float
    attempts: int
    backoff: float
    longest_s: float

    def wait_s(self, attempt: int) -> float:
        return float(min(self.interval_s * self.backoff ** (attempt - 1), self.longest_s))


@dataclass(frozen=True)
class _Catcher:
    errors: frozenset[str]
    by: str
    keep: Callable[[Any, Any], Any]
    next: str


@dataclass(frozen=True)
class _State:
    """A state of any type; what its type does not have is as it is where it is left out."""

    name: str
    type: str
    next: str | None = None
    parameters: _Get | None = None
    select: _Get | None = None
    keep: Callable[[Any, Any], Any] = field(default=lambda _given, result: result)
    output: _Get | None = None
    resource: str = ""
    limit_s: float = float("inf")
    retriers: tuple[_Retrier, ...] = ()
    catchers: tuple[_Catcher, ...] = ()
    choices: tuple[tuple[Callable[[Any, _Branch], bool], str, str], ...] = ()
    branches: tuple[_Scope, ...] = ()
    result: Any = None
    error: _Get | None = None
    cause: _Get | None = None


@dataclass(frozen=True)
class _Scope:
    """The states of a machine, or of a branch."""

    start: str
    states: Mapping[str, _State]


@dataclass(frozen=True)
class Machine:
    """A definition that has been read."""

    scope: _Scope
    limit_s: float


_KNOWN = {
    "Task": {
        *("Resource", "Parameters", "ResultSelector", "ResultPath", "OutputPath"),
        *("TimeoutSeconds", "Retry", "Catch", "Next", "End"),
    },
    "Parallel": {"Branches", "Parameters", "ResultSelector", "ResultPath", "Catch", "Next"},
    "Choice": {"Choices", "Default"},
    "Pass": {"Parameters", "Result", "ResultPath", "Next", "End"},
    "Wait": {"Seconds", "Next"},
    "Succeed": {"OutputPath"},
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
}
_KNOWN_IN_MACHINE = {"Comment", "StartAt", "States", "TimeoutSeconds"}
_KNOWN_IN_RETRIER = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds"}
_COMPARED = ("StringEquals", "BooleanEquals", "IsPresent")


def load(definition: Mapping[str, Any]) -> Machine:
    """Reads a definition, once however often it is asked for.

    Raises
    ------
    Unsupported
        it has something that this interpreter does not know.
    """
    return _load(json.dumps(definition))


@lru_cache(maxsize=8)
def _load(definition: str) -> Machine:
    machine = json.loads(definition)
    return Machine(_scope(machine, "the machine", _KNOWN_IN_MACHINE), machine.get("TimeoutSeconds", float("inf")))


def _scope(machine: Mapping[str, Any], where: str, known: set[str]) -> _Scope:
    _only(machine, known, where)
    states = {name: _state(name, state) for name, state in machine["States"].items()}
    targets = {machine["StartAt"], *(target for state in states.values() for target in _targets(state))}
    if targets - set(states):
        raise Unsupported(f"{where} leads to {sorted(targets - set(states))}, and has no such state")
    return _Scope(machine["StartAt"], states)


def _targets(state: _State) -> Iterator[str]:
    if state.next is not None:
        yield state.next
    yield from (catcher.next for catcher in state.catchers)
    yield from (target for _, _, target in state.choices)


def _state(name: str, state: Mapping[str, Any]) -> _State:
    kind = state["Type"]
    if kind not in _KNOWN:
        raise Unsupported(f"{name}: a state of type {kind} is not known here")
    _only(state, _KNOWN[kind] | {"Type", "Comment"}, name)
    if kind == "Task" and state["Resource"] not in (LAMBDA, LAMBDA_WITH_TOKEN):
        raise Unsupported(f"{name}: the resource {state['Resource']} is not known here")
    return _State(
        name=name,
        type=kind,
        next=state.get("Next", state.get("Default")),
        parameters=_template(state["Parameters"], name) if "Parameters" in state else None,
        select=_template(state["ResultSelector"], name) if "ResultSelector" in state else None,
        keep=_keeper(state.get("ResultPath", "$"), name),
        output=_path(state["OutputPath"], name) if "OutputPath" in state else None,
        resource=state.get("Resource", ""),
        limit_s=float(state.get("TimeoutSeconds", state.get("Seconds", "inf"))),
        retriers=tuple(_retrier(one, name) for one in state.get("Retry", ())),
        catchers=tuple(_catcher(one, name) for one in state.get("Catch", ())),
        choices=tuple(
            (_rule(one, name), f"Choice {number}", one["Next"]) for number, one in enumerate(state.get("Choices", ()))
        ),
        branches=tuple(_scope(branch, name, {"StartAt", "States"}) for branch in state.get("Branches", ())),
        result=state.get("Result"),
        error=_text_or_path(state, "Error", name),
        cause=_text_or_path(state, "Cause", name),
    )


def _only(found: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := set(found) - known:
        raise Unsupported(f"{where}: {', '.join(sorted(unknown))} is not known here")


def _text_or_path(state: Mapping[str, Any], field_name: str, where: str) -> _Get | None:
    if f"{field_name}Path" in state:
        return _path(state[f"{field_name}Path"], where)
    return _constant(state[field_name]) if field_name in state else None


def _retrier(retrier: Mapping[str, Any], where: str) -> _Retrier:
    _only(retrier, _KNOWN_IN_RETRIER, where)
    return _Retrier(
        _errors(retrier, where),
        float(retrier.get("IntervalSeconds", 1)),
        retrier.get("MaxAttempts", 3),
        float(retrier.get("BackoffRate", 2.0)),
        float(retrier.get("MaxDelaySeconds", "inf")),
    )


def _catcher(catcher: Mapping[str, Any], where: str) -> _Catcher:
    _only(catcher, {"ErrorEquals", "ResultPath", "Next"}, where)
    by = f"Catch {', '.join(catcher['ErrorEquals'])}"
    return _Catcher(_errors(catcher, where), by, _keeper(catcher.get("ResultPath", "$"), where), catcher["Next"])


def _errors(found: Mapping[str, Any], where: str) -> frozenset[str]:
    names = frozenset(found["ErrorEquals"])
    if known := {name for name in names if name.startswith("States.")} - {ALL_ERRORS, TIMED_OUT}:
        raise Unsupported(f"{where}: what {sorted(known)} stand for is not known here")
    return names


def _catches(names: frozenset[str], error: str) -> bool:
    return error in names or (ALL_ERRORS in names and error != WRONG_DATA)


# --- paths and templates


def _path(path: str, where: str) -> _Get:
    """Returns what reads a path: ``$.a[0].b`` of the data, ``$$.Execution.Name`` of the execution."""
    if path in _CONTEXT:
        return _CONTEXT[path]
    parts = _parts(path, where)

    def get(data: Any, _branch: _Branch) -> Any:
        try:
            for part in parts:
                data = data[part]
        except (KeyError, IndexError, TypeError):
            raise TaskFailed(WRONG_DATA, f"{where}: there is nothing at {path}") from None
        return data

    return get


def _parts(path: str, where: str) -> tuple[str | int, ...]:
    if not path.startswith("$") or path.startswith("$$"):
        raise Unsupported(f"{where}: the path {path} is not known here")
    parts: list[str | int] = []
    for part in path[1:].replace("[", ".[").split(".")[1:]:
        if part.startswith("[") and part[1:-1].isdigit() and part.endswith("]"):
            parts.append(int(part[1:-1]))
        elif part.isidentifier():
            parts.append(part)
        else:
            raise Unsupported(f"{where}: the path {path} is not known here")
    return tuple(parts)


def _constant(value: Any) -> _Get:
    return lambda _data, _branch: value


def _template(template: Any, where: str) -> _Get:
    """Returns what fills a template in: ``{"run.$": "$$.Execution.Name", "mode": "failover"}``."""
    if not isinstance(template, dict):
        if isinstance(template, list):
            raise Unsupported(f"{where}: a list in a template is not known here")
        return _constant(template)
    fields = [
        (name[:-2], _path(value, where)) if name.endswith(".$") else (name, _template(value, where))
        for name, value in template.items()
    ]
    return lambda data, branch: {name: get(data, branch) for name, get in fields}


def _keeper(path: str | None, where: str) -> Callable[[Any, Any], Any]:
    """Returns what puts a result into the data of a state at its ResultPath; the data given stay as they are."""
    if path is None:
        return lambda given, _result: given
    parts = _parts(path, where)

    def put(given: Any, result: Any, depth: int = 0) -> Any:
        if depth == len(parts):
            return result
        inside = given if isinstance(given, dict) else {}
        part = parts[depth]
        return {**inside, part: put(inside.get(part), result, depth + 1)}

    return put


def _rule(rule: Mapping[str, Any], where: str) -> Callable[[Any, _Branch], bool]:
    if "And" in rule:
        _only(rule, {"And", "Next"}, where)
        all_of = [_rule(one, where) for one in rule["And"]]
        return lambda data, branch: all(one(data, branch) for one in all_of)
    _only(rule, {"Variable", "Next", *_COMPARED}, where)
    (comparison,) = set(rule) & set(_COMPARED)
    get, wanted = _path(rule["Variable"], where), rule[comparison]
    if comparison == "IsPresent":

        def is_present(data: Any, branch: _Branch) -> bool:
            try:
                get(data, branch)
            except TaskFailed:
                return not wanted
            return bool(wanted)

        return is_present
    kind = str if comparison == "StringEquals" else bool

    def equals(data: Any, branch: _Branch) -> bool:
        found = get(data, branch)
        return isinstance(found, kind) and found == wanted

    return equals


def _as_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- executions


class Execution:
    """One run of a workflow. `run` blocks the virtual thread that calls it; the rest is for others meanwhile."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        asked: Any,
        invoke: Invoke,
        clock: VirtualTime,
        on_state: Callable[[Transition], None],
    ) -> None:
        self.name = name
        self.asked = asked
        self.invoke = invoke
        self.clock = clock
        self.on_state = on_state
        self.started_at = clock.now
        self.ends_by = clock.now + machine.limit_s
        self.questions: dict[str, _Reply] = {}  # by task token, those that still wait
        self._tokens = 0
        self._ended: Ended | None = None
        self._root = _Branch(self, machine.scope, asked)

    def run(self) -> Ended:
        """Runs to the end and returns it."""
        try:
            output = self._root.run()
        except TaskFailed as failed:
            return self._end(Ended("FAILED", error=failed.error, cause=failed.cause))
        except _Stopped:
            return self._end(Ended("TIMED_OUT"))
        return self._end(Ended("SUCCEEDED", output))

    def _end(self, ended: Ended) -> Ended:
        self._ended = self._ended or ended
        self._root.stop()
        return self._ended

    def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """As ``StopExecution``: it is over at once; functions that it has called go on."""
        self._end(Ended("ABORTED", error=error, cause=cause))

    @property
    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        return self._ended

    def new_token(self) -> str:
        """Returns a task token that nobody has had."""
        self._tokens += 1
        return f"{self.name}/{self._tokens}"

    def answer(self, token: str, output: Any = None, failed: TaskFailed | None = None) -> bool:
        """As ``SendTaskSuccess``, or ``SendTaskFailure``: returns whether a task waited for that token."""
        question = self.questions.pop(token, None)
        if question is None:
            return False
        question.settle(output, failed)
        return True


class _Stopped(Exception):
    """The branch is over: its execution, or the Parallel state around it, has ended."""


class _Reply:
    """What a task is waiting for."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.result: Any = None
        self.failed: Exception | None = None
        self._settled = False

    def settle(self, result: Any, failed: Exception | None = None) -> None:
        if not self._settled:
            self._settled, self.result, self.failed = True, result, failed
            self.event.set()


class _Branch:
    """The virtual thread that goes through a scope."""

    def __init__(self, execution: Execution, scope: _Scope, given: Any) -> None:
        self.execution = execution
        self.clock = execution.clock
        self.token = ""
        self.entered_at = execution.started_at
        self.result: Any = None
        self._scope = scope
        self._given = given
        self._stopped = False
        self._waits_for: Event | None = None
        self._branches: list[_Branch] = []

    def stop(self) -> None:
        """Has it go no further."""
        self._stopped = True
        for branch in self._branches:
            branch.stop()
        if self._waits_for is not None:
            self._waits_for.set()

    def _wait(self, event: Event, seconds: float = float("inf")) -> bool:
        """Waits for an event, as long as the execution may last; returns whether it came in that time."""
        self._waits_for = event
        left = min(seconds, self.execution.ends_by - self.clock.now)
        came = event.wait(None if left == float("inf") else left)
        self._waits_for = None
        self._look()
        return came

    def _look(self) -> None:
        if self._stopped or self.clock.now >= self.execution.ends_by:
            raise _Stopped

    def run(self) -> Any:
        """Goes from the start to an end; returns the last state's output."""
        data, step = self._given, Transition("", "StartAt", self._scope.start)
        while True:
            self._look()
            self.entered_at = self.clock.now
            self.execution.on_state(step)
            state = self._scope.states[step.there]
            data, by, there = _TYPES[state.type](self, state, data)
            if there is None:
                return data
            step = Transition(state.name, by, there)

    # --- the types of states: each returns its output, what leads on, and where to

    def _pass(self, state: _State, data: Any) -> tuple[Any, str, str | None]:
        result = (
            state.parameters(data, self) if state.parameters else state.result if state.result is not None else data
        )
        return state.keep(data, result), "Next", state.next

    def _choose(self, state: _State, data: Any) -> tuple[Any, str, str | None]:
        for holds, by, there in state.choices:
            if holds(data, self):
                return data, by, there
        return data, "Default", state.next

    def _pause(self, state: _State, data: Any) -> tuple[Any, str, str | None]:
        self._wait(self.clock.event(), state.limit_s)
        return data, "Next", state.next

    def _succeed(self, state: _State, data: Any) -> tuple[Any, str, str | None]:
        return (state.output(data, self) if state.output else data), "", None

    def _fail(self, state: _State, data: Any) -> tuple[Any, str, str | None]:
        error = state.error(data, self) if state.error else ""
        raise TaskFailed(error, state.cause(data, self) if state.cause else "")

    def _work(self, state: _State, data: Any) -> tuple[Any, str, str | None]:
        """Does a Task or a Parallel state: again as its retriers say, then as its catchers say."""
        tried = [0] * len(state.retriers)
        while True:
            try:
                if state.resource == LAMBDA_WITH_TOKEN:
                    self.token = self.execution.new_token()
                given = state.parameters(data, self) if state.parameters else data
                result = self._task(state, given) if state.type == "Task" else self._parallel(state, given)
                if state.select:
                    result = state.select(result, self)
                output = state.keep(data, result)
                return (state.output(output, self) if state.output else output), "Next", state.next
            except TaskFailed as failed:
                number = next((n for n, one in enumerate(state.retriers) if _catches(one.errors, failed.error)), None)
                if number is None or tried[number] >= state.retriers[number].attempts:
                    return self._caught(state, data, failed)
            tried[number] += 1
            self._wait(self.clock.event(), state.retriers[number].wait_s(tried[number]))

    @staticmethod
    def _caught(state: _State, data: Any, failed: TaskFailed) -> tuple[Any, str, str | None]:
        for catcher in state.catchers:
            if _catches(catcher.errors, failed.error):
                return catcher.keep(data, {"Error": failed.error, "Cause": failed.cause}), catcher.by, catcher.next
        raise failed

    def _task(self, state: _State, parameters: Mapping[str, Any]) -> Any:
        reply = _Reply(self.clock.event())
        asks = state.resource == LAMBDA_WITH_TOKEN

        def call() -> None:
            try:
                result = self.execution.invoke(state.name, state.resource, parameters)
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits
                reply.settle(None, error)
            else:
                if not asks:
                    reply.settle({"StatusCode": 200, "Payload": result})

        if asks:
            self.execution.questions[self.token] = reply
        self.clock.spawn(call)
        try:
            if not self._wait(reply.event, state.limit_s):
                raise TaskFailed(TIMED_OUT)
        finally:
            self.execution.questions.pop(self.token, None)
        if reply.failed is not None:
            raise reply.failed
        return reply.result

    def _parallel(self, state: _State, given: Any) -> list[Any]:
        over = self.clock.event()
        self._branches = branches = [_Branch(self.execution, scope, given) for scope in state.branches]
        running, failures = set(branches), list[Exception]()

        def go(branch: _Branch) -> None:
            try:
                branch.result = branch.run()
            except _Stopped:
                return
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits
                failures.append(error)
            running.discard(branch)
            if failures or not running:
                over.set()

        for branch in branches:
            self.clock.spawn(partial(go, branch))
        self._wait(over)
        self._branches = []
        if failures:
            for branch in branches:
                branch.stop()
            raise failures[0]
        return [branch.result for branch in branches]


_TYPES: dict[str, Callable[[_Branch, _State, Any], tuple[Any, str, str | None]]] = {
    "Task": _Branch._work,
    "Parallel": _Branch._work,
    "Pass": _Branch._pass,
    "Choice": _Branch._choose,
    "Wait": _Branch._pause,
    "Succeed": _Branch._succeed,
    "Fail": _Branch._fail,
}

_CONTEXT: dict[str, _Get] = {
    "$$.Execution.Name": lambda _data, branch: branch.execution.name,
    "$$.Execution.Input": lambda _data, branch: branch.execution.asked,
    "$$.Execution.StartTime": lambda _data, branch: _as_text(branch.execution.started_at),
    "$$.State.EnteredTime": lambda _data, branch: _as_text(branch.entered_at),
    "$$.Task.Token": lambda _data, branch: branch.token,
}
