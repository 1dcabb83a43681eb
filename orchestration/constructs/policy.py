"""IAM policy documents as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from orchestration.specification.model import Permission
from orchestration.specification.names import PARTITION

Statement = dict[str, Any]


def document(statements: Iterable[Statement]) -> str:
    """Returns a policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(permission: Permission) -> Statement:
    """Returns the statement that grants ``permission``."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": list(permission.actions),
        "Resource": list(permission.resources),
    }
    if permission.conditions:
        statement["Condition"] = permission.conditions
    return statement


def trust(service: str, conditions: dict[str, dict[str, str]] | None = None) -> str:
    """Returns a trust policy that lets an AWS service, and nobody else, assume a role."""
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if conditions:
        statement["Condition"] = conditions
    return document([statement])


def trust_roles(account: str, roles: Iterable[str]) -> str:
    """Returns a trust policy that lets these roles (ARNs), and nobody else, of ``account`` assume a role.

    The roles are in a condition and not in the principal: IAM replaces a principal with its internal id, so a role that
    is recreated under its name would no longer be trusted.
    """
    return document(
        [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{PARTITION}:iam::{account}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"ArnEquals": {"aws:PrincipalArn": list(roles)}},
            }
        ]
    )
