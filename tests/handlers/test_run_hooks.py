"""Hooks: what is started with an event, and that one which fails or hangs hurts nothing but itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import ModuleType
from typing import Any
from unittest import mock

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from handlers.core.errors import FailoverError
from handlers.core.events import EVENTS
from handlers.core.hooks import LONGEST_ERROR, Hook, HookEnded, message, parameters, read_hooks
from handlers.core.message import Message
from handlers.gateways import hooks, notifications
from handlers.gateways.notifications import Notification
from orchestration.settings import Settings, SettingsError, load
from orchestration.specification import describe
from orchestration.specification.model import Region
from tests.deployment.functions import Context, load_step, variables
from tests.deployment.regions import STANDBY, WRITER

ACCOUNT = "123456789012"
SCALE = {"name": "scale-out", "when": "WriterMoved", "function": "scale-out", "timeout_seconds": 5}
TICKET = {"name": "ticket", "when": "WriterMoved", "state_machine": "tickets", "required": True}
RUNBOOK = {
    "name": "runbook",
    "when": "WriterMoved",
    "document": "drain-queues",
    "document_role": "drain-queues",
    "parameters": ["run", "epoch", "lost_ms", "global_cluster"],
}
DRAIN = {"name": "drain", "when": "FailoverStarted", "function": "drain"}
MACHINE = f"arn:aws:states:{STANDBY}:{ACCOUNT}:stateMachine:tickets"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/drain-queues"
RUNS = f"arn:aws:dynamodb:{STANDBY}:{ACCOUNT}:table/failover-runs-usw2-test"
EVENT = {"id": "e-1", "detail-type": "WriterMoved", "detail": {"run": "run-1", "epoch": 2, "global_cluster": "g"}}


def settings(*of: dict[str, Any]) -> Settings:
    return load(environment_suffix="test", environment="development", hooks=of)


def region(*of: dict[str, Any]) -> Region:
    return describe(settings(*of), ACCOUNT).regions[STANDBY]


def hook(kind: Any, target: str, timeout_s: float = 1.0, *, required: bool = False) -> Hook:
    return Hook("a-hook", "WriterMoved", kind, target, timeout_s, required)


# --- the settings, and what follows from them


def test_without_hooks_nothing_is_deployed_for_them() -> None:
    assert "run_hooks" not in region().functions
    assert region().hook_rule is None


def test_hooks_bring_exactly_the_rights_to_what_they_start() -> None:
    function = region(SCALE, TICKET).functions["run_hooks"]
    tells = [one for one in function.permissions if one.actions != ("sns:Publish",)]
    assert [(one.actions, one.resources) for one in tells] == [
        (("lambda:InvokeFunction",), (f"arn:aws:lambda:{STANDBY}:{ACCOUNT}:function:scale-out",)),
        (("states:StartExecution",), (MACHINE,)),
        (("states:DescribeExecution",), (f"arn:aws:states:{STANDBY}:{ACCOUNT}:execution:tickets:*",)),
        (("dynamodb:UpdateItem",), (RUNS,)),
    ]
    runs = region(RUNBOOK).functions["run_hooks"].permissions
    document, execution = (f"arn:aws:ssm:{STANDBY}:{ACCOUNT}:{kind}" for kind in ("document", "automation-execution"))
    definition = document.replace("document", "automation-definition")
    assert [(one.actions, one.resources, one.conditions) for one in runs if one.actions != ("sns:Publish",)] == [
        (("ssm:StartAutomationExecution",), (f"{document}/drain-queues", f"{definition}/drain-queues:$DEFAULT"), None),
        (("ssm:GetAutomationExecution",), (f"{execution}/*",), None),
        (("iam:PassRole",), (ROLE,), {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}),
        (("dynamodb:UpdateItem",), (RUNS,), None),
    ]
    only = region(SCALE).functions["run_hooks"].permissions
    assert {action for one in only for action in one.actions} == {
        "lambda:InvokeFunction",
        "dynamodb:UpdateItem",
        "sns:Publish",
    }
    assert function.timeout_seconds > 600  # the longest that a hook may take


def test_a_hook_is_started_with_its_events_of_this_deployment_only() -> None:
    rule = region(SCALE, DRAIN).hook_rule
    assert rule is not None
    assert rule.event_pattern == {
        "source": ["failover.orchestrator"],
        "detail-type": ["FailoverStarted", "WriterMoved"],
        "detail": {"global_cluster": ["payments-global-test"]},
    }
    assert all(there.hook_rule for there in describe(settings(SCALE), ACCOUNT).regions.values())


def test_a_required_hook_pages_by_an_alarm() -> None:
    keys = [alarm.key for alarm in region(TICKET).upkeep_alarms]
    assert "run-hooks-errors" in keys
    assert "run-hooks-errors" not in [alarm.key for alarm in region().upkeep_alarms]


def test_a_hook_may_wait_for_every_event() -> None:
    for event in EVENTS:
        assert settings(SCALE | {"when": event.__name__}).hooks[0].when == event.__name__


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([SCALE | {"function": None}], "has to name a function, a state_machine or a document, and one only"),
        ([SCALE | {"state_machine": "tickets"}], "has to name a function, a state_machine or a document, and one only"),
        ([SCALE | {"document_role": "admin"}], "document_role and parameters belong to a document"),
        ([SCALE | {"parameters": ["run"]}], "document_role and parameters belong to a document"),
        ([RUNBOOK | {"document_role": None}], "name the document_role; without, it would run as whoever starts it"),
        ([RUNBOOK | {"document": "AWS-StopEC2Instance"}], "AWS-StopEC2Instance is Amazon's"),
        ([RUNBOOK | {"document_role": "a/path"}], "document_role"),
        (
            [RUNBOOK | {"parameters": ["reason"]}],
            "WriterMoved has no field 'reason'; it has version, global_cluster, run, ",
        ),
        ([SCALE, SCALE], "two hooks have one name"),
        ([SCALE | {"when": "WriterDown"}], "when"),
        ([SCALE | {"function": "arn:aws:lambda:us-west-2:1:function:x"}], "function"),
        ([SCALE | {"timeout_seconds": 601}], "timeout_seconds"),
        ([SCALE | {"retries": 3}], "there is no such setting"),
        ([SCALE | {"name": f"hook-{number}"} for number in range(11)], "hooks"),
    ],
)
def test_hooks_that_cannot_be_run_are_refused_before_anything_is_deployed(bad: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        settings(*bad)


# --- one hook


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lambda takes requests and never answers."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.usefixtures("silent")
def test_a_function_that_hangs_is_given_its_time_and_no_more() -> None:
    ended = hooks.run(hook("function", "hangs", 0.3), STANDBY, EVENT)
    assert "ReadTimeoutError" in str(ended.error)
    assert 0.3 <= ended.took_s < 3


class Machines:
    """Step Functions' client: an execution that has these statuses, one after another, and then the last."""

    class exceptions:  # noqa: N801 - boto3's name
        class ExecutionAlreadyExists(Exception):
            pass

    def __init__(self, *statuses: str | Exception, exists: bool = False) -> None:
        self.started: list[dict[str, Any]] = []
        self._statuses, self._exists = list(statuses), exists

    def start_execution(self, **asked: Any) -> None:
        self.started.append(asked)
        if self._exists:
            raise self.exceptions.ExecutionAlreadyExists

    def describe_execution(self, **_: Any) -> dict[str, str]:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if isinstance(status, Exception):
            raise status
        return {"status": status, "error": "NoCapacity", "cause": "the zone is full"}


