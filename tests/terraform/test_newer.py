"""Terraform plans the stacks with the attributes that the real provider at hand does not know.

In the provider's place stands a stub with the schema of the bindings, and of what is newer than they
(`tests/terraform/stub_schema.py`). It knows no values, no arguments that exclude each other and no rules of
replacement: those are the real provider's, which plans the same stacks in `test_plan.py`, without these attributes. The
stack of the region that begins with the writer is left out: it has ephemeral resources, which the bindings do not know,
and nothing newer than the other region's stack has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.terraform import PLAN, TerraformFailed
from tests.infrastructure.synthesized import Deployment
from tests.terraform import provider
from tests.terraform.check import terraform_environment
from tests.terraform.configuration import NEWER_ATTRIBUTES, places, prepare
from tests.terraform.stub_provider import serving
from tests.terraform.stub_schema import schema_for
from tests.terraform.terraform import Terraform

STACKS = ("global", "us-west-2")
ABSENT: tuple[Any, ...] = (None, [])  # what a plan shows of an attribute and of a block that are not written
NO_AWS = "http://127.0.0.1:9"  # nothing is asked of it


@pytest.fixture(scope="module")
def stacks(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory, optional_tool: Callable[..., Any]
) -> Iterator[dict[str, Terraform]]:
    """The stacks with every attribute that they have, led to the stub."""
    program = optional_tool("terraform", provider.terraform(), "plans the stacks with the newest attributes")
    folder = tmp_path_factory.mktemp("newer")
    with serving(schema_for(deployment.stacks[name].json for name in STACKS)) as reached:
        environment = terraform_environment(NO_AWS) | reached
        for name in STACKS:
            prepare(deployment.stacks[name].folder, folder / name, version=None)
        yield {name: Terraform(program, folder / name, environment) for name in STACKS}


@pytest.mark.parametrize("name", STACKS)
def test_stack_is_valid_and_planned_with_what_is_newer(
    stacks: dict[str, Terraform], deployment: Deployment, name: str
) -> None:
    stacks[name].validate()
    stacks[name].run("plan", "-refresh=false", "-input=false", "-lock=false", f"-out={PLAN}")
    shown = json.loads(stacks[name].run("show", "-json", PLAN))
    planned = {change["address"]: change["change"]["after"] for change in shown["resource_changes"]}
    written = {f"{kind}.{key}": resource for kind, key, resource in deployment.stacks[name].resources()}
    assert planned.keys() == written.keys()
    assert newer_values(planned) == newer_values(written)


def test_stacks_have_everything_that_is_newer(deployment: Deployment) -> None:
    written = [newer_values({kind: one}) for name in STACKS for kind, _, one in deployment.stacks[name].resources()]
    has = {path for values in written for (_, path), found in values.items() if found}
    assert has == {path for kinds in NEWER_ATTRIBUTES.values() for paths in kinds.values() for path in paths}


def newer_values(resources: Mapping[str, dict[str, Any]]) -> dict[tuple[str, str], list[Any]]:
    """What is newer than the provider at hand, by the resource's address and the attribute's path."""
    values = {}
    for address, resource in resources.items():
        for kinds in NEWER_ATTRIBUTES.values():
            for path in kinds.get(address.split(".")[0], ()):
                *blocks, attribute = path.split(".")
                found = [place[attribute] for place in places(resource, blocks) if place.get(attribute) not in ABSENT]
                # A block that stands alone in a configuration is a list of one in a plan.
                values[address, path] = [[one] if isinstance(one, dict) else one for one in found]
    return values


TABLE, PERMISSION = "aws_dynamodb_table", "aws_lambda_permission"


@pytest.mark.parametrize(
    ("name", "kind", "changes", "fault"),
    [
        pytest.param(
            "global",
            TABLE,
            {"replica": [{"region_name": "us-east-1", "consistency_mode": "STRONG", "consistency": "STRONG"}]},
            'No argument or block type is named "consistency".',
            id="an unknown attribute beside a newer one",
        ),
        pytest.param(
            "global",
            TABLE,
            {"replica": [{"region_name": "us-east-1", "consistency_mode": {"mode": "STRONG"}}]},
            'Inappropriate value for attribute "consistency_mode": string required',
            id="a block where the consistency is a word",
        ),
        pytest.param(
            "global",
            TABLE,
            {"replica": [{"consistency_mode": "STRONG"}]},
            'The argument "region_name" is required',
            id="a replica without its region",
        ),
        pytest.param(
            "global",
            TABLE,
            {"global_table_witness": "us-east-2"},
            "Either a JSON object or a JSON array is required",
            id="a word where the witness is a block",
        ),
        pytest.param(
            "global",
            TABLE,
            {"global_table_witness": [{"region_name": "us-east-2"}, {"region_name": "eu-west-1"}]},
            'No more than 1 "global_table_witness" blocks are allowed',
            id="two witnesses",
        ),
        pytest.param(
            "us-west-2",
            PERMISSION,
            {"invoked_via_function_url": "perhaps"},
            'Inappropriate value for attribute "invoked_via_function_url": a bool is required',
            id="a word where only yes or no is possible",
        ),
        pytest.param(
            "us-west-2",
            PERMISSION,
            {"source_account": "${data.aws_caller_identity.current.account}"},
            'has no argument, nested block, or exported attribute named "account"',
            id="a reference to what a data source does not show",
        ),
    ],
)
def test_faults_are_found(
    stacks: dict[str, Terraform], tmp_path: Path, name: str, kind: str, changes: dict[str, Any], fault: str
) -> None:
    configuration = json.loads((stacks[name].folder / "cdk.tf.json").read_text())
    next(iter(configuration["resource"][kind].values())).update(changes)
    (tmp_path / "cdk.tf.json").write_text(json.dumps(configuration))
    with pytest.raises(TerraformFailed) as failed:
        replace(stacks[name], folder=tmp_path).validate()
    said = " ".join(str(failed.value).replace("│", " ").split())
    assert fault in said
