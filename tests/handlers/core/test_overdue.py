"""When people are told that a pause or a maintenance lasts longer than somebody meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.core.control import ControlRecord, Pause, Word
from handlers.core.overdue import LONGEST_S, TOLD_AFTER_S, TOLD_BEFORE_S, overdue

NOW = 1_800_000_000.0
PAUSE = Pause("ada", NOW - 60, NOW + 3600, "an upgrade")
MAINTENANCE = replace(PAUSE, maintenance=True)
WELL = ControlRecord("us-east-1", 4, automatic_failover=True, lease_expires_at=NOW + 8)
DOWN = replace(WELL, lease_expires_at=NOW - 60, word=Word("down", NOW - 60, NOW + 5))
SILENT = replace(WELL, lease_expires_at=NOW - 1)


@pytest.mark.parametrize("pause", [PAUSE, MAINTENANCE], ids=["a pause", "a maintenance"])
@pytest.mark.parametrize("record", [DOWN, SILENT, replace(WELL, lease_expires_at=None)])
def test_p9_people_are_told_before_a_writer_that_is_not_well_is_moved(record: ControlRecord, pause: Pause) -> None:
    ends = replace(pause, until=NOW + TOLD_BEFORE_S)
    told = overdue(replace(record, paused=ends), NOW)
    assert told is not None
    assert "ends by itself soon, and the writer, which is not well, will be moved then" in told
    assert overdue(replace(record, paused=replace(ends, until=ends.until + 1)), NOW) is None
    assert overdue(replace(WELL, paused=ends), NOW) is None


def test_p9_people_are_told_of_a_maintenance_that_nobody_has_ended() -> None:
    for ago, tells in ((0.0, True), (TOLD_AFTER_S, True), (TOLD_AFTER_S + 1, False)):
        record = replace(WELL, paused=replace(MAINTENANCE, until=NOW - ago))
        assert (overdue(record, NOW) is not None) is tells
    assert overdue(replace(WELL, paused=replace(PAUSE, until=NOW)), NOW) is None, "a pause is meant to end by itself"


def test_p9_people_are_told_of_a_row_of_pauses_that_is_longer_than_a_day() -> None:
    for since, tells in ((NOW - LONGEST_S, False), (NOW - LONGEST_S - 1, True)):
        record = replace(WELL, paused=replace(PAUSE, extends_since=since))
        assert (overdue(record, NOW) is not None) is tells
    ended = replace(PAUSE, extends_since=NOW - 2 * LONGEST_S, until=NOW - 1)
    assert overdue(replace(WELL, paused=ended), NOW) is None


def test_nobody_is_told_of_what_is_meant() -> None:
    assert overdue(WELL, NOW) is None
    assert overdue(replace(DOWN, paused=MAINTENANCE), NOW) is None
