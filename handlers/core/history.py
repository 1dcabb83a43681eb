"""What an execution's history tells: how far a run is, what it asks people, and how they answered. Pure.

The history also keeps the task token of a question (Step Functions API reference, TaskScheduledEventDetails), so that
nobody has to find a token in a mail and paste it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Event = Mapping[str, Any]

WAITS_FOR_ANSWER = "invoke.waitForTaskToken"
# The step that answers whether a run may go on, of either workflow, and the part of its state's output that says so.
FIRST_ANSWERS = {"Claim": "claim", "BeginReprotection": "order"}


@dataclass(frozen=True)
class Entered:
    """One state of a run: when it was entered and left (seconds since 1970), and what one attempt may take (s).

    ``left_at`` is None while the run is in it; ``attempts`` counts those of its task, and ``limit_s`` is None where it
    has none.
    """

    name: str
    entered_at: float
    left_at: float | None = None
    limit_s: int | None = None
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Answer:
    """How a question ended: what became of it, when (seconds since 1970), and in whose words."""

    kind: Literal["approved", "refused", "expired", "stopped"]
    at: float
    words: str


@dataclass(frozen=True)
class Question:
    """What a run asks people: in which state, since when and until when an answer counts (seconds since 1970).

    ``token`` is what the answer has to name, ``asked`` what the step was told, ``answer`` None while it waits.
    """

    state: str
    asked_at: float
    until: float
    token: str
    asked: Mapping[str, Any]
    answer: Answer | None


@dataclass(frozen=True)
class Result:
    """What the function of a state answered, and when (seconds since 1970); a step that was repeated has several."""

    at: float
    state: str
    data: Mapping[str, Any]


def ordered(events: Iterable[Event]) -> list[Event]:
    """Returns events in the order in which they happened, whichever way they were asked for."""
    return sorted(events, key=lambda event: int(event["id"]))


def states(events: Sequence[Event]) -> list[Entered]:
    """Returns the states of a run in the order of their entrance, those of parallel branches among them."""
    found: list[dict[str, Any]] = []
    for index, event in _by_state(events):
        at = event["timestamp"].timestamp()
        if "stateEnteredEventDetails" in event:
            found.append({"name": event["stateEnteredEventDetails"]["name"], "entered_at": at})
        else:
            _note(found[index], event, at)
    return [Entered(**state) for state in found]


def results(events: Sequence[Event]) -> list[Result]:
    """Returns what the functions of a run's states answered, in order; also of those that then wait for a person."""
    found, names = [], []
    for index, event in _by_state(events):
        if "stateEnteredEventDetails" in event:
            names.append(event["stateEnteredEventDetails"]["name"])
        details = event.get("taskSucceededEventDetails") or event.get("taskSubmittedEventDetails") or {}
        answer = json_object(details.get("output")) or {}
        if isinstance(answer.get("Payload"), Mapping):
            found.append(Result(event["timestamp"].timestamp(), names[index], answer["Payload"]))
    return found


def _by_state(events: Sequence[Event]) -> Iterator[tuple[int, Event]]:
    """Yields the events that belong to a state, each with the state's number in the order of entrance."""
    state_of: dict[int, int] = {}  # event's id → number of the state that it belongs to
    entered = 0
    for event in events:
        number, before = int(event["id"]), int(event.get("previousEventId", 0))
        if "stateEnteredEventDetails" in event:
            state_of[number] = entered
            entered += 1
        elif before in state_of:
            state_of[number] = state_of[before]
        else:
            continue
        yield state_of[number], event


def _note(state: dict[str, Any], event: Event, at: float) -> None:
    """Notes in ``state`` what one of its events says."""
    if "taskScheduledEventDetails" in event:
        state["attempts"] = state.get("attempts", 0) + 1
        state["limit_s"] = event["taskScheduledEventDetails"].get("timeoutInSeconds")
    elif event["type"] in ("TaskFailed", "TaskTimedOut"):
        details = event.get("taskFailedEventDetails") or event.get("taskTimedOutEventDetails") or {}
        state["error"] = details.get("error", "States.Timeout")
    elif event["type"] == "TaskSucceeded":
        state["error"] = None
    elif "stateExitedEventDetails" in event:
        state["left_at"] = at


def question(events: Sequence[Event]) -> Question | None:
    """Returns the last question of a run to people; None when it has asked none."""
    return next(iter(reversed(questions(events))), None)


def questions(events: Sequence[Event]) -> list[Question]:
    """Returns the questions of a run to people, in order."""
    return [_question(events, index) for index, event in enumerate(events) if _asks(event)]


def _question(events: Sequence[Event], asked: int) -> Question:
    """Returns the question that the event of that index asks."""
    event = events[asked]
    details = event["taskScheduledEventDetails"]
    payload = json.loads(details["parameters"])["Payload"]
    at = event["timestamp"].timestamp()
    entered = [
        each["stateEnteredEventDetails"]["name"] for each in events[:asked] if "stateEnteredEventDetails" in each
    ]
    return Question(
        state=entered[-1] if entered else "",
        asked_at=at,
        until=at + int(details.get("timeoutInSeconds", 0)),
        token=payload["token"],
        asked={name: value for name, value in payload.items() if name != "token"},
        answer=_answer(events[asked + 1 :]),
    )


def _asks(event: Event) -> bool:
    details: Mapping[str, Any] = event.get("taskScheduledEventDetails", {})
    return bool(details.get("resource") == WAITS_FOR_ANSWER)


def _answer(events: Sequence[Event]) -> Answer | None:
    """Returns what became of the question after which these events came."""
    for event in events:
        kind, at = event["type"], event["timestamp"].timestamp()
        if kind == "TaskSucceeded":
            output = json_object(event["taskSucceededEventDetails"].get("output")) or {}
            return Answer("approved", at, str(output.get("approved_by", "somebody")))
        if kind == "TaskFailed":
            details = event["taskFailedEventDetails"]
            return Answer("refused", at, details.get("cause") or details.get("error") or "no reason given")
        if kind == "TaskTimedOut":
            return Answer("expired", at, "nobody answered")
        if kind in ("ExecutionAborted", "ExecutionTimedOut", "ExecutionFailed"):
            return Answer("stopped", at, "the run was stopped")
    return None


def first_answer(events: Sequence[Event]) -> Mapping[str, Any] | None:
    """Returns what the first step decided on the request: ``decision`` and ``reason``; None while it has not."""
    for event in events:
        details = event.get("stateExitedEventDetails")
        if details and details["name"] in FIRST_ANSWERS:
            found = (json_object(details.get("output")) or {}).get(FIRST_ANSWERS[details["name"]])
            if isinstance(found, Mapping) and "decision" in found:
                return found
    return None


def rejection(events: Sequence[Event]) -> str | None:
    """Returns the error and the cause in which an execution failed; None when it has not."""
    for event in reversed(events):
        if event["type"] == "ExecutionFailed":
            details = event.get("executionFailedEventDetails", {})
            return f"{details.get('error', 'it failed')}: {details.get('cause', 'no cause given')}"
    return None


def json_object(text: str | None) -> Mapping[str, Any] | None:
    """Returns an object that is given as JSON; None where it is none."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None
