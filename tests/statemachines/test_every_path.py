"""Every path of the failover workflow, run by an interpreter with the real handlers."""

from __future__ import annotations

import pytest

from orchestration.specification.functions import definition
from tests.deployment import STANDBY, WRITER
from tests.statemachines import graph
from tests.statemachines.scenarios import OTHER, RECOVERIES, REHEARSALS, RUN, SCENARIOS, Scenario, play

MACHINE = definition()
STATES = graph.states(MACHINE)
EXECUTION_LIMIT_S = MACHINE["TimeoutSeconds"]


def name(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_scenario(scenario: Scenario) -> None:
    played = play(scenario)
    run = played.run
    assert run.end == scenario.end
    succeeds = STATES[scenario.end]["Type"] == "Succeed"
    assert run.status == ("SUCCEEDED" if succeeds else "FAILED")
    assert succeeds == (run.cause is None)
    assert scenario.cause in (run.cause or "")

    assert played.record["writer_region"] == (STANDBY if scenario.moved else WRITER)
    assert played.record["epoch"] == (2 if scenario.moved else 1)
    assert played.record.get("transition", {}).get("run") == scenario.locked_by
    assert played.members == ({WRITER} if scenario.detached else {WRITER, STANDBY})
    assert played.switched == scenario.switched

    proved = [(STANDBY, RUN, 2)] if scenario in RECOVERIES else []
    assert played.proofs == proved
    if scenario in RECOVERIES:
        assert played.record["last_run"] == RUN

    assert len(played.messages[STANDBY]) == (1 if scenario.says else 0)
    for subject, text in played.messages[STANDBY]:
        assert text.startswith(subject)
        for fragment in (f"Run {RUN} of arn:aws:states:us-west-2:", *scenario.says):
            assert fragment in text


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_p4_both_regions_are_told_the_same_while_both_live(scenario: Scenario) -> None:
    told = play(scenario).messages
    assert told[WRITER] == ([] if scenario.name.startswith("p4") else told[STANDBY])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_the_workflow_ends_inside_its_own_time_limit(scenario: Scenario) -> None:
    assert play(scenario).skipped_s < EXECUTION_LIMIT_S


def test_a_rehearsal_calls_no_step_that_changes_anything() -> None:
    for scenario in REHEARSALS:
        assert set(play(scenario).calls) <= {"claim", "check_health", "verify_lag", "notify", "writer_switch"}


def test_a_rejected_request_is_reported_by_its_error_name() -> None:
    rejected = [play(scenario).run for scenario in SCENARIOS if scenario.end == "RejectRequest"]
    assert {run.error for run in rejected} == {"InvalidRequest"}


def test_scenarios_visit_every_state() -> None:
    visited = {state for scenario in SCENARIOS for state in play(scenario).run.visited}
    assert visited == set(STATES)


def test_scenarios_take_every_transition() -> None:
    taken = {step for scenario in SCENARIOS for step in graph.taken(MACHINE, play(scenario).run)}
    assert taken == graph.transitions(MACHINE)


def test_names_of_scenarios_are_distinct() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert OTHER != RUN
