"""What people are told of a re-protection, and what is kept of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from handlers.core.message import Message
from handlers.core.reprotection_outcome import (
    HEADLINES,
    MILESTONES,
    Outcome,
    RecordedSalvage,
    ReprotectionEnd,
    ReprotectionRecord,
    message,
    record,
)
from handlers.core.timing import Timing
from tests.handlers.core.kept import BEGAN, REPROTECTION, SALVAGE, STARTED, timing, under_result

REPROTECT = "arn:aws:states:us-west-2:123456789012:stateMachine:reprotect-usw2-test"
FAILOVER = "arn:aws:states:us-east-1:123456789012:stateMachine:failover-use1-test"
RUN = f"""\
Run run-2 of {REPROTECT}
https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/v2/executions/details/\
arn:aws:states:us-west-2:123456789012:execution:reprotect-usw2-test:run-2"""
PARTS = list(REPROTECTION)


def end(outcome: Outcome, **progress: Any) -> ReprotectionEnd:
    return ReprotectionEnd.read({"run": "run-2", "outcome": outcome, "progress": progress})


def told(outcome: Outcome, **progress: Any) -> Message:
    return message(end(outcome, **progress), reprotect=REPROTECT, failover=FAILOVER)


def up_to(part: str) -> dict[str, Any]:
    """What is kept of a run that came so far."""
    return {name: REPROTECTION[name] for name in PARTS[: PARTS.index(part) + 1]}


def test_a_re_protection_in_full() -> None:
    assert told("reprotected", **REPROTECTION) == Message(
        "Re-protected: us-east-1 is the standby of us-west-2",
        f"""\
Re-protected: us-east-1 is the standby of us-west-2

{RUN}
Started by: ada
the lock was free

Done: the old cluster is fenced and its settings are kept; its snapshot is complete; its unreplicated writes are \
exported; its retirement is approved; it is retired; the global database is rebuilt around the writer; the standby \
is rebuilt; it replicates inside the RPO budget; failover is armed again
Salvage: 2 rows are missing on the new writer, 1 are different there (1 file in s3://kept/epoch-2/)

At risk now: nothing.
The writer may stay in us-west-2. To move it back to us-east-1 without loss:
failoverctl start --mode switchover --suffix test""",
    )


def test_a_re_protection_that_stopped_in_full() -> None:
    exporting = up_to("salvage") | {"salvage": under_result(replace(SALVAGE, done=False))}
    assert told("needs_person", **exporting, error={"Error": "States.Timeout", "Cause": ""}) == Message(
        "RE-PROTECTION STOPPED: a person is needed",
        f"""\
RE-PROTECTION STOPPED: a person is needed

{RUN}
Started by: ada
the lock was free
Error: States.Timeout: no cause given

Done: the old cluster is fenced and its settings are kept; its snapshot is complete
Not done: its unreplicated writes are exported; its retirement is approved; it is retired; the global database is \
rebuilt around the writer; the standby is rebuilt; it replicates inside the RPO budget; failover is armed again

At risk now: there is no standby until this is finished; until then, no failover is possible.
Every step may be repeated; continue with:
failoverctl start --mode reprotect --suffix test""",
    )


def test_a_refusal_in_full() -> None:
    assert told("refused", **up_to("order")).text == (
        f"Re-protection refused: nothing was changed\n\n{RUN}\nStarted by: ada\nthe lock was free"
    )


def test_a_re_protection_that_was_held_says_how_to_go_on() -> None:
    told_of = told("held", **up_to("salvage"))
    assert told_of.subject == "Re-protection held: the old cluster stays as it is"
    assert told_of.text.splitlines()[-1].startswith("failoverctl start --mode reprotect ")


def test_p7_a_run_that_could_not_give_its_lock_back_is_named_by_the_command() -> None:
    """Without the name, the command would be refused for ever: the lock has no deadline."""
    text = told("needs_person", **up_to("fenced"), release_error={"Error": "TransientFailure", "Cause": "away"}).text
    assert text.endswith("\nfailoverctl start --mode reprotect --resumes run-2 --suffix test")


def test_rows_that_could_not_be_compared_are_named() -> None:
    text = told("held", **up_to("salvage") | {"salvage": under_result(replace(SALVAGE, uncompared=7))}).text
    assert "\nNot compared, because their tables have no primary key: 7 rows\n" in text


@pytest.mark.parametrize("outcome", HEADLINES)
def test_p7_an_order_that_cannot_be_read_keeps_nobody_from_the_message(outcome: Outcome) -> None:
    lines = told(outcome, **REPROTECTION | {"order": {"epoch": "two"}}).text.splitlines()
    assert lines[2:4] == RUN.splitlines()
    assert lines[4].startswith("Not readable: the step's event, progress, order: field 'decision' is missing")


@pytest.mark.parametrize("part", MILESTONES)
def test_each_milestone_is_open_until_its_step_has_ended(part: str) -> None:
    before = PARTS[PARTS.index(part) - 1]
    assert part in end("needs_person", **up_to(part)).done
    assert part not in end("needs_person", **up_to(before)).done


def test_the_record_of_a_re_protection_is_whole() -> None:
    assert record(end("reprotected", **REPROTECTION), STARTED, BEGAN + 60) == ReprotectionRecord(
        run="run-2",
        kind="re-protection",
        outcome="reprotected",
        started_by="ada",
        started_at=STARTED,
        ended_at=BEGAN + 60,
        writer_region="us-west-2",
        old_region="us-east-1",
        epoch=2,
        approved_by="grace",
        snapshot="snapshot-1",
        salvage=RecordedSalvage(missing=2, different=1, uncompared=0, part=1, kept_at="s3://kept/epoch-2/"),
        steps={
            "fenced": Timing(**timing(2)),
            "snapshot": Timing(**timing(3)),
            "salvage": Timing(**timing(4)),
            "retired": Timing(**timing(6)),
            "global_database": Timing(**timing(7)),
            "standby": Timing(**timing(8)),
            "replication": Timing(**timing(9)),
            "armed": Timing(**timing(10)),
        },
        error=None,
    )


@pytest.mark.parametrize("outcome", HEADLINES)
def test_p7_what_was_not_reached_stays_unknown(outcome: Outcome) -> None:
    found = asdict(record(end(outcome), STARTED, BEGAN))
    assert {name for name, value in found.items() if value is None} == set(found) - {
        "run",
        "kind",
        "outcome",
        "started_at",
        "ended_at",
        "salvage",
        "steps",
    }
    assert set(found["salvage"].values()) == {None}
    assert found["steps"] == {}
