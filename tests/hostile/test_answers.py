"""What people answer to a question: anything at all, and the record stays readable, the writer where it is."""

from __future__ import annotations

import pytest

from handlers.core.control import ControlRecord
from tests.deployment import WRITER, Deployment
from tests.statemachines.conditions import RUN, writer_dies_unmeasured

ASKED = {"mode": "failover", "started_by": "ada"}

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
