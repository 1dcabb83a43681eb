"""Notify and AnnounceEnd: whom they tell, of what, and when they keep silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.deployment import STANDBY, WRITER, Deployment

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING_YET: dict[str, Any] = {}
BUSY = {"error": {"Error": "TransientFailure", "Cause": "RDS is busy"}}


def attempt(
    deployment: Deployment, run: str, outcome: str, progress: Mapping[str, Any] = NOTHING_YET, *, automatic: bool = True
) -> int:
    """Has people told of a run; returns how many messages that made."""
    request = {"mode": "failover", "started_by": "monitor", "automatic": automatic}
    asked = {"run": run, "input": request}
    claim = deployment.call("claim", asked)
    deployment.call("release_claim", {"run": run, "progress": {"claim": claim}})
    before = len(deployment.messages(STANDBY))
    deployment.call("notify", {"run": run, "outcome": outcome, "progress": {"claim": claim, **progress}})
    return len(deployment.messages(STANDBY)) - before


def test_p7_people_are_told_of_an_outage_and_not_of_every_attempt(deployment: Deployment) -> None:
    deployment.writer_dies()
    assert attempt(deployment, "run-1", "begun") == 1
    assert attempt(deployment, "run-1", "aborted", BUSY) == 1
    for number in range(2, 5):
        assert attempt(deployment, f"run-{number}", "begun") == 0
        assert attempt(deployment, f"run-{number}", "aborted", BUSY) == 0
    away = {"error": {"Error": "TransientFailure", "Cause": "the standby is away"}}
    assert attempt(deployment, "run-5", "aborted", away) == 1
    assert attempt(deployment, "run-6", "recovered") == 1
    assert deployment.record()["told"]["about"] == "epoch 1"


def test_p7_a_run_that_a_person_has_started_is_always_told_of(deployment: Deployment) -> None:
    deployment.writer_dies()
    for number in range(3):
        assert attempt(deployment, f"run-{number}", "aborted", BUSY, automatic=False) == 1


def test_a_storm_of_duplicates_makes_neither_messages_nor_tokens(deployment: Deployment) -> None:
    deployment.writer_dies()
    request = {"mode": "failover", "started_by": "monitor", "automatic": True}
    deployment.call("claim", {"run": "run-1", "input": request})
    claim = deployment.call("claim", {"run": "run-2", "input": request})
    assert claim["decision"] == "duplicate"
    deployment.call("notify", {"run": "run-2", "outcome": "refused", "progress": {"claim": claim}})
    assert (deployment.messages(STANDBY), deployment.tokens()) == ([], [])


@pytest.mark.parametrize("operation", ["dynamodb.GetItem", "dynamodb.UpdateItem"])
def test_p7_people_are_told_rather_than_not_while_the_record_is_away(operation: str, deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.trouble(operation, "refused", step="notify", times=100)
    # The table of tokens is away as well, then: told twice is better than not told.
    assert attempt(deployment, "run-1", "aborted", BUSY) >= 1
    assert attempt(deployment, "run-2", "aborted", BUSY) >= 1


def end(deployment: Deployment, **detail: Any) -> list[tuple[str, str]]:
    arn = deployment.specification.names.state_machine_arn(STANDBY)
    deployment.call("announce_end", {"detail": {"name": "run-1", "stateMachineArn": arn} | detail})
    return deployment.messages(STANDBY)


def test_p7_a_run_that_was_stopped_in_the_middle_is_announced_in_both_regions(deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.call("claim", {"run": "run-1", "input": {"mode": "failover", "started_by": "ada"}})
    ((subject, text),) = end(deployment, status="ABORTED")
    assert subject == "FAILOVER OR SWITCHOVER ENDED WITHOUT A WORD: somebody stopped it by hand"
    assert "The run holds the lock, in phase checking; RDS was not asked" in text
    assert "--resumes run-1" in text
    assert deployment.messages(WRITER) == deployment.messages(STANDBY)


def test_p7_an_end_is_announced_while_the_control_record_is_away(deployment: Deployment) -> None:
    deployment.trouble("dynamodb.GetItem", "refused", step="announce_end", times=100)
    ((_, text),) = end(deployment, status="TIMED_OUT")
    assert "it is not known whether the run still holds the lock" in text


def test_an_end_that_the_run_has_told_of_is_told_of_once(deployment: Deployment) -> None:
    assert end(deployment, status="FAILED", error="NeedsPerson") == []
