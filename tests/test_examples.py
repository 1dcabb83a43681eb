"""The examples call what there is."""

from __future__ import annotations

import re

import pytest

from orchestration.settings import PROJECT_ROOT

WORKFLOW = PROJECT_ROOT / "examples" / "github-workflow.yml"


def commands() -> list[str]:
    return re.findall(r"^\s+- run: (.*)$", WORKFLOW.read_text(encoding="utf-8"), re.MULTILINE)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("make ")])
def test_the_workflow_calls_targets_that_there_are(command: str) -> None:
    assert command.split()[1] in targets()


def test_the_workflow_judges_before_it_applies() -> None:
    """A plan for review is judged; what is applied is planned and judged by ``deploy`` itself, and by nothing else."""
    said = commands()
    assert "make safe-to-apply" in said
    assert "make deploy ARGS=--yes" in said
    assert not [each for each in said if "terraform" in each and "apply" in each]
