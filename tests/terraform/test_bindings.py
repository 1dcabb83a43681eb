"""The synthesized JSON against the schema of the provider version that is deployed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.synthesized import Deployment
from tests.terraform import bindings
from tests.terraform.configuration import NEWER_ATTRIBUTES, places, prepare


def test_every_attribute_is_known_to_the_provider_that_is_deployed(deployment: Deployment) -> None:
    for stack in deployment.stacks.values():
        assert list(bindings.faults(stack.json)) == []


def edited(stack: dict[str, Any], kind: str, **changes: Any) -> dict[str, Any]:
    """A stack with one resource of a kind changed; None takes an attribute away."""
    other = copy.deepcopy(stack)
    resource = next(iter(other["resource"][kind].values()))
    for name, value in changes.items():
        if value is None:
            del resource[name]
        else:
            resource[name] = value
    return other


@pytest.mark.parametrize(
    ("stack", "kind", "changes", "fault"),
    [
        ("global", "aws_dynamodb_table", {"name": None}, ".name: is required"),
        ("global", "aws_dynamodb_table", {"strong": True}, ".strong: there is no such attribute"),
        ("global", "aws_dynamodb_table", {"hash_key": 3}, ".hash_key: 3 is not"),
        (
            "global",
            "aws_dynamodb_table",
            {"replica": [{"region_name": "x", "mode": "y"}]},
            "[0].mode: there is no such",
        ),
        ("global", "aws_dynamodb_table", {"replica": [{}]}, ".replica[0].region_name: is required"),
        ("global", "aws_dynamodb_table", {"global_table_witness": {"region_name": 1}}, "region_name: 1 is not"),
        ("us-east-1", "aws_rds_cluster", {"storage_encrypted": "yes"}, ".storage_encrypted: 'yes' is not"),
        (
            "us-east-1",
            "aws_lambda_permission",
            {"invoked_via_function_url": "yes"},
            ".invoked_via_function_url: 'yes' is",
        ),
        ("us-east-1", "aws_rds_cluster", {"tags": {"a": [1]}}, ".tags[a]: [1] is not"),
    ],
)
def test_faults_are_found(deployment: Deployment, stack: str, kind: str, changes: Any, fault: str) -> None:
    found = list(bindings.faults(edited(deployment.stacks[stack].json, kind, **changes)))
    assert len(found) == 1
    assert fault in found[0]


def test_every_attribute_on_the_list_of_newer_ones_is_used(deployment: Deployment) -> None:
    for kinds in NEWER_ATTRIBUTES.values():
        for kind, paths in kinds.items():
            used = [r for stack in deployment.stacks.values() for r in stack.all(kind)]
            for path in paths:
                *blocks, attribute = path.split(".")
                assert any(attribute in place for r in used for place in places(r, blocks)), f"{kind}.{path}"


def test_attributes_are_left_out_for_an_older_provider_only(deployment: Deployment, tmp_path: Path) -> None:
    for stack, attribute, versions in (
        ("global", "global_table_witness", {"5.100.0": True, "6.0.0": False, "6.25.0": False, None: False}),
        ("us-east-1", "invoked_via_function_url", {"5.100.0": True, "6.25.0": True, "6.29.0": False, None: False}),
    ):
        for version, left_out in versions.items():
            target = tmp_path / stack / str(version)
            prepare(deployment.stacks[stack].folder, target, version)
            resources = json.loads((target / "cdk.tf.json").read_text())["resource"].values()
            attributes = [{**resource, "//": None} for kind in resources for resource in kind.values()]
            assert (f"'{attribute}'" not in str(attributes)) is left_out
