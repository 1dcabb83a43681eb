"""What programs are told: the events of each end, and that the page about them is what is put."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_type_hints

import pytest

from handlers.core.detection import EVENT_SOURCE
from handlers.core.events import (
    EVENTS,
    SOURCE,
    FailoverStarted,
    FailoverWaits,
    Protected,
    Unprotected,
    WriterMoved,
    as_detail,
    of_failover,
    of_question,
    of_reprotection,
)
from handlers.core.outcome import HEADLINES, FailoverEnd, Outcome
from handlers.core.reprotection_outcome import HEADLINES as REPROTECTION_HEADLINES
from handlers.core.reprotection_outcome import Outcome as ReprotectionOutcome
from handlers.core.reprotection_outcome import ReprotectionEnd
from handlers.core.run_record import run_record
from orchestration.event_schema import ADDED, fields, page
from orchestration.settings import PROJECT_ROOT
from tests.handlers.core import kept
from tests.handlers.core.kept import STARTED, under_result

CLAIM, SWITCHOVER = kept.kept(kept.CLAIM), kept.kept(kept.SWITCHOVER)
MOVE = ("run-1", "failover", "us-east-1", "us-west-2")
GONE = Unprotected("run-1", "us-west-2", 5)


def end(outcome: Outcome, progress: dict[str, Any]) -> FailoverEnd:
    return FailoverEnd.read({"run": "run-1", "outcome": outcome, "progress": progress})


def test_a_move_that_begins() -> None:
    assert of_failover(end("begun", {"claim": CLAIM})) == [FailoverStarted(*MOVE, 4, "ada")]
    (switchover,) = of_failover(end("begun", {"claim": SWITCHOVER}))
    assert asdict(switchover)["mode"] == "switchover"


def test_a_failover_that_has_moved_the_writer_says_what_it_cost_and_that_there_is_no_standby() -> None:
    record = run_record(end("recovered", kept.FAILOVER), STARTED, kept.BEGAN + 41)
    found = of_failover(end("recovered", kept.FAILOVER | {"record": under_result(record)}))
    cost = (record.rto_s, record.rpo_ms, record.rpo_at_most_ms)
    assert None not in cost[:2]
    assert found == [WriterMoved(*MOVE, 5, True, *cost), GONE]


def test_a_switchover_leaves_a_standby() -> None:
    (moved,) = of_failover(end("recovered", kept.SWITCHED_OVER))
    assert moved == WriterMoved("run-1", "switchover", "us-east-1", "us-west-2", 5, True, None, None, None)


def test_p7_a_writer_that_has_moved_is_said_to_have_moved_whatever_came_after() -> None:
    stopped = {name: part for name, part in kept.FAILOVER.items() if name != "recovery"}
    assert of_failover(end("needs_person", stopped)) == [WriterMoved(*MOVE, 5, False, None, None, None), GONE]
    # Of a commit that this code cannot read, it is known that it was reached.
    assert of_failover(end("needs_person", stopped | {"commit": {"result": {"epoch": "?"}}})) == [
        WriterMoved(*MOVE, 5, False, None, None, None),
        GONE,
    ]


@pytest.mark.parametrize("outcome", HEADLINES)
def test_p7_no_writer_is_said_to_have_moved_before_that_is_committed(outcome: Outcome) -> None:
    before = {name: part for name, part in kept.FAILOVER.items() if name not in ("commit", "recovery")}
    for progress in ({}, {"claim": CLAIM}, before):
        assert all(isinstance(event, FailoverStarted) for event in of_failover(end(outcome, progress)))
    assert bool(of_failover(end(outcome, before))) == (outcome == "begun")


@pytest.mark.parametrize("outcome", REPROTECTION_HEADLINES)
def test_a_standby_is_announced_when_failover_is_armed(outcome: ReprotectionOutcome) -> None:
    for progress in ({}, kept.REPROTECTION):
        found = of_reprotection(ReprotectionEnd.read({"run": "run-2", "outcome": outcome, "progress": progress}))
        armed = outcome == "reprotected" and progress
        assert found == ([Protected("run-2", "us-west-2", "us-east-1", 2)] if armed else [])


def test_a_question_says_until_when_it_is_one() -> None:
    assert of_question(kept.CLAIM, "2000 ms", 900.0) == FailoverWaits(
        "run-1", "us-east-1", "us-west-2", 4, "2000 ms", 900.0
    )


def test_no_event_for_programs_can_start_a_workflow() -> None:
    assert SOURCE != EVENT_SOURCE


def test_the_page_is_what_is_put() -> None:
    assert (PROJECT_ROOT / "docs" / "events.md").read_text() == page(), (
        "write the output of `python -m orchestration.event_schema` into docs/events.md"
    )
    detail = as_detail(GONE, "payments-global-test")
    assert list(detail) == [name for name, _, _ in fields(Unprotected)]
    assert {"version": 1, "global_cluster": "payments-global-test"}.items() <= detail.items()


def test_no_event_calls_a_field_as_every_event_does() -> None:
    for event in EVENTS:
        assert not set(get_type_hints(event)) & set(ADDED)
