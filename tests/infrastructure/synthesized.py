"""Synthesized stacks as plain data, for tests to look into."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration import lazy_bindings
from orchestration.packaging import Package
from orchestration.settings import Settings, load

ACCOUNT = "${data.aws_caller_identity.current.account_id}"  # what the account's id is in synthesized text


@dataclass(frozen=True)
class Stack:
    """One synthesized stack."""

    name: str
    folder: Path
    json: dict[str, Any]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every resource of a kind, such as ``aws_vpc``."""
        return list(self.json.get("resource", {}).get(kind, {}).values())

    def only(self, kind: str) -> dict[str, Any]:
        """The one resource of a kind."""
        (resource,) = self.all(kind)
        return resource

    def find(self, kind: str, **attributes: Any) -> dict[str, Any]:
        """The one resource of a kind that has these attributes."""
        (resource,) = [
            resource
            for resource in self.all(kind)
            if all(resource.get(name) == value for name, value in attributes.items())
        ]
        return resource

    def security_group(self, purpose: str) -> str:
        """The address of the security group of a purpose, such as ``database``."""
        (logical_id,) = [
            logical_id
            for logical_id, group in self.json["resource"]["aws_security_group"].items()
            if f"-{purpose}-" in group["name"]
        ]
        return f"aws_security_group.{logical_id}"

    def resources(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Kind, logical id and content of every resource."""
        for kind, resources in self.json.get("resource", {}).items():
            for name, resource in resources.items():
                yield kind, name, resource


@dataclass(frozen=True)
class Deployment:
    """All stacks of one deployment, in the order in which they are deployed."""

    settings: Settings
    packages: dict[str, Package]
    stacks: dict[str, Stack]

    @property
    def writer(self) -> Stack:
        """The stack of the region that is the writer at deployment."""
        return self.stacks[self.settings.writer_region]

    @property
    def standby(self) -> Stack:
        """The stack of the region that is the standby at deployment."""
        return self.stacks[self.settings.standby_region]

    @property
    def both(self) -> tuple[Stack, Stack]:
        """The stacks of both regions."""
        return self.writer, self.standby


def synthesized(folder: Path, **settings: Any) -> Deployment:
    """Synthesizes a deployment whose Lambda packages are stand-ins; ``settings`` win over the settings file."""
    lazy_bindings.enable()
    from orchestration.stacks import synthesize

    packages = {name: _package(folder / f"{name}.zip") for name in ("workflow", "database")}
    loaded = load(**{"environment_suffix": "test", "environment": "development", **settings})
    output = folder / "cdktf.out"
    names = synthesize(loaded, packages, output)
    return Deployment(loaded, packages, {name: _stack(output / "stacks" / name) for name in names})


def _stack(folder: Path) -> Stack:
    return Stack(folder.name, folder, json.loads((folder / "cdk.tf.json").read_text()))


def _package(path: Path) -> Package:
    content = path.name.encode()
    path.write_bytes(content)
    return Package(path, base64.b64encode(hashlib.sha256(content).digest()).decode(), len(content))
