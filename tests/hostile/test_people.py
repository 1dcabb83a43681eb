"""Who may not start, approve or abort a run is refused; and the claim has rules for those who may."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drills.aws.callers import Caller
from drills.aws.permissions import Permissions
from handlers.core.claim import LOCK_SECONDS, decide_claim
from handlers.core.control import PHASES, ControlRecord, Transition
from handlers.core.errors import InvalidRequest
from handlers.core.request import MODES, Request
from orchestration.authorization import Authorization
from orchestration.settings import load
from orchestration.specification import describe, people
from orchestration.specification.model import Permission
from orchestration.specification.policies import permissions
from tests.deployment import ACCOUNT, STANDBY, WRITER, Deployment
from tests.failoverctl.conftest import Ctl
from tests.hostile.strange import JSON, mostly

SPECIFICATION = describe(load(environment_suffix="test", environment="development"), ACCOUNT)
NAMES = SPECIFICATION.names
CALLERS = [
    Caller(name, region.name, may)
    for region in SPECIFICATION.regions.values()
    for name, may in permissions(NAMES, region).items()
]
# Somebody who may look at everything, as people on call do before they are trusted with more.
LOOKS = Permission(("states:DescribeExecution", "states:GetExecutionHistory"), ("*",), "")
ONLOOKER = Caller("onlooker", STANDBY, (LOOKS,))
# An approval names no resource; the others do.
ACTS = {
    "StartExecution": {"stateMachineArn": NAMES.state_machine_arn(STANDBY), "input": "{}"},
    "StopExecution": {"executionArn": f"{NAMES.state_machine_arn(STANDBY)}:run-1".replace("stateMachine", "execution")},
    "SendTaskSuccess": {"taskToken": "a token", "output": '{"approved_by": "eve"}'},
    "SendTaskFailure": {"taskToken": "a token", "error": "Refused", "cause": "eve"},
    "RedriveExecution": {"executionArn": f"{NAMES.state_machine_arn(STANDBY)}:run-1"},
}
# Of the region's own: the monitor, and the rules of its alarm and its event.
RULES = [rule.name for rule in SPECIFICATION.regions[STANDBY].rules]
MAY = {("StartExecution", name) for name in (NAMES.function("monitor", STANDBY), *RULES)}


def status_for(caller: Caller, act: str) -> str:
    """What a request of Step Functions' API ends in, and whether anybody behind the check saw it."""
    body, seen, said = json.dumps(ACTS[act]).encode(), [], []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(act)
        return [b"{}"]

    callers: Any = SimpleNamespace(find=lambda _: caller)
    environ = {
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=KEY/20270101/{STANDBY}/states/aws4_request",
        "HTTP_X_AMZ_TARGET": f"AWSStepFunctions.{act}",
        "CONTENT_TYPE": "application/x-amz-json-1.0",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    check = Permissions(application, callers, Authorization(SPECIFICATION), lambda _: None)
    list(check(environ, lambda status, _: said.append(status)))
    assert bool(seen) != bool(said)
    return said[0] if said else "let through"


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("caller", [ONLOOKER, *CALLERS], ids=lambda caller: caller.name)
def test_who_may_not_start_approve_or_abort_is_refused(caller: Caller, act: str) -> None:
    """None of our own roles may approve or abort, and few may start; the public switch least of all."""
    assert status_for(caller, act) == ("let through" if (act, caller.name) in MAY else "403 Forbidden")


def test_who_may_is_let_through() -> None:
    for act in ACTS:
        person = Caller("person", STANDBY, (Permission((f"states:{act}",), ("*",), ""),))
        assert [each for each in ACTS if status_for(person, each) == "let through"] == [act]


@pytest.mark.parametrize("verb", ["abort", "hold"])
def test_who_may_only_look_cannot_have_a_run_give_up_or_wait(verb: str, deployment: Deployment, ctl: Ctl) -> None:
    """``failoverctl`` stops no execution: it writes into the control record what the run is to do."""
    readers, operators, *_ = people.policies(deployment.specification.names)
    deployment.writer_dies()
    deployment.databases.heartbeat[STANDBY] = None
    deployment.start({"mode": "failover", "started_by": "ada"}, "run-1")
    deployment.wait_for(lambda: bool(deployment.messages(STANDBY)), "nobody is asked")
    before = deployment.record()

    deployment.gate.person = readers.permissions
    said = ctl(verb, "run-1", "--yes")
    assert (said.code, deployment.record()) == (1, before), said.text
    assert f"attach the policy {operators.name}" in said.text

    deployment.gate.person = operators.permissions
    said = ctl(verb, "run-1", "--yes")
    assert (said.code, (deployment.lock() or {}).get("wanted")) == (0, verb), said.text


HELD = st.builds(
    Transition,
    run=st.just("run-0"),
    mode=st.sampled_from(MODES[:2]),
    phase=st.sampled_from(PHASES),
    incident=st.sampled_from(["epoch 1", "run run-0"]),
    target_region=st.just(STANDBY),
    started_at=st.just(1_800_000_000.0),
    deadline=st.just(1_800_000_000.0 + LOCK_SECONDS),
    move_requests=st.integers(0, 2),
)
ASKED = {"mode": "failover", "started_by": "eve", "incident": "mine", "resumes": "run-0", "automatic": True, "epoch": 1}


@given(HELD, st.sampled_from([None, False]), mostly(ASKED | {"accept_data_loss": True}))
@example(Transition("run-0", "failover", "moving", "epoch 1", STANDBY, 1.8e9, 1.8e9 + LOCK_SECONDS), False, {})
def test_p2_nobody_takes_a_living_runs_lock_without_naming_that_run(
    held: Transition, over: bool | None, asked: dict[str, Any]
) -> None:
    record = ControlRecord(WRITER, 1, automatic_failover=True, transition=held)
    try:
        request = Request.read(asked, "run-1", STANDBY)
    except InvalidRequest:
        return
    claim = decide_claim(record, request, "run-1", 1_800_000_010.0, 0.0, holder_is_over=over)
    assert claim.decision != "proceed" or request.mode == "rehearsal" or request.resumes == "run-0"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON | mostly({"rawPath": "/", "body": "engage", "headers": {}, "requestContext": {"http": {"method": "POST"}}}))
def test_nobody_moves_anything_by_the_public_switch(deployment: Deployment, request_: Any) -> None:
    before = deployment.record()
    answer = deployment.call("writer_switch", request_)
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"]) == {"engaged": False}
    assert deployment.record() == before
