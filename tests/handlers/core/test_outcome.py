"""What people are told."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from handlers.core.control import ControlRecord, Pause, PersonsNo, Transition
from handlers.core.message import Message, Workflows
from handlers.core.outcome import HEADLINES, FailoverEnd, Outcome, message
from handlers.core.progress import LONGEST_CAUSE
from handlers.core.recorded import RunRecord
from handlers.core.reprotection import ReprotectionRequest
from handlers.core.request import Request
from handlers.core.results import Lease, Release
from handlers.core.run_record import run_record
from tests.handlers.commands import started_by
from tests.handlers.core import kept
from tests.handlers.core.kept import STARTED, under_result

ARN = "arn:aws:states:us-west-2:123456789012:stateMachine:failover-usw2-test"
THERE = "arn:aws:states:us-east-1:123456789012:stateMachine:failover-use1-test"
REPROTECT = "arn:aws:states:us-west-2:123456789012:stateMachine:reprotect-usw2-test"
WORKFLOWS = Workflows(ARN, THERE, REPROTECT)
CLAIM, SWITCHOVER = kept.kept(kept.CLAIM), kept.kept(kept.SWITCHOVER)
GO = {"health": asdict(kept.HEALTH), "lag": asdict(kept.LAG)}
NO_GO = {name: found | {"proceed": False, "reason": "no"} for name, found in GO.items()}
NOW = 1_800_000_000.0
CONTROL = ControlRecord(writer_region="us-east-1", epoch=4, automatic_failover=True)
COMMIT, MOVED = kept.FAILOVER["commit"], kept.MOVED


def end(outcome: Outcome, **progress: Any) -> FailoverEnd:
    return FailoverEnd.read({"run": "run-1", "outcome": outcome, "progress": progress})


def said(outcome: Outcome, **progress: Any) -> Message:
    return message(end(outcome, **progress), WORKFLOWS, CONTROL, NOW)


def told(outcome: Outcome, **progress: Any) -> str:
    return said(outcome, **progress).text


@pytest.mark.parametrize("outcome", HEADLINES)
def test_every_outcome_has_a_subject_that_sns_takes(outcome: Outcome) -> None:
    odd = CLAIM | {"target_region": "us-west-2\n\x00" + "ü" * 200}  # longer than it may be, and not all of it ASCII
    for progress in ({}, {"claim": CLAIM}, {"claim": SWITCHOVER}, {"claim": odd}):
        subject = said(outcome, **progress).subject
        assert subject.isascii()
        assert subject.isprintable()
        assert 0 < len(subject) <= 100


@pytest.mark.parametrize("outcome", HEADLINES)
def test_every_message_names_the_run(outcome: Outcome) -> None:
    assert f"Run run-1 of {ARN}" in told(outcome)


def test_a_recovery_names_the_writer_and_the_epoch() -> None:
    text = told("recovered", claim=CLAIM, assessment=GO, commit=COMMIT)
    assert text.startswith("Failover done: us-west-2 is the writer\n")
    assert "Writer region: us-west-2, epoch 5" in text
    assert "Started by: ada" in text
    assert "Incident: outage 7" in text
    assert "Claim: the lock was free" in text
    assert "Health: go: it is down" in text
    assert "Replication lag: go: 40 ms" in text


def test_a_refusal_says_which_check_said_no() -> None:
    text = told("refused", claim=CLAIM, assessment=GO | {"lag": GO["lag"] | {"proceed": False, "reason": "2000 ms"}})
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
        ({}, "nothing for certain", f"{DETACHED}; {COMMITTED}; {WROTE}"),
        ({"moved": MOVED}, DETACHED, f"{COMMITTED}; {WROTE}"),
        ({"moved": MOVED, "commit": COMMIT}, f"{DETACHED}; {COMMITTED}", WROTE),
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
    assert command == "failoverctl start --mode failover --resumes run-1 --suffix test"


def test_a_run_that_has_committed_gives_no_command_that_would_be_refused() -> None:
    text = told("needs_person", claim=CLAIM, moved=MOVED, commit=COMMIT)
    assert "--resumes" not in text
    assert "write through it by hand: clients belong in us-west-2.\n" in text
    assert text.splitlines()[-1] == "failoverctl start --mode reprotect --suffix test"


LAMBDA_CAUSE = json.dumps({"errorMessage": "RDS refuses", "errorType": "DetachRejected", "stackTrace": ["a", "b"]})


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (LAMBDA_CAUSE, "RDS refuses"),
        ("plain text", "plain text"),
        ('["a list"]', '["a list"]'),
        ('{"no": "message"}', '{"no": "message"}'),
        ("", "no cause given"),
        ("x" * 50_000, "x" * (LONGEST_CAUSE - 1) + "…"),
    ],
    ids=["of Lambda", "plain", "a list", "without a message", "empty", "long"],
)
def test_an_error_is_shown_by_its_message(cause: str, shown: str) -> None:
    text = told("aborted", claim=CLAIM, error={"Error": "DetachRejected", "Cause": cause})
    assert f"\nError: DetachRejected: {shown}\n" in text


def test_the_error_of_a_failed_claim_is_shown() -> None:
    """There is no claim to keep beside it."""
    text = told(
        "aborted",
        error={"Error": "Misconfigured", "Cause": "no table"},
        release=under_result(Release(released=False)),
    )
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


LIVES = under_result(Lease(False, False, "the writer in us-east-1 lives", None))
APPROVED = under_result(replace(kept.LEASE, approved_by="grace"))
RECORD = run_record(end("recovered"), STARTED, kept.BEGAN + 60)  # nothing of the cost is known


def test_a_run_that_a_live_lease_has_stopped_says_so() -> None:
    assert "Lease: no go: the writer in us-east-1 lives" in told("refused", claim=CLAIM, assessment=GO, lease=LIVES)


def test_a_loss_that_was_approved_is_put_down_to_its_approver() -> None:
    text = told("recovered", claim=CLAIM, assessment=GO, approved_lease=APPROVED)
    assert "Lease: go: the lease has ended\nLoss approved by: grace\n" in text


@pytest.mark.parametrize(
    ("record", "shown", "hidden"),
    [
        (
            replace(RECORD, rto_s=31.26, rpo_ms=2000.0),
            ["to the proved write: 31.3 s", "begun up to 2.0 s later", "between 0 and 4000 ms of writes"],
            [],
        ),
        (replace(RECORD, rto_s=31.26), ["31.3 s", "Lost: not known"], ["by heartbeats"]),
        (replace(RECORD, rpo_ms=6000.0), ["between 4000 and 8000 ms of writes", "Nothing bounds"], ["Outage"]),
        (replace(RECORD, rpo_at_most_ms=9800.0), ["Lost at most: 9800 ms"], ["Outage", "Nothing bounds"]),
        (
            replace(RECORD, rpo_if_guarded_ms=9800.0),
            ["Nothing bounds the loss", "If its own guardian has fenced it in time, at most 9800 ms"],
            ["Lost at most"],
        ),
        (RECORD, ["Lost: not known", "Nothing bounds the loss"], ["Outage"]),
    ],
    ids=["both", "no loss known", "no outage known", "only its bound", "only the lease", "nothing"],
)
def test_p7_a_recovery_tells_what_was_measured(record: RunRecord, shown: list[str], hidden: list[str]) -> None:
    text = told("recovered", claim=CLAIM, record=under_result(record))
    assert all(words in text for words in shown)
    assert not any(words in text for words in hidden)


@pytest.mark.parametrize(
    ("assessment", "would"),
    [
        (GO, "wait for the end of the writer's lease, then make us-west-2 the writer without asking"),
        (GO | {"lag": NO_GO["lag"]}, "then ask people whether the loss may be accepted"),
        (GO | {"health": NO_GO["health"]}, "refuse, because no failover is due"),
        (NO_GO, "refuse, because no failover is due"),
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


def test_a_switchover_that_stopped_half_way_is_resumed_as_one() -> None:
    text = told("needs_person", claim=SWITCHOVER, moved=kept.SWITCHED_OVER["moved"])
    assert "Done: the standby's cluster is the writer by a switchover" in text
    requests = started_by(text)
    # The second needs nothing of the old writer's region, which may be dark by now.
    assert [each["mode"] for each in requests] == ["switchover", "failover"]
    assert requests[0]["resumes"] == requests[1]["resumes"]


# --- whole messages


RUN = f"""\
Run run-1 of {ARN}
https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/v2/executions/details/\
arn:aws:states:us-west-2:123456789012:execution:failover-usw2-test:run-1"""
REASONS = """\
Started by: ada
Incident: outage 7
Claim: the lock was free
Health: go: it is down
Replication lag: go: 40 ms
Lease: go: the lease has ended"""


def test_a_recovery_in_full() -> None:
    progress = kept.FAILOVER | {
        "record": under_result(run_record(end("recovered", **kept.FAILOVER), STARTED, kept.BEGAN + 60))
    }
    assert said("recovered", **progress) == Message(
        "Failover done: us-west-2 is the writer",
        f"""\
