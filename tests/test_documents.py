"""Documents, messages and alarms: links lead somewhere, commands exist, and no raw ``aws`` where a verb does it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from failoverctl.program import app
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe

DOCUMENTS = sorted([*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md")])
# Where people read texts that point to a document.
PROGRAMS = sorted(
    path
    for folder in ("failoverctl", "handlers", "orchestration", "drills", "statemachines")
    for path in (PROJECT_ROOT / folder).rglob("*")
    if path.suffix in (".py", ".json", ".html", ".sql")
)
RUNBOOK = re.compile(r"docs/runbooks/[\w-]+\.md(?:#[\w-]+)?")
# What no verb does, and why it stands in a document all the same.
RAW_AWS = {
    "aws s3api create-bucket": "deploy.md: Terraform's state has to be somewhere before anything of the project is",
    "aws s3api put-bucket-versioning": "deploy.md: the same",
    "aws iam create-service-linked-role": "deploy.md: once in an account, before the first deployment",
    "aws secretsmanager replicate-secret-to-regions": "deploy.md: once, after the first deployment",
    "aws rds modify-db-cluster": "failoverctl/experiments.py: gives a cluster its groups back where `verify` could not",
    "aws rds add-role-to-db-cluster": "adopt.md: what a re-protection does not give back, and no verb has a right to",
    "aws rds create-db-cluster-endpoint": "adopt.md: the same",
    "aws sso login": "failoverctl/errors.py: gets the credentials without which no verb does anything",
}


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def leads_somewhere(document: Path, anchor: str) -> bool:
    return document.exists() and (not anchor or anchor in anchors(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            file, _, anchor = link.partition("#")
            assert leads_somewhere((document.parent / file).resolve() if file else document, anchor), link


def test_every_runbook_that_a_program_names_is_there() -> None:
    for program in PROGRAMS:
        for link in RUNBOOK.findall(program.read_text(encoding="utf-8")):
            file, _, anchor = link.partition("#")
            assert leads_somewhere(PROJECT_ROOT / file, anchor), f"{name(program)}: {link}"


def test_every_alarm_names_its_runbook_and_every_page_its_alarm() -> None:
    index = (PROJECT_ROOT / "docs/runbooks/README.md").read_text(encoding="utf-8")
    for region in describe(load(environment_suffix="test"), "123456789012").regions.values():
        for alarm in (*region.alarms, *region.upkeep_alarms):
            (link,) = RUNBOOK.findall(alarm.description)
            file, _, anchor = link.partition("#")
            assert leads_somewhere(PROJECT_ROOT / file, anchor), alarm.key
            rings = "…-errors-…" if alarm.key.endswith("-errors") else f"{alarm.key}-…"
            assert rings in index or f"{alarm.key.partition('-')[0]}-…" in index, alarm.key


# --- commands


def test_no_raw_aws_where_a_verb_does_it() -> None:
    found: dict[str, str] = {}
    for file in [*DOCUMENTS, *PROGRAMS]:
        for command in re.findall(r"(?<![\w.-])aws [a-z][a-z0-9-]* [a-z]+-?[a-z-]+", file.read_text(encoding="utf-8")):
            if not re.search(r" import\b", command):
                found.setdefault(command, name(file))
    assert set(found) == set(RAW_AWS), found


def calls(document: Path) -> Iterator[str]:
    """The calls of ``failoverctl`` in a document, in its text and in its blocks."""
    text = document.read_text(encoding="utf-8")
    for block in re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^(?:\$ )?(failoverctl .*)", block, re.MULTILINE)
    yield from (call for call in re.findall(r"`(failoverctl [^`]+)`", text) if "VERB" not in call)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_verb_and_option_exists(document: Path) -> None:
    for call in calls(document):
        words = shlex.split(re.split(r" (?:#|>|\|) ", call)[0].replace("…", ""))[1:]
        options = known(typer.main.get_command(app), words)
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, call


def known(command: Any, words: list[str]) -> set[str]:
    """The options of the verb that is called; fails where there is no such verb."""
    found = {"--help", "--install-completion"}
    rest = [word for word in words if not word.startswith("-")]
    while True:
        found |= {option for each in command.params for option in each.opts}
        if not hasattr(command, "commands") or not rest:
            return found
        verb = rest.pop(0)
        command = command.get_command(None, verb)
        assert command is not None, f"there is no verb {verb}"
