"""VerifyFenced: makes sure that the old cluster is fenced, by SQL and by security group, and keeps its settings."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import AlreadyFollows, FenceFailed, Misconfigured
from handlers.core.old_cluster import OldCluster
from handlers.core.reprotection import Order
from handlers.core.reprotection_results import Fenced
from handlers.gateways.acting import OtherRegion, ReprotectionRoleVariables
from handlers.gateways.archive import Archive, ArchiveVariables
from handlers.gateways.clusters import Clusters
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.fence import INVOCATION_TIMEOUT_S, FenceFunction, PeerFenceVariables
from handlers.gateways.salvage import SalvageFunction, SalvageVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ReprotectionRoleVariables, PeerFenceVariables, ArchiveVariables, SalvageVariables):
    """What this step reads."""

    peer_cluster: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.for_reprotection(ENVIRONMENT)
HERE = Clusters.here(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    fence = FenceFunction.there(OTHER_REGION, ENVIRONMENT, order.run, read_timeout_s=INVOCATION_TIMEOUT_S)
    salvage = SalvageFunction.there(OTHER_REGION, ENVIRONMENT, order.run)
    there = Clusters.there(OTHER_REGION, ENVIRONMENT, order.run)
    archive = Archive.of(ENVIRONMENT, order.epoch)
    return asdict(verify_fenced(CONTROL, fence, salvage, there, HERE, archive, ENVIRONMENT, order))


def verify_fenced(
    control: ControlTable,
    fence: FenceFunction,
    salvage: SalvageFunction,
    there: Clusters,
    here: Clusters,
    archive: Archive,
    environment: Environment,
    order: Order,
) -> Fenced:
    """Fences where it has to; a fence that has stood since an earlier run still counts, if nothing was written since.

    Raises
    ------
    AlreadyFollows
        RDS has finished a switchover that a failover took over: the cluster is a standby, which takes no writes.
    FenceFailed
        the cluster is not seen to be fenced in both ways.
    LockLost
        another run re-protects.
    """
    control.assert_reprotecting(order.run, order.epoch)
    stood = fence.look()
    if stood.secondary:
        raise AlreadyFollows(
            f"{environment.peer_cluster} is a secondary of {environment.global_cluster} already: RDS has switched the "
            "writer over, so that it lacks nothing and has nothing that would be lost"
        )
    if not stood.in_both_ways:
        state = fence.fence(f"{order.writer_region} is the writer (epoch {order.epoch}); this cluster will be retired")
        if not state.in_both_ways:
            raise FenceFailed(f"the old cluster is not fenced in both ways: {asdict(state)}")
    mark = salvage.mark()
    if mark is None:
        raise FenceFailed("the old cluster is not seen to be fenced by SQL any more")
    cluster, global_database = there.find(environment.peer_cluster), here.find_global(environment.global_cluster)
    if cluster is None or global_database is None:
        raise Misconfigured(
            f"{environment.peer_cluster} or {environment.global_cluster} is gone, though no run has retired them; "
            "find out who removed it, because it can no longer be kept"
        )
    kept = archive.old_cluster()
    as_it_was = kept is not None and (kept.resource_id, kept.mark) == (cluster["DbClusterResourceId"], mark)
    if kept is None or not as_it_was or not stood.in_both_ways:
        kept = OldCluster.described(cluster, there.instances_of(cluster), global_database, time.time(), mark)
        archive.keep_old_cluster(kept)
        logger.info("kept the old cluster's settings", resource_id=kept.resource_id)
    control.note_fenced(order.old_region, order.epoch)
    return Fenced(kept.fenced_at, archive.address(""))
