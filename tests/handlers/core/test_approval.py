"""The question whether a loss may be accepted."""

from __future__ import annotations

import shlex

import pytest

from handlers.core.approval import APPROVAL_S, request, retirement_request
from handlers.core.claim import LOCK_SECONDS, Claim
from handlers.core.message import Message
from handlers.core.reprotection import Order, Snapshot
from handlers.core.salvage import Place, Salvage
from orchestration.specification.workflows import asks_a_person, definition, tasks

CLAIM = Claim("proceed", "free", "run-1", "failover", "alarm", "outage 7", "us-east-1", "us-west-2", 4)
TOPIC = "arn:aws:sns:us-west-2:123456789012:failover-notifications-usw2-prod"
NOON = 1_800_014_400.0  # 2027-01-15 12:00:00 UTC


@pytest.fixture
def asked() -> Message:
    return request(CLAIM, reason="replication lag is unknown", topic=TOPIC, deadline=NOON)


def test_it_says_what_is_at_stake_and_until_when(asked: Message) -> None:
    assert asked.subject == "FAILOVER WAITS FOR APPROVAL: writes may be lost"
    for words in (
        "Run run-1 would make us-west-2 the writer; us-east-1 is down.",
        "The run is waiting for your answer: replication lag is unknown.",
        "RDS has not been asked to move the writer.",
        "Without an answer by 2027-01-15 12:00:00 UTC, it will not be.",
    ):
        assert words in asked.text


def test_both_answers_are_commands_that_name_the_run_and_the_deployment(asked: Message) -> None:
    approve, refuse = (shlex.split(line) for line in asked.text.splitlines() if line.startswith("failoverctl "))
    assert approve == ["failoverctl", "approve", "run-1", "--suffix", "prod"]
    assert refuse == ["failoverctl", "reject", "run-1", "--reason", "<why>", "--suffix", "prod"]


def test_the_state_waits_as_long_as_the_message_says_and_the_lock_lasts_longer() -> None:
    (waits,) = {state["TimeoutSeconds"] for _, _, state in tasks(definition()) if asks_a_person(state)}
    assert waits == APPROVAL_S < LOCK_SECONDS


def test_a_retirement_is_asked_for_with_what_is_kept() -> None:
    asking = retirement_request(
        Order("proceed", "free", "run-2", "ada", "us-west-2", "us-east-1", 2),
        Snapshot("snapshot-1", "cluster-A", "available", 100, NOON),
        Salvage(True, Place(3), part=1, missing=2, different=1, uncompared=3, kept_at="s3://kept/epoch-2/"),
        topic=TOPIC,
        deadline=NOON,
    )
    assert asking == Message(
        "RE-PROTECTION ASKS: may the old cluster in us-east-1 be retired?",
        """\
RE-PROTECTION ASKS: may the old cluster in us-east-1 be retired?

Run run-2, started by ada, would remove it and rebuild it as the standby of us-west-2 (epoch 2).
Kept of it: the snapshot snapshot-1, and its unreplicated writes in s3://kept/epoch-2/
Salvage: 2 rows are missing on the new writer, 1 are different there (1 file in s3://kept/epoch-2/)
Not compared, because their tables have no primary key: 3 rows
Without an answer by 2027-01-15 12:00:00 UTC, it stays as it is, fenced.

To approve its retirement:
failoverctl approve run-2 --suffix prod

To refuse:
failoverctl reject run-2 --reason '<why>' --suffix prod""",
    )
