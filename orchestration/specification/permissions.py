"""Permissions that functions of both workflows have."""

from __future__ import annotations

from orchestration.specification.model import Permission
from orchestration.specification.names import Names


def read_control(names: Names, region: str) -> Permission:
    """To read the control record, in the region's replica."""
    return Permission(("dynamodb:GetItem",), (_control(names, region),), "reads the control record")


def change_control(names: Names, region: str) -> Permission:
    """To change it as well."""
    return Permission(
        ("dynamodb:GetItem", "dynamodb:UpdateItem"),
        (_control(names, region),),
        "reads and conditionally changes the control record",
    )


def keep_tokens(names: Names, region: str) -> Permission:
    """To keep idempotency tokens."""
    return Permission(
        ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
        (names.arn("dynamodb", region, f"table/{names.idempotency_table(region)}"),),
        "keeps its idempotency tokens",
    )


def keep_record(names: Names, region: str) -> Permission:
    """To add to the records of the region's runs."""
    return Permission(
        ("dynamodb:PutItem",),
        (names.arn("dynamodb", region, f"table/{names.runs_table(region)}"),),
        "keeps the record of the run",
    )


def tell(names: Names, region: str, peer: str) -> Permission:
    """To tell people."""
    return Permission(
        ("sns:Publish",), (names.topic_arn(region), names.topic_arn(peer)), "tells people, in both regions"
    )


def _control(names: Names, region: str) -> str:
    return names.arn("dynamodb", region, f"table/{names.control_table}")
