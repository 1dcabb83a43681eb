"""Runs a hook and waits for its end: a Lambda function or a state machine of this region."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from handlers.core.errors import FailoverError, TransientFailure
from handlers.core.hooks import Hook, HookEnded
from handlers.gateways.aws import client, invoke, named_errors

LOOK_EVERY_S = 2.0
LONGEST_NAME = 80  # of an execution (Step Functions API reference, StartExecution)


def run(hook: Hook, region: str, event: Mapping[str, Any]) -> HookEnded:
    """Starts a hook with EventBridge's event and waits for its end, for ``timeout_s`` at most; raises nothing."""
    began = time.monotonic()
    try:
        error = (_function if hook.kind == "function" else _state_machine)(hook, region, event, began)
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

    status, said = "unknown", "nobody has seen it"
    while True:
        try:
            with named_errors(f"looking at {arn}"):
                found = states.describe_execution(executionArn=arn)
            status, said = found["status"], f"{found.get('error', 'no error')}: {found.get('cause', 'no cause given')}"
        except TransientFailure as error:  # it is looked at again
            said = str(error)
        if status == "SUCCEEDED":
            return None
        if status not in ("RUNNING", "unknown"):
            return f"{status}: {said}"
        left_s = began + hook.timeout_s - time.monotonic()
        if left_s <= 0:
            return f"it has not ended within {hook.timeout_s:g} s, and goes on"
        time.sleep(min(LOOK_EVERY_S, left_s))
