"""The workflows as they are in their ASL files, the only place where their steps' time limits are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.settings import PROJECT_ROOT

FAILOVER_ASL = PROJECT_ROOT / "statemachines" / "failover.asl.json"
REPROTECT_ASL = PROJECT_ROOT / "statemachines" / "reprotect.asl.json"

# Asking for an approval takes two messages; the answer goes to the workflow, which waits for it.
ASKING_TIMEOUT_SECONDS = 12


def definition(path: Path = FAILOVER_ASL) -> dict[str, Any]:
    """Returns a workflow as it stands in its file, by default the failover."""
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed


def tasks(machine: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields every task of a state machine, branches included: state name, step (its row's name) and the state."""
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            yield name, state["Parameters"]["FunctionName"].strip("${}"), state
        for branch in state.get("Branches", ()):
            yield from tasks(branch)


def asks_a_person(state: dict[str, Any]) -> bool:
    """Returns whether a task waits for a person's answer, and not for its function's."""
    return str(state["Resource"]).endswith(".waitForTaskToken")


def is_not_waited_for(state: dict[str, Any]) -> bool:
    """Returns whether a task only has its function started: best effort, and no part of what it stands beside."""
    return str(state["Parameters"].get("InvocationType")) == "Event"


def step_timeouts() -> dict[str, int]:
    """Returns how long each step's function may run, in s: the longest that any state of its workflow waits for it."""
    timeouts: dict[str, int] = {}
    for path in (FAILOVER_ASL, REPROTECT_ASL):
        for _, step, state in tasks(definition(path)):
            waits = ASKING_TIMEOUT_SECONDS if asks_a_person(state) else int(state["TimeoutSeconds"])
            timeouts[step] = max(timeouts.get(step, 0), waits)
    return timeouts
