"""Runs a hook and waits for its end: a Lambda function, a state machine or an SSM document of this region."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from handlers.core.errors import FailoverError, TransientFailure
from handlers.core.hooks import Hook, HookEnded, Kind, parameters
from handlers.gateways.aws import client, invoke, named_errors

LOOK_EVERY_S = 2.0
LONGEST_NAME = 80  # of an execution (Step Functions API reference, StartExecution)
# Of an automation that has not ended (Systems Manager API reference, AutomationExecution).
GOES_ON = (
    *("Pending", "Scheduled", "InProgress", "RunbookInProgress", "Waiting", "Cancelling", "PendingApproval"),
    *("Approved", "PendingChangeCalendarOverride", "ChangeCalendarOverrideApproved"),
)
DONE = ("Success", "CompletedWithSuccess")
# Looks once, and says the status and what is known of it.
Look = Callable[[], tuple[str, str]]


def run(hook: Hook, region: str, event: Mapping[str, Any]) -> HookEnded:
    """Starts a hook with EventBridge's event and waits for its end, for ``timeout_s`` at most; raises nothing."""
    began = time.monotonic()
    try:
        error = RUN[hook.kind](hook, region, event, began)
    except FailoverError as failure:
        error = str(failure)
    return HookEnded(hook, time.monotonic() - began, error)


def _function(hook: Hook, region: str, event: Mapping[str, Any], _: float) -> str | None:
    # One attempt: a function that is asked again after its time would do its work twice.
    invoke(client("lambda", region, read_timeout_s=hook.timeout_s, attempts=1), hook.target, event)
    return None


def _state_machine(hook: Hook, region: str, event: Mapping[str, Any], began: float) -> str | None:
    states = client("stepfunctions", region)
    # The event's id names the execution, so that an event that comes twice starts one.
    name = f"{hook.name}-{event.get('id', '')}"[:LONGEST_NAME]
    arn = f"{hook.target.replace(':stateMachine:', ':execution:')}:{name}"
    with named_errors(f"starting {hook.target}"), suppress(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=hook.target, name=name, input=json.dumps(event))

    def look() -> tuple[str, str]:
        with named_errors(f"looking at {arn}"):
            found = states.describe_execution(executionArn=arn)
        return found["status"], f"{found.get('error', 'no error')}: {found.get('cause', 'no cause given')}"

    return _watched(hook, began, look, goes_on=("RUNNING",), done=("SUCCEEDED",))


def _document(hook: Hook, region: str, event: Mapping[str, Any], began: float) -> str | None:
    manager = client("ssm", region)
    # So that an event that comes twice starts one.
    token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{event.get('id', '')}/{hook.name}"))
    with named_errors(f"starting {hook.target}"):
        try:
            started = manager.start_automation_execution(
                DocumentName=hook.target, Parameters=parameters(hook, event["detail"]), ClientToken=token
            )
        except manager.exceptions.IdempotentParameterMismatch:
            # AWS does not say which of the two it gives to a token that has been used, this or the execution.
            return "it was started before with this event, and its end is not seen from here"
    execution = started["AutomationExecutionId"]

    def look() -> tuple[str, str]:
        with named_errors(f"looking at {execution}"):
            found = manager.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"]
        return found["AutomationExecutionStatus"], found.get("FailureMessage", "no failure given")

    return _watched(hook, began, look, goes_on=GOES_ON, done=DONE)


RUN: dict[Kind, Callable[[Hook, str, Mapping[str, Any], float], str | None]] = {
    "function": _function,
    "state_machine": _state_machine,
    "document": _document,
}


def _watched(hook: Hook, began: float, look: Look, *, goes_on: Collection[str], done: Collection[str]) -> str | None:
    """Looks until the hook has ended or its time is over; returns what went wrong, or None."""
    status, said = "unknown", "nobody has seen it"
    while True:
        try:
            status, said = look()
        except TransientFailure as error:  # it is looked at again
            said = str(error)
        if status in done:
            return None
        if status not in goes_on and status != "unknown":
            return f"{status}: {said}"
        left_s = began + hook.timeout_s - time.monotonic()
        if left_s <= 0:
            return f"it has not ended within {hook.timeout_s:g} s, and goes on"
        time.sleep(min(LOOK_EVERY_S, left_s))
