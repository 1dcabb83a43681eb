"""Every path of the failover workflow, run by an interpreter with the real handlers."""

from __future__ import annotations

import pytest

from orchestration.specification.workflows import definition
from tests.deployment import STANDBY, WRITER
from tests.deployment.account import waited_for
from tests.statemachines import graph
from tests.statemachines.conditions import OTHER, RUN
from tests.statemachines.replayed import assert_the_simulator_goes_the_same_way
from tests.statemachines.scenarios import (
    RECOVERIES,
    REHEARSALS,
    SCENARIOS,
    SWITCHOVERS,
    Scenario,
    play,
)

MACHINE = definition()
STATES = graph.states(MACHINE)
MOVES = RECOVERIES + SWITCHOVERS
OUTCOMES = {
    "Recovered": "recovered",
    "Rehearsed": "rehearsed",
    "Refused": "refused",
    "Aborted": "aborted",
    "NeedsPerson": "needs_person",
}
EVERY_MOVE = (
    "claim",
    "check_health",
    "verify_lag",
    "wait_for_lease",
    "promote",
    "repoint_dns",
    "commit_writer",
    "verify_recovery",
)
CHANGE_NOTHING = {"claim", "check_health", "verify_lag", "record_run", "notify", "writer_switch", "keep_report"}
REJECTED = "FAILOVER OR SWITCHOVER ENDED WITHOUT A WORD: it failed"
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
    assert played.primaries == ({STANDBY} if scenario.switched_over else {WRITER})
    assert played.switched == scenario.switched
    assert ("ended_by_person" in played.record) == scenario.refused_by_person

    proved = [(STANDBY, RUN, 2)] if scenario in MOVES else []
    assert played.proofs == proved
    if scenario in MOVES:
        assert played.record["last_run"] == RUN

    if scenario.end == "RejectRequest":  # no step tells of it
        assert [text for text, _ in played.messages[STANDBY]] == [REJECTED]
        return
    visited = played.run.visited
    beside = int(any(state.startswith("NotifyBegun") for state in visited))
    beside += sum(state.startswith("NotifyLasts") for state in visited)
    told = bool(scenario.says) * (1 + beside * scenario.told_beside)
    # Where another branch fails, the one that tells of the beginning may be stopped before it has.
    surely = told if scenario in MOVES else bool(scenario.says)
    assert surely <= len(played.messages[STANDBY]) - bool(scenario.asks) <= told
    for subject, text in waited_for(played.messages[STANDBY])[-1:]:
        assert text.startswith(subject)
        for fragment in (f"Run {RUN} of arn:aws:states:us-west-2:", *scenario.says):
            assert fragment in text
        assert not scenario.refused_by_person or "\nNo attempt comes by itself: a person has ended" in text


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_p1_an_old_writer_is_closed_where_it_can_be_and_never_reopened_by_a_run(scenario: Scenario) -> None:
    databases = play(scenario).databases
    if scenario.fenced is None:
        return
    assert (databases.fenced[WRITER] or not databases.admits[WRITER]) == scenario.fenced


@pytest.mark.parametrize("scenario", MOVES, ids=name)
def test_p1_only_the_new_writer_takes_writes_after_a_move(scenario: Scenario) -> None:
    assert play(scenario).databases.open_writers() == {STANDBY}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_p7_every_run_is_kept_and_is_its_own_output(scenario: Scenario) -> None:
    played = play(scenario)
    kept = played.kept
    if scenario.end == "RejectRequest" or scenario.name.startswith("the record of the run"):
        assert kept is None
        return
    assert kept is not None
    assert kept["outcome"] == OUTCOMES[scenario.end]
    assert kept["epoch_after"] == (2 if "VerifyRecovery" in played.run.visited else None)
    if played.run.status == "SUCCEEDED":
        assert played.run.output["outcome"] == kept["outcome"]
        assert played.run.output["started_at"] == pytest.approx(float(kept["started_at"]))


@pytest.mark.parametrize("scenario", MOVES, ids=name)
def test_p7_a_run_that_moved_the_writer_says_what_it_cost(scenario: Scenario) -> None:
    kept = play(scenario).kept
    if kept is None:
        assert scenario.name.startswith("the record of the run")
        return
    phases = [phase["phase"] for phase in kept["phases"]]
    continues = "Assess" not in play(scenario).run.visited  # where another run had committed to move
    for phase in (
        "claim",
        *(() if continues else ("check_health", "verify_lag", "wait_for_lease")),
        "promote",
        "commit_writer",
        "verify_recovery",
    ):
        assert phase in phases
    assert all(phase["ended"] >= phase["began"] for phase in kept["phases"])
    known = play(scenario).record.get("heartbeat") is not None
    assert (kept["rpo_ms"] is not None) == known
    assert (kept["rto_s"] is not None) == (known or "fence_first" in phases)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_p4_both_regions_are_told_the_same_while_both_live(scenario: Scenario) -> None:
    told = play(scenario).messages
    assert told[WRITER] == ([] if scenario.name.startswith("p4") else told[STANDBY])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_the_workflow_ends_inside_its_own_time_limit(scenario: Scenario) -> None:
    assert play(scenario).skipped_s < EXECUTION_LIMIT_S


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_the_simulators_interpreter_goes_the_same_way(scenario: Scenario) -> None:
    assert_the_simulator_goes_the_same_way(MACHINE, play(scenario).run)


def test_a_rehearsal_calls_no_step_that_changes_anything() -> None:
    for scenario in REHEARSALS:
        assert set(play(scenario).calls) <= CHANGE_NOTHING


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
