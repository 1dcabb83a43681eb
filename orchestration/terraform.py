"""Terraform in one folder: runs it, and reads what a plan would do."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOT_FOUND = "Terraform was not found; install version 1.11 or later and put it on PATH"

LONGEST_OUTPUT = 2000  # characters of its standard output that an error repeats; they say what it was doing

PLAN = (
    "checked.tfplan"  # a plan is kept in the stack's folder under this name, so that what was read is what is applied
)

# A resource's name in AWS is the first of these attributes that it has.
NAMES = ("identifier", "cluster_identifier", "global_cluster_identifier", "table_name", "name")


# A plan of a whole stack takes about a minute; of a stack whose region is dark, it would keep trying for a long time.
PLAN_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0  # how long Terraform gets to end its provider when it is told to stop


# What Terraform says of a resource with which it is through.
DONE = re.compile(r": (?:Creation|Modifications|Destruction) complete after ")


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
        the attributes whose change makes Terraform replace the resource.
    """

    address: str
    kind: str
    actions: tuple[str, ...]
    changed: frozenset[str]
    name: str = ""
    replaced_for: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Terraform:
    """A configuration in ``folder``; ``environment`` is the whole environment that Terraform gets."""

    program: str
    folder: Path
    environment: Mapping[str, str]

    def plan(self) -> list[Change]:
        """Plans, keeps the plan as `PLAN`, and returns every change in it.

        It takes no lock on the state: it only reads, and Terraform refuses to apply a plan whose state has changed
        since.

        Raises
        ------
        TerraformFailed
            there is no plan: the folder is not initialized, or AWS or the state cannot be read.
        """
        self.run("plan", "-input=false", "-lock=false", f"-out={PLAN}", timeout_s=PLAN_TIMEOUT_S)
        return changes(json.loads(self.run("show", "-json", PLAN)))

    def apply_checked(self, log: Path, progress: Callable[[int], None]) -> None:
        """Applies the plan that was kept as `PLAN`, and writes what Terraform says to ``log``.

        ``progress`` is told, with every line, how many resources are done. An interrupt goes to Terraform as well,
        which is given the time to end in order: what it has made must be in its state.

        Raises `TerraformFailed`, with the errors; `KeyboardInterrupt` when Terraform has ended after one.
        """
        done, interrupted = 0, False
        with (
            log.open("w", encoding="utf-8") as kept,
            subprocess.Popen(
                [self.program, "apply", "-input=false", "-no-color", PLAN],
                cwd=self.folder,
                env=dict(self.environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            while True:  # to the end of what it says, which may come after its own
                try:
                    for line in process.stdout or ():
                        kept.write(line)
                        done += DONE.search(line) is not None
                        progress(done)
                    process.wait()
                    break
                except KeyboardInterrupt:
                    interrupted = True
        if interrupted:
            raise KeyboardInterrupt
        if process.returncode:
            text = log.read_text(encoding="utf-8")
            errors = text[at:] if (at := text.find("Error: ")) >= 0 else text[-LONGEST_OUTPUT:]
            raise TerraformFailed(f"terraform apply in {self.folder.name} ended with {process.returncode}:\n{errors}")

    def run(self, *arguments: str, timeout_s: float | None = None) -> str:
        """Runs one command to its end and returns what it wrote.

        Raises `TerraformFailed` when it ends with an error, or not within ``timeout_s`` seconds.
        """
        what = f"terraform {' '.join(arguments)} in {self.folder.name}"
        with subprocess.Popen(
            [self.program, *arguments],
            cwd=self.folder,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                _stop(process)
                raise TerraformFailed(f"{what} did not end within {timeout_s:.0f} s") from error
        if process.returncode:
            raise TerraformFailed(f"{what} ended with {process.returncode}:\n{errors}{output[-LONGEST_OUTPUT:]}")
        return output


def _stop(process: subprocess.Popen[str]) -> None:
    """Makes Terraform end its provider and then itself."""
    process.terminate()
    try:
        process.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def changes(shown: Mapping[str, Any]) -> list[Change]:
    """Returns every change of a plan as ``terraform show -json`` tells it."""
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
    """Returns whether Terraform marks anything of an attribute as known after apply; known blocks have empty marks."""
    if isinstance(marks, dict):
        return any(map(_has_unknown, marks.values()))
    if isinstance(marks, list):
        return any(map(_has_unknown, marks))
    return bool(marks)
