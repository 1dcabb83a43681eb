"""KeepReport: the report of every run, however it ended, in a bucket whose objects are locked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment import STANDBY, Deployment

FAILOVER = {"mode": "failover", "started_by": "ada"}


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with Deployment() as deployed:
        yield deployed


def kept(deployment: Deployment, run: str, name: str) -> dict[str, Any]:
    """An object of the run's report."""
    bucket = deployment.specification.regions[STANDBY].reports_bucket
    found: dict[str, Any] = deployment.client("s3", STANDBY).get_object(Bucket=bucket, Key=f"runs/{run}/{name}")
    return found


def test_a_run_that_succeeded(deployment: Deployment) -> None:
    deployment.writer_dies()
    output = deployment.run(FAILOVER).output
    data = json.loads(kept(deployment, "run-1", "report.json")["Body"].read())
    assert data["outcome"] == "recovered"
    assert data["record"] == output
    assert [each["text"] for each in data["messages"]][-1] == deployment.messages(STANDBY)[-1][1]
    page = kept(deployment, "run-1", "report.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert "us-west-2 is the writer" in page["Body"].read().decode()
    assert "ChecksumSHA256" in deployment.client("s3", STANDBY).head_object(
        Bucket=deployment.specification.regions[STANDBY].reports_bucket,
        Key="runs/run-1/report.html",
        ChecksumMode="ENABLED",
    )


def test_a_run_that_was_refused(deployment: Deployment) -> None:
    deployment.run(FAILOVER)  # the writer lives
    assert json.loads(kept(deployment, "run-1", "report.json")["Body"].read())["outcome"] == "refused"


def test_a_run_that_failed_half_way(deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.fail("commit_writer", *["Unreadable"] * 10)
    deployment.run(FAILOVER)
    data = json.loads(kept(deployment, "run-1", "report.json")["Body"].read())
    assert (data["status"], data["outcome"]) == ("FAILED", "needs_person")
    assert data["record"]["errors"]  # kept in the table: a run that failed has no output


def test_a_request_that_nobody_understood(deployment: Deployment) -> None:
    deployment.run({"mode": "no such mode"})
    data = json.loads(kept(deployment, "run-1", "report.json")["Body"].read())
    assert data["record"] is None
    assert data["asked"] == {"mode": "no such mode"}


def test_a_reprotection(deployment: Deployment) -> None:
    deployment.run({"started_by": "ada"}, "reprotect-1", reprotect=True)  # there is nothing to do
    data = json.loads(kept(deployment, "reprotect-1", "report.json")["Body"].read())
    assert data["workflow"] == "reprotect"
    assert data["asked"] == {"started_by": "ada"}


def test_a_report_that_is_kept_again_is_a_further_version(deployment: Deployment) -> None:
    deployment.run(FAILOVER)
    arn = deployment.specification.names.state_machine_arn(STANDBY)
    deployment.call("keep_report", {"detail": {"name": "run-1", "stateMachineArn": arn}})
    bucket = deployment.specification.regions[STANDBY].reports_bucket
    found = deployment.client("s3", STANDBY).list_object_versions(Bucket=bucket, Prefix="runs/run-1/report.html")
    assert len(found["Versions"]) == 2


def test_people_are_told_of_a_report_that_could_not_be_kept(deployment: Deployment) -> None:
    deployment.trouble("s3.PutObject", "refused", step="keep_report", times=100)
    deployment.run(FAILOVER)
    deployment.wait_for(lambda: deployment.messages(STANDBY)[-1][1].startswith("REPORT NOT KEPT"))
    assert "failoverctl report run-1 --suffix test" in deployment.messages(STANDBY)[-1][1]
