"""What people are told of a run whose end no step announces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handlers.core.control import ControlRecord, PersonsNo, ReprotectionLock, Transition
from handlers.core.errors import InvalidRequest
from handlers.core.message import Workflows
from handlers.core.unannounced import ENDED, Ended, Status, message
from tests.handlers.commands import started_by

EAST, WEST = "us-east-1", "us-west-2"
WORKFLOWS = Workflows(
    "arn:aws:states:us-west-2:123456789012:stateMachine:failover-usw2-test",
    "arn:aws:states:us-east-1:123456789012:stateMachine:failover-use1-test",
    "arn:aws:states:us-west-2:123456789012:stateMachine:reprotect-usw2-test",
)
LOCK = Transition("run-1", "failover", "moving", "epoch 4", WEST, started_at=1.0, deadline=2.0, move_requests=1)
RECORD = ControlRecord(writer_region=EAST, epoch=4, automatic_failover=True)
MOVED = replace(RECORD, writer_region=WEST, epoch=5, last_run="run-1", protected=False)


def ended(status: Status = "ABORTED", machine: str = WORKFLOWS.failover, **more: Any) -> Ended:
    return Ended.read({"detail": {"name": "run-1", "stateMachineArn": machine, "status": status} | more})


def told(record: ControlRecord | None, **how: Any) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """The message, and the commands in it: the workflow, and what it is asked for."""
    text = message(ended(**how), record, WORKFLOWS, now=9.0).text
    return text, [_by_workflow(request) for request in started_by(text)]


def _by_workflow(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if request["mode"] == "reprotect":
        return WORKFLOWS.reprotect, {name: value for name, value in request.items() if name != "mode"}
    return WORKFLOWS.failover, request


@pytest.mark.parametrize("status", ENDED)
def test_p7_a_run_that_says_nothing_is_announced_with_how_it_ended(status: Status) -> None:
    text, _ = told(RECORD, status=status)
    assert text.startswith(f"FAILOVER OR SWITCHOVER ENDED WITHOUT A WORD: {ENDED[status]}\n")
    assert "execution:failover-usw2-test:run-1" in text


FAILOVER, REPROTECT = WORKFLOWS.failover, WORKFLOWS.reprotect
RESUME = {"resumes": "run-1"}


@pytest.mark.parametrize(
    ("record", "says", "commands"),
    [
        (None, "it is not known whether the run still holds the lock", [(FAILOVER, RESUME | {"mode": "failover"})]),
        (
            replace(RECORD, transition=LOCK),
            "The run holds the lock, in phase moving; RDS was asked to move the writer.\nAt risk now: applications may",
            [(FAILOVER, RESUME | {"mode": "failover"})],
        ),
        (
            replace(RECORD, transition=replace(LOCK, phase="checking", move_requests=0)),
            "RDS was not asked to move the writer.\nAt risk now: nothing that this run has changed, but its lock",
            [(FAILOVER, RESUME | {"mode": "failover"})],
        ),
        (
            replace(RECORD, transition=replace(LOCK, mode="switchover")),
            "If us-east-1 does not answer any more",
            [(FAILOVER, RESUME | {"mode": "switchover"}), (FAILOVER, RESUME | {"mode": "failover"})],
        ),
        (
            replace(RECORD, transition=replace(LOCK, run="run-2", mode="switchover")),
            "Run run-2, a switchover in phase moving, has the lock now.\nAt risk now: applications may have no writer "
            "until that run is over.\n"
            "You will be told how it ends. To watch it:\nfailoverctl watch run-2 --suffix test",
            [],
        ),
        (
            replace(RECORD, transition=replace(LOCK, run="run-2", phase="checking", move_requests=0)),
            "At risk now: nothing that this run has changed.\nYou will be told",
            [],
        ),
        (RECORD, "At risk now: nothing that this run has changed.", [(FAILOVER, {"mode": "failover"})]),
        (MOVED, "nobody has proved by a write through the public name", [(REPROTECT, {})]),
        (
            replace(MOVED, last_run="run-0"),
            "there is no standby; until there is one",
            [(REPROTECT, {}), (FAILOVER, {"mode": "failover"})],
        ),
    ],
)
def test_p7_it_says_what_is_at_risk_and_the_command_to_go_on(
    record: ControlRecord | None, says: str, commands: list[tuple[str, dict[str, Any]]]
) -> None:
    text, found = told(record)
    assert says in text
    assert found == commands


@pytest.mark.parametrize("held", [None, replace(LOCK, phase="checking", move_requests=0)], ids=["free", "held"])
def test_p7_p9_where_a_person_keeps_attempts_from_coming_it_says_so(held: Transition | None) -> None:
    record = replace(RECORD, transition=held)
    assert "No attempt comes by itself" not in told(record)[0]
    text, _ = told(replace(record, ended_by_person=PersonsNo("ada", 8.0, "not today")))
    assert (
        "\nNo attempt comes by itself: ada has ended the automatic attempts of this epoch (not today). To let attempts "
        "come again:\nfailoverctl resume --suffix test\n"
    ) in text


HELD = ReprotectionLock("run-1", "ada", 1.0)


@pytest.mark.parametrize(
    ("record", "says", "request_"),
    [
        (None, "there is no standby", RESUME),
        (replace(MOVED, reprotection=HELD), "there is no standby", RESUME),  # its lock has no deadline
        (replace(MOVED, reprotection=replace(HELD, run="run-2")), "there is no standby", {}),
        (MOVED, "there is no standby", {}),
    ],
)
def test_p7_a_re_protection_that_was_stopped_is_gone_on_with(
    record: ControlRecord | None, says: str, request_: dict[str, Any]
) -> None:
    text, found = told(record, machine=REPROTECT)
    assert text.startswith("RE-PROTECTION ENDED WITHOUT A WORD")
    assert says in text
    assert found == [(REPROTECT, request_)]


def test_a_re_protection_that_had_armed_before_it_was_stopped_leaves_nothing_to_do() -> None:
    text, found = told(replace(MOVED, protected=True), machine=REPROTECT)
    assert text.endswith("At risk now: nothing; us-east-1 is the standby.")
    assert found == []


@pytest.mark.parametrize(
    ("status", "error", "announced"),
    [
        ("FAILED", "Aborted", True),
        ("FAILED", "NeedsPerson", True),
        ("FAILED", "InvalidRequest", False),
        ("FAILED", None, False),  # AWS may leave it out of the event: people are told twice rather than not
        ("ABORTED", "Aborted", False),  # whoever stops an execution may name an error as he likes
        ("TIMED_OUT", None, False),
    ],
)
def test_an_end_that_the_run_has_told_of_is_not_told_of_again(
    status: Status, error: str | None, announced: bool
) -> None:
    assert ended(status, error=error).is_announced is announced


@pytest.mark.parametrize(
    "event", [{}, {"detail": {}}, {"detail": {"name": "run-1", "stateMachineArn": "x", "status": "?"}}]
)
def test_an_event_that_is_none_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        Ended.read(event)
