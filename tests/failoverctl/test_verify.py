"""``failoverctl verify`` on a whole deployment: what it can ask there, and what it says of the rest."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from failoverctl import experiments
from failoverctl.assumptions import ASSUMPTIONS
from failoverctl.lab import RunningLab
from orchestration import measured
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.surroundings import surround
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_assumptions import OF_READINESS
from tests.failoverctl.test_rights import asked

BY_NAME = {each.name: each for each in ASSUMPTIONS}


# What moto does not know; its emulator answers such a request with an error, too.
NOT_IN_MOTO = (
    "backup.ListBackupJobs",
    "backup.ListCopyJobs",
    "backup.ListReportJobs",
    "iam.SimulatePrincipalPolicy",
    "rds.DescribeDBEngineVersions",
    "rds.DescribeEngineDefaultClusterParameters",
    "route53.GetHealthCheckStatus",
)


@pytest.fixture(autouse=True)
def not_in_moto(deployment: Deployment) -> None:
    for operation in NOT_IN_MOTO:
        deployment.trouble(operation, "NotImplemented", times=1000)


def levels(data: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in data["findings"]:
        found.setdefault(one["check"], set()).add(one["level"])
    return found


def test_it_asks_every_row_by_reads_only_and_the_deployments_own_functions_are_green(
    ctl: Ctl, deployment: Deployment
) -> None:
    surround(deployment)
    deployment.databases.replicated_until = CLOCK.now()
    deployment.gate.seen.clear()
    data = ctl("verify", "--json").data
    seen = levels(data)
    assert set(seen) == {each.name for each in ASSUMPTIONS if not each.experiment}
    assert {name: seen[name] for name in OF_READINESS} == {name: {"ok"} for name in OF_READINESS}
    assert {each["check"] for each in data["not_asked"]} == {each.name for each in ASSUMPTIONS if each.experiment}
    rights = asked(deployment)
    assert rights <= {call for each in ASSUMPTIONS for call in each.calls}
    reads = ("Describe", "Get", "List", "Simulate")
    assert all(action.partition(":")[2].startswith((*reads, "InvokeFunction")) for action in rights), rights


def test_what_is_false_is_red_and_says_what_follows(ctl: Ctl, deployment: Deployment, tmp_path: Path) -> None:
    surround(deployment)
    deployment.gate.surroundings.reserved.clear()
    deployment.databases.replicated_until = None
    page = tmp_path / "verify.html"
    said = ctl("verify", "--page", str(page))
    assert said.code == 1
    assert said.text.startswith("Not all that the product assumes of AWS holds here.\n")
    assert f"→ {BY_NAME['concurrency'].otherwise}" in said.text
    assert "the standby does not say up to when it has the writer's commits" in said.text
    assert "a failover, and a re-protection after it" in said.text  # of what is not asked
    text = page.read_text()
    assert "Signed off" in text
    assert "Read and accepted by" in text
    assert all(each.name in text for each in ASSUMPTIONS)
    assert "http://" not in text


def test_a_region_whose_function_is_silent_leaves_its_rows_open(ctl: Ctl, deployment: Deployment) -> None:
    surround(deployment)
    dark = STANDBY
    deployment.trouble("lambda.Invoke", "refused", region=dark, times=100)
    found = ctl("verify", "--json").data["findings"]
    assert {one["level"] for one in found if one["check"] == "membership" and one["region"] == dark} == {"cannot tell"}


def test_a_switchover_and_a_failback_are_measured(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    surround(deployment)
    monkeypatch.setattr(measured, "FILE", tmp_path / "measured.json")

    def a_moment_passes(seconds: float) -> None:
        if deployment.record()["writer_region"] == STANDBY and "transition" not in deployment.record():
            deployment.new_writer_beats()
        time.sleep(seconds)

    monkeypatch.setattr(experiments, "time", SimpleNamespace(monotonic=time.monotonic, sleep=a_moment_passes))
    said = ctl("verify", "--with-switchover", "--yes")
    assert deployment.record()["writer_region"] == WRITER
    assert deployment.record()["epoch"] == 3
    assert re.search(r"switchover-time +both +ok +\d+\.\d s in run verify-", said.text), said.text
    assert json.loads((tmp_path / "measured.json").read_text())["switchover"]["run"].startswith("verify-")


def test_nothing_is_moved_unasked(ctl: Ctl, deployment: Deployment) -> None:
    surround(deployment)
    before = deployment.record()
    said = ctl("verify", "--with-switchover")
    assert said.code == 1
    assert "say --yes" in said.text
    assert deployment.record() == before


# --- an outage that is made


WITH_FAILOVER = ("verify", "--with-failover", "--yes")


@pytest.fixture
def cut_off(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deployment:
    """A whole deployment whose prober has a security group, and an experiment that waits for moments only."""
    surround(deployment)
    monkeypatch.setattr(measured, "FILE", tmp_path / "measured.json")
    monkeypatch.setattr(experiments, "LOOK_EVERY_S", 0.05)
    with deployment.gate.wide_open():
        deployment.client("ec2", WRITER).create_security_group(
            GroupName=deployment.specification.names.security_group("prober", WRITER), Description="x", VpcId=a_vpc()
        )
    return deployment


def a_vpc() -> str:
    return str(boto3.client("ec2", WRITER).create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


def own_requests(deployment: Deployment, *operations: str) -> list[str]:
    """The requests of the person, in their order, to RDS."""
    return [operation for step, _, operation in deployment.gate.seen if not step and operation in operations]


def test_an_outage_is_made_and_the_failover_that_follows_is_measured_and_kept(
    ctl: Ctl, cut_off: Deployment, tmp_path: Path
) -> None:
    def nobody_reaches_it(operation: str) -> None:
        if operation == "rds.ModifyDBCluster" and cut_off.databases.up[WRITER]:
            cut_off.writer_dies()
            with cut_off.gate.wide_open():
                cut_off.start({"mode": "failover", "automatic": True, "started_by": "the monitor"}, "by-itself")

    cut_off.gate.before = nobody_reaches_it
    said = ctl(*WITH_FAILOVER)
    assert re.search(r"Run by-itself: recovered, \d+ s after the database was cut off.", said.text), said.text
    assert "There is no standby now" in said.text
    assert re.search(r"promotion-time +both +ok +\d+\.\d s in run by-itself", said.text), said.text
    assert json.loads((tmp_path / "measured.json").read_text())["failover"]["run"] == "by-itself"
    assert cut_off.record()["writer_region"] == STANDBY
    assert not cut_off.databases.admits[WRITER]  # by the failover's own fence
    asked_of_rds = own_requests(cut_off, "rds.RebootDBInstance", "rds.ModifyDBCluster")
    assert asked_of_rds == ["rds.RebootDBInstance", "rds.RebootDBInstance", "rds.ModifyDBCluster"]


def test_p10_where_no_failover_comes_the_database_gets_its_groups_back(
    ctl: Ctl, cut_off: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "FAILOVER_WITHIN_S", 0.2)
    said = ctl(*WITH_FAILOVER)
    assert said.code == 2
    assert "no failover to us-west-2 within" in said.text
    assert "The cluster in us-east-1 has its security groups again" in said.text
    assert cut_off.databases.admits[WRITER]


def test_p1_an_old_writer_is_not_opened_again(ctl: Ctl, cut_off: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The move was made, and its fence has not reached RDS."""
    monkeypatch.setattr(experiments, "FAILOVER_WITHIN_S", 0.2)

    def moved(operation: str) -> None:
        if operation == "rds.ModifyDBCluster":
            cut_off.change_record(writer_region=STANDBY, epoch=2)

    cut_off.gate.before = moved
    said = ctl(*WITH_FAILOVER)
    assert said.code == 2
    assert "The old cluster in us-east-1 still has the group sg-" in said.text
    assert not cut_off.databases.admits[WRITER]


