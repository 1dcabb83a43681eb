"""``failoverctl maintenance begin`` and ``end``."""

from __future__ import annotations

import pytest

from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_automation import ALARM, WHO

BEGIN = ("maintenance", "begin", "--for", "45m", "--reason", "an upgrade", "--yes")


def test_p5_in_a_maintenance_no_failover_begins_by_itself_until_its_time_is_over(
    ctl: Ctl, deployment: Deployment
) -> None:
    deployment.guardian_was_here()
    said = ctl(*BEGIN)
    assert said.code == 0, said.text
    assert f"In maintenance by {WHO} until " in said.text
    assert "not well" not in said.text
    paused = deployment.record()["paused"]
    assert (paused["by"], paused["maintenance"]) == (WHO, True)
    assert f"no automatic failover now, for {WHO} maintains the writer for " in ctl("status").text
    assert "(failoverctl maintenance end)" in ctl("status").text

    deployment.writer_dies()
    assert deployment.run(ALARM, "run-1").end == "Refused"
    CLOCK.sleep(2700)
    deployment.writer_dies()
    assert deployment.run(ALARM, "run-2").end == "Recovered"


def test_a_person_may_start_a_failover_in_a_maintenance(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl(*BEGIN).code == 0
    deployment.writer_dies()
    assert deployment.run({"mode": "failover", "started_by": "ada"}, "run-1").end == "Recovered"
    assert deployment.record()["writer_region"] == STANDBY


def test_its_end_lets_automatic_failover_come_again(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl(*BEGIN).code == 0
    deployment.guardian_was_here()
    said = ctl("maintenance", "end")
    assert said.code == 0, said.text
    assert f"The maintenance of {WHO} is over" in said.text
    assert "paused" not in deployment.record()
    assert ctl("maintenance", "end").code == 1


def test_its_end_says_that_a_writer_that_is_down_will_be_moved(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl(*BEGIN).code == 0
    now = int(CLOCK.now())
    deployment.change_record(word={"says": "down", "since": now - 60, "rests_until": now + 5})
    said = ctl("maintenance", "end")
    assert said.code == 1, said.text
    assert f"{WRITER} is not well: its guardian says since " in said.text
    assert f"A failover to {STANDBY} begins" in said.text
    assert deployment.record()["paused"]["maintenance"] is True
    assert ctl("maintenance", "end", "--yes").code == 0
    assert "paused" not in deployment.record()


def test_its_end_leaves_automation_off_that_was_off(ctl: Ctl, deployment: Deployment) -> None:
    deployment.guardian_was_here()
    deployment.change_record(automatic_failover=False)
    assert ctl(*BEGIN).code == 0
    assert ctl("maintenance", "end").code == 0
    assert deployment.record()["automatic_failover"] is False


def test_p5_it_does_not_begin_beside_a_run(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    said = ctl(*BEGIN)
    assert said.code == 1
    assert f"run {asking} holds the lock and could still move the writer" in said.text
    assert "paused" not in deployment.record()


def test_p5_nor_where_a_run_begins_at_the_same_moment(ctl: Ctl, deployment: Deployment) -> None:
    """Between the look at the record and the write."""
    begun: list[object] = []

    def begin(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not begun:
            begun.append(operation)
            deployment.change_record(reprotection={"run": "run-1", "started_by": "ada", "started_at": 1_800_000_000})

    deployment.gate.before = begin
    said = ctl(*BEGIN)
    assert said.code == 1
    assert "a run has begun" in said.text
    assert "paused" not in deployment.record()


def test_it_may_be_made_longer_and_keeps_its_beginning(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl(*BEGIN).code == 0
    first = deployment.record()["paused"]
    CLOCK.sleep(600)
    assert ctl(*BEGIN).code == 0
    second = deployment.record()["paused"]
    assert second["until"] > first["until"]
    assert second["extends_since"] == first["at"]


def test_a_pause_takes_no_place_of_a_maintenance_nor_it_that_of_a_longer_pause(
    ctl: Ctl, deployment: Deployment
) -> None:
    assert ctl("pause", "--for", "2h", "--reason", "a storm", "--yes").code == 0
    said = ctl(*BEGIN)
    assert said.code == 1
    assert "which is longer: end that first" in said.text
    assert ctl("resume").code == 0
    assert ctl(*BEGIN).code == 0
    said = ctl("pause", "--for", "2h", "--reason", "a storm", "--yes")
    assert said.code == 1
    assert f"{WHO} maintains the writer until " in said.text


@pytest.mark.parametrize("verb", ["begin", "end"])
def test_a_writer_that_has_never_been_heard_of_is_not_well(ctl: Ctl, deployment: Deployment, verb: str) -> None:
    if verb == "end":
        assert ctl(*BEGIN).code == 0
    words = BEGIN if verb == "begin" else ("maintenance", "end", "--yes")
    deployment.guardian_was_here(ago_s=60)
    said = ctl(*words)
    assert said.code == 0
    assert "not well" in said.text
    assert "its guardian has given no sign of life" in said.text
