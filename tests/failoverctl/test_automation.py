"""``failoverctl pause``, ``resume`` and ``unlock``."""

from __future__ import annotations

import re

import pytest

from failoverctl.automation import duration
from failoverctl.errors import Refused
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

WHO = "arn:aws:sts::123456789012:user/moto"
ALARM = {"mode": "failover", "started_by": "alarm", "automatic": True, "epoch": 1}


def test_p9_a_pause_has_an_owner_and_ends_by_itself(ctl: Ctl, deployment: Deployment) -> None:
    said = ctl("pause", "--for", "45m", "--reason", "an upgrade", "--yes")
    assert said.code == 0, said.text
    assert f"Paused by {WHO} until " in said.text
    pause = deployment.record()["paused"]
    assert (pause["by"], pause["reason"]) == (WHO, "an upgrade")
    assert float(pause["until"] - pause["at"]) == pytest.approx(2700, abs=0.01)
    assert f"no automatic failover now, for {WHO} has paused automatic failover for " in ctl("status").text

    deployment.writer_dies()
    assert deployment.run(ALARM, "run-1").end == "Refused"
    assert deployment.record()["writer_region"] == WRITER
    CLOCK.sleep(2701)  # by AWS's clock, which people are told in whole seconds, it began up to 0.5 s later
    deployment.writer_dies()
    assert deployment.run(ALARM, "run-2").end == "Recovered"


