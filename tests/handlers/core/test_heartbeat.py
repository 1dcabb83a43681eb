"""Heartbeat rows, as they come out of events, answers and items."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from handlers.core.errors import InvalidRequest
from handlers.core.heartbeat import END_OF_TIME_S, LARGEST_SEQUENCE, Beat
from handlers.core.reading import Fields


def read(data: Any) -> Beat | None:
    return Beat.read_optional(Fields({"heartbeat": data}, "the thing", InvalidRequest), "heartbeat")


@pytest.mark.parametrize(
    ("data", "beat"),
    [
        (None, None),
        ({"seq": 0, "at": 0}, Beat(0, 0.0)),
        ({"seq": Decimal(41), "at": Decimal("1800000000.25")}, Beat(41, 1800000000.25)),
        ({"seq": LARGEST_SEQUENCE, "at": END_OF_TIME_S}, Beat(LARGEST_SEQUENCE, float(END_OF_TIME_S))),
    ],
)
def test_a_heartbeat_is_read(data: Any, beat: Beat | None) -> None:
    assert read(data) == beat


def test_an_absent_heartbeat_is_none() -> None:
    assert Beat.read_optional(Fields({}, "the thing", InvalidRequest), "heartbeat") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "the thing, heartbeat is 5; it must be a JSON object"),
        ({}, "the thing, heartbeat: field 'seq' is None; give a number"),
        ({"seq": 1}, "the thing, heartbeat: field 'at' is None; give a number"),
        ({"seq": -1, "at": 1}, "field 'seq' is -1"),
        ({"seq": 1, "at": 1_800_000_000_000}, "field 'at' is 1800000000000"),  # milliseconds
        ({"seq": True, "at": 1}, "field 'seq' is True; give a number"),
    ],
    ids=str,
)
def test_anything_else_is_named(data: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(data)
    assert message in str(raised.value)
