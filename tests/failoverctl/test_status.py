"""``failoverctl status``: one sentence on top, and the truth below it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl

# Of a healthy deployment: who asks, the record and two lists of runs in each region, and the standby's lag.
CALLS = 9


def test_a_healthy_deployment_is_one_sentence(ctl: Ctl) -> None:
    said = ctl("status")
    assert said.code == 0
    assert said.text.startswith(
        "If us-east-1 died now: automatic failover to us-west-2, about 11 s + Aurora's promotion.\n"
    )
    assert "Writer       us-east-1, epoch 1\n" in said.text
    assert "Automatic    yes\n" in said.text
    assert "You          arn:aws:sts::123456789012:user/moto" in said.text


def test_status_asks_little(ctl: Ctl, deployment: Deployment) -> None:
    deployment.gate.seen.clear()
    assert ctl("status").code == 0
    asked = Counter((region, operation) for _, region, operation in deployment.gate.seen)
    assert sum(asked.values()) == CALLS, asked
    reading = {"GetCallerIdentity", "GetItem", "ListExecutions", "GetMetricStatistics"}
    assert {operation.split(".")[1] for _, operation in asked} == reading


def test_json_is_for_programs(ctl: Ctl) -> None:
    data = ctl("status", "--json").data
    assert data["outlook"]["kind"] == "automatic"
    assert (data["writer_region"], data["epoch"], data["protected"], data["automatic"]) == (WRITER, 1, True, True)
    assert data["silent"] == {}
    assert ctl("--json", "status").data["outlook"] == data["outlook"]  # before the verb as well


@pytest.mark.parametrize("dark", [WRITER, STANDBY])
def test_a_dark_region_is_named_and_the_other_one_tells(ctl: Ctl, deployment: Deployment, dark: str) -> None:
    deployment.lose_region(dark)
    said = ctl("status")
    assert said.code == 0
    assert f"No answer    {dark} (EndpointConnectionError)" in said.text
    assert ("cannot tell, for us-west-2, which would take over, gives no answer" in said.text) == (dark == STANDBY)


def test_a_pause_is_said_on_top(ctl: Ctl, deployment: Deployment) -> None:
    deployment.change_record(automatic_failover=False)
    said = ctl("status")
    assert "no automatic failover now, for automatic failover is turned off in the control record." in said.text
    assert "Automatic    no: automatic failover is turned off in the control record (failoverctl resume)" in said.text


def test_without_a_standby_nothing_could_take_over(ctl: Ctl, deployment: Deployment) -> None:
    deployment.change_record(protected=False)
    said = ctl("status")
    assert "nothing could take over, for there is no standby; build one with `failoverctl start --mode reprotect`" in (
        said.text
    )


def test_a_guardian_that_is_silent_is_said_on_top(ctl: Ctl, deployment: Deployment) -> None:
    deployment.guardian_was_here(ago_s=15.0)
    said = ctl("status")
    assert said.text.startswith("us-east-1 may be down already, for its guardian has given no sign of life for 6 s")
    assert re.search(r"last sign of life 1\d s ago, ended [4-7] s ago", said.text)


def test_what_waits_for_a_person_is_shown_with_the_command(ctl: Ctl, asking: str) -> None:
    said = ctl("status")
    assert f"failoverctl approve {asking}" in said.text
    assert "Running      run-1 in us-west-2" in said.text
    (waits,) = ctl("status", "--json").data["waiting"]
    assert waits["run"] == asking


# --- wrong use


def test_wrong_account(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "other")
    said = ctl("status")
    assert said.code == 2
    assert said.text == (
        "Cannot tell: account 123456789012 has no table failover-control-other in us-east-1 and us-west-2: use "
        "credentials of the deployment's account, name its suffix (--suffix), or deploy it (docs/deploy.md)\n"
    )


def test_record_missing(ctl: Ctl, deployment: Deployment) -> None:
    names = deployment.specification.names
    deployment.client("dynamodb", WRITER).delete_item(
        TableName=names.control_table, Key={"database": {"S": names.global_cluster}}
    )
    said = ctl("status")
    assert said.code == 2
    assert "has no control record for payments-global-test; deploy the global stack" in said.text


def test_no_credentials(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    said = ctl("status")
    assert said.code == 2
    assert said.text.startswith("Cannot tell: there are no AWS credentials here: set credentials")


def test_expired_credentials(ctl: Ctl, deployment: Deployment) -> None:
    deployment.trouble("*", "ExpiredTokenException", times=100)
    said = ctl("status")
    assert said.code == 2
    assert "AWS does not take these credentials (ExpiredTokenException): set credentials" in said.text


def test_credentials_that_may_not_read_name_the_policy(ctl: Ctl, deployment: Deployment) -> None:
    deployment.trouble("dynamodb.GetItem", "AccessDeniedException", times=100)
    said = ctl("status")
    assert said.code == 2
    assert "arn:aws:sts::123456789012:user/moto may not read failover-control-test: attach the policy " in said.text
    assert "failover-readers-test" in said.text


def test_both_regions_dark(ctl: Ctl, deployment: Deployment) -> None:
    deployment.lose_region(WRITER)
    deployment.lose_region(STANDBY)
    said = ctl("status")
    assert said.code == 2
    assert said.text.startswith("Cannot tell: AWS does not say whose credentials these are. us-")
