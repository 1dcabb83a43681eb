"""KeepReport: keeps the report of a run that has ended, for auditors. Started by EventBridge, not by a workflow.

The page and the JSON are made by what `failoverctl report` uses. A report that is kept again is a further version: the
bucket keeps all of them, and its lock keeps each from being changed. People are told of one that could not be kept.
"""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.message import Message, command, execution_arn, whereabouts
from handlers.core.reading import Fields
from handlers.core.unannounced import STATE_MACHINE
from handlers.gateways import notifications
from handlers.gateways.archive import DATA, PAGE, report_folder
from handlers.gateways.aws import client
from handlers.gateways.executions import Executions
from handlers.report import page
from handlers.report.facts import Workflow
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables):
    """What the function reads."""

    reports_bucket: str
    runs_table: str
    reprotection_state_machine_arn: str


ENVIRONMENT = Environment.read()
S3 = client("s3", ENVIRONMENT.aws_region)
EXECUTIONS = Executions(
    client("stepfunctions", ENVIRONMENT.aws_region), client("dynamodb", ENVIRONMENT.aws_region), ENVIRONMENT.runs_table
)
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; of Step Functions' event it reads which run has ended."""
    ended = Fields(event, "the event", InvalidRequest).section("detail")
    run, machine = ended.line("name"), ended.text("stateMachineArn", pattern=STATE_MACHINE)
    logger.append_keys(run=run)
    try:
        kept = keep(run, machine)
    except FailoverError as error:
        notifications.publish_to_all(TOPICS, not_kept(run, machine, str(error)))
        raise
    logger.info("kept the report", kept=kept)
    return {"kept": kept}


def keep(run: str, machine: str) -> list[str]:
    """Keeps the report of a run of the workflow ``machine``; returns where. Raises `FailoverError`."""
    workflow: Workflow = "reprotect" if machine == ENVIRONMENT.reprotection_state_machine_arn else "failover"
    made = EXECUTIONS.report(workflow, execution_arn(machine, run), time.time())
    folder = report_folder(S3, ENVIRONMENT.reports_bucket, run)
    return [
        folder.keep(DATA, page.as_json(made), "application/json"),
        folder.keep(PAGE, page.page(made), "text/html; charset=utf-8"),
    ]


def not_kept(run: str, machine: str, why: str) -> Message:
    """Says that a report is missing in the bucket, and how to have it all the same."""
    return Message.of(
        [
            f"REPORT NOT KEPT: the bucket has none of run {run}",
            "",
            *whereabouts(machine, run),
            f"Error: {why}",
            "At risk now: nothing but the record of this run for auditors.",
            "To have the report, within 90 days, and keep it yourself:",
            command(machine, "report", run),
        ]
    )
