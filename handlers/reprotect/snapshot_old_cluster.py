"""SnapshotOldCluster: creates a snapshot of the fenced old cluster, and waits until it is complete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import SnapshotFailed, SnapshotPending
from handlers.core.old_cluster import OldCluster
from handlers.core.reprotection import Order, Snapshot
from handlers.gateways.acting import OtherRegion, ReprotectionRoleVariables
from handlers.gateways.archive import Archive, ArchiveVariables
from handlers.gateways.clusters import Clusters
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ReprotectionRoleVariables, ArchiveVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.for_reprotection(ENVIRONMENT)

FAILED = "failed"  # RDS's word for a snapshot that will never be complete


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    old = Archive.of(ENVIRONMENT, order.epoch).the_old_cluster()
    return asdict(snapshot_old_cluster(CONTROL, Clusters.there(OTHER_REGION, ENVIRONMENT, order.run), old, order))


def snapshot_old_cluster(control: ControlTable, there: Clusters, old: OldCluster, order: Order) -> Snapshot:
    """Returns the snapshot once it is complete.

    Raises
    ------
    SnapshotPending
        it is being created.
    SnapshotFailed
        RDS could not create it.
    LockLost
        another run re-protects.
    """
    control.assert_reprotecting(order.run, order.epoch)
    name = old.snapshot_name(order.epoch)
    snapshot = there.find_snapshot(name)
    if snapshot is None:
        there.make_snapshot(old.cluster["DBClusterIdentifier"], name, old.cluster.get("Tags", []))
        raise SnapshotPending(f"RDS was asked to create the snapshot {name}")
    if snapshot.status == FAILED:
        raise SnapshotFailed(f"RDS could not create the snapshot {name}; remove it, then start the workflow again")
    if snapshot.status != "available":
        raise SnapshotPending(f"the snapshot {name} is {snapshot.status}, {snapshot.percent} % done")
    logger.info("the snapshot is complete", snapshot=asdict(snapshot))
    return snapshot
