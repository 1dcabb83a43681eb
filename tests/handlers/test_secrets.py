"""What must not stand in a log: keys, tokens, and rows of customers. Each is planted, and then looked for."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from handlers.core.salvage import Row
from handlers.gateways import postgres
from handlers.gateways.acting import OtherRegion
from handlers.gateways.postgres import DatabaseVariables, Endpoint
from handlers.gateways.salvage import Page
from tests.deployment import STANDBY, WRITER, Deployment
from tests.deployment.functions import Context

SECRET = "planted-Secret/1234567890=="
HOST = "payments-usw2-test.cluster-c1a2b3.us-west-2.rds.amazonaws.com"
Written = Callable[[], str]


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Written:
    """Everything that was logged, with all its fields, and everything that was printed."""
    caplog.set_level(logging.INFO)  # as functions log
    return lambda: "".join((*capfd.readouterr(), *(str(vars(record)) for record in caplog.records)))


def test_security_what_is_logged_is_looked_at(written: Written) -> None:
    logging.getLogger().info("a message", extra={"field": SECRET})
    assert SECRET in written()


def test_security_the_keys_of_a_role_in_the_other_region_are_not_logged(written: Written) -> None:
    keys = {"AccessKeyId": f"{SECRET}-1", "SecretAccessKey": f"{SECRET}-2", "SessionToken": f"{SECRET}-3"}
    sts: Any = SimpleNamespace(assume_role=lambda **_: {"Credentials": keys})
    OtherRegion(sts, WRITER, "arn:aws:iam::123456789012:role/peer").client("lambda", "a-run")
    assert SECRET not in written()


def test_security_the_token_that_logs_in_is_for_the_endpoint_alone_and_is_not_logged(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    rds = mock.Mock(generate_db_auth_token=mock.Mock(return_value=SECRET))
    monkeypatch.setattr(socket, "create_connection", mock.Mock(side_effect=ConnectionRefusedError("no")))
    told = {"AWS_REGION": WRITER, "DATABASE_NAME": "payments", "DATABASE_PORT": "5432", "DATABASE_USER": "monitor"}
    with pytest.raises(ConnectionRefusedError) as refused:
        postgres.connect(Endpoint(HOST, STANDBY), DatabaseVariables.read(told), 1.0, rds)
    rds.generate_db_auth_token.assert_called_once_with(DBHostname=HOST, Port=5432, DBUsername="monitor", Region=STANDBY)
    assert SECRET not in written() + str(refused.value)


def test_security_the_token_that_approves_a_loss_is_neither_logged_nor_sent(
    deployment: Deployment, written: Written
) -> None:
    deployment.writer_dies()
    claim = deployment.call("claim", {"run": "a-run", "input": {"mode": "failover", "started_by": "a person"}})
    asked = {"token": SECRET, "lag": {"proceed": False, "reason": "replication lag is unknown"}}
    deployment.call("ask_approval", {"run": "a-run", "claim": claim, **asked})
    ((_, asking),) = deployment.messages(STANDBY)
    assert "failoverctl approve a-run" in asking  # which finds the token in the run's history
    assert SECRET not in written() + asking


def test_security_rows_of_customers_are_not_logged(
    deployment: Deployment, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"name": "public.transfers", "keyed": True, "blocks": 1}
    page = Page([Row("missing", f'{{"iban": "{SECRET}"}}')], 0, None)
    with deployment.lambdas.environment(WRITER, "salvage") as module:
        monkeypatch.setattr(module, "connected", lambda *_: nullcontext())
        monkeypatch.setattr(module.salvage, "page", lambda *_: page)
        answer = module.handler({"order": "page", "table": table, "after": "(0,0)"}, Context("salvage", 60))
    assert SECRET in answer["rows"][0]["data"]
    assert SECRET not in written()
