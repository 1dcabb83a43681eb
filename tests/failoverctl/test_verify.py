"""``failoverctl verify`` on a whole deployment: what it can ask there, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failoverctl.asks import control
from failoverctl.assumptions import ASSUMPTIONS
from failoverctl.lab import RunningLab
from tests.deployment import CLOCK, STANDBY, Deployment
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
def at_once(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PAUSE_S", 0.0)
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
    assert set(seen) == {each.name for each in ASSUMPTIONS if each.ask}
    assert {name: seen[name] for name in OF_READINESS} == {name: {"ok"} for name in OF_READINESS}
    assert {each["check"] for each in data["not_asked"]} == {each.name for each in ASSUMPTIONS if not each.ask}
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


def test_what_the_lab_does_without_is_said(ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    surround(deployment)
    lab = RunningLab(
        "http://127.0.0.1:1", 1, {"environment_suffix": deployment.specification.settings.environment_suffix}
    )
    monkeypatch.setattr("failoverctl.lab.find", lambda: lab)
    monkeypatch.setattr(RunningLab, "enter", lambda self: None)
    found = ctl("--lab", "verify", "--json").data["findings"]
    facts = {one["check"]: one["fact"] for one in found}
    for each in ASSUMPTIONS:
        if each.ask and each.lab:
            assert facts[each.name] == f"cannot tell here: the lab has no {each.lab}"
