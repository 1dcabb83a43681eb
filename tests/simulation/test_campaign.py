"""A campaign: what it counts, what it says, and that nothing in it depends on how many cores play it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from simulation import happened
from simulation.__main__ import simulate
from simulation.campaign import PLAYED
from simulation.checks import Violation
from simulation.coverage import Reached
from simulation.faults import Fault
from simulation.happened import (
    Fact,
    FaultBegan,
    FaultEnded,
    History,
    Refused,
    RoleChanged,
    RunStarted,
    StateEntered,
    Written,
)
from simulation.history import faults_of
from simulation.people import People
from simulation.story import TELLS, in_words, tell
from tests.statemachines import graph
from tests.statemachines.test_every_path import MACHINE

EAST, WEST = "us-east-1", "us-west-2"
DIES, CUT = Fault("database down", EAST, 3.0, 9.0), Fault("cut", f"{EAST}->{WEST}", 4.0, 1.0, {"refuses": 1.0})


def history(*happened: Fact) -> History:
    return History(1, (EAST, WEST), (DIES, CUT), happened)


def play(tmp_path: Path, **how: Any) -> tuple[int, dict[str, Any]]:
    """Plays a campaign of short histories; the exit code, and the figures but for the time that it took."""
    file = tmp_path / "build" / "latest.json"
    with pytest.raises(typer.Exit) as exited:
        simulate(**{"histories": 4, "seed": 47, "minutes": None, "workers": 1, "result": file} | how)
    figures = json.loads(file.read_text())
    return exited.value.exit_code, {
        name: value for name, value in figures.items() if "second" not in name and name != "workers"
    }


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker reports after each two histories."""
    monkeypatch.setattr("simulation.campaign.AT_ONCE", 2)


def test_any_number_of_cores_finds_the_same(tmp_path: Path, small_parts: None) -> None:
    code, figures = play(tmp_path)
    assert (code, figures["histories"], figures["broken"]) == (0, 4, [])
    assert figures["virtual_hours"] >= 4 * 3 / 60 - 0.05
    assert play(tmp_path, workers=2) == (code, figures)


def test_a_campaign_ends_when_its_time_is_over(tmp_path: Path, small_parts: None) -> None:
    _, figures = play(tmp_path, histories=10_000, minutes=0.0)
    assert figures["histories"] == 2


def test_a_broken_promise_is_told_and_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(played: History) -> list[Violation]:
        return [Violation("P1 one writer", 20.0, "two write")] if len(played.faults) > 1 else []

    monkeypatch.setattr("simulation.campaign.violations", breaks)
    monkeypatch.setattr("simulation.history.LASTS_S", 60.0)  # all faults have begun; what follows is not looked at
    code, figures = play(tmp_path)
    assert code == 1
    assert {"seed": 47, "promise": "P1 one writer", "at_s": 20.0, "what": "two write"} in figures["broken"]
    said = capsys.readouterr().out
    assert "Again: make simulate ARGS='--histories 1 --seed 47'" in said
    assert "*** P1 one writer: two write" in said
    assert said.count(" s  ---") == 2 * 2  # it was made small: two faults, each with its end


def test_a_history_that_is_played_alone_is_made_small_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(played: History) -> list[Violation]:
        return [Violation("P1 one writer", 20.0, "two write")] if len(played.faults) > 1 else []

    monkeypatch.setattr("simulation.campaign.violations", breaks)
    monkeypatch.setattr("simulation.history.LASTS_S", 60.0)
    monkeypatch.setattr("simulation.shrink.MOST_TRIES", 2)  # of its four faults two are taken away
    with pytest.raises(typer.Exit) as exited:
        simulate(histories=1, seed=47)
    assert exited.value.exit_code == 1
    whole, small = capsys.readouterr().out.split("Seed 47 with no more than: ")
    assert small.splitlines()[0].count("; ") + 1 == len(faults_of(47)) - 2
    assert small.count(" s  ---") < whole.count(" s  ---")
    assert whole.count("*** P1 one writer: two write") == small.count("*** P1 one writer: two write") == 1
    assert "FAILED: 1 of 1 histories" in small


