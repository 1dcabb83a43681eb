"""Synthesized stacks as Terraform runs them here: with the provider at hand, and with their state beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

# Attributes that came with a version of the provider, by that version: resource type → attribute, a dot before each
# attribute of a block. An older provider does not know them; `tests/terraform/test_newer.py` plans them.
NEWER_ATTRIBUTES: dict[tuple[int, int], dict[str, tuple[str, ...]]] = {
    (6, 0): {
        "aws_dynamodb_table": (
            "global_table_witness",
            "replica.consistency_mode",
            "replica.deletion_protection_enabled",
        )
    },
    (6, 29): {"aws_lambda_permission": ("invoked_via_function_url",)},
}


def prepare(
    stack: Path,
    target: Path,
    version: str | None,
    without: Mapping[str, str | None] = MappingProxyType({}),
    data_without: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Writes the stack in folder ``stack`` to ``target``, for Terraform to run there with local state.

    ``version`` is the provider's (None: the one that the stack pins); attributes newer than it are left out, and so
    are the resources of each type in ``without``: all (None), or those that have a certain attribute.
    Data sources of the types in ``data_without`` lose that argument. Provisioners are left out: what they wait for does
    not happen at an emulator.
    """
    target.mkdir(parents=True)
    configuration = json.loads((stack / "cdk.tf.json").read_text())
    configuration["terraform"].pop("backend")
    adapt(configuration, version, without, data_without)
    (target / "cdk.tf.json").write_text(json.dumps(configuration, indent=1))
    if (stack / "assets").is_dir():
        shutil.copytree(stack / "assets", target / "assets")


def adapt(
    configuration: dict[str, Any],
    version: str | None,
    without: Mapping[str, str | None] = MappingProxyType({}),
    data_without: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Changes a stack's configuration in place to what there is here, as `prepare` says; once more changes nothing."""
    if version is not None:
        configuration["terraform"]["required_providers"]["aws"]["version"] = version
        for since, attributes in NEWER_ATTRIBUTES.items():
            if tuple(map(int, version.split(".")[:2])) < since:
                _leave_out(configuration, attributes)
    for kind, attribute in without.items():
        resources = configuration["resource"].get(kind, {})
        for name in [name for name, resource in resources.items() if attribute is None or attribute in resource]:
            del resources[name]
        if not resources:
            configuration["resource"].pop(kind, None)
    for kind, argument in data_without.items():
        _leave_out_everywhere({kind: configuration["data"].get(kind, {})}, argument)
    _leave_out_everywhere(configuration["resource"], "provisioner")


def deployment_order(manifest: Path) -> list[str]:
    """Returns the stacks of a synthesis in the order in which they are deployed: each depends on the one before."""
    stacks = json.loads(manifest.read_text())["stacks"]
    ordered: list[str] = []
    while len(ordered) < len(stacks):
        ordered += [
            name for name, stack in stacks.items() if name not in ordered and set(stack["dependencies"]) <= set(ordered)
        ]
    return ordered


def _leave_out_everywhere(kinds: dict[str, Any], argument: str) -> None:
    for things in kinds.values():
        for thing in things.values():
            thing.pop(argument, None)


def _leave_out(configuration: dict[str, Any], attributes: Mapping[str, tuple[str, ...]]) -> None:
    for kind, paths in attributes.items():
        for resource in configuration["resource"].get(kind, {}).values():
            for path in paths:
                *blocks, attribute = path.split(".")
                for place in places(resource, blocks):
                    place.pop(attribute, None)


def places(resource: dict[str, Any], blocks: list[str]) -> list[dict[str, Any]]:
    """The blocks of a resource that a path of block names leads to."""
    found = [resource]
    for block in blocks:
        found = [inner for outer in found for inner in outer.get(block, [])]
    return found