Failover done: us-west-2 is the writer

{RUN}
{REASONS}
Writer region: us-west-2, epoch 5
Outage, from the writer's last heartbeat to the proved write: 60.0 s
It may have begun up to 2.0 s later than that heartbeat.
Lost, by heartbeats: between 0 and 4000 ms of writes, if the old writer stopped with its last heartbeat; they come \
every 2000 ms
Nothing bounds the loss: nobody has seen the old writer fenced.
If its own guardian has fenced it in time, at most 11500 ms are lost.

At risk now: there is no standby; until there is one, no failover is possible.
The old writer in us-east-1 is not known to be fenced; the guardian in us-west-2 goes on trying.
To make us-east-1 the standby, once it answers:
failoverctl start --mode reprotect --suffix test""",
    )


def test_an_abort_in_full() -> None:
    progress = {name: kept.FAILOVER[name] for name in ("claim", "assessment", "lease")} | kept.REFUSED_DETACH
    assert said("aborted", **progress) == Message(
        "Failover aborted: the writer stays in its region",
        f"""\
Failover aborted: the writer stays in its region

{RUN}
{REASONS}
Error: RdsBusy: RDS is busy
Error: DetachRejected: RDS refuses

At risk now: the writer in us-east-1 was seen to be down, and it has not been moved.
To try again, once the cause is gone:
failoverctl start --mode failover --suffix test""",
    )


def test_a_run_that_needs_a_person_in_full() -> None:
    progress = {name: part for name, part in kept.FAILOVER.items() if name not in ("commit", "recovery")}
    assert said("needs_person", **progress, error={"Error": "States.Timeout"}) == Message(
        "FAILOVER STOPPED HALF WAY: a person is needed",
        f"""\
