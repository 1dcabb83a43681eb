"""DetachSecondary: takes this region's cluster out of the global database, which promotes it.

It needs no token to act once: each request is noted in the lock, and a detached cluster cannot be detached again.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.results import Detachment
from handlers.gateways import move_request
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, GlobalDatabaseVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT, moves=True)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(detach_secondary(CONTROL, DATABASE, step, ENVIRONMENT.cluster))


def detach_secondary(control: ControlTable, database: GlobalDatabase, step: Step, cluster: str) -> Detachment:
    """Asks for the detach; only the run that holds the lock and has committed to move gets that far.

    Raises what `handlers.gateways.move_request.send` raises, among it `RdsBusy` and `DetachRejected`.
    """
    doubt = move_request.send(
        control, step.run, database.detach, lambda: database.membership() == "none", may_wait=True
    )
    logger.info("asked RDS to detach the cluster", cluster=cluster, doubt=doubt)
    return Detachment(cluster, time.time(), doubt)