def test_an_exception_of_the_simulator_is_a_violation_of_its_seed_and_ends_no_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def strike(self: People, fault: Fault) -> None:
        if fault.kind == breaks:
            raise ZeroDivisionError("in the world")

    monkeypatch.setattr("simulation.people.People.strike", strike)
    monkeypatch.setattr("simulation.history.LASTS_S", 60.0)
    breaks = "no such fault"
    _, whole = play(tmp_path, histories=3)
    breaks = "isolated"
    seeds = [seed for seed in range(47, 50) if breaks in {one.kind for one in faults_of(seed)}]
    code, figures = play(tmp_path, histories=3)
    assert (code, figures["histories"]) == (1, 3)
    assert [(one["seed"], one["promise"]) for one in figures["broken"]] == [(seed, PLAYED) for seed in seeds]
    assert "ZeroDivisionError: in the world" in figures["broken"][0]["what"]
    said = capsys.readouterr().out
    assert f"Seed {seeds[0]} with no more than: {breaks} in {EAST}" in said
    assert said.count("ZeroDivisionError: in the world") == 1
    breaks = "no such fault"
    assert play(tmp_path, histories=3) == (
        0,
        whole,
    )  # nothing is left of the histories that were not played to their end


def test_coverage_counts_states_that_were_left_rows_and_faults_that_act_together() -> None:
    reached = Reached()
    reached.add(
        history(
            RunStarted(1.0, "run-1", WEST, "failover", {}),
            StateEntered(1.0, "run-1", "Claim", "", "StartAt"),
            StateEntered(2.0, "run-1", "IsClaimed", "Claim", "Next"),
            RunStarted(2.0, "reprotect-1", WEST, "reprotect", {}),
            StateEntered(2.0, "reprotect-1", "MayBegin", "BeginReprotection", "Next"),
            FaultBegan(3.0, DIES),
            FaultBegan(4.0, CUT),
            FaultEnded(5.0, CUT),
            FaultEnded(12.0, DIES),
            FaultBegan(13.0, CUT),
            Written(14.0, "take", "claim", {}, {}, True),
            Refused(15.0, "renew", "monitor", True),
        )
    )
    begins = ("BeginReprotection", "Next", "MayBegin")
    assert dict(reached.steps) == {("failover", ("Claim", "Next", "IsClaimed")): 1, ("reprotect", begins): 1}
    assert dict(reached.pairs) == {("cut", "database down"): 1}
    assert dict(reached.rows) == {"take": 1, "renew refused": 1}
    report = reached.report()
    assert report["transitions of the failover workflow"]["reached"] == 1
    assert report["transitions of the re-protection workflow"]["reached"] == 1
    assert report["rows of the control record"]["reached"] == 1
    assert "renew" in report["rows of the control record"]["never"]
    assert report["pairs of faults"]["reached"] == 1


def test_coverage_knows_every_transition_of_the_workflow() -> None:
    known = Reached().report()["transitions of the failover workflow"]["never"]
    assert {f"{here} -> {there} ({by})" for here, by, there in graph.transitions(MACHINE)} <= set(known)


def test_a_story_is_told_in_the_order_of_what_happened() -> None:
    told = tell(
        history(FaultBegan(3.0, DIES), RoleChanged(3.0, EAST, "down"), FaultBegan(4.0, CUT)),
        [Violation("P9 moved", 3.5, "it is not moved")],
    )
    assert told == [
        "   3.00 s  --- database down in us-east-1, for 9.00 s",
        "   3.00 s  the database in us-east-1 is down",
        "   3.50 s  *** P9 moved: it is not moved",
        "   4.00 s  --- cut in us-east-1->us-west-2 (refuses 1), for 1.00 s",
    ]
    assert in_words(DIES) == "database down in us-east-1"


def test_a_story_tells_of_renewals_only_where_they_begin() -> None:
    record = {"writer_region": EAST, "epoch": 2}
    renewals = [Written(float(at), "renew", "monitor", record, record, True) for at in range(5)]
    told = tell(history(*renewals[:3], Written(2.5, "give_word", "monitor", record, record, True), *renewals[3:]))
    assert [line.split()[0] for line in told] == ["0.00", "2.50", "3.00"]


def test_every_kind_of_fact_has_its_sentence() -> None:
    kinds = {one for one in vars(happened).values() if isinstance(one, type) and issubclass(one, Fact)}
    assert set(TELLS) == kinds - {Fact}
