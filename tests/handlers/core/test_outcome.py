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


SWITCHOVER = CLAIM | {"mode": "switchover"}


@pytest.mark.parametrize("outcome", HEADLINES)
def test_every_outcome_has_a_subject_that_sns_takes(outcome: Outcome) -> None:
    for progress in ({}, {"claim": CLAIM}, {"claim": SWITCHOVER}):
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


def test_a_run_that_has_committed_gives_no_command_that_would_be_refused() -> None:
    text = told("needs_person", claim=CLAIM, moved={}, commit={})
    assert "start-execution" not in text
    assert text.endswith("write through it by hand: clients belong in us-west-2.")


LAMBDA_CAUSE = json.dumps({"errorMessage": "RDS refuses", "errorType": "DetachRejected", "stackTrace": ["a", "b"]})


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (LAMBDA_CAUSE, "RDS refuses"),
        ("plain text", "plain text"),
        ('["a list"]', '["a list"]'),
        ('{"no": "message"}', '{"no": "message"}'),
        ("", "no cause given"),
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


# --- the writer protocol in words


LIVES = {"result": {"proceed": False, "taken": False, "reason": "the writer in us-east-1 lives"}}
APPROVED = {"result": {"proceed": True, "taken": True, "reason": "the lease has ended", "approved_by": "grace"}}


def test_a_run_that_a_live_lease_has_stopped_says_so() -> None:
    assert "Lease: no go: the writer in us-east-1 lives" in told("refused", claim=CLAIM, assessment=GO, lease=LIVES)


def test_a_loss_that_was_approved_is_put_down_to_its_approver() -> None:
    text = told("recovered", claim=CLAIM, assessment=GO, approved_lease=APPROVED)
    assert "Lease: go: the lease has ended\nLoss approved by: grace\n" in text


@pytest.mark.parametrize(
    ("record", "shown", "hidden"),
    [
        ({"rto_s": 31.26, "rpo_ms": 2000.0}, ["to the proved write: 31.3 s", "2000 ms of writes"], []),
        ({"rto_s": 31.26, "rpo_ms": None}, ["31.3 s"], ["Lost"]),
        ({"rto_s": None, "rpo_ms": 0.0}, ["Lost, by heartbeats: 0 ms"], ["Outage", "at most"]),
        ({"rpo_at_most_ms": 9800.0}, ["at most, if the old region lived on without being seen: 9800 ms"], ["Outage"]),
        ({}, [], ["Outage", "Lost"]),
    ],
    ids=["both", "no loss known", "no outage known", "only its bound", "no record"],
)
def test_p7_a_recovery_tells_what_was_measured(record: dict[str, Any], shown: list[str], hidden: list[str]) -> None:
    text = told("recovered", claim=CLAIM, record={"result": record})
    assert all(words in text for words in shown)
    assert not any(words in text for words in hidden)


NO_GO = {"proceed": False, "reason": "no"}


@pytest.mark.parametrize(
    ("assessment", "would"),
    [
        (GO, "wait for the end of the writer's lease, then make us-west-2 the writer without asking"),
        (GO | {"lag": NO_GO}, "then ask people whether the loss may be accepted"),
        (GO | {"health": NO_GO}, "refuse, because no failover is due"),
        (GO | {"health": NO_GO, "lag": NO_GO}, "refuse, because no failover is due"),
    ],
    ids=["go", "lag", "health", "both"],
)
def test_a_rehearsal_says_what_a_failover_would_do(assessment: dict[str, Any], would: str) -> None:
    text = told("rehearsed", claim=CLAIM, assessment=assessment)
    assert "A failover would now " in text
    assert would in text
    assert "The checks took" not in text


def test_a_rehearsal_says_how_long_its_checks_took() -> None:
    timed = {
        "health": GO["health"] | {"timing": {"began": 100.0, "ended": 102.5}},
        "lag": GO["lag"] | {"timing": {"began": 99.5, "ended": 101.0}},
    }
    assert "The checks took 3.0 s" in told("rehearsed", claim=CLAIM, assessment=timed)


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [
        ("recovered", "Switchover done: us-west-2 is the writer"),
        ("refused", "Switchover refused: nothing was changed"),
        ("aborted", "Switchover aborted: the writer stays in its region"),
        ("needs_person", "SWITCHOVER STOPPED HALF WAY: a person is needed"),
    ],
)
def test_a_switchover_is_called_one(outcome: Outcome, headline: str) -> None:
    assert told(outcome, claim=SWITCHOVER).startswith(f"{headline}\n")


def test_a_switchover_that_stopped_half_way_is_gone_on_with_as_one() -> None:
    text = told("needs_person", claim=SWITCHOVER, moved={})
    assert "Done: the standby's cluster is the writer by a switchover" in text
    assert json.loads(text.splitlines()[-1].split("--input ")[1].strip("'"))["mode"] == "switchover"
