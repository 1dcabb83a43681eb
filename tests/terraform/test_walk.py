"""The walk through docs/deploy.md: it leaves no command of the page out, and does what the programs would do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.infrastructure.synthesized import Deployment
from tests.terraform import walk
from tests.terraform.configuration import adapt
from tests.terraform.emulator_differences import UNKNOWN, UNKNOWN_DATA
from tests.terraform.walk import COMMANDS, PAGE, Walk, WalkFailed, commands


def test_every_command_of_the_page_is_walked_or_has_the_reason_why_not() -> None:
    assert set(commands(PAGE.read_text())) == set(COMMANDS)
    assert all(command.ends or len(command.why) > 30 for command in COMMANDS.values())
    assert not any(command.ends and command.why for command in COMMANDS.values())


def test_commands_are_read_out_of_blocks_without_comments_and_in_one_line() -> None:
    page = (
        "```\nmake synth   # writes\naws s3api x \\\n  --y z\npayments-global: output\n```\n"
        "```toml\nmake = 1\n```\n- a list\n  ```\n  make synth\n  failoverctl verify\n  ```\n"
        "```\nfor a in b c; do\n  (cd $a && terraform destroy) || break\ndone\n```\nmake nothing\n"
    )
    assert commands(page) == [
        "make synth",
        "aws s3api x --y z",
        "failoverctl verify",
        "for a in b c; do (cd $a && terraform destroy) || break; done",
    ]


def test_the_pages_example_of_settings_gives_the_suffix_and_the_bucket() -> None:
    said = walk.settings_of(PAGE.read_text())
    assert said["environment_suffix"] == "prod"
    assert set(said["state"]) == {"bucket", "region"}


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def test_the_stand_in_for_aws_sends_the_pages_requests(aws: None) -> None:
    s3 = [words.split() for words in COMMANDS if words.startswith("aws s3api")]
    for _, service, operation, *options in s3:
        walk.request(service, operation, options)
    client = boto3.client("s3", "us-west-2")
    assert client.get_bucket_location(Bucket="example-terraform-state")["LocationConstraint"] == "us-west-2"
    assert client.get_bucket_versioning(Bucket="example-terraform-state")["Status"] == "Enabled"
    boto3.client("secretsmanager", "us-east-1").create_secret(Name="payments-master-prod", SecretString="x")
    (secret,) = [words.split() for words in COMMANDS if words.startswith("aws secretsmanager")]
    answer = walk.request(secret[1], secret[2], secret[3:])
    assert [each["Region"] for each in answer["ReplicationStatus"]] == ["us-west-2"]


def test_a_stack_that_is_adapted_twice_is_as_it_was_once(deployment: Deployment) -> None:
    stack = json.loads((deployment.stacks["us-east-1"].folder / "cdk.tf.json").read_text())
    before = json.dumps(stack)
    adapt(stack, "5.100.0", UNKNOWN, UNKNOWN_DATA)
    once = json.dumps(stack)
    assert once != before
    adapt(stack, "5.100.0", UNKNOWN, UNKNOWN_DATA)
    assert json.dumps(stack) == once
    assert "backend" in stack["terraform"]


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Walks through one command of a page of its own; returns what is printed of it."""
    root = tmp_path / "root"
    (root / ".venv").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "cdktf.out").mkdir()
    page = root / "docs" / "deploy.md"
    page.write_text(
        "```\nmake one\nfailoverctl two\n```\n```toml\nenvironment_suffix = 'x'\n[state]\nbucket = 'b'\n```\n"
    )
    monkeypatch.setattr(walk, "PROJECT_ROOT", root)
    monkeypatch.setattr(walk, "PAGE", page)

    def go(rules: str = "", **rows: walk.Command) -> Walk:
        (root / "Makefile").write_text(rules)
        names = {"one": "make one", "two": "failoverctl two"}
        monkeypatch.setattr(walk, "COMMANDS", {names[name]: row for name, row in rows.items()})
        environment = {"PATH": "/usr/bin:/bin"}
        made = Walk(tmp_path / "walked", environment, sys.executable, None)
        assert not (made.project / "cdktf.out").exists()
        made.go("after")
        return made

    return go


def test_a_command_that_ends_otherwise_or_says_something_else_stops_the_walk(
    walked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WalkFailed, match="ended with 7, and has to end with 0"):
        walked(one=walk.Command("after", instead="exit 7"))


def test_a_command_has_to_say_what_it_says(walked: Any) -> None:
    with pytest.raises(WalkFailed, match="and say 'done'"):
        walked(one=walk.Command("after", says="done", instead="echo no"))


def test_a_command_that_fails_without_a_word_for_people_stops_the_walk(walked: Any) -> None:
    with pytest.raises(WalkFailed, match="Traceback"):
        walked(one=walk.Command("after", (1,), instead="echo Traceback; exit 1"))


def test_what_is_not_run_is_said(walked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    walked(
        one=walk.Command("after", instead="test $FAILOVER_ENVIRONMENT_SUFFIX = x"),
        two=walk.Command("after", (), why="no"),
    )
    assert capsys.readouterr().out == "$ make one\n  ended with 0\n$ failoverctl two\n  not here: no\n"


def test_the_programs_of_the_tests_are_not_set_up_again(walked: Any) -> None:
    rules = ".venv/.test:\n\ttouch installed\none: .venv/.test\n\t@echo synthesized\n"
    made = walked(one=walk.Command("after", says="synthesized"), rules=rules)
    assert not (made.project / "installed").exists()
