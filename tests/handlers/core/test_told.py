"""Of which attempts people are told."""

from __future__ import annotations

import pytest

from handlers.core.control import Told
from handlers.core.told import BEGUN, REPEAT_S, is_due, same_reason

NOW = 1_800_000_000.0
BUSY = "RDS is busy"


@pytest.mark.parametrize(
    ("last", "reason", "due"),
    [
        (None, BEGUN, True),
        (None, BUSY, True),
        (Told("epoch 3", BUSY, NOW), BUSY, True),  # of an earlier outage
        (Told("epoch 4", BUSY, NOW - 15), BUSY, False),
        (Told("epoch 4", BUSY, NOW - REPEAT_S), BUSY, True),
        (Told("epoch 4", BUSY, NOW - 15), "the standby is away", True),
        (Told("epoch 4", BEGUN, NOW - 15), BUSY, True),
        # Each attempt begins, and each ends: its beginning is told of once.
        (Told("epoch 4", BUSY, NOW - 15), BEGUN, False),
        (Told("epoch 4", BEGUN, NOW - REPEAT_S), BEGUN, False),
    ],
)
def test_p7_people_are_told_of_the_first_attempt_of_each_reason_and_every_15_minutes(
    last: Told | None, reason: str, due: bool
) -> None:
    assert is_due(last, "epoch 4", reason, NOW) is due


def test_a_reason_that_counts_seconds_or_names_its_run_is_the_same_reason() -> None:
    first = same_reason("run 7f-1 has it; wait 17.5 s more")
    assert first == same_reason("run 8a-22 has it; wait 2 s  more")
    assert first != same_reason("wait 2 s more")
    assert len(same_reason("x" * 10_000)) <= 200


def test_p7_an_outage_of_two_hours_with_an_attempt_a_minute_is_told_of_nine_times() -> None:
    told, last = 0, None
    for minute in range(120):
        for reason in (BEGUN, same_reason(f"RDS is busy for {minute} min")):
            now = NOW + 60 * minute
            if is_due(last, "epoch 4", reason, now):
                told, last = told + 1, Told("epoch 4", reason, now)
    assert told == 1 + 1 + 7