FAILOVER STOPPED HALF WAY: a person is needed

{RUN}
{REASONS}
Error: States.Timeout: no cause given

Done: the standby's cluster is detached and promoted, and the writer switch is engaged
Not done, or not certain: the control record names the new writer; a write through the public name arrived in the new \
writer region

At risk now: applications may have no writer until this is finished, and no other run may move it.
Find out what failed, then continue with:
failoverctl start --mode failover --resumes run-1 --suffix test""",
    )


# --- what is at risk, and what to do next

QUIET = under_result(replace(kept.FENCE, writes_ended=True))


@pytest.mark.parametrize(
    ("outcome", "progress", "risk", "commands"),
    [
        ("recovered", kept.FAILOVER, "there is no standby", [(REPROTECT, {})]),
        (
            "recovered",
            kept.SWITCHED_OVER,
            "nothing; us-east-1 is the standby",
            [(THERE, {"mode": "switchover"})],
        ),
        ("rehearsed", {"claim": CLAIM}, "", [(ARN, {"mode": "switchover"})]),
        ("refused", {"claim": CLAIM, "assessment": GO}, "seen to be down", [(ARN, {"mode": "failover"})]),
        (
            "refused",
            {"claim": CLAIM, "assessment": GO | {"health": NO_GO["health"]}},
            "nothing",
            [(ARN, {"mode": "failover"})],
        ),
        (
            "refused",
            {"claim": CLAIM, "assessment": GO | {"lag": NO_GO["lag"]}},
            "seen to be down",
            [(ARN, {"mode": "failover"}), (ARN, {"mode": "failover", "accept_data_loss": True})],
        ),
        ("aborted", {"claim": SWITCHOVER, "assessment": GO}, "nothing", [(ARN, {"mode": "switchover"})]),
        ("needs_person", {"claim": CLAIM}, "may have no writer", [(ARN, {"mode": "failover", "resumes": "run-1"})]),
        ("needs_person", {"claim": CLAIM, "moved": MOVED, "commit": COMMIT}, "by its name", [(REPROTECT, {})]),
    ],
)
def test_p7_every_message_says_what_is_at_risk_and_the_next_command(
    outcome: Outcome, progress: dict[str, Any], risk: str, commands: list[tuple[str, dict[str, Any]]]
) -> None:
    text = told(outcome, **progress)
    assert ("At risk now: " in text) == (outcome != "rehearsed")
    assert risk in text
    found = started_by(text)
    assert found == [{"mode": "reprotect"} if arn == REPROTECT else request for arn, request in commands]
    for arn, request in commands:  # each is one that its workflow takes
        if arn == REPROTECT:
            ReprotectionRequest.read(request | {"started_by": "ada"})
        else:
            Request.read(request | {"started_by": "ada"}, "run-2", arn.split(":")[3])


@pytest.mark.parametrize("outcome", HEADLINES)
def test_p7_every_message_leads_to_the_execution_in_the_console(outcome: Outcome) -> None:
    assert f"#/v2/executions/details/{ARN.replace('stateMachine', 'execution')}:run-1\n" in told(outcome)


def test_an_old_writer_that_was_seen_fenced_is_no_risk() -> None:
    assert "not known to be fenced" in told("recovered", claim=CLAIM, moved=MOVED)
    assert "not known to be fenced" not in told("recovered", claim=CLAIM, moved=MOVED | {"fence": QUIET})


def test_p7_a_failover_whose_heartbeats_all_survived_does_not_say_that_nothing_is_lost() -> None:
    """Three payments were lost between two heartbeats, and people were told "Lost: 0 ms of writes"."""
    text = told("recovered", claim=CLAIM, record=under_result(replace(RECORD, rpo_ms=0.0)))
    assert "Lost, by heartbeats: between 0 and 2000 ms of writes" in text


# --- whether another attempt comes by itself

NO = PersonsNo("ada", NOW - 9, "not before the books are closed")
PAUSE = Pause.of("ada", NOW - 60, NOW + 600, "an upgrade")
# What RDS has been asked for is finished all the same.
ASKED = Transition("run-1", "failover", "moving", "epoch 4", "us-west-2", NOW - 9, NOW + 900, move_requests=1)
COME_AGAIN = "failoverctl resume --suffix test"


def about_attempts(record: ControlRecord | None, outcome: Outcome, **progress: Any) -> list[str]:
    """The message's lines between what is at risk and how to go on."""
    text = message(end(outcome, claim=CLAIM, **progress), WORKFLOWS, record, NOW).text
    _, _, rest = text.partition("\nAt risk now: ")
    _, *lines = rest.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(("To try", "Find", "The writer has")))
    return lines[:first]


