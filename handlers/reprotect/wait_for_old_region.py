"""WaitForOldRegion: waits until the old writer's region and its cluster answer; says how far a retirement has come."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import Misconfigured, OldRegionSilent
from handlers.core.reprotection import Order
from handlers.core.reprotection_results import OldRegion
from handlers.gateways.acting import OtherRegion, ReprotectionRoleVariables
from handlers.gateways.archive import OLD_CLUSTER, Archive, ArchiveVariables
from handlers.gateways.clusters import Clusters
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ReprotectionRoleVariables, ArchiveVariables):
    """What this step reads."""

    peer_cluster: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.for_reprotection(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    there = Clusters.there(OTHER_REGION, ENVIRONMENT, order.run)
    found = wait_for_old_region(CONTROL, there, Archive.of(ENVIRONMENT, order.epoch), ENVIRONMENT.peer_cluster)
    logger.info("the old region answers", retiring=found.retiring, reason=found.reason)
    return asdict(found)


def wait_for_old_region(control: ControlTable, there: Clusters, archive: Archive, name: str) -> OldRegion:
    """Looks once at the cluster ``name``.

    Raises
    ------
    OldRegionSilent
        the cluster exists but is not available.
    Misconfigured
        there is no cluster, though nobody has retired it.
    """
    cluster = there.find(name)
    retiring = control.read().retiring
    if retiring is not None:
        return OldRegion(True, f"a run has begun to retire the old cluster ({retiring})")
    if cluster is None:
        raise Misconfigured(
            f"there is no cluster {name}, and no re-protection has retired it: its data cannot be kept. If it is gone "
            f"for good, restore it under that name from its last snapshot, then start the workflow again; "
            f"{archive.address(OLD_CLUSTER)} may say what it was like"
        )
    if cluster["Status"] != "available":
        raise OldRegionSilent(f"the cluster {name} is {cluster['Status']}")
    return OldRegion(False, f"the cluster {name} is available")
