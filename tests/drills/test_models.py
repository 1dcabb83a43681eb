"""The rules inside the models, without a cloud around them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from drills.aws import composite_rules
from drills.aws.alarms import State, Treatment, judge
from drills.aws.composite_rules import RuleError
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
    assert {how: judge(points(data), 3, how, "ALARM") for how in treatments} == treatments


def test_only_the_newest_periods_decide_when_none_is_missing() -> None:
    assert judge(points("0 0 X X X"), 3, "missing", "OK") == "ALARM"
    assert judge(points("X X X X 0"), 3, "missing", "ALARM") == "OK"


@pytest.mark.parametrize(
    ("rule", "ringing", "holds"),
    [
        ('ALARM("a") AND (ALARM("b") OR ALARM("c"))', "ac", True),
        ('ALARM("a") AND (ALARM("b") OR ALARM("c"))', "bc", False),
        ('ALARM("a") OR ALARM("b") AND ALARM("c")', "a", True),  # AND binds more closely
        ('(ALARM("a") OR ALARM("b")) AND ALARM("c")', "a", False),
        ('NOT ALARM("a") AND ALARM("b")', "b", True),  # NOT binds most closely
        ('NOT (ALARM("a") AND ALARM("b"))', "b", True),
        ("OK(a) AND NOT INSUFFICIENT_DATA(b)", "", True),
        ('ALARM("arn:aws:cloudwatch:us-west-2:123456789012:alarm:a")', "a", True),
        ("TRUE AND NOT FALSE", "", True),
    ],
)
def test_a_composite_rule_holds_as_cloudwatch_reads_it(rule: str, ringing: str, holds: bool) -> None:
    assert composite_rules.parse(rule).holds(lambda name: "ALARM" if name in ringing else "OK") is holds


def test_the_specified_composites_name_alarms_that_exist() -> None:
    for region in SPECIFICATION.regions.values():
        names = {alarm.name for alarm in region.alarms}
        for composite in region.composites:
            assert set(composite_rules.parse(composite.rule).alarms) <= names


@pytest.mark.parametrize("rule", ["", 'ALARM("a") AND', '(ALARM("a")', 'ALARM("a") ALARM("b")', "ALARM(a) XOR OK(b)"])
def test_a_senseless_rule_is_refused(rule: str) -> None:
    with pytest.raises(RuleError):
        composite_rules.parse(rule)


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
