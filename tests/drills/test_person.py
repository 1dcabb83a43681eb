"""The person on call, with the message that people really get."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from drills.script.person import Person, command_in
from drills.verdict.seen import Message
from handlers.core.approval import request
from handlers.core.claim import Claim
from handlers.core.reprotection_outcome import ReprotectionEnd, message

CLAIM = Claim("proceed", "free", "run-1", "failover", "alarm", "incident", "us-east-1", "us-west-2", 1)
ASKED = request(CLAIM, reason="12.0 s would be lost", token="token/1+a==", region="us-west-2", deadline=1_700_000_000.0)
MESSAGES = [Message("us-west-2", "ALARM: lag", "nothing to do here"), Message("us-west-2", ASKED.subject, ASKED.text)]


class Cloud:
    """Takes the calls that a person makes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def client(self, service: str, region: str) -> Any:
        return SimpleNamespace(
            **{
                name: lambda name=name, **given: self._take(region, name, given)
                for name in ("send_task_success", "send_task_failure", "start_execution")
            }
        )

    def _take(self, region: str, name: str, given: dict[str, Any]) -> dict[str, str]:
        self.calls.append((region, name, given))
        return {"executionArn": f"arn:{len(self.calls)}"}


def answers(approve: str) -> list[tuple[str, str, dict[str, Any]]]:
    cloud = Cloud()
    person = Person(approve, cloud, SimpleNamespace(event=lambda *_: None))  # type: ignore[arg-type]
    person.read(MESSAGES)
    person.read(MESSAGES * 2)  # both regions send it, and it is read more than once
    return cloud.calls


def test_an_approval_is_the_messages_own_command_with_the_name_filled_in() -> None:
    [(region, call, given)] = answers("yes")
    assert (region, call, given["taskToken"]) == ("us-west-2", "send_task_success", "token/1+a==")
    assert json.loads(given["output"]) == {"approved_by": "the person at the drill"}


def test_a_refusal_is_the_messages_own_command() -> None:
    [(region, call, given)] = answers("no")
    assert (region, call, given["taskToken"], given["error"]) == (
        "us-west-2",
        "send_task_failure",
        "token/1+a==",
        "Refused",
    )
    assert "the drill says no" in given["cause"]


def test_who_says_nothing_calls_nothing() -> None:
    assert answers("never") == []


def test_a_failback_is_started_by_the_last_messages_own_command() -> None:
    end = ReprotectionEnd.read({"run": "run-2", "outcome": "reprotected", "progress": {}})
    told = message(
        end, reprotect="arn:aws:states:us-west-2:1:reprotect", failover="arn:aws:states:us-east-1:1:failover"
    )
    cloud = Cloud()
    person = Person("yes", cloud, SimpleNamespace(event=lambda *_: None))  # type: ignore[arg-type]
    arn = person.start([*MESSAGES, Message("us-west-2", told.subject, told.text), *MESSAGES])
    assert arn == "arn:1"
    [(region, call, given)] = cloud.calls
    assert (region, call, given["stateMachineArn"]) == (
        "us-east-1",
        "start_execution",
        "arn:aws:states:us-east-1:1:failover",
    )
    assert json.loads(given["input"]) == {"mode": "switchover", "started_by": "the person at the drill"}


def test_without_a_command_nothing_is_started() -> None:
    cloud = Cloud()
    person = Person("yes", cloud, SimpleNamespace(event=lambda *_: None))  # type: ignore[arg-type]
    assert person.start(MESSAGES) is None
    assert cloud.calls == []


@pytest.mark.parametrize("text", ["", "aws stepfunctions describe-execution --name x"])
def test_a_message_without_the_command_has_no_options(text: str) -> None:
    assert command_in(text, "send-task-success") == {}
