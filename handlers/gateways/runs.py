"""Step Functions: the runs of this region's failover workflow, whether one is over, and the start of another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.core.environment import Variables
from handlers.gateways.aws import client, code_of, named_errors

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

# An execution in one of these never does anything again (Step Functions API reference, "DescribeExecution"). One that
# a person redrives runs again: it then finds the lock in other hands.
OVER = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")

# Whoever asks has something else to wait for: a tick, or a step's own time limit.
READ_TIMEOUT_S = 1


class RunsVariables(Variables):
    """Which workflow's runs are meant."""

    state_machine_arn: str


class Runs:
    """The executions of one state machine, by their names."""

    def __init__(self, client: SFNClient, state_machine_arn: str) -> None:
        self._client = client
        self._machine = state_machine_arn

    @classmethod
    def of(cls, environment: RunsVariables) -> Runs:
        """Returns the runs of the workflow that a function's environment names."""
        made = client("stepfunctions", environment.aws_region, read_timeout_s=READ_TIMEOUT_S, attempts=1)
        return cls(made, environment.state_machine_arn)

    def is_over(self, run: str) -> bool | None:
        """Returns whether the run has ended, however it did; None when that is not known.

        Any doubt is "not known", an execution that is not found among it: Step Functions forgets executions after 90
        days, and its answers may be a moment old.
        """
        try:
            answer = self._client.describe_execution(executionArn=self._arn(run))
        except (ClientError, BotoCoreError):
            return None
        return answer["status"] in OVER

    def start(self, run: str, asked: Mapping[str, Any]) -> bool:
        """Starts a run of that name with that input; False when there has been one of that name already.

        Raises `TransientFailure` when Step Functions does not answer.
        """
        with named_errors(f"starting run {run}"):
            try:
                self._client.start_execution(stateMachineArn=self._machine, name=run, input=json.dumps(asked))
            except ClientError as error:
                if code_of(error) == "ExecutionAlreadyExists":
                    return False
                raise
        return True

    def _arn(self, run: str) -> str:
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{run}"
