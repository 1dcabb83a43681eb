"""ReleaseClaim: gives the lock back, and the writer switch with it, when the writer has not moved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import Environment
from handlers.core.errors import HalfWay, InvalidRequest
from handlers.core.reading import Fields
from handlers.gateways.control_table import ControlTable
from handlers.gateways.global_database import GlobalDatabase
from handlers.telemetry import instrumented, logger

ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)


@dataclass(frozen=True)
class Release:
    """``released`` is False when the run held no lock, which is as good."""

    released: bool


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Step Functions' entry: ``run``, the execution's name."""
    run = Fields(event, "the step's event", InvalidRequest).text("run")
    logger.append_keys(run=run)
    return asdict(release_claim(CONTROL, DATABASE, run))


def release_claim(control: ControlTable, database: GlobalDatabase, run: str) -> Release:
    """Gives the lock back if ``run`` holds it.

    The old writer's guardian then renews its lease again and, after that, lifts a fence of its own.

    Raises
    ------
    HalfWay
        the writer is leaving its region, or has left: without the lock, both regions would take writes.
    """
    held = control.read().transition
    if held is None or held.run != run:
        logger.info("held no lock")
        return Release(False)
    if held.phase == "moving" and (database.is_detached() or database.is_switching()):
        raise HalfWay(
            f"run {run} keeps the lock: this region's cluster has left the old writer or is leaving it; go on with a "
            "run that resumes this one"
        )
    released = control.release(run)
    logger.info("gave the lock back" if released else "held no lock")
    return Release(released)
