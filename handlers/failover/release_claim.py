"""ReleaseClaim: gives the lock back, and the writer switch with it, when the writer has not moved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import HalfWay, InvalidRequest
from handlers.core.reading import Fields
from handlers.core.results import Release
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(ControlVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions: ``run``, the execution's name."""
    run = Fields(event, "the step's event", InvalidRequest).text("run")
    logger.append_keys(run=run)
    return asdict(release_claim(CONTROL, run))


def release_claim(control: ControlTable, run: str) -> Release:
    """Gives the lock back if ``run`` holds it.

    The old writer's guardian then renews its lease again and, after that, lifts its own fence.

    Raises
    ------
    HalfWay
        RDS was asked to move the writer and may be doing so: without the lock, both regions could take writes.
    """
    if control.release(run):
        logger.info("gave the lock back")
        return Release(True)
    held = control.read().transition
    if held is not None and held.run == run:
        raise HalfWay(
            f"run {run} keeps the lock: RDS was asked to move the writer and may be doing so; start a run that "
            "resumes this one"
        )
    logger.info("held no lock")
    return Release(False)
