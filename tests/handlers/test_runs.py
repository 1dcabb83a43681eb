"""Runs of the workflow: whether one is over, and the start of one by name."""

from __future__ import annotations

import pytest

from handlers.core.errors import TransientFailure
from handlers.gateways.aws import client
from handlers.gateways.runs import OVER, Runs
from tests.deployment import STANDBY, Deployment

REHEARSAL = {"mode": "rehearsal", "started_by": "ada"}


def runs(deployment: Deployment) -> Runs:
    return Runs(client("stepfunctions", STANDBY, attempts=1), deployment.specification.names.state_machine_arn(STANDBY))


def test_p9_a_run_that_has_ended_is_over(deployment: Deployment) -> None:
    deployment.run(REHEARSAL, "run-1")
    assert runs(deployment).is_over("run-1") is True


def test_p2_a_run_that_works_is_not_over(deployment: Deployment) -> None:
    deployment.run_until("claim", REHEARSAL, "run-1")
    assert runs(deployment).is_over("run-1") is False


@pytest.mark.parametrize("status", OVER)
def test_p9_however_it_ended(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    asked = runs(deployment)
    monkeypatch.setattr(asked._client, "describe_execution", lambda **_: {"status": status})
    assert asked.is_over("run-1") is True


def test_p2_any_doubt_is_not_known(deployment: Deployment) -> None:
    deployment.run(REHEARSAL, "run-1")
    asked = runs(deployment)
    assert asked.is_over("nobody") is None
    for kind in ("refused", "AccessDeniedException", "ThrottlingException"):
        deployment.trouble("sfn.DescribeExecution", kind)
        assert asked.is_over("run-1") is None


def test_p2_a_run_of_a_name_is_started_once(deployment: Deployment) -> None:
    asked = runs(deployment)
    assert asked.start("attempt-1-7", REHEARSAL) is True
    deployment.wait_for_end("attempt-1-7")
    assert asked.start("attempt-1-7", REHEARSAL | {"attempt": 2}) is False


def test_a_start_that_gets_no_answer_may_be_tried_again(deployment: Deployment) -> None:
    deployment.trouble("sfn.StartExecution", "refused")
    with pytest.raises(TransientFailure, match="starting run attempt-1-7"):
        runs(deployment).start("attempt-1-7", REHEARSAL)