def test_a_pause_is_ended_by_whoever_resumes(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl("pause", "--for", "1h", "--reason", "an upgrade", "--yes").code == 0
    assert ctl("resume").code == 0
    assert "paused" not in deployment.record()
    assert ctl("status", "--json").data["automatic"] is True


def test_resume_takes_a_no_back_and_turns_automation_on(ctl: Ctl, deployment: Deployment) -> None:
    deployment.change_record(
        automatic_failover=False, ended_by_person={"by": "ada", "at": 1_800_000_000, "reason": "why"}
    )
    assert ctl("resume").code == 0
    record = deployment.record()
    assert record["automatic_failover"] is True
    assert "ended_by_person" not in record


def test_nothing_to_resume(ctl: Ctl) -> None:
    said = ctl("resume")
    assert said.code == 1
    assert "automatic failover is on" in said.text


def test_a_pause_that_somebody_has_renewed_is_not_ended(ctl: Ctl, deployment: Deployment) -> None:
    assert ctl("pause", "--for", "1h", "--reason", "an upgrade", "--yes").code == 0
    renewed: list[object] = []

    def renew(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not renewed:
            renewed.append(operation)
            pause = deployment.record()["paused"]
            deployment.change_record(paused={**pause, "by": "grace", "at": pause["at"] + 1})

    deployment.gate.before = renew
    said = ctl("resume")
    assert said.code == 1
    assert "somebody has paused it anew" in said.text
    assert deployment.record()["paused"]["by"] == "grace"


@pytest.mark.parametrize("text", ["", "soon", "45", "45 m", "-1h", "m", "2d", "25h", "0m", "1h 30m"])
def test_what_is_no_duration_changes_nothing(ctl: Ctl, deployment: Deployment, text: str) -> None:
    before = deployment.record()
    said = ctl("pause", "--for", text, "--reason", "r", "--yes") if not text.startswith("-") else None
    with pytest.raises(Refused):
        duration(text)
    assert said is None or said.code == 1
    assert deployment.record() == before


@pytest.mark.parametrize(
    ("text", "seconds"), [("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


# --- unlock


@pytest.fixture
def left(deployment: Deployment) -> str:
    """A run that was stopped with the lock in its hands."""
    deployment.writer_dies()
    deployment.run_until("claim", {"mode": "failover", "started_by": "ada"}, "run-1")
    deployment.stop("run-1")
    return "run-1"


def test_the_lock_of_a_run_that_has_ended_is_freed(ctl: Ctl, deployment: Deployment, left: str) -> None:
    said = ctl("unlock", left, "--yes")
    assert said.code == 0, said.text
    assert deployment.lock() is None


def test_p1_the_lock_of_a_run_that_has_asked_rds_is_not(ctl: Ctl, deployment: Deployment, left: str) -> None:
    deployment.change_record(transition={**(deployment.lock() or {}), "phase": "moving", "move_requests": 1})
    said = ctl("unlock", left, "--yes")
    assert said.code == 1
    assert "without the lock both regions could take writes" in said.text
    assert deployment.lock() is not None


@pytest.fixture
def asked(deployment: Deployment) -> str:
    """A failover that has asked RDS and was stopped, more than a minute ago; RDS has not taken the request."""
    deployment.writer_dies()
    deployment.run_until("claim", {"mode": "failover", "started_by": "ada"}, "run-1")
    deployment.stop("run-1")
    now = int(CLOCK.now())
    more = {"phase": "moving", "moving_since": now - 70, "move_requests": 1, "asked_at": now - 62}
    deployment.change_record(transition={**(deployment.lock() or {}), **more})
    return "run-1"


def test_p10_a_lock_of_whose_request_nothing_has_come_is_freed(ctl: Ctl, deployment: Deployment, asked: str) -> None:
    said = ctl("unlock", asked, "--yes")
    assert said.code == 0, said.text
    assert "RDS shows in both regions that none had any effect" in said.text
    assert deployment.lock() is None


def test_p1_not_while_a_request_may_be_on_its_way(ctl: Ctl, deployment: Deployment, asked: str) -> None:
    lock = {**(deployment.lock() or {}), "asked_at": int(CLOCK.now()) - 50}
    deployment.change_record(transition=lock)
    said = ctl("unlock", asked, "--yes")
    assert said.code == 1
    assert "a request may be on its way for 1" in said.text
    assert deployment.lock() == lock


def test_p1_not_where_the_cluster_was_detached(ctl: Ctl, deployment: Deployment, asked: str) -> None:
    """The writer's region shows nothing of that: its cluster is the primary as ever."""
    names = deployment.specification.names
    deployment.client("rds", STANDBY).remove_from_global_cluster(
        GlobalClusterIdentifier=names.global_cluster, DbClusterIdentifier=names.cluster_arn(STANDBY)
    )
    said = ctl("unlock", asked, "--yes")
    assert said.code == 1
    assert f"in {STANDBY} the cluster is " in said.text
    assert f"failoverctl start --mode failover --resumes {asked}" in said.text
    assert deployment.lock() is not None


@pytest.mark.parametrize("dark", [WRITER, STANDBY])
def test_p1_not_where_one_region_does_not_say(ctl: Ctl, deployment: Deployment, asked: str, dark: str) -> None:
    deployment.trouble("rds.DescribeGlobalClusters", "refused", region=dark, times=10**6)
    said = ctl("unlock", asked, "--yes")
    assert said.code == 2
    assert f"RDS in {dark} does not say" in said.text
    assert deployment.lock() is not None


def test_p1_not_where_another_run_asks_at_that_moment(ctl: Ctl, deployment: Deployment, asked: str) -> None:
    noted: list[object] = []

    def note(operation: str) -> None:
        if operation == "dynamodb.UpdateItem" and not noted:
            noted.append(operation)
            deployment.change_record(transition={**(deployment.lock() or {}), "move_requests": 2})

    deployment.gate.before = note
    assert ctl("unlock", asked, "--yes").code == 1
    assert deployment.lock() is not None


def test_nor_of_one_that_works(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    said = ctl("unlock", asking, "--yes")
    assert said.code == 1
    assert f"run {asking} is not known to have ended" in said.text
    assert deployment.lock() is not None


def test_the_end_of_a_pause_of_a_day_has_its_day(ctl: Ctl) -> None:
    """At the same time of day as it began, it would read as over."""
    said = ctl("pause", "--for", "24h", "--reason", "why", "--yes")
    assert re.search(r"Paused by .* until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", said.text), said.text
