"""Walks through docs/deploy.md against an emulator: its commands, read out of the page, in their order.

They run in a copy of the project, as whoever reads the page types them. Programs stand in the way: ``make`` sets up
nothing, ``terraform`` first takes out of a stack what the emulator or the provider here do not know
(`configuration.adapt`), and ``aws`` sends its request by the SDK. Where the emulator ends, the walk says so
(`COMMANDS`).
"""

# ruff: noqa: T201  # it prints to a person
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from botocore import xform_name
from botocore.session import get_session

from orchestration.settings import PROJECT_ROOT
from tests.terraform.configuration import adapt, deployment_order
from tests.terraform.emulator_differences import UNKNOWN, UNKNOWN_DATA
from tests.terraform.terraform import Terraform

PAGE = PROJECT_ROOT / "docs" / "deploy.md"
PROGRAMS = ("make ", "failoverctl ", "aws ", "terraform ", "for ", "FAILOVER_")  # how a command of the page begins
NOT_COPIED = (".git", ".venv*", "build", "cdktf.out", "state", ".*_cache", ".hypothesis", "__pycache__", "*.log")
SHOWN = 3000  # characters, of what a command printed that did not end as expected
CONFIGURATION = "cdk.tf.json"

Part = Literal["before", "deploy", "after", "destroy"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Command:
    """How one command of the page goes here.

    ``ends``: the exit codes that it may have; none where it is not run, and ``why`` says why not. ``says``: what has to
    be in what it prints. ``instead``: what is typed, where nobody is at a terminal to answer.
    """

    part: Part
    ends: tuple[int, ...] = (0,)
    says: str = ""
    why: str = ""
    instead: str = ""


NO_DATABASE = "the emulator has no PostgreSQL behind its clusters, and no VPC in which a function reaches it"
# A production leaves its final snapshots behind, and a locked vault; `tests/infrastructure` tries the word.
NO_PRODUCTION = "what is deployed is no production, and has no protection that could be lifted"

# By the words of the page, in the order in which they are typed; every command that is there has a row.
COMMANDS: dict[str, Command] = {
    "aws s3api create-bucket --bucket example-terraform-state --region us-west-2 "
    "--create-bucket-configuration LocationConstraint=us-west-2": Command("before"),
    "aws s3api put-bucket-versioning --bucket example-terraform-state --versioning-configuration Status=Enabled": (
        Command("before")
    ),
    "aws iam create-service-linked-role --aws-service-name reports.backup.amazonaws.com": Command("before"),
    "make synth": Command("before", says="identity, us-east-1, us-west-2, global"),
    "failoverctl preflight": Command("before", (0, 2)),
    "make deploy": Command("deploy", says="All four stacks are applied", instead="make deploy ARGS=--yes"),
    "aws secretsmanager replicate-secret-to-regions --region us-east-1 --secret-id payments-master-prod "
    "--add-replica-regions Region=us-west-2,KmsKeyId=alias/failover-usw2-prod": Command("after"),
    "failoverctl bootstrap": Command("after", (), why=NO_DATABASE),
    "failoverctl verify": Command("after", (1, 2), says="Asking does not show these"),
    "failoverctl start --mode rehearsal --watch": Command("after", (), why=NO_DATABASE),
    "make safe-to-apply": Command("after", says="global: safe"),
    'make safe-to-apply ARGS="--stack us-west-2"': Command("after", says="us-west-2: safe"),
    "FAILOVER_PROTECTION_OVERRIDE=true make synth": Command("destroy", (), why=NO_PRODUCTION),
    "for stack in global us-west-2 us-east-1 identity; do (cd cdktf.out/stacks/$stack && terraform destroy) || break; "
    "done": Command(
        "destroy",
        says="Destroy complete!",
        # Nobody is there to answer each of them, and the loop of the page ends with 0 after one that fails.
        instead="for stack in global us-west-2 us-east-1 identity; do "
        "(cd cdktf.out/stacks/$stack && terraform destroy -auto-approve) || exit; done",
    ),
}


class WalkFailed(Exception):
    """A command does not do what the page says; the message has its words and what it printed."""


def commands(page: str) -> list[str]:
    """Returns the commands of a page in Markdown, in its order, each once and in one line, without its comment."""
    found: list[str] = []
    for block in _blocks(page, language=""):
        text = re.sub(r" *\\\n", " ", block)
        text = re.sub(r"^(for .*?)\n(.*?)\n *done$", r"\1 \2; done", text, flags=re.MULTILINE | re.DOTALL)
        for line in text.splitlines():
            words = " ".join(re.sub(r"\s#.*", "", line).split())
            if words.startswith(PROGRAMS) and words not in found:
                found.append(words)
    return found


def settings_of(page: str) -> dict[str, Any]:
    """Returns the page's example of settings."""
    (example,) = _blocks(page, language="toml")
    return tomllib.loads(example)


def _blocks(page: str, language: str) -> list[str]:
    """Returns the texts of a page's fenced blocks of a language."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return [text for said, text in found if said == language]


class Walk:
    """The page's commands in a copy of the project below ``folder``; ``environment`` leads to the emulator."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], terraform: str, provider_version: str | None
    ) -> None:
        self.project = folder / "project"
        shutil.copytree(PROJECT_ROOT, self.project, ignore=shutil.ignore_patterns(*NOT_COPIED))
        (PROJECT_ROOT / "build").mkdir(exist_ok=True)
        for name in (".venv", "build"):  # the programs, and the packages that were fetched
            (self.project / name).symlink_to(PROJECT_ROOT / name)
        self.programs = folder / "bin"
        _write_programs(self.programs, terraform, provider_version)
        self._page = PAGE.read_text(encoding="utf-8")
        said = settings_of(self._page)
        self._state = {f"FAILOVER_STATE__{name.upper()}": value for name, value in said["state"].items()}
        # What else the example says makes a production of it, which keeps what is to be destroyed here.
        self.variables = {"FAILOVER_ENVIRONMENT_SUFFIX": said["environment_suffix"]}
        self._environment = {
            **environment,
            **self.variables,
            "PATH": f"{self.programs}:{environment['PATH']}",
        }

    def stacks(self) -> dict[str, Terraform]:
        """Returns the stacks that the walk has deployed, in their order."""
        folder = self.project / "cdktf.out"
        program = str(self.programs / "terraform")
        return {
            name: Terraform(program, folder / "stacks" / name, self._environment)
            for name in deployment_order(folder / "manifest.json")
        }

    def go(self, part: Part) -> None:
        """Runs the commands of a part of the page; raises `WalkFailed` where one does not end as it should."""
        there = commands(self._page)
        for words, command in COMMANDS.items():
            if command.part == part and words in there:
                print(f"$ {words}", flush=True)
                print(f"  {self._run(words, command) if command.ends else f'not here: {command.why}'}", flush=True)

    def _run(self, words: str, command: Command) -> str:
        # With the state in its bucket, no region could be planned without the bucket's, which is what is shown later.
        state = self._state if words == "failoverctl preflight" else {}
        done = subprocess.run(
            ["bash", "-c", command.instead or words],
            cwd=self.project,
            env={**self._environment, **state},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        if done.returncode not in command.ends or command.says not in said or "Traceback" in said:
            wanted = f"{' or '.join(map(str, command.ends))}{f' and say {command.says!r}' if command.says else ''}"
            ended = f"`{words}` of docs/deploy.md ended with {done.returncode}"
            raise WalkFailed(f"{ended}, and has to end with {wanted}:\n{said[-SHOWN:]}")
        return f"ended with {done.returncode}"


def _write_programs(folder: Path, terraform: str, provider_version: str | None) -> None:
    here = f"PYTHONPATH={PROJECT_ROOT} exec {sys.executable} -m tests.terraform.walk"
    folder.mkdir()
    for name, line in {
        "terraform": f"{here} terraform {terraform} {provider_version or ''}",
        "aws": f"{here} aws",
        "failoverctl": f"exec {sys.executable} -m failoverctl",
        "make": f"exec {shutil.which('make')} -o .venv/.test",  # it is set up: this program runs in it
    }.items():
        file = folder / name
        arguments = ' -- "$@"' if name == "terraform" else ' "$@"'
        file.write_text(f"#!/bin/sh\n{line}{arguments}\n")
        file.chmod(0o755)


def run_terraform(program: str, version: str | None, arguments: Sequence[str]) -> None:
    """Becomes Terraform, in a folder whose stack is first adapted to what there is here."""
    file = Path(CONFIGURATION)
    if file.is_file():
        stack = json.loads(file.read_text())
        adapt(stack, version, UNKNOWN, UNKNOWN_DATA)
        file.write_text(json.dumps(stack, indent=1))
    os.execv(program, ["terraform", *arguments])


def request(service: str, operation: str, options: Sequence[str]) -> Any:
    """Sends what ``aws SERVICE OPERATION --option value …`` would send, and returns the answer."""
    given = dict(zip((name.removeprefix("--").replace("-", "_") for name in options[::2]), options[1::2], strict=True))
    client = get_session().create_client(service.removesuffix("api"), given.pop("region", "us-east-1"))
    method = operation.replace("-", "_")
    shape: Any = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
    members = shape.members
    names = {xform_name(name): name for name in members}
    return getattr(client, method)(**{names[key]: _typed(members[names[key]], value) for key, value in given.items()})


def _typed(shape: Any, value: str) -> Any:
    """Returns a value of the command line, ``Name=value,Name=value`` for a structure, as its shape wants it."""
    if shape.type_name == "list":
        return [_typed(shape.member, value)]
    if shape.type_name == "structure":
        return dict(part.split("=", 1) for part in value.split(","))
    return value


def main(arguments: Sequence[str]) -> None:
    """Stands in for a program of the page."""
    if arguments[0] == "aws":
        request(arguments[1], arguments[2], arguments[3:])
        return
    at = arguments.index("--")
    program, *version = arguments[1:at]
    run_terraform(program, version[0] if version else None, arguments[at + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