@pytest.mark.parametrize("outcome", ["refused", "aborted", "needs_person"])
@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(CONTROL, ended_by_person=NO), "ada has ended the automatic attempts of this epoch (not before the"),
        (replace(CONTROL, paused=PAUSE), "ada has paused automatic failover for 10 min more (an upgrade)"),
        (replace(CONTROL, automatic_failover=False), "automatic failover is turned off in the control record"),
    ],
    ids=["no", "pause", "off"],
)
def test_p7_p9_where_a_person_keeps_attempts_from_coming_the_message_says_so(
    outcome: Outcome, record: ControlRecord, why: str
) -> None:
    line, command = about_attempts(record, outcome)
    assert line.startswith(f"No attempt comes by itself: {why}")
    assert line.endswith(". To let attempts come again:")
    assert command == COME_AGAIN


@pytest.mark.parametrize("outcome", ["refused", "aborted", "needs_person"])
@pytest.mark.parametrize(
    "record",
    [
        CONTROL,
        replace(CONTROL, paused=replace(PAUSE, until=NOW)),
        replace(CONTROL, ended_by_person=NO, transition=ASKED),
    ],
    ids=["no word", "a pause that is over", "only forward"],
)
def test_where_attempts_come_by_themselves_the_message_leaves_it_at_that(
    outcome: Outcome, record: ControlRecord
) -> None:
    assert about_attempts(record, outcome) == []


def test_p7_a_record_that_cannot_be_read_leaves_it_open_whether_attempts_come() -> None:
    line, command = about_attempts(None, "aborted")
    assert "it is not known whether the next attempt comes by itself" in line
    assert command == "failoverctl status --suffix test"


@pytest.mark.parametrize(
    ("outcome", "progress"),
    [("begun", {}), ("lasts", {}), ("recovered", {}), ("rehearsed", {}), ("needs_person", {"commit": COMMIT})],
)
def test_a_run_that_has_moved_the_writer_or_may_yet_says_nothing_of_further_attempts(
    outcome: Outcome, progress: dict[str, Any]
) -> None:
    said_no = replace(CONTROL, ended_by_person=NO)
    text = message(end(outcome, claim=CLAIM, **progress), WORKFLOWS, said_no, NOW).text
    assert text == message(end(outcome, claim=CLAIM, **progress), WORKFLOWS, None, NOW).text
    assert COME_AGAIN not in text


# --- what cannot be read


def test_p7_what_cannot_be_read_is_said_and_still_counts_as_reached() -> None:
    text = told("needs_person", claim=CLAIM, moved=MOVED, commit={"result": {"epoch": "two"}})
    assert "Not readable: the step's event, progress, commit, result: field 'writer_region' is missing" in text
    assert f"\nDone: {DETACHED}; {COMMITTED}\n" in text
    assert "--resumes" not in text


def test_p7_a_rehearsal_whose_checks_cannot_be_read_promises_nothing() -> None:
    text = told("rehearsed", claim=CLAIM, assessment=GO | {"health": 5})
    assert "What a failover would do now is not known." in text
    assert "A failover would now" not in text


def test_a_record_that_could_not_be_kept_leaves_the_message_as_it_is_without() -> None:
    """RecordRun's failure is tolerated; the workflow keeps its error in the record's place."""
    failed = {"result": {"Error": "TransientFailure", "Cause": "the table is away"}}
    assert told("recovered", **kept.FAILOVER, record=failed) == told("recovered", **kept.FAILOVER)
