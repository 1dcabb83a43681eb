"""Starts the functions of the workflow ahead of a failover that may be coming, so that no cold start is part of it.

A function that has not been invoked for some minutes takes about a second longer (Lambda developer guide,
"Understanding the Lambda execution environment lifecycle": the Init phase). A failover goes through half a dozen of
them one after the other, and its alarm needs more than that to ring.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.core.environment import Environment
from handlers.gateways.aws import client, named_errors
from handlers.telemetry import WARM_UP

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient


class Workflow:
    """The functions ``steps`` of this region's workflow."""

    def __init__(self, client: LambdaClient, steps: Sequence[str]) -> None:
        self._client = client
        self._steps = steps

    @classmethod
    def of(cls, environment: Environment) -> Workflow:
        """The functions as a function's environment names them."""
        return cls(client("lambda", environment.aws_region), environment.step_functions.split(","))

    def warm_up(self) -> None:
        """Has each function started and does not wait for it; `TransientFailure` when Lambda takes no more."""
        for step in self._steps:
            with named_errors(f"warming {step} up"):
                self._client.invoke(FunctionName=step, InvocationType="Event", Payload=json.dumps(WARM_UP).encode())
