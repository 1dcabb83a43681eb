"""The table of transitions: every row is sound, can happen, and needs each of its conditions."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest

from handlers.core.conditional_write import (
    Absent,
    AnyOf,
    AsRead,
    Condition,
    Copy,
    Differs,
    Equals,
    Given,
    Increment,
    LessThan,
    OneOf,
    Remove,
    Row,
    Set,
    SetIfKnown,
    after,
    allowed,
    holds,
)
from handlers.core.control import (
    PHASES,
    ControlRecord,
    Pause,
    PersonsNo,
    ReprotectionLock,
    Told,
    Transition,
    Word,
    WriterSign,
)
from handlers.core.transitions import ROWS, TRANSITIONS
from tests.handlers.cases import FULL, decisive, simple

MAPS = {
    "transition": Transition,
    "transition.writer_sign": WriterSign,
    "reprotection": ReprotectionLock,
    "word": Word,
    "ended_by_person": PersonsNo,
    "paused": Pause,
    "told": Told,
}
ATTRIBUTES = {field.name for field in fields(ControlRecord)} | {
    f"{name}.{field.name}" for name, kind in MAPS.items() for field in fields(kind)
}

EVERY_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


# --- the table


def test_a_name_says_which_row() -> None:
    assert len(TRANSITIONS) == len(ROWS) > 0


@EVERY_ROW
def test_every_row_has_a_sentence_that_says_why(row: Row) -> None:
    assert row.why.endswith(".")
    assert len(row.why.split()) > 5


@EVERY_ROW
def test_every_path_is_an_attribute_of_the_record(row: Row) -> None:
    paths = [one.path for condition in row.when for one in simple(condition)] + [effect.path for effect in row.then]
    paths += [effect.source for effect in row.then if isinstance(effect, Copy)]
    assert set(paths) <= ATTRIBUTES


@EVERY_ROW
def test_every_phase_that_a_row_names_is_one(row: Row) -> None:
    compared = [one for condition in row.when for one in simple(condition)]
    named = [getattr(one, "value", None) for one in (*compared, *row.then) if one.path == "transition.phase"]
    named += [value for one in compared if isinstance(one, OneOf) for value in one.values]
    assert {value for value in named if isinstance(value, str)} <= set(PHASES)


@EVERY_ROW
def test_no_row_writes_one_attribute_twice(row: Row) -> None:
    """Nor a map and an attribute of it: DynamoDB refuses such a request."""
    for one, other in combinations([effect.path + "." for effect in row.then], 2):
        assert not one.startswith(other)
        assert not other.startswith(one)


@EVERY_ROW
def test_every_row_can_happen_and_every_condition_can_be_what_refuses_it(row: Row) -> None:
    allowing, refusing = decisive(row)
    assert allowing
    assert {number: bool(alike) for number, alike in refusing.items()} == dict.fromkeys(range(len(row.when)), True)
    assert all(allowed(row, case.record, case.values) for case in allowing)
    assert not any(allowed(row, case.record, case.values) for alike in refusing.values() for case in alike)


@EVERY_ROW
def test_a_record_that_can_be_read_can_be_read_after_every_row(row: Row) -> None:
    ControlRecord.read(after(row, FULL, decisive(row)[0][0].values))


# --- the language

RECORD: dict[str, Any] = {"epoch": Decimal("1"), "lease": Decimal("10.1"), "on": True, "lock": {"run": "run-1", "n": 1}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Equals("epoch", 1), True),
        (Equals("epoch", 2), False),
        (Equals("epoch", True), False),  # a flag is no number, for DynamoDB
        (Equals("on", True), True),
        (Equals("on", 1), False),
        (Equals("lease", Given("lease")), True),  # 10.1: no binary float is that number, yet it is the one written
        (Equals("lock.run", "run-1"), True),
        (Equals("lock.run", "run-2"), False),
        (Equals("lock.nothing", "run-1"), False),
        (Equals("nothing", "run-1"), False),
        (Equals("epoch.nothing", 1), False),
        (Differs("epoch", 2), True),
        (Differs("epoch", 1), False),
        (Differs("nothing", 1), True),
        (OneOf("lock.run", ("run-1", "run-2")), True),
        (OneOf("lock.run", ("run-2", "run-3")), False),
        (LessThan("lease", 11), True),
        (LessThan("lease", Given("lease")), False),
        (LessThan("lease", 10), False),
        (LessThan("nothing", 10), False),
        (LessThan("on", 10), False),
        (Absent("nothing"), True),
        (Absent("lock.nothing"), True),
        (Absent("lock"), False),
        (AsRead("lease", Given("lease")), True),
        (AsRead("epoch", Given("lease")), False),
        (AsRead("nothing", Given("lease")), False),
        (AsRead("nothing", Given("none")), True),
        (AsRead("lease", Given("none")), False),
        (AnyOf((Absent("nothing"), Equals("epoch", 2))), True),
        (AnyOf((Absent("lock"), Equals("lock.run", "run-1"))), True),
        (AnyOf((Absent("lock"), Equals("lock.run", "run-2"))), False),
    ],
    ids=str,
)
def test_what_a_condition_means(condition: Condition, expected: bool) -> None:
    assert holds(condition, RECORD, {"lease": 10.1, "none": None}) is expected


def test_what_an_effect_does() -> None:
    effects = (
        Set("lock.phase", "moving"),
        Set("on", Given("off")),
        SetIfKnown("lock.known", Given("epoch")),
        SetIfKnown("lock.unknown", Given("none")),
        Copy("run", "lock.run"),
        Copy("nobody", "lock.nobody"),
        Increment("lock.n"),
        Increment("epoch"),
        Remove("lease"),
        Remove("nothing"),
    )
    assert after(Row("row", "", (), effects), RECORD, {"off": False, "epoch": 3, "none": None}) == {
        "epoch": 2,
        "on": False,
        "lock": {"run": "run-1", "n": 2, "phase": "moving", "known": 3},
        "run": "run-1",
        "nobody": None,
    }


def test_what_is_copied_is_what_stood_there_before() -> None:
    row = Row("row", "", (), (Copy("run", "lock.run"), Remove("lock")))
    assert after(row, RECORD, {})["run"] == "run-1"
    row = Row("row", "", (), (Set("epoch", 7), Copy("old_epoch", "epoch")))
    assert after(row, RECORD, {})["old_epoch"] == 1


def test_a_write_leaves_the_record_before_it_and_the_values_alone() -> None:
    record, lock = {"lock": {"run": "run-1", "n": 1}}, {"run": "run-2", "n": 1}
    after(Row("row", "", (), (Increment("lock.n"),)), record, {})
    assert record == {"lock": {"run": "run-1", "n": 1}}
    changed = after(Row("row", "", (), (Set("lock", Given("lock")),)), record, {"lock": lock})
    after(Row("row", "", (), (Increment("lock.n"),)), changed, {})
    assert lock == {"run": "run-2", "n": 1}


@pytest.mark.parametrize("effect", [Set("nothing.run", "run-1"), Increment("nothing"), Increment("lock.nothing")])
def test_what_dynamodb_refuses_as_invalid_is_no_change_here_either(effect: Set | Increment) -> None:
    with pytest.raises(KeyError):
        after(Row("row", "", (), (effect,)), RECORD, {})


@pytest.mark.parametrize(
    "values", [{}, {"run": "run-1", "epoch": 1}, {"epoch": 1}], ids=["none", "too many", "another"]
)
def test_a_row_takes_the_values_that_it_names_and_no_others(values: dict[str, Any]) -> None:
    row = TRANSITIONS["end_stop"]
    for evaluate in (allowed, after):
        with pytest.raises(TypeError, match=r"end_stop takes \['run'\], but was given"):
            evaluate(row, RECORD, values)


def test_a_value_inside_an_alternative_is_one_that_the_row_names() -> None:
    assert TRANSITIONS["renew"].given == {"region", "epoch", "expires_at", "beat", "renewing_since"}