def test_a_session_that_outlives_the_restart_meets_another_one(
    ctl: Ctl, cut_off: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "FAILOVER_WITHIN_S", 0.3)
    monkeypatch.setattr(experiments, "RESTART_EVERY_S", 0.0)
    ctl(*WITH_FAILOVER)
    assert len(own_requests(cut_off, "rds.RebootDBInstance")) > 2  # instances of the cluster


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [("FAILOVER_TRIGGER_MODE", "rehearsal", "only a rehearsal would start"), (None, None, "there is no standby")],
)
def test_no_outage_is_made_that_would_not_fail_over(
    ctl: Ctl,
    cut_off: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    value: str | None,
    words: str,
) -> None:
    if variable is not None:
        monkeypatch.setenv(variable, str(value))
    else:
        cut_off.change_record(protected=False)
    said = ctl(*WITH_FAILOVER)
    assert said.code == 1
    assert "an outage would not fail over by itself now" in said.text
    assert words in said.text
    assert not own_requests(cut_off, "rds.RebootDBInstance", "rds.ModifyDBCluster")


def test_no_outage_is_made_unasked_or_by_a_group_that_lets_somebody_in(ctl: Ctl, cut_off: Deployment) -> None:
    said = ctl("verify", "--with-failover")
    assert said.code == 1
    assert "an outage for every application" in said.text
    assert "say --yes" in said.text
    with cut_off.gate.wide_open():
        ec2 = cut_off.client("ec2", WRITER)
        name = cut_off.specification.names.security_group("prober", WRITER)
        (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]
        ec2.authorize_security_group_ingress(
            GroupId=group["GroupId"],
            IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
        )
    said = ctl(*WITH_FAILOVER)
    assert said.code == 1
    assert "there is no one security group of the prober in us-east-1 that lets nobody in" in said.text
    assert not own_requests(cut_off, "rds.RebootDBInstance", "rds.ModifyDBCluster")


