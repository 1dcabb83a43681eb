"""What the verbs ask of AWS and what people are granted, compared in both directions."""

from __future__ import annotations

from pathlib import Path

from botocore.session import get_session

from orchestration.specification import people
from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_break_glass import master_secret

# Where IAM's name of a service is not the SDK's.
IAM = {"sfn": "states", "secrets-manager": "secretsmanager", "route-53": "route53", "eventbridge": "events"}
# Everybody may ask STS who they are (STS API reference, GetCallerIdentity).
FREE = {"sts:GetCallerIdentity"}
# IAM's action where it is not the operation (service authorization reference of S3 and Lambda).
ACTIONS = {"s3:ListObjectsV2": "s3:ListBucket", "lambda:Invoke": "lambda:InvokeFunction"}
# What CloudWatch asks in the name of whoever looks at the dashboard.
DASHBOARD = {"lambda:InvokeFunction"}
# Keys are used behind the others.
BEHIND = {"kms:Decrypt"}


ONE_ROW = "SELECT transfer(id) FROM jsonb_populate_record(NULL::public.transfers, '{\"id\": 1}');\n"


def asked(deployment: Deployment) -> set[str]:
    """The actions of what was asked of AWS, by nobody's step."""
    found = set()
    for step, _, operation in deployment.gate.seen:
        service, _, name = operation.partition(".")
        if not step:
            action = f"{IAM.get(service, service)}:{name}"
            found.add(ACTIONS.get(action, action))
    return found - FREE


def granted(deployment: Deployment, of: int) -> set[str]:
    policy = people.policies(deployment.specification.names)[of]
    return {action for permission in policy.permissions for action in permission.actions} - BEHIND


def test_readers_may_do_what_the_looking_verbs_ask_and_nothing_more(
    ctl: Ctl, deployment: Deployment, tmp_path: Path
) -> None:
    salvaged(deployment)
    deployment.run({"mode": "rehearsal", "started_by": "ada"}, "run-1")
    deployment.gate.seen.clear()
    for words in (
        ("status",),
        ("ready",),
        ("runs",),
        ("show", "run-1"),
        ("show", "forgotten"),
        ("watch", "run-1"),
        ("report", "run-1", "--output", str(tmp_path / "run-1.html")),
        ("salvage", "list"),
        ("salvage", "show", "2"),
    ):
        ctl(*words)
    assert asked(deployment) | DASHBOARD == granted(deployment, 0)


def test_operators_may_do_what_all_verbs_ask_and_nothing_more(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    salvaged(deployment)
    deployment.gate.seen.clear()
    for words in (
        ("status",),
        ("runs",),
        ("show", "forgotten"),
        ("hold", "--yes"),
        ("release",),
        ("reject", asking, "--reason", "no", "--yes"),
        ("start", "--mode", "rehearsal", "--yes"),
        ("bootstrap", "--yes"),
        ("let-in", WRITER, "--yes"),
        ("salvage", "show", "2", "--file", "salvage-001.sql"),
        ("salvage", "replay", "2", "--secret", "arn:aws:secretsmanager:us-east-1:123456789012:secret:x", "--yes"),
    ):
        ctl(*words)
    deployment.wait_for_end(asking)
    deployment.change_record(
        transition={
            "run": asking,
            "mode": "failover",
            "phase": "moving",
            "incident": "an outage",
            "target_region": STANDBY,
            "started_at": 1_700_000_000,
            "deadline": 1_700_001_860,
            "move_requests": 1,
            "asked_at": 1_700_000_000,
        }
    )
    assert ctl("unlock", asking, "--yes").code == 0
    assert asked(deployment) | {"states:SendTaskSuccess"} == granted(deployment, 1)


def test_whoever_breaks_the_glass_may_do_what_that_asks_and_nothing_more(ctl: Ctl, deployment: Deployment) -> None:
    master_secret(deployment)
    deployment.writer_dies()
    deployment.trouble("rds-data.ExecuteStatement", "DatabaseErrorException", times=1)
    deployment.gate.seen.clear()
    assert ctl("break-glass", "--yes").code == 0
    unseen = {"secretsmanager:GetSecretValue"}  # the Data API reads it in the caller's name
    assert asked(deployment) | unseen == granted(deployment, 2)


def salvaged(deployment: Deployment) -> None:
    """A re-protection has kept something of epoch 2."""
    bucket = deployment.specification.regions[STANDBY].salvage_bucket
    for name, text in (("salvage.json", '{"missing": 1}'), ("salvage-001.sql", ONE_ROW)):
        deployment.client("s3", STANDBY).put_object(Bucket=bucket, Key=f"epoch-2/{name}", Body=text.encode())


def test_the_names_here_are_iams(deployment: Deployment) -> None:
    session = get_session()
    for action in granted(deployment, 1) - {"s3:ListBucket", "s3:GetObject", "lambda:InvokeFunction"}:
        service, _, name = action.partition(":")
        model = session.get_service_model({"states": "stepfunctions"}.get(service, service))
        assert name in model.operation_names