THROTTLED = ClientError({"Error": {"Code": "ThrottlingException"}}, "DescribeExecution")
REFUSED = ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeExecution")


@pytest.mark.parametrize(
    ("machines", "error"),
    [
        (Machines("RUNNING", "SUCCEEDED"), None),
        (Machines(THROTTLED, "RUNNING", "SUCCEEDED"), None),
        (Machines("SUCCEEDED", exists=True), None),  # the same event, once more
        (Machines("FAILED"), "FAILED: NoCapacity: the zone is full"),
        (Machines("ABORTED"), "ABORTED: "),
        (Machines(REFUSED), "check the function's permissions"),
        (Machines("RUNNING"), "it has not ended within 0.2 s, and goes on"),
        (Machines(THROTTLED), "it has not ended within 0.2 s, and goes on"),
    ],
)
def test_a_state_machine_is_watched_until_its_end_or_the_end_of_its_time(
    machines: Machines, error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "client", lambda *_: machines)
    monkeypatch.setattr(hooks, "LOOK_EVERY_S", 0.01)
    ended = hooks.run(hook("state_machine", MACHINE, 0.2), STANDBY, EVENT)
    assert (ended.error is None) if error is None else (error in str(ended.error))
    (asked,) = machines.started
    assert (asked["stateMachineArn"], asked["name"]) == (MACHINE, "a-hook-e-1")
    assert json.loads(asked["input"]) == EVENT


