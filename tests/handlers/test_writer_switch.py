"""The writer switch: what Route 53's health checkers are answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deployment import STANDBY, WRITER, Deployment


def ask(deployment: Deployment, region: str = STANDBY, request: Any = None) -> tuple[int, dict[str, Any]]:
    answer = deployment.call("writer_switch", request if request is not None else {"rawPath": "/"}, region)
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


def test_p1_exactly_one_region_is_engaged(deployment: Deployment) -> None:
    assert ask(deployment, WRITER) == (200, {"engaged": True})
    assert ask(deployment, STANDBY) == (503, {"engaged": False})
    deployment.change_record(writer_region=STANDBY)
    assert ask(deployment, WRITER) == (503, {"engaged": False})
    assert ask(deployment, STANDBY) == (200, {"engaged": True})


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("refused", 0, "TransientFailure"),
        ("AccessDeniedException", 400, "Misconfigured"),
        ("InternalServerError", 500, "TransientFailure"),
    ],
)
def test_a_record_that_cannot_be_read_means_not_engaged(
    kind: str, status: int, error: str, deployment: Deployment
) -> None:
    deployment.change_record(writer_region=STANDBY)
    deployment.trouble("dynamodb.GetItem", kind, status=status, times=10)
    assert ask(deployment) == (503, {"engaged": False, "error": error})


@pytest.mark.parametrize("request_", [{}, {"body": "engage!"}, {"rawPath": "/../..", "headers": None}], ids=str)
def test_nothing_in_the_request_matters(request_: dict[str, Any], deployment: Deployment) -> None:
    assert ask(deployment, request=request_) == (503, {"engaged": False})


def test_the_switch_changes_nothing(deployment: Deployment) -> None:
    before = deployment.record()
    deployment.gate.seen.clear()
    ask(deployment)
    assert [operation for _, _, operation in deployment.gate.seen] == ["dynamodb.GetItem"]
    assert deployment.record() == before
