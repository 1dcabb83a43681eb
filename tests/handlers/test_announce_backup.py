"""People are told of a backup that failed, whatever else AWS Backup says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from handlers.core.errors import InvalidRequest
from tests.deployment import STANDBY, WRITER, Deployment

VAULT = "payments-backup-usw2-test"
ARN = f"arn:aws:backup:us-west-2:123456789012:backup-vault:{VAULT}"


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with Deployment() as deployed:
        yield deployed


def event(kind: str, **detail: Any) -> dict[str, Any]:
    return {"detail-type": f"{kind} Job State Change", "region": STANDBY, "detail": detail}


@pytest.mark.parametrize(
    ("kind", "vault", "subject"),
    [
        ("Backup", {"backupVaultName": VAULT}, "BACKUP FAILED: the daily backup in us-west-2 did not succeed"),
        (
            "Copy",
            {"sourceBackupVaultArn": ARN},
            "COPY FAILED: the copy of a backup to the other region in us-west-2 did not succeed",
        ),
        # A field that is missing, or is called something else, must not keep people from hearing of it.
        ("Backup", {}, "BACKUP FAILED: the daily backup in us-west-2 did not succeed"),
    ],
)
def test_people_in_both_regions_are_told(
    kind: str, vault: dict[str, str], subject: str, deployment: Deployment
) -> None:
    why = {"resourceArn": "arn:aws:rds:us-west-2:123456789012:cluster:payments-usw2-test", "statusMessage": "no\nkey"}
    deployment.call("announce_backup", event(kind, state="FAILED", **vault, **why))
    for region in (WRITER, STANDBY):
        ((said, text),) = deployment.messages(region)
        assert said == subject
        assert "Resource: arn:aws:rds:us-west-2:123456789012:cluster:payments-usw2-test" in text
        assert "Reason: no\\nkey" in text
        assert "failoverctl ready --suffix test" in text


def test_nobody_is_told_of_somebody_elses_backup(deployment: Deployment) -> None:
    deployment.call("announce_backup", event("Backup", state="FAILED", backupVaultName="Default"))
    other = "arn:aws:backup:us-west-2:123456789012:backup-vault:Default"
    deployment.call("announce_backup", event("Copy", state="FAILED", sourceBackupVaultArn=other))
    assert deployment.messages(STANDBY) == []


@pytest.mark.parametrize(
    "bad", [None, {}, event("Restore", state="FAILED"), event("Backup"), event("Backup", state="COMPLETED")]
)
def test_anything_else_is_refused(bad: Any, deployment: Deployment) -> None:
    with pytest.raises(InvalidRequest):
        deployment.call("announce_backup", bad)
    assert deployment.messages(STANDBY) == []
