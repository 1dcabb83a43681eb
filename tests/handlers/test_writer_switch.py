"""The writer switch: what Route 53's health checkers are answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.core.lease import LEASE_S
from tests.deployment import STANDBY, WRITER, Deployment
from tests.deployment.clock import CLOCK

BOTH = (WRITER, STANDBY)


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Environments outlive a deployment; what they remember is too old."""
    CLOCK.sleep(LEASE_S + 1)


def ask(deployment: Deployment, region: str = STANDBY, request: Any = None) -> tuple[int, dict[str, Any]]:
    answer = deployment.call("writer_switch", request if request is not None else {"rawPath": "/"}, region)
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize("region", BOTH)
def test_p10_either_region_vouches_that_clients_belong_in_the_secondarys_region(
    region: str, deployment: Deployment
) -> None:
    """Whichever region has the writer, both switches answer the same question from the same record."""
    assert ask(deployment, region) == (503, {"engaged": False})
    deployment.change_record(writer_region=STANDBY)
    assert ask(deployment, region) == (200, {"engaged": True})


FAILURES = [
    ("refused", 0, "TransientFailure"),
    ("AccessDeniedException", 400, "Misconfigured"),
    ("InternalServerError", 500, "TransientFailure"),
]


@pytest.mark.parametrize(("kind", "status", "error"), FAILURES)
def test_a_switch_that_has_never_read_the_record_does_not_vouch(
    kind: str, status: int, error: str, deployment: Deployment
) -> None:
    deployment.change_record(writer_region=STANDBY)
    deployment.trouble("dynamodb.GetItem", kind, status=status, times=10)
    assert ask(deployment) == (503, {"engaged": False, "error": error})


@pytest.mark.parametrize(("kind", "status", "error"), FAILURES)
def test_p10_a_switch_that_cannot_read_the_record_repeats_its_last_answer_for_one_lease(
    kind: str, status: int, error: str, deployment: Deployment
) -> None:
    deployment.change_record(writer_region=STANDBY)
    assert ask(deployment) == (200, {"engaged": True})
    deployment.trouble("dynamodb.GetItem", kind, status=status, times=10)
    CLOCK.sleep(LEASE_S - 1)
    assert ask(deployment) == (200, {"engaged": True, "error": error})
    CLOCK.sleep(2)
    assert ask(deployment) == (503, {"engaged": False, "error": error})


def test_an_answer_that_was_repeated_is_not_a_new_one(deployment: Deployment) -> None:
    deployment.change_record(writer_region=STANDBY)
    ask(deployment)
    deployment.trouble("dynamodb.GetItem", "refused", times=1)
    CLOCK.sleep(LEASE_S - 1)
    assert ask(deployment)[0] == 200
    deployment.change_record(writer_region=WRITER)
    assert ask(deployment) == (503, {"engaged": False})
    deployment.trouble("dynamodb.GetItem", "refused", times=1)
    assert ask(deployment)[0] == 503


def test_the_record_is_asked_once_and_in_time_for_a_checker(deployment: Deployment) -> None:
    """A checker gives up 2 s after it has connected (Route 53 guide)."""
    deployment.trouble("dynamodb.GetItem", "refused", times=10)
    deployment.gate.seen.clear()
    ask(deployment)
    assert len(deployment.gate.seen) == 1
    with deployment.lambdas.environment(STANDBY, "writer_switch") as module:
        assert module.CONTROL._replicas[0].meta.config.read_timeout < 2


@pytest.mark.parametrize("request_", [{}, {"body": "engage!"}, {"rawPath": "/../..", "headers": None}], ids=str)
def test_nothing_in_the_request_matters(request_: dict[str, Any], deployment: Deployment) -> None:
    assert ask(deployment, request=request_) == (503, {"engaged": False})


def test_the_switch_changes_nothing(deployment: Deployment) -> None:
    before = deployment.record()
    deployment.gate.seen.clear()
    ask(deployment)
    assert [operation for _, _, operation in deployment.gate.seen] == ["dynamodb.GetItem"]
    assert deployment.record() == before
