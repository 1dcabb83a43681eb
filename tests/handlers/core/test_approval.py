"""The question whether a loss may be accepted."""

from __future__ import annotations

import json
import shlex

import pytest

from handlers.core.approval import APPROVAL_S, Message, request
from handlers.core.claim import LOCK_SECONDS, Claim
from orchestration.specification.workflows import asks_a_person, definition, tasks

CLAIM = Claim("proceed", "free", "run-1", "failover", "alarm", "outage 7", "us-east-1", "us-west-2", 4)
TOKEN = "AQCk/+a=="  # no secret: where an answer belongs
NOON = 1_800_014_400.0  # 2027-01-15 12:00:00 UTC


@pytest.fixture
def asked() -> Message:
    return request(CLAIM, reason="replication lag is unknown", token=TOKEN, region="us-west-2", deadline=NOON)


def test_it_says_what_is_at_stake_and_until_when(asked: Message) -> None:
    assert asked.subject == "FAILOVER WAITS FOR APPROVAL: writes may be lost"
    for words in (
        "Run run-1 would make us-west-2 the writer; us-east-1 is down.",
        "It does not go on by itself: replication lag is unknown.",
        "Nothing has been changed yet",
        "when no answer comes until 2027-01-15 12:00:00 UTC",
    ):
        assert words in asked.text


def test_both_answers_are_commands_that_name_the_region_and_the_token(asked: Message) -> None:
    approve, refuse = (shlex.split(line) for line in asked.text.splitlines() if line.startswith("aws "))
    common = ["--region", "us-west-2", "--task-token", TOKEN]
    assert approve[:7] == ["aws", "stepfunctions", "send-task-success", *common]
    assert refuse[:7] == ["aws", "stepfunctions", "send-task-failure", *common]
    assert json.loads(approve[approve.index("--task-output") + 1]) == {"approved_by": "<your name>"}
    assert refuse[7:] == ["--error", "Refused", "--cause", "<your name>: <why>"]


def test_the_state_waits_as_long_as_the_message_says_and_the_lock_lasts_longer() -> None:
    (waits,) = {state["TimeoutSeconds"] for _, _, state in tasks(definition()) if asks_a_person(state)}
    assert waits == APPROVAL_S < LOCK_SECONDS
