"""A state machine as a graph, and which of its states and transitions a run took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.deployment import Run

# State, what led on ("Next", "Default", "Choice 0", "Catch States.ALL"), next state.
Transition = tuple[str, str, str]


def scopes(machine: dict[str, Any]) -> Iterator[dict[str, dict[str, Any]]]:
    """The states of a machine, and of each of its branches."""
    yield machine["States"]
    for state in machine["States"].values():
        for branch in state.get("Branches", ()):
            yield from scopes(branch)


def states(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every state by its name."""
    return {name: state for scope in scopes(machine) for name, state in scope.items()}


def transitions(machine: dict[str, Any]) -> set[Transition]:
    """Every transition that the definition allows."""
    return {transition for name, state in states(machine).items() for transition in _from(name, state)}


def _from(name: str, state: dict[str, Any]) -> Iterator[Transition]:
    for word in ("Next", "Default"):
        if word in state:
            yield name, word, state[word]
    for number, rule in enumerate(state.get("Choices", ())):
        yield name, f"Choice {number}", rule["Next"]
    for catcher in _seen_catchers(state):
        yield name, f"Catch {', '.join(catcher['ErrorEquals'])}", catcher["Next"]


def _seen_catchers(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The catchers that leave a trace: one that keeps nothing and leads where success does changes nothing in a run."""
    for catcher in state.get("Catch", ()):
        if catcher["ResultPath"] is not None or catcher["Next"] != state.get("Next"):
            yield catcher


def taken(machine: dict[str, Any], run: Run) -> set[Transition]:
    """The transitions of a run, each checked against the state that was entered next."""
    found = set()
    known = states(machine)
    for entered in run.events:
        left = next(run.before(entered), {})
        if "stateEnteredEventDetails" not in entered or "stateExitedEventDetails" not in left:
            continue
        there, here = entered["stateEnteredEventDetails"]["name"], left["stateExitedEventDetails"]["name"]
        given = next(
            event["stateEnteredEventDetails"]["input"]
            for event in run.before(left)
            if event.get("stateEnteredEventDetails", {}).get("name") == here
        )
        output = json.loads(left["stateExitedEventDetails"].get("output", "null"))
        transition = _which(here, known[here], json.loads(given), output, there)
        assert transition[2] == there, f"{transition} was expected, {there} was entered"
        found.add(transition)
    return found


def _which(name: str, state: dict[str, Any], given: Any, output: Any, there: str) -> Transition:
    for number, rule in enumerate(state.get("Choices", ())):
        if _holds(rule, given):
            return name, f"Choice {number}", rule["Next"]
    for catcher in _seen_catchers(state):
        path = catcher["ResultPath"].split(".")[1:]
        caught = _at(output, path)
        # What was caught there before is still in the run's data: then the next state tells.
        if (
            isinstance(caught, dict)
            and set(caught) == {"Error", "Cause"}
            and (not path or caught != _at(given, path) or catcher["Next"] == there)
        ):
            names = catcher["ErrorEquals"]
            if caught["Error"] in names or "States.ALL" in names:
                return name, f"Catch {', '.join(names)}", catcher["Next"]
    word = "Default" if state["Type"] == "Choice" else "Next"
    return name, word, state[word]


def _at(data: Any, path: list[str]) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _holds(rule: dict[str, Any], given: Any) -> bool:
    if "And" in rule:
        return all(_holds(one, given) for one in rule["And"])
    value = given
    for part in rule["Variable"].removeprefix("$.").split("."):
        if "IsPresent" in rule and part not in value:
            return not rule["IsPresent"]
        value = value[part]
    if "IsPresent" in rule:
        return bool(rule["IsPresent"])
    return value == rule.get("StringEquals", rule.get("BooleanEquals"))  # type: ignore[no-any-return]
