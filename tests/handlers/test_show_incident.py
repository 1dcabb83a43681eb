"""ShowIncident: what the control record says, as the dashboard shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape

import pytest

from tests.deployment import CLOCK, STANDBY, Deployment


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with Deployment() as deployed:
        yield deployed


def shown(deployment: Deployment) -> dict[str, str]:
    """The panel's lines."""
    html = deployment.call("show_incident", {})
    return {name: unescape(value) for name, value in re.findall(r"<th align=left>(.*?)</th><td>(.*?)</td>", html)}


def test_a_quiet_night(deployment: Deployment) -> None:
    said = shown(deployment)
    assert said["Writer"] == "us-east-1, epoch 1"
    assert re.fullmatch(r"last sign of life \d\.\d s ago, ends in \d+\.\d s", said["Lease"])
    assert said["Automatic failover"] == "on"
    assert said["Standby"] == "protected"
    assert said["Run at work"] == "none"
    assert "Last move" not in said


def test_while_a_run_waits_for_a_person(deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.databases.heartbeat[STANDBY] = None
    deployment.start({"mode": "failover", "started_by": "ada"}, "run-1")
    deployment.wait_for(lambda: bool(deployment.messages(STANDBY)), "nobody is asked")
    said = shown(deployment)
    assert re.search(r"OVER for \d+\.\d s", said["Lease"])
    assert re.fullmatch(r"run-1: failover, checking, for \d+ s", said["Run at work"])


def test_after_a_failover(deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.run({"mode": "failover", "started_by": "ada"})
    said = shown(deployment)
    assert said["Writer"] == "us-west-2, epoch 2"
    assert said["Standby"] == "NONE: the writer is not protected"
    assert re.fullmatch(
        r"run-1, \d+ s ago: RTO \d+\.\d s \(target 60 s\), RPO 0\.000 s \(target 1 s\)", said["Last move"]
    )


def test_a_pause_says_whose_it_is(deployment: Deployment) -> None:
    at = Decimal(round(CLOCK.now()))
    deployment.change_record(paused={"by": "ada", "at": at, "until": at + 600, "reason": "<upgrade>"})
    assert re.fullmatch(r"PAUSED by ada for \d+ s more: <upgrade>", shown(deployment)["Automatic failover"])


def test_a_record_that_cannot_be_read_is_said(deployment: Deployment) -> None:
    deployment.trouble("dynamodb.GetItem", "refused", step="show_incident", times=100)
    assert "The control record cannot be read from this region" in deployment.call("show_incident", {})
