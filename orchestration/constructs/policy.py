"""IAM policy documents as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from orchestration.specification.model import Permission
from orchestration.specification.names import PARTITION

Statement = dict[str, Any]


def document(statements: Iterable[Statement]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(permission: Permission) -> Statement:
    """The statement that grants ``permission``."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": list(permission.actions),
        "Resource": list(permission.resources),
    }
    if permission.conditions:
        statement["Condition"] = permission.conditions
    return statement


def trust(service: str, conditions: dict[str, dict[str, str]] | None = None) -> str:
    """A trust policy that lets an AWS service, and nobody else, take a role on."""
    statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if conditions:
        statement["Condition"] = conditions
    return document([statement])


def trust_roles(account: str, roles: Iterable[str]) -> str:
    """A trust policy that lets these roles (ARNs), and nobody else, of ``account`` take a role on.

    The roles are in a condition and not the principal: IAM replaces a principal by its internal id, so that a role
    that is made again under its name would no longer be trusted.
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
