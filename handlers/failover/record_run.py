"""RecordRun: keeps the record of the run, which is also the execution's output."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import InvalidRequest
from handlers.core.outcome import FailoverEnd
from handlers.core.reading import Fields
from handlers.core.run_record import run_record
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.telemetry import instrumented, logger


class Environment(RunTableVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
RUNS = RunTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.outcome.FailoverEnd`.

    It also reads ``started_at``, the execution's start.
    """
    end = FailoverEnd.read(event)
    logger.append_keys(run=end.run)
    if end.unreadable:
        logger.warning("a part of the progress cannot be read", unreadable=end.unreadable)
    started_at = Fields(event, "the step's event", InvalidRequest).text("started_at")
    record = asdict(run_record(end, started_at, time.time()))
    RUNS.keep(record)
    return record
