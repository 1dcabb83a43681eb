"""Inputs of executions, answers of people and events of the bus: whatever they hold, one clear error or a sane request.

Nothing moves, nobody claims the lock, and no step dies of anything but an error of ours.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moto.events.models import EventPattern

from drills.aws.events import transform
from handlers.core.claim import decide_claim
from handlers.core.control import ControlRecord, PersonsNo
from handlers.core.errors import InvalidRequest
from handlers.core.message import Message, Workflows, start_command
from handlers.core.outcome import FailoverEnd, message, resume
from handlers.core.plain import plain
from handlers.core.reprotection import ReprotectionRequest
from handlers.core.request import FIELDS, Request
from handlers.core.salvage import Replay, Row, not_read
from handlers.core.unannounced import Ended
from handlers.core.unannounced import message as announcement
from handlers.gateways import items
from handlers.gateways.acting import _session_name
from orchestration.settings import load
from orchestration.specification import describe
from tests.hostile.strange import JSON, STRANGE, TEXTS, mostly

EAST, WEST = "us-east-1", "us-west-2"
SPECIFICATION = describe(load(environment_suffix="test", environment="development"), "123456789012")
NAMES = SPECIFICATION.names
WORKFLOWS = Workflows(NAMES.state_machine_arn(WEST), NAMES.state_machine_arn(EAST), NAMES.reprotection_arn(WEST))
RIGHT: dict[str, Any] = {
    "mode": "failover",
    "started_by": "ada",
    "automatic": False,
    "epoch": 1,
    "attempt": 1,
    "asked_at": "2027-01-15T08:00:00Z",
    "incident": "outage 7",
    "target_region": WEST,
    "resumes": "run-0",
    "accept_data_loss": True,
    "ignore_cool_down": True,
    "ignore_wrong_clock": True,
}
RECORD = ControlRecord(EAST, 1, automatic_failover=True)
NOW = 1_800_000_000.0
LONGEST_ERROR = 1200  # characters; of an error that shows a value and lists the fields that are known
SNS_LIMIT = 262_144  # bytes of a message (SNS API reference, Publish)


def read_or_refuse(read: Callable[[], Any]) -> Any:
    """What was read; None after one error that names what is wrong and what to do, and shows little of the value."""
    try:
        return read()
    except InvalidRequest as error:
        said = str(error)
    assert said.isprintable()
    assert ";" in said
    assert len(said) < LONGEST_ERROR
    return None


def sound(sent: Message) -> None:
    """SNS takes it, and no line of it is made by anybody else."""
    assert sent.subject.isascii()
    assert sent.subject.isprintable()
    assert all(line.isprintable() for line in sent.text.split("\n"))
    assert len(sent.text.encode()) <= SNS_LIMIT


def test_every_field_of_a_request_is_tried() -> None:
    assert set(RIGHT) == set(FIELDS)


@given(mostly(RIGHT) | JSON | st.dictionaries(TEXTS, JSON))
@example(RIGHT | {"x" * 30_000: 1})
@example(RIGHT | {"started_by": "\ud800"})
def test_an_input_is_a_request_that_can_be_kept_and_told_or_one_clear_error(data: Any) -> None:
    request = read_or_refuse(lambda: Request.read(data, "run-1", WEST))
    if request is None:
        return
    assert not (request.automatic and (request.accept_data_loss or request.ignore_wrong_clock))
    claim = decide_claim(RECORD, request, "run-1", NOW, 1800.0)
    assert json.dumps(items.typed(asdict(claim)), ensure_ascii=False).encode()  # DynamoDB takes it
    event = {"run": "run-1", "outcome": "refused", "progress": {"claim": asdict(claim)}}
    sound(message(FailoverEnd.read(event), WORKFLOWS, None, 0.0))


@given(mostly({"started_by": "ada", "retire_without_asking": True, "resumes": "run-0"}) | JSON)
def test_an_input_of_a_re_protection_is_a_request_or_one_clear_error(data: Any) -> None:
    request = read_or_refuse(lambda: ReprotectionRequest.read(data))
    assert request is None or request.started_by.isprintable()


@pytest.mark.parametrize("incident", ["epoch 1", "epoch 2", "epoch 1000000"])
def test_p9_no_person_can_use_up_the_incident_of_an_epoch(incident: str) -> None:
    """Once the writer had moved for it, every automatic start of that epoch would be a duplicate, for ever."""
    asked = {"mode": "failover", "started_by": "ada", "incident": incident}
    request = read_or_refuse(lambda: Request.read(asked, "run-1", WEST))
    taken = request.incident if request else None
    moved = replace(RECORD, epoch=2, writer_region=WEST, last_run="run-1", last_incident=taken)
    back = Request.read({"mode": "failover", "started_by": "monitor", "automatic": True, "epoch": 2}, "run-2", EAST)
    assert decide_claim(moved, back, "run-2", NOW, 1800.0).decision == "proceed"


@given(TEXTS, TEXTS)
def test_p10_whatever_a_person_says_no_by_the_control_record_stays_readable(words: str, by: str) -> None:
    kept = asdict(PersonsNo.of(by, NOW, words))
    item = {"writer_region": EAST, "epoch": 1, "ended_by_person": kept}
    no = ControlRecord.read(item).ended_by_person
    assert no is not None
    assert no.reason.isprintable()
    assert 0 < len(no.reason) <= 1000
    request = Request.read({"mode": "failover", "started_by": "monitor", "automatic": True}, "run-2", WEST)
    assert decide_claim(ControlRecord.read(item), request, "run-2", NOW, 0.0).decision == "refused"


@pytest.mark.parametrize("words", STRANGE, ids=ascii)
def test_p10_no_words_in_the_record_make_it_unreadable(words: str) -> None:
    """Nor those that somebody has written there by hand."""
    item = {"writer_region": EAST, "epoch": 1, "ended_by_person": {"by": words, "at": NOW, "reason": words}}
    assert ControlRecord.read(item | {"told": {"about": words, "reason": words, "at": NOW}}).epoch == 1


@given(mostly({"error": "Refused", "cause": "no", "name": "run-1", "status": "ABORTED"}), st.booleans())
def test_an_end_that_step_functions_announces_is_told_whatever_its_cause(detail: dict[str, Any], known: bool) -> None:
    machine = {"stateMachineArn": NAMES.state_machine_arn(WEST)}
    ended = read_or_refuse(lambda: Ended.read({"detail": detail | machine}))
    if ended is not None:
        sound(announcement(ended, RECORD if known else None, WORKFLOWS, 0.0))


@given(JSON | mostly({"stateMachineArn": NAMES.state_machine_arn(WEST), "name": "run-1", "status": "FAILED"}))
def test_an_event_that_is_none_of_step_functions_gives_one_clear_error(detail: Any) -> None:
    ended = read_or_refuse(lambda: Ended.read({"detail": detail}))
    if ended is not None:
        sound(announcement(ended, None, WORKFLOWS, 0.0))


@given(st.dictionaries(st.sampled_from(["epoch", "asked_at", "extra"]), JSON), st.sampled_from([EAST, WEST]))
@example({"epoch": '1, "accept_data_loss": true'}, WEST)
@example({"epoch": 1, "asked_at": 'x", "automatic": false, "accept_data_loss": true, "incident": "'}, WEST)
def test_no_event_on_the_bus_says_more_than_that_the_writer_is_down(detail: dict[str, Any], region: str) -> None:
    """Everybody who may put events may put this one, with any detail, and how AWS quotes it is not documented."""
    (rule,) = (rule for rule in SPECIFICATION.regions[region].rules if rule.key == "event")
    event = {"source": "failover.monitor", "detail-type": "Writer Down", "time": "2027-01-15T08:00:00Z"} | {
        "detail": json.loads(json.dumps(detail))
    }
    if EventPattern.load(json.dumps(rule.event_pattern)).matches_event(event):  # type: ignore[arg-type]
        started = json.loads(transform(event, rule.input_paths, rule.input_template))
        assert started.pop("epoch") == detail["epoch"]
        assert started == {
            "mode": "failover",
            "automatic": True,
            "asked_at": "2027-01-15T08:00:00Z",
            "target_region": region,
            "started_by": "monitor",
            "attempt": 1,
        }
    else:
        assert not isinstance(detail.get("epoch"), int) or detail["epoch"] < 1 or isinstance(detail["epoch"], bool)


@given(TEXTS)
@example("it's")
def test_p7_a_command_of_a_message_is_one_command_whatever_the_run_is_called(run: str) -> None:
    """Step Functions allows a quote in an execution's name."""
    words = shlex.split(start_command(WORKFLOWS.failover, {"mode": "failover", "resumes": run}))
    assert words == ["failoverctl", "start", "--mode", "failover", "--resumes", run, "--suffix", words[-1]]
    assert all(line.isprintable() for line in Message.of(resume(WORKFLOWS.failover, run, WEST)).text.split("\n"))


@given(st.text(min_size=1, max_size=80))
@example("übung 2026")
def test_every_run_has_a_session_name_that_sts_takes(run: str) -> None:
    name = _session_name(run)
    assert 2 <= len(name) <= 64
    assert name.isascii()
    assert all(letter.isalnum() or letter in "=,.@-_" for letter in name)


@given(TEXTS, st.sampled_from(["missing", "different"]))
@example('public."x\rDROP TABLE accounts; --"', "missing")
def test_no_name_of_a_table_ends_a_comment_of_the_salvage(table: str, finding: Any) -> None:
    """psql takes a carriage return for the end of a comment, and a name may hold one."""
    for line in (Replay({}).line(table, Row(finding, "{}")), not_read(table, "denied")):
        assert line.startswith("-- ")
        assert line.isprintable()


@settings(max_examples=50)
@given(TEXTS)
def test_what_is_plain_is_one_line_and_stays_as_it_is(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert plain(shown) == shown
    assert shown == text or not text.isprintable()
