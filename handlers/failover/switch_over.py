"""SwitchOver: has Aurora exchange the roles of the two clusters; nothing is lost, as it waits for the last write."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.results import Switchover
from handlers.gateways import move_request
from handlers.gateways.acting import OtherRegion, PeerRoleVariables
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
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
    """Asks Aurora, unless it is already switching or done; only the run that holds the lock gets that far.

    Raises what `handlers.gateways.move_request.send` raises, among it `SwitchoverRejected`.
    """
    if database.is_switching():
        control.begin_request(step.run, time.time())  # an earlier request did it; from here there is no way back
        return Switchover(cluster, requested=False)
    # "The AWS Region where the primary DB cluster is running" has to be asked (Aurora user guide, "Performing
    # switchovers for Amazon Aurora global databases"). What may fail before the request comes before the note.
    primary = other_region.client("rds", step.run)
    requested = move_request.send(control, step.run, lambda: database.switch_over(primary), database.is_switching)
    if requested:
        logger.info("asked RDS to switch over", cluster=cluster)
    return Switchover(cluster, requested)