def test_the_lab_makes_its_own_outages(ctl: Ctl, cut_off: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_lab(cut_off, monkeypatch)
    said = ctl("--lab", *WITH_FAILOVER)
    assert said.code == 1
    assert "strike it on its page" in said.text


# --- the alarm


def test_the_alarm_is_set_only_where_it_starts_rehearsals(ctl: Ctl, deployment: Deployment) -> None:
    said = ctl("verify", "--with-trigger", "--yes")
    assert said.code == 1
    assert 'set `trigger_mode = "rehearsal"`' in said.text
    assert "cloudwatch:SetAlarmState" not in asked(deployment)


def test_an_alarm_that_is_set_by_hand_starts_a_rehearsal(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    surround(deployment)
    monkeypatch.setenv("FAILOVER_TRIGGER_MODE", "rehearsal")
    name = deployment.specification.names.alarm("writer-down", STANDBY)

    def bus_delivers(operation: str) -> None:
        if operation == "cloudwatch.SetAlarmState":
            at = f"{datetime.fromtimestamp(CLOCK.now(), UTC):%Y-%m-%dT%H:%M:%SZ}"
            asked_for = {"mode": "rehearsal", "automatic": True, "asked_at": at, "started_by": f"alarm {name}"}
            with deployment.gate.wide_open():
                deployment.start(asked_for, "by-the-alarm")

    deployment.gate.before = bus_delivers
    make_alarm(deployment, name)
    said = ctl("verify", "--with-trigger", "--yes")
    assert "Run by-the-alarm, started by the alarm: rehearsed." in said.text
    assert re.search(r"trigger +both +ok +\d+ s from the alarm's event to the start of run by-the-alarm", said.text)


def make_alarm(deployment: Deployment, name: str) -> None:
    with deployment.gate.wide_open():
        deployment.client("cloudwatch", STANDBY).put_metric_alarm(
            AlarmName=name,
            MetricName="WriterDown",
            Namespace="FailoverOrchestrator",
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            EvaluationPeriods=1,
            Period=10,
            Statistic="Maximum",
            Threshold=1,
        )


def test_what_the_lab_does_without_is_said(ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    surround(deployment)
    in_a_lab(deployment, monkeypatch)
    found = ctl("--lab", "verify", "--json").data["findings"]
    facts = {one["check"]: one["fact"] for one in found}
    for each in ASSUMPTIONS:
        if each.ask and each.lab and not each.experiment:
            assert facts[each.name] == f"cannot tell here: the lab has no {each.lab}"


def in_a_lab(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = RunningLab(
        "http://127.0.0.1:1", 1, {"environment_suffix": deployment.specification.settings.environment_suffix}
    )
    monkeypatch.setattr("failoverctl.lab.find", lambda: lab)
    monkeypatch.setattr(RunningLab, "enter", lambda self: None)
