"""What people are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.core.outcome import HEADLINES, LONGEST_CAUSE, End, Outcome, message

ARN = "arn:aws:states:us-west-2:123456789012:stateMachine:failover-usw2-test"
CLAIM = {"started_by": "ada", "incident": "outage 7", "reason": "the lock was free", "target_region": "us-west-2"}
GO = {"health": {"proceed": True, "reason": "it is down"}, "lag": {"proceed": True, "reason": "40 ms"}}


def told(outcome: Outcome, **progress: Any) -> str:
    return message(End("run-1", outcome, progress), "us-west-2", ARN).text


@pytest.mark.parametrize("outcome", HEADLINES)
def test_every_outcome_has_a_subject_that_sns_takes(outcome: Outcome) -> None:
    for progress in ({}, {"claim": CLAIM}):
        subject = message(End("run-1", outcome, progress), "us-west-2", ARN).subject
        assert subject.isascii()
        assert subject.isprintable()
        assert 0 < len(subject) <= 100


@pytest.mark.parametrize("outcome", HEADLINES)
def test_every_message_names_the_run(outcome: Outcome) -> None:
    assert f"Run run-1 of {ARN}" in told(outcome)


def test_a_recovery_names_the_writer_and_the_epoch() -> None:
    text = told("recovered", claim=CLAIM, assessment=GO, commit={"result": {"epoch": 2}})
    assert text.startswith("Failover done: us-west-2 is the writer\n")
    assert "Writer region: us-west-2, epoch 2" in text
    assert "Started by: ada" in text
    assert "Incident: outage 7" in text
    assert "Claim: the lock was free" in text
    assert "Health: go: it is down" in text
    assert "Replication lag: go: 40 ms" in text


def test_a_refusal_says_which_check_said_no() -> None:
    text = told("refused", claim=CLAIM, assessment=GO | {"lag": {"proceed": False, "reason": "2000 ms"}})
    assert "Health: go: it is down" in text
    assert "Replication lag: no go: 2000 ms" in text


def test_a_refused_claim_says_why() -> None:
    assert "Claim: run run-0 is doing the work" in told(
        "refused", claim=CLAIM | {"reason": "run run-0 is doing the work"}
    )


DETACHED = "the standby's cluster is detached and promoted, and the writer switch is engaged"
COMMITTED = "the control record names the new writer"
WROTE = "a write through the public name arrived in the new writer region"


@pytest.mark.parametrize(
    ("progress", "done", "not_done"),
    [
        ({}, "nothing that is certain", f"{DETACHED}; {COMMITTED}; {WROTE}"),
        ({"moved": {}}, DETACHED, f"{COMMITTED}; {WROTE}"),
        ({"moved": {}, "commit": {}}, f"{DETACHED}; {COMMITTED}", WROTE),
    ],
    ids=["nothing", "moved", "committed"],
)
def test_p7_a_run_that_stopped_half_way_says_what_is_done_and_what_is_not(
    progress: dict[str, Any], done: str, not_done: str
) -> None:
    text = told("needs_person", claim=CLAIM, **progress)
    assert f"\nDone: {done}\n" in text
    assert f"\nNot done, or not certain: {not_done}\n" in text


def test_the_command_to_go_on_is_a_command_that_starts_a_valid_request() -> None:
    *_, command = told("needs_person", claim=CLAIM).splitlines()
    assert command.startswith(
        f"aws stepfunctions start-execution --region us-west-2 --state-machine-arn {ARN} --input '"
    )
    request = json.loads(command.split("--input ")[1].strip("'"))
    assert request == {"mode": "failover", "started_by": "<your name>", "resumes": "run-1"}


LAMBDA_CAUSE = json.dumps({"errorMessage": "RDS refuses", "errorType": "DetachRejected", "stackTrace": ["a", "b"]})


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (LAMBDA_CAUSE, "RDS refuses"),
        ("plain text", "plain text"),
        ('["a list"]', '["a list"]'),
        ('{"no": "message"}', '{"no": "message"}'),
        ("", ""),
        ("x" * 50_000, "x" * LONGEST_CAUSE),
    ],
    ids=["of Lambda", "plain", "a list", "without a message", "empty", "long"],
)
def test_an_error_is_shown_by_its_message(cause: str, shown: str) -> None:
    lines = told("aborted", claim=CLAIM, error={"Error": "DetachRejected", "Cause": cause}).splitlines()
    assert lines[-1] == f"Error: DetachRejected: {shown}"


def test_the_error_of_a_failed_claim_is_shown() -> None:
    """There is no claim to keep beside it."""
    text = told("aborted", error={"Error": "Misconfigured", "Cause": "no table"}, release={})
    assert "Error: Misconfigured: no table" in text


def test_every_error_is_shown() -> None:
    text = told(
        "needs_person",
        claim=CLAIM,
        error={"Error": "DetachRejected", "Cause": "one"},
        release_error={"Error": "TransientFailure", "Cause": "two"},
    )
    assert "Error: DetachRejected: one\nError: TransientFailure: two\n" in text


def test_a_message_without_a_claim_still_has_a_headline() -> None:
    assert told("recovered").startswith("Failover done: the standby region is the writer")
