"""The person on call, with the message that people really get."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drills.script import person as person_module
from drills.script.person import Person, command_in
from drills.verdict.seen import Message
from handlers.core.approval import request
from handlers.core.claim import Claim
from handlers.core.reprotection_outcome import ReprotectionEnd, message

LAB = Path("/run/lab.json")
CLAIM = Claim("proceed", "free", "run-1", "failover", "alarm", "incident", "us-east-1", "us-west-2", 1)
TOPIC = "arn:aws:sns:us-west-2:123456789012:failover-notifications-usw2-dev"
ASKED = request(CLAIM, reason="12.0 s would be lost", topic=TOPIC, deadline=1_700_000_000.0)
MESSAGES = [Message("us-west-2", "ALARM: lag", "nothing to do here"), Message("us-west-2", ASKED.subject, ASKED.text)]


class Calls:
    """Takes the calls of failoverctl that a person makes, in place of the program."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, code: int = 0) -> None:
        self.words: list[list[str]] = []
        self.told: list[str] = []
        self._code = code
        monkeypatch.setattr(person_module.subprocess, "run", self._run)  # type: ignore[attr-defined]

    def _run(self, words: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert env["FAILOVERCTL_LAB"] == str(LAB)
        assert words[1:4] == ["-m", "failoverctl", "--lab"]
        self.words.append(words[4:])
        said = {"reason": "too late"} if self._code else {"run": {"arn": "arn:1"}}
        return subprocess.CompletedProcess(words, self._code, json.dumps(said), "")

    def person(self, approve: str) -> Person:
        timeline: Any = SimpleNamespace(event=lambda _, text: self.told.append(text))
        return Person(approve, LAB, timeline)

    def answers(self, approve: str) -> list[list[str]]:
        person = self.person(approve)
        person.read(MESSAGES)
        person.read(MESSAGES * 2)  # both regions send it, and it is read more than once
        return self.words


ENDING = ["--suffix", "dev", "--yes", "--json"]


def test_an_approval_is_the_messages_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Calls(monkeypatch).answers("yes") == [["approve", "run-1", *ENDING]]


def test_a_refusal_is_the_messages_own_command_with_the_reason_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Calls(monkeypatch).answers("no") == [["reject", "run-1", "--reason", "the drill says no", *ENDING]]


def test_who_says_nothing_calls_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Calls(monkeypatch).answers("never") == []


def test_a_command_that_is_refused_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, code=1)
    calls.answers("yes")
    assert calls.told[-1] == "failoverctl: too late"


@pytest.mark.parametrize(("code", "tries"), [(1, 1), (2, 2)])
def test_an_answer_that_may_not_have_arrived_is_given_again(
    code: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine's AWS does not answer in time; a person reads "cannot tell", and tries again."""
    monkeypatch.setattr(person_module, "TRIES", 2)
    assert Calls(monkeypatch, code=code).answers("yes") == [["approve", "run-1", *ENDING]] * tries


def test_a_failback_is_started_by_the_last_messages_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    end = ReprotectionEnd.read({"run": "run-2", "outcome": "reprotected", "progress": {}})
    told = message(
        end,
        reprotect="arn:aws:states:us-west-2:1:stateMachine:reprotect-usw2-dev",
        failover="arn:aws:states:us-east-1:1:stateMachine:failover-use1-dev",
    )
    calls = Calls(monkeypatch)
    arn = calls.person("yes").start([*MESSAGES, Message("us-west-2", told.subject, told.text), *MESSAGES])
    assert arn == "arn:1"
    assert calls.words == [["start", "--mode", "switchover", *ENDING]]


def test_without_a_command_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    assert calls.person("yes").start(MESSAGES) is None
    assert calls.words == []


@pytest.mark.parametrize("text", ["", "failoverctl status", "say failoverctl approve run-1"])
def test_a_message_without_the_command_has_none(text: str) -> None:
    assert command_in(text, "approve") is None
