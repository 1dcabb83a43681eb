"""What people ask for and answer: anything at all, and the record stays readable, the writer where it is."""

from __future__ import annotations

import json
from itertools import cycle
from typing import Any

import pytest

from handlers.core.control import ControlRecord
from tests.deployment import STANDBY, WRITER, Deployment
from tests.hostile.strange import STRANGE
from tests.statemachines.conditions import RUN, all_is_well, writer_dies_unmeasured

ASKED = {"mode": "failover", "started_by": "ada"}

UNPRINTABLE = [text for text in STRANGE if not text.isprintable() or not 0 < len(text) <= 256]
REFUSALS = ["", "ada:\nnot now", "line\u2028separator", "\ud800", "<b>no</b>", "x" * 32_000, "\x1b[2J", " \n "]


@pytest.mark.parametrize("cause", REFUSALS, ids=[ascii(cause)[:20] for cause in REFUSALS])
def test_p10_whatever_a_person_says_with_a_no_the_control_record_stays_readable(
    cause: str, deployment: Deployment
) -> None:
    """A record that nobody can read makes the guardian fence a healthy writer."""
    writer_dies_unmeasured(deployment)
    deployment.answers("send_task_failure", error="Refused", cause=cause)
    run = deployment.run(ASKED, RUN)
    assert run.end == "Refused"
    record = ControlRecord.read(deployment.record())
    assert record.ended_by_person is not None
    assert record.ended_by_person.reason.isprintable()
    assert record.transition is None
    assert record.writer_region == WRITER


NAMES: tuple[Any, ...] = (None, True, {}, ["ada"], *UNPRINTABLE[::3])
NO_ANSWERS: list[Any] = [None, [], "yes", 1, {}, *({"approved_by": name} for name in NAMES)]


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=lambda answer: ascii(answer)[:40])
def test_p5_an_answer_that_names_nobody_moves_nothing_and_people_are_told_why(
    answer: Any, deployment: Deployment
) -> None:
    writer_dies_unmeasured(deployment)
    deployment.answers("send_task_success", output=json.dumps(answer))
    run = deployment.run(ASKED, RUN)
    assert run.end == "Refused"
    assert (deployment.record()["writer_region"], deployment.lock()) == (WRITER, None)
    assert "the answer to the approval" in deployment.messages(STANDBY)[-1][1]
    assert "detach_secondary" not in deployment.lambdas.calls


def test_no_input_moves_a_healthy_writer_or_keeps_the_lock(deployment: Deployment) -> None:
    all_is_well(deployment)
    before = {"writer_region": WRITER, "epoch": 1}
    fields = cycle(("mode", "started_by", "incident", "resumes", "target_region", "automatic"))
    strange = [ASKED | {field: text} for text, field in zip(STRANGE, fields, strict=False)]
    inputs: list[Any] = [None, [], "failover", *strange]
    for number, asked in enumerate(inputs):
        run = deployment.run(asked, f"run-{number}")
        assert run.end in ("RejectRequest", "Refused"), asked
        assert run.end == "Refused" or run.error == "InvalidRequest"
        record = deployment.record()
        assert {name: record[name] for name in before} == before
        assert "transition" not in record
