"""Clients with short time limits, and the translation of AWS's errors."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from handlers.core.errors import Misconfigured, TransientFailure
from handlers.gateways.aws import ATTEMPTS, CONNECT_TIMEOUT_S, READ_TIMEOUT_S, RETRYABLE_CODES, client, named_errors
from orchestration.specification.workflows import step_timeouts
from tests.deployment import STANDBY, Deployment

ENDPOINT = "https://dynamodb.us-west-2.amazonaws.com"


def refused(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {
                "RequestId": "request-1",
                "HostId": "",
                "HTTPStatusCode": status,
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "GetItem",
    )


def raising(error: Exception) -> None:
    with named_errors("reading the thing"):
        raise error


@pytest.mark.parametrize("code", sorted(RETRYABLE_CODES))
def test_throttling_and_server_errors_may_be_tried_again(code: str) -> None:
    with pytest.raises(TransientFailure, match=f"reading the thing: .*{code}"):
        raising(refused(code))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_every_server_error_may_be_tried_again(status: int) -> None:
    with pytest.raises(TransientFailure):
        raising(refused("WhoKnows", status))


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url=ENDPOINT),
        ReadTimeoutError(endpoint_url=ENDPOINT),
        EndpointConnectionError(endpoint_url=ENDPOINT),
    ],
    ids=lambda error: type(error).__name__,
)
def test_p4_an_endpoint_that_does_not_answer_may_be_tried_again(error: BotoCoreError) -> None:
    with pytest.raises(TransientFailure, match=f"reading the thing: {type(error).__name__}: .*{ENDPOINT}"):
        raising(error)


@pytest.mark.parametrize(
    "code", ["AccessDenied", "AccessDeniedException", "ResourceNotFoundException", "ValidationError"]
)
def test_a_refusal_names_the_remedy(code: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        raising(refused(code))
    for fragment in (
        "reading the thing",
        code,
        "check the function's permissions and that the resource it names is deployed",
    ):
        assert fragment in str(raised.value)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError):
        raising(KeyError("x"))


def test_p4_clients_give_up_soon(deployment: Deployment) -> None:
    config = client("dynamodb", STANDBY).meta.config
    assert (config.connect_timeout, config.read_timeout) == (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    assert config.retries["total_max_attempts"] == ATTEMPTS
    once = client("dynamodb", STANDBY, read_timeout_s=6, attempts=1).meta.config
    assert (once.read_timeout, once.retries["total_max_attempts"]) == (6, 1)


def test_p4_one_request_to_an_endpoint_that_hangs_fits_into_every_step() -> None:
    # Connecting and being answered do not both take all their time: an endpoint hangs in one of the two.
    assert min(step_timeouts().values()) >= CONNECT_TIMEOUT_S + READ_TIMEOUT_S


def test_the_sdk_tries_as_often_as_it_is_told(deployment: Deployment) -> None:
    for attempts in (1, 2):
        deployment.gate.seen.clear()
        deployment.trouble("dynamodb.ListTables", "InternalServerError", status=500, times=attempts)
        with pytest.raises(TransientFailure), named_errors("listing"):
            client("dynamodb", STANDBY, attempts=attempts).list_tables()
        assert len(deployment.gate.seen) == attempts
