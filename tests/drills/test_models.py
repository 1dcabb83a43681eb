"""The rules inside the models, without a cloud around them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from drills.aws.alarms import State, Treatment, judge
from drills.aws.events import rate_seconds, transform
from drills.aws.timetable import Timetable
from drills.world.clock import Clock
from orchestration.settings import load
from orchestration.specification import describe

SPECIFICATION = describe(load(environment_suffix="test"), "123456789012")

WaitUntil = Callable[[Callable[[], object]], None]


def points(text: str) -> list[bool | None]:
    """The guide's notation, oldest first: X breaches, 0 does not, - is missing. Returned newest first."""
    return [{"X": True, "0": False, "-": None}[mark] for mark in reversed(text.split())]


# CloudWatch guide, "Configuring how CloudWatch alarms treat missing data": three of three periods, a range of five.
@pytest.mark.parametrize(
    ("data", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0 - X - X", "OK", "OK", "OK", "OK"),
        ("- - - - 0", "OK", "OK", "OK", "OK"),
        ("- - - - -", "INSUFFICIENT_DATA", "ALARM", "ALARM", "OK"),
        ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
        ("- - X - -", "ALARM", "ALARM", "ALARM", "OK"),
    ],
)
def test_missing_data_counts_as_the_guides_table_says(
    data: str, missing: State, ignore: State, breaching: State, not_breaching: State
) -> None:
    treatments: dict[Treatment, State] = {
        "missing": missing,
        "ignore": ignore,  # the alarm is in ALARM beforehand, and stays there where the guide says "retain"
        "breaching": breaching,
        "notBreaching": not_breaching,
    }
    assert {how: judge(points(data), 3, 3, how, "ALARM") for how in treatments} == treatments


def test_only_the_newest_periods_decide_when_none_is_missing() -> None:
    assert judge(points("0 0 X X X"), 3, 3, "missing", "OK") == "ALARM"
    assert judge(points("X X X X 0"), 3, 3, "missing", "ALARM") == "OK"


@pytest.mark.parametrize(
    ("data", "breaching", "not_breaching"),
    [
        ("- - X X 0", "ALARM", "ALARM"),
        ("- - 0 X X", "ALARM", "ALARM"),
        ("X X 0 0 X", "OK", "OK"),
        ("- - - - X", "ALARM", "OK"),  # one is not enough, and two that are missing are
        ("- - - 0 X", "ALARM", "OK"),
        ("- - - X X", "ALARM", "ALARM"),
        ("- - - - 0", "ALARM", "OK"),
        ("- - - 0 0", "OK", "OK"),
    ],
)
def test_two_of_three_periods_are_enough_where_the_alarm_says_so(
    data: str, breaching: State, not_breaching: State
) -> None:
    assert judge(points(data), 3, 2, "breaching", "OK") == breaching
    assert judge(points(data), 3, 2, "notBreaching", "OK") == not_breaching


def test_the_input_transformer_fills_texts_and_objects() -> None:
    event = {"detail": {"name": 'a "b"', "state": {"value": "ALARM", "at": [1, 2]}}}
    paths = {"name": "$.detail.name", "state": "$.detail.state", "none": "$.detail.nothing.there"}
    text = transform(event, paths, '{"text": "<name>: <none>.", "state": <state>, "kept": "<other>"}')
    assert json.loads(text) == {"text": 'a "b": .', "state": {"value": "ALARM", "at": [1, 2]}, "kept": "<other>"}


def test_a_transformation_that_makes_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="does not produce JSON"):
        transform({"a": 1}, {"a": "$.a"}, '{"a": <a>')


def test_a_schedule_is_a_rate() -> None:
    assert [rate_seconds(f"rate({text})") for text in ("1 minute", "5 minutes", "1 hour")] == [60, 300, 3600]
    with pytest.raises(ValueError, match="is not a rate"):
        rate_seconds("cron(0 12 * * ? *)")


def test_a_timetable_calls_each_at_its_moments_and_outlives_failures(wait_until: WaitUntil) -> None:
    clock = Clock.started_now(1_000)
    start = clock.now()
    called: list[tuple[str, float]] = []

    def fails(due: float) -> None:
        called.append(("fails", due - start))
        raise ValueError("on purpose")

    timetable = Timetable(clock)
    with timetable._changed:  # it looks when both are there
        timetable.every(20, start + 5, fails)
        timetable.every(10, start, lambda due: called.append(("works", due - start)))
    wait_until(lambda: len(called) >= 9)
    timetable.close()
    assert [round(due) for name, due in called if name == "works"][:4] == [0, 10, 20, 30]
    assert [round(due) for name, due in called if name == "fails"][:2] == [5, 25]
    number = len(called)
    assert called == sorted(called, key=lambda entry: entry[1])
    assert not threading.Event().wait(0.05)
    assert len(called) == number
