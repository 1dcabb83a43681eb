"""``failoverctl abort``, ``hold`` and ``release``: until RDS is asked, and never after it."""

from __future__ import annotations

import pytest

from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

FAILOVER = {"mode": "failover", "started_by": "ada"}


@pytest.fixture
def checking(deployment: Deployment) -> str:
    """A run that holds the lock and stands still before it commits to move; its name."""
    deployment.writer_dies()
    deployment.run_until("claim", FAILOVER, "run-1")
    return "run-1"


@pytest.fixture
def asked_rds(deployment: Deployment) -> str:
    """A run that stands still after it has asked RDS."""
    deployment.writer_dies()
    deployment.run_until("detach_secondary", FAILOVER, "run-1")
    return "run-1"


def wanted(deployment: Deployment) -> object:
    lock = deployment.lock()
    assert lock is not None
    return lock.get("wanted")


def test_a_hold_and_its_release(ctl: Ctl, deployment: Deployment, checking: str) -> None:
    said = ctl("hold", checking, "--yes")
    assert said.code == 0, said.text
    assert "it waits before it commits to move, for 15 min at most, then gives the lock back" in said.text
    assert "That is no person's no: while the writer is down, the next attempt begins by itself" in said.text
    assert wanted(deployment) == "hold"
    assert "a person wants it to hold" in ctl("status").text
    assert ctl("release").code == 0
    assert wanted(deployment) is None


def test_an_abort_is_a_persons_no(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    said = ctl("abort", "--yes")
    assert said.code == 0, said.text
    assert "no automatic attempt begins any more in this outage" in said.text
    assert wanted(deployment) == "abort"
    assert ctl("approve", asking, "--yes").code == 0  # a person's approval does not undo it
    deployment.wait_for_end(asking)
    assert deployment.record()["writer_region"] == WRITER
    assert "ended_by_person" in deployment.record()


@pytest.mark.parametrize("word", ["abort", "hold"])
def test_after_rds_was_asked_the_only_way_is_forward(
    ctl: Ctl, deployment: Deployment, asked_rds: str, word: str
) -> None:
    said = ctl(word, "--yes")
    assert said.code == 1
    assert f"run {asked_rds} has asked RDS to move the writer to us-west-2: the only way is forward" in said.text
    assert "wanted" not in (deployment.lock() or {})  # the run itself goes on writing its record meanwhile


def test_a_run_that_was_quicker_is_said_so(ctl: Ctl, deployment: Deployment, checking: str) -> None:
    """RDS is asked between the look and the flag."""
    seen: list[str] = []

    def ask_rds(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not seen:
            seen.append(operation)
            lock = deployment.lock()
            assert lock is not None
            deployment.change_record(transition={**lock, "phase": "moving", "move_requests": 1})

    deployment.gate.before = ask_rds
    said = ctl("abort", "--yes")
    assert said.code == 1
    assert f"run {checking} was quicker: it has asked RDS" in said.text


def test_a_run_that_has_ended_heeds_no_flag(ctl: Ctl, deployment: Deployment, checking: str) -> None:
    deployment.stop(checking)
    before = deployment.record()
    said = ctl("abort", "--yes")
    assert said.code == 1
    assert f"run {checking} has ended and heeds no flag" in said.text
    assert f"`failoverctl start --mode failover --resumes {checking}`" in said.text
    assert deployment.record() == before


def test_another_run_than_the_one_that_holds_the_lock(ctl: Ctl, deployment: Deployment, checking: str) -> None:
    said = ctl("abort", "run-2", "--yes")
    assert said.code == 1
    assert f"run run-2 does not hold the lock; run {checking} does" in said.text
    assert wanted(deployment) is None


@pytest.mark.parametrize("words", [("abort", "--yes"), ("hold", "--yes"), ("release",)])
def test_without_a_run_there_is_nothing_to_stop(ctl: Ctl, words: tuple[str, ...]) -> None:
    said = ctl(*words)
    assert said.code == 1
    assert "no run moves the writer, so there is nothing to stop" in said.text


def test_a_release_of_what_nobody_holds(ctl: Ctl, checking: str) -> None:
    said = ctl("release", checking)
    assert said.code == 1
    assert f"nobody has asked run {checking} to hold" in said.text


def test_the_region_that_hangs_is_passed_by(ctl: Ctl, deployment: Deployment, checking: str) -> None:
    deployment.lose_region(WRITER)
    assert ctl("hold", "--yes").code == 0
    deployment.gate.troubles.clear()
    assert wanted(deployment) == "hold"
    assert deployment.record()["writer_region"] == WRITER != STANDBY
