"""Starts the functions of the workflow ahead of a failover that may be coming, so that no cold start is part of it.

A function that has not been invoked for some minutes takes about a second longer (Lambda developer guide,
"Understanding the Lambda execution environment lifecycle": the Init phase). A failover goes through half a dozen of
them one after another, and its alarm takes longer than that to ring. A switchover keeps the writer closed meanwhile,
so it waits for them before that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from handlers.core.commands import WARM_UP
from handlers.core.environment import Variables
from handlers.core.sessions import PROBES_OF_THE_STEPS
from handlers.gateways.aws import client, invoke, named_errors

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient


# Slower than any start that was measured; a step that waits for them has 5 s.
START_S = 2.0


class WarmUpVariables(Variables):
    """Whom to warm up."""

    warm_up_functions: str  # the steps' functions, with commas between them
    prober_function: str


class Workflow:
    """The functions of this region's workflow, each named once for every environment that it needs at a time."""

    def __init__(self, client: LambdaClient, functions: Sequence[str]) -> None:
        self._client = client
        self._functions = functions

    @classmethod
    def of(cls, environment: WarmUpVariables) -> Workflow:
        """Returns the functions as a function's environment names them."""
        # A hanging region keeps the monitor's prober busy meanwhile.
        functions = [*environment.warm_up_functions.split(","), *[environment.prober_function] * PROBES_OF_THE_STEPS]
        return cls(client("lambda", environment.aws_region, read_timeout_s=START_S, attempts=1), functions)

    def warm_up(self) -> None:
        """Starts each function without waiting for it; raises `TransientFailure` when Lambda takes no more."""
        for function in self._functions:
            with named_errors(f"warming up {function}"):
                self._client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(WARM_UP).encode())

    def wait_until_warm(self) -> None:
        """Starts all of them at once, and waits; one that does not start in time will be late, which is no harm."""
        with ThreadPoolExecutor(len(self._functions)) as pool:
            for function in self._functions:
                pool.submit(invoke, self._client, function, WARM_UP)
