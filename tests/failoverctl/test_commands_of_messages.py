"""Messages print commands: each is one that ``failoverctl`` takes, with those arguments and options."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
import typer.main

from failoverctl.program import app
from handlers.core import application, approval, backup, capacity, hooks, outcome, reprotection_outcome, unannounced
from handlers.core.backup import BackupJob
from handlers.core.capacity import Bounds
from handlers.core.control import ControlRecord, PersonsNo, ReprotectionLock, Transition
from handlers.core.hooks import Hook, HookEnded
from handlers.core.message import Message, Workflows
from tests.handlers.core import kept

EAST, WEST = "us-east-1", "us-west-2"
ARN = "arn:aws:states:us-west-2:123456789012:stateMachine:{}-usw2-test"
THERE = "arn:aws:states:us-east-1:123456789012:stateMachine:failover-use1-test"
WORKFLOWS = Workflows(ARN.format("failover"), THERE, ARN.format("reprotect"))
TOPIC = "arn:aws:sns:us-west-2:123456789012:failover-usw2-test"
NOW = 1_800_000_000.0

RECORD = ControlRecord(writer_region=EAST, epoch=4, automatic_failover=True)
REFUSED = replace(RECORD, ended_by_person=PersonsNo("ada", NOW - 9, "not today"))
MOVED = replace(RECORD, writer_region=WEST, epoch=5, last_run="run-1", protected=False)
LOCK = Transition("run-1", "failover", "moving", "epoch 4", WEST, NOW - 9, NOW + 900)
RECORDS: tuple[ControlRecord | None, ...] = (
    None,
    RECORD,
    REFUSED,
    MOVED,
    replace(REFUSED, transition=LOCK),
    replace(RECORD, transition=replace(LOCK, mode="switchover", move_requests=1)),
    replace(RECORD, transition=replace(LOCK, run="run-2")),
    replace(MOVED, reprotection=ReprotectionLock("run-1", "ada", 1.0)),
)
LAG = {"lag": kept.kept(kept.LAG) | {"proceed": False}}
PROGRESS: tuple[dict[str, Any], ...] = (
    {"claim": kept.kept(kept.CLAIM)},
    {"claim": kept.kept(kept.CLAIM), "assessment": LAG},
    {"claim": kept.kept(kept.SWITCHOVER)},
    dict(kept.FAILOVER),
)


def of_failovers() -> list[Message]:
    ends = [
        outcome.FailoverEnd.read({"run": "run-1", "outcome": one, "progress": progress})
        for one in outcome.HEADLINES
        for progress in PROGRESS
    ]
    return [outcome.message(end, WORKFLOWS, record, NOW) for end in ends for record in RECORDS]


def of_ends_without_a_word() -> list[Message]:
    ends = [
        unannounced.Ended.read({"detail": {"name": "run-1", "stateMachineArn": machine, "status": "ABORTED"}})
        for machine in (WORKFLOWS.failover, WORKFLOWS.reprotect)
    ]
    return [unannounced.message(end, record, WORKFLOWS, NOW) for end in ends for record in RECORDS]


def of_reprotections() -> list[Message]:
    kept_lock = {"release_error": {"Error": "TransientFailure", "Cause": "the table is away"}}
    ends = [
        reprotection_outcome.ReprotectionEnd.read({"run": "run-1", "outcome": one, "progress": progress})
        for one in reprotection_outcome.HEADLINES
        for progress in ({}, kept_lock)
    ]
    return [reprotection_outcome.message(end, reprotect=WORKFLOWS.reprotect, failover=THERE) for end in ends]


def of_what_happens_beside() -> list[Message]:
    hook = Hook("tell-the-bank", "WriterMoved", "function", "tell", timeout_s=60, required=False)
    job = BackupJob("backup", "FAILED", WEST, None, "a cluster", "no space")
    return [
        Message.of(["A question", *approval.answers("the failover and the loss", "run-1", TOPIC)]),
        capacity.message(WORKFLOWS.failover, Bounds(1, 8), Bounds(4, 8), 3.5, None, "run-1"),
        backup.message(job, WORKFLOWS.failover),
        hooks.message("WriterMoved", {"run": "run-1"}, [HookEnded(hook, 60.0, "it hangs")], WORKFLOWS.failover),
        application.message("unhealthy", "orders rings", "run-1", WORKFLOWS.failover),
    ]


@pytest.mark.parametrize(
    ("messages", "verbs"),
    [
        (of_failovers, {"start", "resume", "status"}),
        (of_ends_without_a_word, {"start", "resume", "status", "watch"}),
        (of_reprotections, {"start"}),
        (of_what_happens_beside, {"approve", "reject", "show", "ready", "report"}),
    ],
)
def test_p7_every_command_of_a_message_is_one_that_failoverctl_takes(messages: Any, verbs: set[str]) -> None:
    calls = {line for each in messages() for line in each.text.splitlines() if line.startswith("failoverctl ")}
    assert {shlex.split(call)[1] for call in calls} == verbs
    for call in calls:
        takes(shlex.split(call)[1:])


def takes(words: list[str]) -> None:
    """Reads the words as ``failoverctl`` does, and does nothing; raises where it would not take them."""
    program: Any = typer.main.get_command(app)
    verb = program.get_command(None, words[0])
    assert verb is not None, f"there is no verb {words[0]}"
    verb.make_context(words[0], words[1:])
