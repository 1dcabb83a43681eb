"""``failoverctl ready``: the functions of both regions say what they see, and one table shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from failoverctl.lab import RunningLab
from failoverctl.ready import NOT_IN_THE_LAB
from handlers.core.readiness import CHECKS, DAY_S
from orchestration import safe_to_apply
from orchestration.terraform import Change
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.surroundings import surround
from tests.failoverctl.conftest import Ctl


def test_a_healthy_deployment_is_ready(ctl: Ctl, deployment: Deployment) -> None:
    surround(deployment)
    said = ctl("ready")
    assert said.code == 0
    assert said.text.startswith("A failover would work now.\n")
    assert all(check.name in said.text for check in CHECKS)
    data = ctl("ready", "--json").data
    assert data["answer"] == "ok"
    assert {found["level"] for found in data["findings"]} == {"ok"}


def test_what_is_red_is_said_with_the_remedy(ctl: Ctl, deployment: Deployment, tmp_path: Path) -> None:
    surround(deployment)
    deployment.change_record(automatic_failover=False)
    page = tmp_path / "ready.html"
    said = ctl("ready", "--page", str(page))
    assert said.code == 1
    assert said.text.startswith("Not ready: do not rely on a failover now.\n")
    assert "automatic failover is turned off in the control record" in said.text
    assert "→ `failoverctl resume`" in said.text
    written = page.read_text()
    assert "automatic failover is turned off in the control record" in written
    assert "http://" not in written
    assert "https://" not in written


def test_without_a_drill_of_late_it_says_so(ctl: Ctl, deployment: Deployment) -> None:
    surround(deployment, drilled=False)
    # A start that came too late has shown nothing, though it has ended well.
    deployment.run({"mode": "failover", "started_by": "alarm", "automatic": True, "asked_at": "2020-01-01T00:00:00Z"})
    said = ctl("ready", "--json")
    assert said.code == 0
    assert [(found["check"], found["level"]) for found in said.data["findings"] if found["level"] != "ok"] == [
        ("drill", "warning")
    ]
    deployment.run({"mode": "rehearsal", "started_by": "ada"}, "rehearsal-1")
    deployment.guardian_was_here()
    assert ctl("ready", "--json").data["answer"] == "ok"
    CLOCK.sleep(91 * DAY_S)
    deployment.guardian_was_here()
    levels = {found["check"]: found["level"] for found in ctl("ready", "--json").data["findings"]}
    assert levels["drill"] == "warning"


@pytest.mark.parametrize("dark", [WRITER, STANDBY])
def test_a_region_whose_function_does_not_answer_is_not_ready(ctl: Ctl, deployment: Deployment, dark: str) -> None:
    surround(deployment)
    deployment.trouble("lambda.Invoke", "refused", region=dark, times=100)
    data = ctl("ready", "--json").data
    silent = [found for found in data["findings"] if found["check"] == "answers"]
    assert [(found["region"], found["level"]) for found in silent] == [(dark, "cannot tell")]
    assert data["answer"] != "ok"


def test_who_may_not_ask_is_told_which_policy(ctl: Ctl, deployment: Deployment) -> None:
    deployment.trouble("lambda.Invoke", "AccessDeniedException", status=403, times=100)
    said = ctl("ready")
    assert said.code == 2
    assert "failover-readers-test" in said.text


def test_what_the_lab_does_without_is_said(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    surround(deployment)
    settings = deployment.specification.settings
    lab = RunningLab("http://127.0.0.1:1", 1, {"environment_suffix": settings.environment_suffix})
    monkeypatch.setattr("failoverctl.lab.find", lambda: lab)
    monkeypatch.setattr(RunningLab, "enter", lambda self: None)
    said = ctl("--lab", "ready", "--json")
    assert said.code == 2
    unknown = {found["check"]: found["fact"] for found in said.data["findings"] if found["level"] == "cannot tell"}
    assert unknown == {check: f"the lab has no {lacks}" for check, lacks in NOT_IN_THE_LAB.items()}


def test_drift_is_asked_of_terraform(ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    surround(deployment)
    removed = Change("aws_rds_cluster.c", "aws_rds_cluster", ("delete",), frozenset())
    plans = {"identity": [], WRITER: [removed], "global": []}

    def planned(stack: str) -> list[Change]:
        if stack == STANDBY:
            raise safe_to_apply.CannotTell("its state cannot be read")
        return plans[stack]

    monkeypatch.setattr(safe_to_apply, "planned", planned)
    said = ctl("ready", "--drift", "--json")
    drift = {found["region"]: found["level"] for found in said.data["findings"] if found["check"] == "drift"}
    assert drift == {"identity": "ok", WRITER: "failing", STANDBY: "cannot tell", "global": "ok"}
    assert said.code == 1
