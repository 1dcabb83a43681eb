"""Runs Terraform in one folder."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_OUTPUT = 2000  # characters of its standard output that an error repeats; they say what it was doing


class TerraformFailed(Exception):
    """Terraform ended with an error; the message is its own."""


@dataclass(frozen=True)
class Change:
    """What a plan does to one resource."""

    address: str
    kind: str
    actions: tuple[str, ...]  # in Terraform's words: create, update, delete
    changed: frozenset[str]  # top-level attributes whose value changes or becomes unknown


@dataclass(frozen=True)
class Terraform:
    """A prepared configuration in ``folder``; ``environment`` is all that Terraform is told."""

    program: str
    folder: Path
    environment: Mapping[str, str]

    def init(self) -> None:
        """Installs the provider."""
        self._run("init", "-input=false", "-backend=false")

    def validate(self) -> None:
        """Checks the configuration against the provider's schema."""
        self._run("validate")

    def plan(self) -> list[Change]:
        """Plans, keeps the plan as ``plan.bin``, and returns every change in it."""
        self._run("plan", "-input=false", "-lock=false", "-out=plan.bin")
        shown = json.loads(self._run("show", "-json", "plan.bin"))
        return [
            _change(resource)
            for resource in shown.get("resource_changes", [])
            if resource["mode"] == "managed" and resource["change"]["actions"] != ["no-op"]
        ]

    def apply(self) -> None:
        """Does what `plan` has planned."""
        self._run("apply", "-input=false", "plan.bin")

    def destroy(self) -> None:
        """Destroys everything in the state."""
        self._run("destroy", "-input=false", "-auto-approve")

    def resources(self) -> list[dict[str, Any]]:
        """Every managed resource in the state, with its values."""
        shown = json.loads(self._run("show", "-json"))
        module = shown.get("values", {}).get("root_module", {})
        return [resource for resource in module.get("resources", []) if resource["mode"] == "managed"]

    def _run(self, *arguments: str) -> str:
        command = [self.program, *arguments]
        finished = subprocess.run(
            command, cwd=self.folder, env=dict(self.environment), capture_output=True, text=True, check=False
        )
        if finished.returncode:
            raise TerraformFailed(
                f"terraform {' '.join(arguments)} in {self.folder.name} ended with {finished.returncode}:\n"
                f"{finished.stderr}{finished.stdout[-LONGEST_OUTPUT:]}"
            )
        return finished.stdout


def _change(resource: dict[str, Any]) -> Change:
    change = resource["change"]
    before, after, unknown = change["before"] or {}, change["after"] or {}, change["after_unknown"] or {}
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    changed |= {name for name, marks in unknown.items() if _has_unknown(marks)}
    return Change(resource["address"], resource["type"], tuple(change["actions"]), frozenset(changed))


def _has_unknown(marks: Any) -> bool:
    """Whether Terraform marks anything of an attribute as known after apply; known blocks have empty marks."""
    if isinstance(marks, dict):
        return any(map(_has_unknown, marks.values()))
    if isinstance(marks, list):
        return any(map(_has_unknown, marks))
    return bool(marks)
