"""KeepReport: keeps the report of a run that has ended, for auditors. Started by EventBridge, not by a workflow.

The page and the JSON are made by what `failoverctl report` uses. A report that is kept again is a further version: the
bucket keeps all of them, and its lock keeps each from being changed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import InvalidRequest
from handlers.core.message import execution_arn
from handlers.core.reading import Fields
from handlers.core.unannounced import STATE_MACHINE
from handlers.gateways.archive import DATA, PAGE, ReportVariables, report_folder
from handlers.gateways.aws import client
from handlers.gateways.executions import Executions
from handlers.gateways.run_table import RunTableVariables
from handlers.report import page
from handlers.report.facts import Workflow
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(ReportVariables, RunTableVariables):
    """What the function reads."""

    reprotection_state_machine_arn: str


ENVIRONMENT = Environment.read()
S3 = client("s3", ENVIRONMENT.aws_region)
EXECUTIONS = Executions(
    client("stepfunctions", ENVIRONMENT.aws_region), client("dynamodb", ENVIRONMENT.aws_region), ENVIRONMENT.runs_table
)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; of Step Functions' event it reads which run has ended."""
    ended = Fields(event, "the event", InvalidRequest).section("detail")
    run, machine = ended.line("name"), ended.text("stateMachineArn", pattern=STATE_MACHINE)
    logger.append_keys(run=run)
    workflow: Workflow = "reprotect" if machine == ENVIRONMENT.reprotection_state_machine_arn else "failover"
    made = EXECUTIONS.report(workflow, execution_arn(machine, run), time.time())
    folder = report_folder(S3, ENVIRONMENT.reports_bucket, run)
    kept = [
        folder.keep(DATA, page.as_json(made), "application/json"),
        folder.keep(PAGE, page.page(made), "text/html; charset=utf-8"),
    ]
    logger.info("kept the report", outcome=made.outcome, kept=kept)
    return {"kept": kept}
