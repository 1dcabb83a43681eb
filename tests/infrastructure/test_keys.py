"""Who may use a region's encryption key, and that nobody loses it."""

from __future__ import annotations

import json

from tests.infrastructure.synthesized import ACCOUNT, Deployment


def test_security_a_key_is_used_by_whom_iam_lets_and_by_services_for_this_account_only(
    development: Deployment, region: str
) -> None:
    policy = json.loads(development.stacks[region].only("aws_kms_key")["policy"])
    logs = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:*"
    assert [(one["Effect"], one["Principal"], one.get("Condition")) for one in policy["Statement"]] == [
        ("Allow", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, None),
        (
            "Allow",
            {"Service": f"logs.{region}.amazonaws.com"},
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
        ),
        (
            "Allow",
            {"Service": "cloudwatch.amazonaws.com"},
            {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        ),
    ]


def test_p8_no_plan_removes_the_key_of_production_and_it_outlives_a_mistake_by_a_month(
    production: Deployment,
) -> None:
    for stack in production.both:
        key = stack.only("aws_kms_key")
        assert (key["lifecycle"]["prevent_destroy"], key["deletion_window_in_days"]) == (True, 30)
