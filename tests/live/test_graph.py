"""The picture of a state machine: everything of the definition is in it, and nothing covers anything."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from drills.live.graph import STATE_HEIGHT, Graph, graph_of
from orchestration.settings import PROJECT_ROOT

DEFINITIONS = sorted((PROJECT_ROOT / "statemachines").glob("*.asl.json"))


def states_in(machine: dict[str, Any]) -> list[str]:
    inner = [branch for state in machine["States"].values() for branch in state.get("Branches", [])]
    return [*machine["States"], *(name for branch in inner for name in states_in(branch))]


@pytest.fixture(params=DEFINITIONS, ids=lambda path: path.name.split(".")[0])
def drawn(request: pytest.FixtureRequest) -> tuple[Graph, dict[str, Any]]:
    return graph_of(request.param), json.loads(request.param.read_text())


def test_every_state_is_drawn_once_and_inside_the_picture(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, machine = drawn
    assert sorted(state.name for state in graph.states) == sorted(states_in(machine))
    for state in graph.states:
        assert state.width / 2 <= state.x <= graph.width - state.width / 2
        assert STATE_HEIGHT / 2 <= state.y <= graph.height - STATE_HEIGHT / 2


def test_no_state_covers_another(drawn: tuple[Graph, dict[str, Any]]) -> None:
    for one, other in combinations(drawn[0].states, 2):
        beside = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert beside or abs(one.y - other.y) >= STATE_HEIGHT, f"{one.name} covers {other.name}"


def test_a_line_leads_down_unless_it_leads_back(drawn: tuple[Graph, dict[str, Any]]) -> None:
    y = {state.name: state.y for state in drawn[0].states}
    for line in drawn[0].lines:
        assert (y[line.source] >= y[line.target]) == line.back, f"{line.source} → {line.target}"


def test_a_parallel_state_leads_to_its_branches_and_they_to_what_follows(tmp_path: Path) -> None:
    branch = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}
    machine = {
        "StartAt": "Both",
        "States": {
            "Both": {"Type": "Parallel", "Branches": [branch], "Next": "After", "Catch": [{"Next": "Broken"}]},
            "After": {"Type": "Choice", "Choices": [{"Next": "Both"}], "Default": "Done"},
            "Done": {"Type": "Succeed"},
            "Broken": {"Type": "Fail"},
        },
    }
    definition = tmp_path / "small.asl.json"
    definition.write_text(json.dumps(machine))
    lines = {(line.source, line.target): (line.error, line.back) for line in graph_of(definition).lines}
    assert lines == {
        ("Both", "Inner"): (False, False),
        ("Inner", "After"): (False, False),
        ("Both", "Broken"): (True, False),
        ("After", "Both"): (False, True),
        ("After", "Done"): (False, False),
    }
