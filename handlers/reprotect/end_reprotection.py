"""EndReprotection: gives the re-protection's lock back, so that another run may continue."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields
from handlers.core.results import Release
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions: ``run``, the execution's name."""
    run = Fields(event, "the step's event", InvalidRequest).text("run")
    logger.append_keys(run=run)
    release = Release(CONTROL.end_reprotection(run))
    logger.info("gave the lock back", released=release.released)
    return asdict(release)
