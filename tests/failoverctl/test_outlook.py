"""The sentence on top of ``failoverctl status``, and what holds it: row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from failoverctl.outlook import Kind, outlook
from handlers.core.control import ControlRecord, Pause, PersonsNo, Phase, ReprotectionLock, Transition, Word
from handlers.core.duration import lasting
from orchestration.settings import load

NOW = 1_000_000.0
SETTINGS = load(environment_suffix="test")
WELL = ControlRecord("us-east-1", 3, True, lease_expires_at=NOW + 9)
LOCK = Transition("run-1", "failover", "checking", "epoch 3", "us-west-2", NOW - 10, NOW + 1800)
MOVED: dict[str, Any] = {"last_run": "run-0", "last_incident": "epoch 2", "last_transition_at": NOW - 60}

ROWS: tuple[tuple[ControlRecord, Kind, str], ...] = (
    (WELL, "automatic", "automatic failover to us-west-2, about 11 s + Aurora's promotion."),
    (
        replace(WELL, transition=replace(LOCK, phase="moving")),
        "moving",
        "being moved from us-east-1 to us-west-2 by run",
    ),
    (replace(WELL, transition=LOCK), "moving", "Run run-1 looks whether to move the writer from us-east-1"),
    (replace(WELL, protected=False), "nothing", "nothing could take over, for there is no standby"),
    (
        replace(WELL, protected=False, reprotection=ReprotectionLock("run-2", "ada", NOW)),
        "nothing",
        "there is no standby; run run-2 builds one.",
    ),
    (replace(WELL, automatic_failover=False), "nothing", "automatic failover is turned off in the control record"),
    (
        replace(WELL, paused=Pause("ada", NOW, NOW + 60, "why")),
        "nothing",
        "ada has paused automatic failover for 1 min",
    ),
    (replace(WELL, ended_by_person=PersonsNo("ada", NOW, "why")), "nothing", "ada has ended the automatic attempts"),
    (replace(WELL, **MOVED), "nothing", "automatic ones stay off for 29 min more"),
    (replace(WELL, claims_from=NOW + 30), "nothing", "may still be on its way: wait 30 s more"),
    (replace(WELL, lease_expires_at=NOW - 5), "down", "its guardian has given no sign of life for 6 s"),
    (replace(WELL, word=Word("down", NOW - 40, NOW + 5)), "down", "said for 40 s that its database is down"),
    (ControlRecord("us-east-1", 1, True), "nothing", "the first writer has had no lease yet"),
)


@pytest.mark.parametrize(("record", "kind", "says"), ROWS, ids=[row[2][:40] for row in ROWS])
def test_outlook(record: ControlRecord, kind: Kind, says: str) -> None:
    found = outlook(record, SETTINGS, NOW, holder_is_over=None, lag_ms=None, standby_answers=True)
    assert found.kind == kind
    assert says in found.sentence


def test_a_lock_of_a_run_that_is_over_holds_nothing() -> None:
    record = replace(WELL, transition=LOCK)
    found = outlook(record, SETTINGS, NOW, holder_is_over=True, lag_ms=None, standby_answers=True)
    assert found.sentence == "If us-east-1 died now: automatic failover to us-west-2, about 11 s + Aurora's promotion."


@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_a_run_that_stopped_half_way_is_taken_over(phase: Phase) -> None:
    record = replace(WELL, transition=replace(LOCK, phase=phase, started_at=NOW - 1))
    found = outlook(record, SETTINGS, NOW, holder_is_over=True, lag_ms=None, standby_answers=True)
    assert found.kind == "automatic"
    assert found.sentence == (
        f"Run run-1 (failover, {phase}) has stopped half way: the next attempt takes over from it by itself; now: "
        "`failoverctl start --mode failover --resumes run-1`."
    )


def test_lag_over_the_budget_asks_a_person() -> None:
    found = outlook(WELL, SETTINGS, NOW, holder_is_over=None, lag_ms=1500.0, standby_answers=True)
    assert found.kind == "asks"
    assert "us-west-2 would ask a person first, for the lag of 1500 ms is over the budget of 1000 ms" in found.sentence


def test_a_standby_that_gives_no_answer_is_not_counted_on() -> None:
    assert outlook(WELL, SETTINGS, NOW, holder_is_over=None, lag_ms=None, standby_answers=False).kind == "unknown"


def test_what_waits_for_a_person_stands_before_all_else() -> None:
    record = replace(WELL, transition=LOCK, protected=False)
    found = outlook(record, SETTINGS, NOW, holder_is_over=False, lag_ms=None, standby_answers=True, asks_until=NOW + 60)
    assert found.kind == "asks"
    assert found.sentence == "Run run-1 waits for a person until 13:47:40 UTC: `failoverctl approve`, or reject."


def test_rehearsals_only() -> None:
    settings = load(environment_suffix="test", trigger_mode="rehearsal")
    found = outlook(WELL, settings, NOW, holder_is_over=None, lag_ms=None, standby_answers=True)
    assert found.kind == "nothing"
    assert 'only a rehearsal would start (trigger_mode is "rehearsal")' in found.sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (250, "4 min 10 s"), (3600, "1 h"), (11_100, "3 h 5 min"), (187_200, "2 d 4 h")],
)
def test_durations_as_people_say_them(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
