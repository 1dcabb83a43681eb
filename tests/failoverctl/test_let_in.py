"""``failoverctl let-in``."""

from __future__ import annotations

import pytest

from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_automation import WHO

LET_IN = ("let-in", WRITER, "--yes")


@pytest.fixture
def closed(deployment: Deployment) -> Deployment:
    """A healthy writer that has restarted, whose guardian does not run."""
    deployment.guardian_was_here(ago_s=60)
    deployment.databases.fenced[WRITER] = True
    deployment.databases.fence_number[WRITER] = 7
    return deployment


def test_p10_a_healthy_writer_is_opened_by_a_renewal_and_a_lift(ctl: Ctl, closed: Deployment) -> None:
    said = ctl(*LET_IN)
    assert said.code == 0, said.text
    assert f"lifted its fence, by {WHO}: SQL open, security group open" in said.text
    assert closed.databases.takes_writes(WRITER)
    assert float(closed.record()["lease_expires_at"]) == pytest.approx(CLOCK.now() + 10, abs=1)
    again = ctl(*LET_IN)
    assert again.code == 0
    assert f"{WRITER} is open" in again.text


def test_p10_one_that_only_its_security_group_closes_is_opened_too(ctl: Ctl, closed: Deployment) -> None:
    closed.call("fence", {"order": "fence", "reason": "a test", "group": True}, WRITER)
    closed.databases.fenced[WRITER] = False
    assert not closed.databases.takes_writes(WRITER)
    said = ctl(*LET_IN)
    assert said.code == 0, said.text
    assert closed.databases.takes_writes(WRITER)


def test_p1_no_other_region_than_the_records_is_opened(ctl: Ctl, closed: Deployment) -> None:
    closed.change_record(writer_region=STANDBY, epoch=2)
    said = ctl(*LET_IN)
    assert said.code == 1
    assert f"{STANDBY} is the writer (epoch 2)" in said.text
    assert not closed.databases.takes_writes(WRITER)


@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_p1_nor_one_that_a_run_stops_or_moves(ctl: Ctl, closed: Deployment, phase: str) -> None:
    lock = {
        "run": "run-1",
        "mode": "switchover",
        "phase": phase,
        "incident": "i",
        "target_region": STANDBY,
        "started_at": 1_800_000_000,
        "deadline": 1_900_000_000,
    }
    closed.change_record(transition=lock)
    before = closed.record()
    said = ctl(*LET_IN)
    assert said.code == 1
    assert "run run-1 (switchover, " in said.text
    assert closed.record() == before
    assert not closed.databases.takes_writes(WRITER)


def test_p1_nor_where_a_run_moves_on_at_that_moment(ctl: Ctl, closed: Deployment) -> None:
    """Between the last look at the record and the renewal."""
    moved: list[object] = []

    def move(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not moved:
            moved.append(operation)
            closed.change_record(writer_region=STANDBY, epoch=2)

    closed.gate.before = move
    said = ctl(*LET_IN)
    assert said.code == 1
    assert f"{STANDBY} is the writer (epoch 2)" in said.text
    assert not closed.databases.takes_writes(WRITER)


def test_one_that_does_not_answer_is_not_opened(ctl: Ctl, closed: Deployment) -> None:
    closed.databases.up[WRITER] = False
    before = closed.record()
    said = ctl(*LET_IN)
    assert said.code == 1
    assert "does not answer as a writer (TimeoutError" in said.text
    assert closed.record() == before


def test_it_is_not_done_without_a_yes(ctl: Ctl, closed: Deployment) -> None:
    assert ctl("let-in", WRITER).code == 1
    assert not closed.databases.takes_writes(WRITER)
