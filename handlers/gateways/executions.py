"""Runs as Step Functions and the table of records know them: all that a report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handlers.core import history
from handlers.core.history import Event
from handlers.gateways.aws import named_errors
from handlers.gateways.run_table import RunTable
from handlers.report.facts import Execution, Report, Workflow, report

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_stepfunctions import SFNClient

A_PAGE = 1000  # events, the most that Step Functions gives at once
# Attempts come once a minute; more of them than this say nothing new.
MOST_EARLIER = 30


class Executions:
    """The executions of one region, and the records in its ``runs_table``."""

    def __init__(self, stepfunctions: SFNClient, dynamodb: DynamoDBClient, runs_table: str) -> None:
        self._stepfunctions = stepfunctions
        self._records = RunTable(dynamodb, runs_table)

    def report(self, workflow: Workflow, arn: str, now: float) -> Report:
        """Returns the report of a run, however far it is; raises `FailoverError`."""
        one = self._described(arn)
        earlier = self._earlier(one) if one.record else []
        return report(workflow, one, events(self._stepfunctions, arn), earlier, self._records.noted(one.run), now)

    def _described(self, arn: str) -> Execution:
        with named_errors(f"reading {arn}"):
            found: Mapping[str, Any] = self._stepfunctions.describe_execution(executionArn=arn)
        output = history.json_object(found.get("output"))
        return self._execution(found, output if output and "outcome" in output else self._records.read(found["name"]))

    def _earlier(self, one: Execution) -> list[Execution]:
        """Returns the last runs of the same workflow that began before this one, each with what is kept of it."""
        machine = one.arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]
        with named_errors(f"listing the runs before {one.run}"):
            found = self._stepfunctions.list_executions(stateMachineArn=machine, maxResults=A_PAGE)["executions"]
        before = [each for each in found if each["startDate"].timestamp() < one.started_at and each["name"] != one.run]
        return [self._execution(each, self._records.read(each["name"])) for each in before[:MOST_EARLIER]]

    @staticmethod
    def _execution(found: Mapping[str, Any], record: Mapping[str, Any] | None) -> Execution:
        return Execution(
            run=found["name"],
            arn=found["executionArn"],
            status=found["status"],
            started_at=found["startDate"].timestamp(),
            ended_at=found["stopDate"].timestamp() if "stopDate" in found else None,
            asked=history.json_object(found.get("input")) or {},
            record=record,
            error=found.get("error"),
            cause=found.get("cause"),
        )


def events(stepfunctions: SFNClient, arn: str, *, last: int | None = None) -> list[Event]:
    """Returns the history of a run in its order, or the end of it, of at least ``last`` events if it is that long."""
    asked: dict[str, Any] = {"executionArn": arn, "reverseOrder": last is not None, "maxResults": last or A_PAGE}
    found: list[Event] = []
    with named_errors(f"reading the history of {arn}"):
        while True:
            page = stepfunctions.get_execution_history(**asked)
            found += page["events"]
            if last is not None or "nextToken" not in page:
                return history.ordered(found)
            asked["nextToken"] = page["nextToken"]