class Manager:
    """Systems Manager's client: one execution for each token, which has these statuses, and then the last."""

    class exceptions:  # noqa: N801 - boto3's name
        class IdempotentParameterMismatch(Exception):
            pass

    def __init__(self, *statuses: str | Exception, reuses: bool = True) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self._statuses, self._reuses = list(statuses), reuses

    def start_automation_execution(self, **asked: Any) -> dict[str, str]:
        token = asked.pop("ClientToken")
        if token in self.started and not self._reuses:
            raise self.exceptions.IdempotentParameterMismatch
        self.started[token] = asked
        return {"AutomationExecutionId": "x-1"}

    def get_automation_execution(self, AutomationExecutionId: str) -> dict[str, Any]:  # noqa: N803 - AWS's
        assert AutomationExecutionId == "x-1"
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if isinstance(status, Exception):
            raise status
        return {"AutomationExecution": {"AutomationExecutionStatus": status, "FailureMessage": "Step drain failed"}}


def run_document(manager: Manager, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any] = EVENT) -> HookEnded:
    (one,) = read_hooks(variables(region(RUNBOOK).functions["run_hooks"], STANDBY)["HOOKS"])
    monkeypatch.setattr(hooks, "client", lambda *_: manager)
    monkeypatch.setattr(hooks, "LOOK_EVERY_S", 0.01)
    return hooks.run(replace(one, timeout_s=0.2), STANDBY, event)


