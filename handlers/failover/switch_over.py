"""SwitchOver: has Aurora exchange the roles of the two clusters; nothing is lost, as it waits for the last write."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.errors import FailoverError, TransientFailure
from handlers.core.move import MOST_SWITCHOVER_REQUESTS
from handlers.core.results import Switchover
from handlers.gateways import move_request
from handlers.gateways.acting import OtherRegion, PeerRoleVariables
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import MOVE_READ_TIMEOUT_S, GlobalDatabase, GlobalDatabaseVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, PeerRoleVariables, GlobalDatabaseVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(switch_over(CONTROL, DATABASE, OTHER_REGION, step, ENVIRONMENT.cluster))


def switch_over(
    control: ControlTable, database: GlobalDatabase, other_region: OtherRegion, step: Step, cluster: str
) -> Switchover:
    """Asks Aurora, unless it is at work already, is done, or was asked often enough.

    Only the run that holds the lock gets that far. Raises what `handlers.gateways.move_request.send` raises, among it
    `RdsBusy` and `SwitchoverRejected`.
    """
    held = control.read().transition
    requests = held.move_requests if held and held.run == step.run else 0
    if requests and (requests >= MOST_SWITCHOVER_REQUESTS or is_under_way(database)):
        return Switchover(cluster, time.time(), "an earlier request may be under way or done")
    # "The AWS Region where the primary DB cluster is running" has to be asked (Aurora user guide, "Performing
    # switchovers for Amazon Aurora global databases"). What may fail before the request comes before the note.
    try:
        primary = other_region.client("rds", step.run, read_timeout_s=MOVE_READ_TIMEOUT_S)
    except FailoverError as error:
        if not requests:
            raise
        return Switchover(cluster, time.time(), str(error))
    doubt = move_request.send(control, step.run, lambda: database.switch_over(primary), lambda: is_under_way(database))
    logger.info("asked RDS to switch over", cluster=cluster, doubt=doubt)
    return Switchover(cluster, time.time(), doubt)


def is_under_way(database: GlobalDatabase) -> bool:
    """Returns whether RDS is switching over to this region's cluster, or has; an RDS that does not answer may be."""
    try:
        return not database.look().quiet
    except TransientFailure as error:
        logger.warning("RDS does not say what it does", error=str(error))
        return True
