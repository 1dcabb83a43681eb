"""Secrets are planted, whole runs go by, and everything that they leave is looked through for them.

The master user's password is RDS's own: nothing here ever has it, so that only Terraform could give it away.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from moto.sts.models import AssumedRole

from handlers.gateways.archive import DATA, PAGE
from tests.deployment import STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl
from tests.infrastructure.synthesized import synthesized
from tests.statemachines.conditions import (
    FOREVER,
    RUN,
    Condition,
    approved_by,
    approved_by_nobody,
    fails,
    refused_by,
    region_is_lost,
    writer_dies_unmeasured,
)

SECRET_KEY, SESSION_TOKEN = "planted-secret-key-5f0c", "planted-session-token-9e1d"
KEYS = {SECRET_KEY, SESSION_TOKEN}
FORMATTER = logging.Formatter()


@pytest.fixture
def planted() -> Iterator[None]:
    """Roles that are assumed get these keys."""
    make = AssumedRole.__init__

    def plant(role: AssumedRole, *given: Any, **named: Any) -> None:
        make(role, *given, **named)
        role.secret_access_key, role.session_token = SECRET_KEY, SESSION_TOKEN

    with mock.patch.object(AssumedRole, "__init__", plant):
        yield


def test_the_keys_of_a_role_are_planted(deployment: Deployment, planted: None) -> None:
    with deployment.lambdas.environment(STANDBY, "fence_old_writer") as module:
        keys = module.OTHER_REGION.client("lambda", RUN)._request_signer._credentials
    assert (keys.secret_key, keys.token) == (SECRET_KEY, SESSION_TOKEN)


def fence_is_denied(deployment: Deployment) -> None:
    """The client that has the keys is answered with an error, of which people are told."""
    deployment.trouble("lambda.Invoke", "AccessDeniedException", status=403, step="fence_old_writer", times=FOREVER)


def question_is_asked_again(deployment: Deployment) -> None:
    deployment.trouble("sns.Publish", "InternalError", status=500, step="ask_approval", times=4)


WAYS: dict[str, tuple[Condition, ...]] = {
    "approved": (approved_by("grace"), fence_is_denied),
    "refused": (refused_by("grace", reason="no"), question_is_asked_again),
    "approved by nobody": (approved_by_nobody,),
    "the region that failed is dark": (approved_by("grace"), region_is_lost(WRITER)),
    "a step fails": (approved_by("grace"), fails("promote", "PromotionFailed", times=1)),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_lands_in_what_a_run_leaves(
    way: str, deployment: Deployment, planted: None, caplog: pytest.LogCaptureFixture, ctl: Ctl, tmp_path: Path
) -> None:
    """A task token is in what the asking state itself was given, and nowhere else: not even people are sent it.

    Reports are kept for years, and read by people who may not approve anything.
    """
    writer_dies_unmeasured(deployment)
    for condition in WAYS[way]:
        condition(deployment)
    run = deployment.run({"mode": "failover", "started_by": "ada"}, RUN)
    told = [text for region in (STANDBY, WRITER) for _, text in deployment.messages(region)]
    asked = [json.loads(event["taskScheduledEventDetails"]["parameters"]) for event in run.events if asks(event)]
    tokens = {parameters["Payload"]["token"] for parameters in asked}
    assert tokens

    left = {
        "log": "\n".join(FORMATTER.format(record) + repr(vars(record)) for record in caplog.records),
        "history": json.dumps([event for event in run.events if not asks(event)], default=str),
        "end": repr((run.output, run.error, run.cause)),
        "control record": repr(deployment.record()),
        "run record": repr(deployment.run_record(RUN)),
        "idempotency tokens": repr(deployment.tokens()),
        "messages": "\n".join(told),
        **kept_reports(deployment),
        **reports_of_failoverctl(ctl, tmp_path / PAGE),
    }
    assert all(left.values())
    assert [
        where for where, text in left.items() for secret in (SECRET_KEY, SESSION_TOKEN, *tokens) if secret in text
    ] == []
    assert [secret for secret in (SECRET_KEY, SESSION_TOKEN) if secret in json.dumps(run.events, default=str)] == []


def kept_reports(deployment: Deployment) -> dict[str, str]:
    """What `keep_report` has kept of the run: the page and the JSON."""
    bucket, objects = deployment.specification.regions[STANDBY].reports_bucket, deployment.client("s3", STANDBY)
    with deployment.gate.wide_open():
        return {
            f"{name}, kept": objects.get_object(Bucket=bucket, Key=f"runs/{RUN}/{name}")["Body"].read().decode()
            for name in (PAGE, DATA)
        }


def reports_of_failoverctl(ctl: Ctl, file: Path) -> dict[str, str]:
    """What ``failoverctl report`` writes and says of the run."""
    told, data = ctl("report", RUN, "--output", str(file)), ctl("report", RUN, "--json")
    assert (told.code, data.code) == (0, 0), (told.text, data.text)
    return {"failoverctl report": told.text + file.read_text(), "failoverctl report --json": data.text}


def asks(event: dict[str, Any]) -> bool:
    """Whether an event of the history is that of the asking function's start, which has to be told the token."""
    details = event.get("taskScheduledEventDetails", {})
    return "ask-approval" in str(details.get("parameters"))


def test_no_secret_lands_in_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_SESSION_TOKEN": SESSION_TOKEN}.items():
        monkeypatch.setenv(name, value)
    deployment = synthesized(tmp_path)
    for stack in deployment.both:
        cluster = stack.only("aws_rds_cluster")
        assert "master_password" not in cluster
        for _, _, resource in stack.resources():  # what is write-only is not kept in the state either
            assert all("ephemeral." in str(value) for name, value in resource.items() if name.endswith("_wo"))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".zip"]
    assert files
    assert not [path for path in files if any(key.encode() in path.read_bytes() for key in KEYS)]
