"""``failoverctl break-glass``: a failover without Step Functions and Lambda."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from handlers.core.control import ControlRecord, Transition
from handlers.gateways.control_table import ControlTable
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_automation import WHO

NOW = ("break-glass", "--yes")


@pytest.fixture(autouse=True)
def secret(deployment: Deployment) -> None:
    """The master user's, with which the Data API logs in."""
    master_secret(deployment)


def master_secret(deployment: Deployment) -> None:
    with deployment.gate.wide_open():
        deployment.client("secretsmanager", STANDBY).create_secret(
            Name=deployment.specification.names.master_secret, SecretString="of the master user"
        )


def services(deployment: Deployment) -> set[str]:
    return {operation.partition(".")[0] for _, _, operation in deployment.gate.seen}


def test_p1_p4_it_moves_the_writer_without_step_functions_and_lambda(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.databases.fenced[STANDBY] = True  # the old writer's fence is data
    deployment.gate.seen.clear()
    said = ctl(*NOW)
    assert said.code == 0, said.text
    assert f"{STANDBY} is the writer of epoch 2, by {WHO}" in said.text
    assert "Where Lambda is down in both, it does not: let clients connect to usw2.test.payments.internal." in said.text
    record = deployment.record()
    assert (record["writer_region"], record["epoch"], record["protected"]) == (STANDBY, 2, False)
    assert deployment.lock() is None
    assert deployment.databases.takes_writes(STANDBY)
    assert [(region, epoch) for region, _, epoch in deployment.databases.proofs] == [(STANDBY, 2)]
    assert not services(deployment) & {"sfn", "lambda", "events"}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("ExecuteStatement", "DatabaseErrorException"),
        ("BeginTransaction", "DatabaseUnavailableException"),
        ("BeginTransaction", "BadRequestException"),
        ("BeginTransaction", "DatabaseNotFoundException"),
    ],
)
def test_p7_a_promotion_is_over_when_a_session_has_written(
    ctl: Ctl, deployment: Deployment, operation: str, code: str
) -> None:
    """Whatever the Data API says of a cluster that has no writer yet: AWS does not say which error it is."""
    deployment.writer_dies()
    deployment.trouble(f"rds-data.{operation}", code, times=4)
    said = ctl(*NOW)
    assert said.code == 0, said.text
    assert "Waits for a write: " in said.text
    asked = [what for _, _, what in deployment.gate.seen if what == f"rds-data.{operation}"]
    assert len(asked) > 4


def test_p1_it_is_refused_while_the_lease_lives(ctl: Ctl, deployment: Deployment) -> None:
    deployment.change_record(lease_expires_at=int(CLOCK.now()) + 8)
    before = deployment.record()
    said = ctl(*NOW)
    assert said.code == 1
    assert f"the writer in {WRITER} may live: its lease expires in " in said.text
    assert deployment.record() == before


def test_p1_a_lease_that_is_renewed_after_the_claim_vetoes(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    renewed: list[object] = []

    def renew(operation: str) -> None:
        if operation == "dynamodb.GetItem" and deployment.lock() and not renewed:
            renewed.append(operation)
            deployment.change_record(lease_expires_at=int(CLOCK.now()) + 8)

    deployment.gate.before = renew
    said = ctl(*NOW)
    assert said.code == 1
    assert "lives: it has renewed its lease since this run began" in said.text
    assert deployment.lock() is None
    assert deployment.record()["writer_region"] == WRITER


def test_a_dry_run_prints_every_call_and_changes_nothing(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    before = deployment.record()
    said = ctl("break-glass", "--dry-run")
    assert said.code == 0, said.text
    assert "rds RemoveFromGlobalCluster payments-usw2-test in us-west-2" in said.text
    assert "Nothing was done: --dry-run." in said.text
    assert deployment.record() == before


def test_p3_one_that_stopped_half_way_is_resumed(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    trouble = deployment.trouble("rds.DescribeGlobalClusters", "AccessDenied", times=10**6)
    sql = deployment.trouble("rds-data.ExecuteStatement", "DatabaseErrorException", times=10**6)
    said = ctl(*NOW)
    assert said.code == 2
    run = (deployment.lock() or {})["run"]
    assert f"failoverctl break-glass --resumes {run}" in said.text
    trouble.times = sql.times = 0
    again = ctl("break-glass", "--resumes", run, "--yes")
    assert again.code == 0, again.text
    assert deployment.record()["writer_region"] == STANDBY
    detached = [what for _, _, what in deployment.gate.seen if what == "rds.RemoveFromGlobalCluster"]
    assert len(detached) == 1


def test_p2_it_is_refused_beside_a_run(ctl: Ctl, deployment: Deployment, asking: str) -> None:
    said = ctl(*NOW)
    assert said.code == 1
    assert f"run {asking} is doing the work" in said.text


def test_p2_of_two_operators_at_once_one_moves_the_writer(
    ctl: Ctl, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look at the record and the lock, the other one has taken it."""
    deployment.writer_dies()
    take = ControlTable.take

    def other_first(table: ControlTable, lock: Transition, before: ControlRecord) -> bool:
        other = replace(lock, run="the other")
        deployment.change_record(transition=json.loads(json.dumps(other.stored()), parse_float=Decimal))
        return take(table, lock, before)

    monkeypatch.setattr(ControlTable, "take", other_first)
    said = ctl(*NOW)
    assert said.code == 1, said.text
    assert "the record has changed meanwhile: look with `failoverctl status`, then try again" in said.text
    assert (deployment.lock() or {})["run"] == "the other"
    assert deployment.record()["writer_region"] == WRITER
    assert "rds" not in services(deployment)


def test_p1_it_is_refused_where_this_machines_clock_is_wrong(ctl: Ctl, deployment: Deployment) -> None:
    deployment.writer_dies()
    deployment.gate.clock_ahead_s = -30.0
    said = ctl(*NOW)
    assert said.code == 1
    assert "this machine's clock differs" in said.text
    assert deployment.lock() is None
