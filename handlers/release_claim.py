"""ReleaseClaim: gives the lock back, and the writer switch with it, when the writer has not moved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import Environment
from handlers.core.errors import AlreadyDetached, InvalidRequest
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

    Raises
    ------
    AlreadyDetached
        this region's cluster has left the global database and is becoming a writer: to lead clients back to the old
        writer now would make two.
    """
    held = control.read().transition
    if held is None or held.run != run:
        logger.info("held no lock")
        return Release(released=False)
    if database.is_detached():
        raise AlreadyDetached(f"run {run} keeps the lock: this region's cluster is detached, so the writer has to move")
    released = control.release(run)
    logger.info("gave the lock back")
    return Release(released)
