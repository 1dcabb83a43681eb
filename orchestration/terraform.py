"""Terraform in one folder: runs it, and reads what a plan would do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_OUTPUT = 2000  # characters of its standard output that an error repeats; they say what it was doing

PLAN = (
    "checked.tfplan"  # a plan is kept in the stack's folder under this name, so that what was read is what is applied
)

# What a resource is called in AWS, by the first of these attributes that it has.
NAMES = ("identifier", "cluster_identifier", "global_cluster_identifier", "table_name", "name")


class TerraformFailed(Exception):
    """Terraform ended with an error; the message is its own."""


@dataclass(frozen=True)
class Change:
    """What a plan does to one resource.

    Attributes
    ----------
    actions
        in Terraform's words: create, update, delete.
    changed
        top-level attributes whose value changes or becomes unknown.
    name
        what the resource is called in AWS; empty when the plan does not say.
    replaced_for
        the attributes whose change has the resource replaced.
    """

    address: str
    kind: str
    actions: tuple[str, ...]
    changed: frozenset[str]
    name: str = ""
    replaced_for: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Terraform:
    """A configuration in ``folder``; ``environment`` is all that Terraform is told."""

    program: str
    folder: Path
    environment: Mapping[str, str]

    def plan(self) -> list[Change]:
        """Plans, keeps the plan as `PLAN`, and returns every change in it.

        Raises
        ------
        TerraformFailed
            there is no plan: the folder is not initialized, AWS or the state cannot be read, somebody else applies.
        """
        self.run("plan", "-input=false", f"-out={PLAN}")
        return changes(json.loads(self.run("show", "-json", PLAN)))

    def run(self, *arguments: str) -> str:
        """Runs one command to its end and returns what it wrote; raises `TerraformFailed`."""
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


def changes(shown: Mapping[str, Any]) -> list[Change]:
    """Every change of a plan as ``terraform show -json`` tells it."""
    return [
        _change(resource)
        for resource in shown.get("resource_changes", [])
        if resource["mode"] == "managed" and resource["change"]["actions"] != ["no-op"]
    ]


def _change(resource: Mapping[str, Any]) -> Change:
    change = resource["change"]
    before, after, unknown = change["before"] or {}, change["after"] or {}, change["after_unknown"] or {}
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    changed |= {name for name, marks in unknown.items() if _has_unknown(marks)}
    values = {**after, **before}
    return Change(
        address=resource["address"],
        kind=resource["type"],
        actions=tuple(change["actions"]),
        changed=frozenset(changed),
        name=next((str(values[name]) for name in NAMES if values.get(name)), ""),
        replaced_for=frozenset(str(path[0]) for path in change.get("replace_paths", [])),
    )


def _has_unknown(marks: Any) -> bool:
    """Whether Terraform marks anything of an attribute as known after apply; known blocks have empty marks."""
    if isinstance(marks, dict):
        return any(map(_has_unknown, marks.values()))
    if isinstance(marks, list):
        return any(map(_has_unknown, marks))
    return bool(marks)
