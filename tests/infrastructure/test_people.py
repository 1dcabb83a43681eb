"""The policies of people: exactly what was reviewed, in the stack that needs no region."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.specification.names import region_short
from tests.infrastructure.synthesized import ACCOUNT, Deployment

REGIONS = ("us-east-1", "us-west-2")


def granted(deployment: Deployment, people: str) -> list[dict[str, Any]]:
    policy = deployment.stacks["identity"].find("aws_iam_policy", name=f"failover-{people}-test")
    statements: list[dict[str, Any]] = json.loads(policy["policy"])["Statement"]
    return statements


def as_text(statement: dict[str, Any]) -> str:
    """A statement in one line, without what all have in common."""
    condition = statement.get("Condition")
    words = [", ".join(statement["Action"]), "on", ", ".join(statement["Resource"])]
    return " ".join([*words, *(["if", json.dumps(condition, sort_keys=True)] if condition else [])]).replace(
        ACCOUNT, "ACCOUNT"
    )


def both(pattern: str) -> str:
    """The same of either region: ``{r}`` is its name, ``{s}`` the short one."""
    return ", ".join(pattern.format(r=region, s=region_short(region)) for region in REGIONS)


def each_in_its_region(text: str) -> list[str]:
    return [f'{text} on * if {{"StringEquals": {{"aws:RequestedRegion": "{region}"}}}}' for region in REGIONS]


MACHINE = "arn:aws:states:{r}:ACCOUNT:stateMachine"
EXECUTION = "arn:aws:states:{r}:ACCOUNT:execution"
BUCKET = "arn:aws:s3:::payments-salvage-{s}-test-ACCOUNT"
REPORTS = "arn:aws:s3:::payments-reports-{s}-test-ACCOUNT"
READERS = [
    "dynamodb:GetItem on "
    + both("arn:aws:dynamodb:{r}:ACCOUNT:table/failover-control-test")
    + ", "
    + both("arn:aws:dynamodb:{r}:ACCOUNT:table/failover-runs-{s}-test"),
    "states:ListExecutions on " + both(f"{MACHINE}:failover-{{s}}-test, {MACHINE}:reprotect-{{s}}-test"),
    "states:DescribeExecution, states:GetExecutionHistory on "
    + both(f"{EXECUTION}:failover-{{s}}-test:*, {EXECUTION}:reprotect-{{s}}-test:*"),
    *each_in_its_region("cloudwatch:GetMetricStatistics"),
    "lambda:InvokeFunction on " + both("arn:aws:lambda:{r}:ACCOUNT:function:failover-readiness-{s}-test"),
    "s3:ListBucket on " + both(f"{BUCKET}, {REPORTS}"),
    "s3:GetObject on " + both(f"{REPORTS}/runs/*"),
    "s3:GetObject on " + both(f"{BUCKET}/epoch-*/salvage.json"),
    "lambda:InvokeFunction on " + both("arn:aws:lambda:{r}:ACCOUNT:function:failover-show-incident-{s}-test"),
    *(
        f"kms:Decrypt on arn:aws:kms:{region}:ACCOUNT:key/* if "
        f'{{"ForAnyValue:StringEquals": {{"kms:ResourceAliases": "alias/failover-{region_short(region)}-test"}}}}'
        for region in REGIONS
    ),
]
OPERATORS = [
    *READERS,
    "dynamodb:UpdateItem on " + both("arn:aws:dynamodb:{r}:ACCOUNT:table/failover-control-test"),
    "states:StartExecution on " + both(f"{MACHINE}:failover-{{s}}-test, {MACHINE}:reprotect-{{s}}-test"),
    *each_in_its_region("rds:DescribeDBClusters, rds:DescribeGlobalClusters"),
    *each_in_its_region("states:SendTaskFailure, states:SendTaskSuccess"),
    "lambda:InvokeFunction on " + both("arn:aws:lambda:{r}:ACCOUNT:function:failover-bootstrap-database-{s}-test"),
    "lambda:InvokeFunction on "
    + both(
        "arn:aws:lambda:{r}:ACCOUNT:function:failover-prober-{s}-test, "
        "arn:aws:lambda:{r}:ACCOUNT:function:failover-fence-{s}-test"
    ),
    "s3:GetObject on " + both(f"{BUCKET}/epoch-*/salvage-*.sql"),
    "rds-data:BeginTransaction, rds-data:ExecuteStatement, rds-data:RollbackTransaction on "
    + both("arn:aws:rds:{r}:ACCOUNT:cluster:payments-{s}-test"),
]


@pytest.mark.parametrize(("people", "reviewed"), [("readers", READERS), ("operators", OPERATORS)])
def test_people_may_do_what_was_reviewed_and_nothing_else(
    development: Deployment, people: str, reviewed: list[str]
) -> None:
    assert [as_text(statement) for statement in granted(development, people)] == reviewed


def test_no_policy_is_attached_to_anybody(development: Deployment) -> None:
    kinds = {kind for stack in development.stacks.values() for kind in stack.json["resource"]}
    assert not {kind for kind in kinds if kind.startswith("aws_iam_") and "attachment" in kind}


def test_a_policy_fits_into_what_iam_takes(production: Deployment) -> None:
    """A managed policy has 6,144 characters at most, without white space (IAM guide, "IAM and STS quotas")."""
    for policy in production.stacks["identity"].all("aws_iam_policy"):
        text = json.dumps(json.loads(policy["policy"]), separators=(",", ":")).replace(ACCOUNT, "123456789012")
        assert len(text) < 6144, policy["name"]
