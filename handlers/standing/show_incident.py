"""ShowIncident: the panel of the dashboard. Invoked by CloudWatch when somebody looks, in that person's name.

It answers with HTML, as a custom widget does (CloudWatch guide, "Create a custom widget for a CloudWatch dashboard").
"""

from __future__ import annotations

import time
from html import escape
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import FailoverError
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.report.incident import panel
from handlers.telemetry import logger


class Environment(ControlVariables, RunTableVariables):
    """What the function reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
RUNS = RunTable.of(ENVIRONMENT)

# What CloudWatch asks when somebody adds the widget to a dashboard by hand.
DESCRIBE = "describe"
DOCUMENTATION = "### What the control record says\nWriter, lease, run at work, last RTO. It takes no parameters."


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> str:
    """Entry point for CloudWatch; where the record cannot be read, the panel says so and why."""
    if event.get(DESCRIBE):
        return DOCUMENTATION
    try:
        record = CONTROL.read()
        return panel(record, RUNS.read(record.last_run) if record.last_run else None, time.time())
    except FailoverError as error:
        logger.exception("the control record cannot be read")
        return f"<p>The control record cannot be read from this region: {escape(str(error))}</p>"
