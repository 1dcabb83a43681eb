"""What a soak chooses, and what it says of what came of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from drills import soak
from drills.outages import CIRCLE, NO_OUTAGE, OUTAGES
from drills.soak import ROUND_TRIPS, Strike, Struck, choose, main, summary
from drills.troubles import SWITCHOVER, TROUBLES, Phase

CHOSEN = [choose(1, number) for number in range(1, 2001)]


def test_a_strike_depends_on_the_seed_and_its_number_alone() -> None:
    assert choose(1, 700) == CHOSEN[699]
    assert [choose(2, number) for number in range(1, 20)] != CHOSEN[:19]


def test_everything_that_can_strike_is_chosen() -> None:
    assert {strike.mode for strike in CHOSEN} == {"failover", SWITCHOVER, "rehearsal", CIRCLE}
    assert {strike.outage for strike in CHOSEN} == {NO_OUTAGE, *OUTAGES}
    assert {name for strike in CHOSEN for name in strike.troubles} == set(TROUBLES)
    assert {strike.phase for strike in CHOSEN} == {None, *Phase}
    assert {strike.clients for strike in CHOSEN} == {"name", "hosts", "both"}
    assert {strike.approve for strike in CHOSEN} == {"yes", "no", "never"}
    assert {strike.comes_back for strike in CHOSEN} == {True, False}
    pairs = Counter((strike.outage, name) for strike in CHOSEN for name in strike.troubles)
    assert len(pairs) > 60


def test_most_strikes_move_the_writer_and_some_go_round() -> None:
    modes = Counter(strike.mode for strike in CHOSEN)
    assert modes[CIRCLE] > 100
    assert modes[SWITCHOVER] > 100
    assert sum(OUTAGES[strike.outage].moves for strike in CHOSEN if strike.outage in OUTAGES) > 800


def test_a_strike_is_a_command_line_that_a_drill_understands() -> None:
    strike = Strike(7, SWITCHOVER, NO_OUTAGE, ("rds-busy", "run-stopped"), "asked", "both", "yes", False, (), 42)
    assert " ".join(strike.arguments) == (
        "--mode switchover --outage none --approve yes --clients both --seed 42 --trouble rds-busy "
        "--trouble run-stopped --phase asked"
    )
    assert strike.words == "switchover none, rds-busy, run-stopped, while asked, clients by both"


def test_a_circle_is_struck_by_another_outage_in_each_round() -> None:
    circles = [strike for strike in CHOSEN if strike.mode == CIRCLE]
    assert {len(strike.then) for strike in circles} == {1, 2, 3}
    assert {name for strike in circles for name in (strike.outage, *strike.then)} == set(ROUND_TRIPS)
    strike = Strike(1, CIRCLE, "kill", (), None, "name", "yes", False, ("database", "isolate"), 42)
    assert " ".join(strike.arguments).endswith("--seed 42 --rounds 3 --then database --then isolate")
    assert strike.words == "circle kill, then database, then isolate"


FAILOVER = Strike(3, "failover", "kill", ("rds-busy",), None, "name", "yes", False, (), 5)
RESULT: dict[str, Any] = {
    "reached": "failed over",
    "rto_seconds": 40.5,
    "acknowledged": 1000,
    "lost": 1,
    "duplicated": 0,
    "both_wrote": 0,
    "writer_before": "us-east-1",
    "writer_after": "us-west-2",
    "invariants": {"one_writer": True, "one_run": True},
    "legs": [],
}
GOOD = Struck.of(FAILOVER, 0, 100.04, RESULT, "PASSED")
BAD = Struck.of(FAILOVER, 1, 50, RESULT | {"invariants": {"one_writer": False, "one_run": True}}, "FAILED")
NOTHING = Struck.of(FAILOVER, 2, 1, {}, "The drill cannot run")


def test_what_became_of_the_strikes_is_added_up() -> None:
    found = summary(9, [GOOD, BAD, NOTHING])
    assert json.loads(json.dumps(found)) == found | {"each": json.loads(json.dumps(found["each"]))}
    assert {name: found[name] for name in ("seed", "strikes", "passed", "failed", "seconds", "moves", "ends")} == {
        "seed": 9,
        "strikes": 3,
        "passed": 1,
        "failed": [3, 3],
        "seconds": 151.0,
        "moves": 2,
        "ends": {"failed over": 2, "none": 1},
    }
    assert found["rto_seconds"] == {"minimum": 40.5, "median": 40.5, "maximum": 40.5}
    assert (found["acknowledged"], found["lost"], found["both_wrote"]) == (2000, 2, 0)
    assert (found["invariants_checked"], found["invariants_broken"]) == (4, {"one_writer": 1})
    assert found["troubles"] == {"rds-busy": 3}


def test_a_drill_that_ends_well_without_a_result_has_not_passed() -> None:
    assert not Struck.of(FAILOVER, 0, 1, {}, "").passed


def test_a_circle_counts_each_of_its_moves() -> None:
    legs = [{"step": step} for step in ("failover", "re-protection", "failover", "re-protection")]
    result = RESULT | {"legs": legs, "writer_after": "us-east-1"}
    assert Struck.of(FAILOVER, 0, 1, result, "").moves == 2


@pytest.mark.parametrize("passed", [True, False])
def test_a_failing_strike_keeps_its_folder_and_says_how_to_make_it_again(
    passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def struck(strike: Strike, more: list[str], folder: Path) -> Struck:
        folder.mkdir(parents=True)
        (folder / "printed.txt").write_text("what it printed")
        return Struck.of(strike, 0 if passed else 1, 1.0, RESULT, "the last line")

    monkeypatch.setattr(soak, "run", struck)
    with pytest.raises(SystemExit) as ended:
        main(minutes=0, seed=5, strike=None, aurora_promotion=5, speed=2, output=tmp_path)
    assert ended.value.code == (0 if passed else 1)
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "latest" / "result.json").read_text())
    assert (found["strikes"], found["passed"]) == (1, int(passed))
    kept = tmp_path / "latest" / "strike-1" / "printed.txt"
    assert kept.exists() is not passed
    command = "make soak ARGS='--seed 5 --strike 1 --aurora-promotion 5 --speed 2'"
    assert (command in printed) is not passed
    assert choose(5, 1).words in printed