@pytest.mark.parametrize(
    ("statuses", "error"),
    [
        (["Pending", "InProgress", "Success"], None),
        ([THROTTLED, "Waiting", "CompletedWithSuccess"], None),
        (["Failed"], "Failed: Step drain failed"),
        (["TimedOut"], "TimedOut: "),
        (["CompletedWithFailure"], "CompletedWithFailure: "),
        ([REFUSED], "check the function's permissions"),
        (["PendingApproval"], "it has not ended within 0.2 s, and goes on"),
    ],
)
def test_a_document_is_watched_until_its_end_or_the_end_of_its_time(
    statuses: list[str | Exception], error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(*statuses)
    ended = run_document(manager, monkeypatch)
    assert (ended.error is None) if error is None else (error in str(ended.error))
    (asked,) = manager.started.values()
    assert asked == {
        "DocumentName": "drain-queues",
        "Parameters": {
            "AutomationAssumeRole": [ROLE],
            "run": ["run-1"],
            "epoch": ["2"],
            "lost_ms": ["null"],
            "global_cluster": ["g"],
        },
    }


@pytest.mark.parametrize("reuses", [True, False])
def test_an_event_that_comes_twice_starts_a_document_once(reuses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager("Success", reuses=reuses)
    assert run_document(manager, monkeypatch).error is None
    again = run_document(manager, monkeypatch).error
    assert again is None if reuses else "it was started before with this event" in str(again)
    assert len(manager.started) == 1
    run_document(manager, monkeypatch, EVENT | {"id": "e-2"})
    assert len(manager.started) == 2


def test_what_a_document_is_given_fits_into_its_parameters() -> None:
    long = Hook("a-hook", "FailoverWaits", "document", "d", 1.0, False, ROLE, ("reason",))
    given = parameters(long, {"reason": "x" * 600})
    assert [len(text) for text in given["reason"]] == [512]


def test_systems_manager_takes_what_a_document_is_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the API's own description; its answer is made up."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    manager = boto3.client("ssm", STANDBY)
    with Stubber(manager) as stub:
        stub.add_response("start_automation_execution", {"AutomationExecutionId": "0" * 36})
        stub.add_response("get_automation_execution", {"AutomationExecution": {"AutomationExecutionStatus": "Success"}})
        assert run_document(manager, monkeypatch).error is None
        stub.assert_no_pending_responses()


def test_every_status_of_an_automation_is_an_end_or_none() -> None:
    """A status that AWS adds is called a failure, with its name, until it is sorted here."""
    model = botocore.session.get_session().get_service_model("ssm")
    known = set(model.shape_for("AutomationExecutionStatus").metadata["enum"])
    failures = {"TimedOut", "Cancelled", "Failed", "Rejected", "ChangeCalendarOverrideRejected"}
    assert known - {*hooks.GOES_ON, *hooks.DONE} == failures | {"CompletedWithFailure", "Exited"}


# --- all hooks of an event


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    messages: list[Message] = []

    def publish(_: Any, message: Message) -> Notification:
        messages.append(message)
        return Notification([], {})

    monkeypatch.setattr(notifications, "publish_to_all", publish)
    return messages


@pytest.fixture
def module() -> ModuleType:
    function = region(SCALE, TICKET, DRAIN).functions["run_hooks"]
    with mock.patch.dict("os.environ", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x"):
        return load_step(function.module, variables(function, STANDBY))


def play(module: ModuleType, event: Any, errors: dict[str, str | None], noted: mock.Mock | None = None) -> Any:
    """Runs the handler; each hook ends with its error, and ``noted`` is called with what is noted of them."""

    def run(hook: Hook, *_: Any) -> HookEnded:
        return HookEnded(hook, 1.0, errors[hook.name])

    with mock.patch.object(module.hooks, "run", run), mock.patch.object(module, "RUNS") as runs:
        runs.note_hooks = noted or mock.Mock()
        return module.handler(event, Context("run-hooks", 620))


def test_nobody_is_told_of_hooks_that_have_done_their_work(module: ModuleType, told: list[Message]) -> None:
    answer = play(module, EVENT, {"scale-out": None, "ticket": None})
    assert answer["done"] == ["scale-out", "ticket"]
    assert told == []


def test_people_are_told_of_a_hook_that_failed_and_no_alarm_rings(module: ModuleType, told: list[Message]) -> None:
    answer = play(module, EVENT, {"scale-out": "it hangs", "ticket": None})
    assert (answer["done"], answer["failed"]) == (["ticket"], ["scale-out"])
    (said,) = told
    assert said.subject == "HOOK FAILED after WriterMoved: scale-out"
    assert "scale-out: Lambda function scale-out, after 1.0 s: it hangs" in said.text
    assert "failoverctl show run-1 --suffix test" in said.text


def test_a_required_hook_that_failed_fails_the_function_after_people_were_told(
    module: ModuleType, told: list[Message]
) -> None:
    with pytest.raises(module.RequiredHookFailed, match="ticket"):
        play(module, EVENT, {"scale-out": "it hangs", "ticket": "no"})
    (said,) = told
    assert said.subject == "REQUIRED HOOK FAILED after WriterMoved: ticket, scale-out"


def test_what_failed_is_noted_beside_the_record_of_the_run(module: ModuleType, told: list[Message]) -> None:
    noted = mock.Mock()
    play(module, EVENT, {"scale-out": "it hangs" * 1000, "ticket": None}, noted)
    ((run, event, (failed,)), _) = noted.call_args
    assert (run, event) == ("run-1", "WriterMoved")
    assert (failed["name"], failed["required"]) == ("scale-out", False)
    assert failed["error"].startswith("it hangs")
    assert len(failed["error"]) == LONGEST_ERROR
    noted.reset_mock()
    play(module, EVENT, {"scale-out": None, "ticket": None}, noted)
    noted.assert_not_called()


def test_a_required_hook_that_failed_is_noted_and_pages_although_nothing_can_be_noted(
    module: ModuleType, told: list[Message]
) -> None:
    noted = mock.Mock(side_effect=FailoverError("away"))
    with pytest.raises(module.RequiredHookFailed):
        play(module, EVENT, {"scale-out": None, "ticket": "no"}, noted)
    ((_, _, (failed,)), _) = noted.call_args
    assert failed == {"name": "ticket", "error": "no", "required": True}
    assert len(told) == 1


def test_an_event_without_hooks_starts_none(module: ModuleType, told: list[Message]) -> None:
    assert play(module, EVENT | {"detail-type": "Protected"}, {})["done"] == []
    assert told == []


def test_a_message_is_one_line_for_whatever_a_hook_says() -> None:
    bad = [HookEnded(hook("function", "f"), 1.0, "line one\nline two" + "x" * 5000)]
    text = message("WriterMoved", {"run": "run-1\nfailoverctl destroy"}, bad, MACHINE.replace("tickets", "x-usw2-a"))
    assert "line one\\nline two" in text.text
    assert max(map(len, text.text.splitlines())) < 1200
    assert WRITER not in text.text
