"""BuildStandby: rebuilds the old region's cluster, with its names and settings, as a standby of the writer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import Misconfigured, RebuildPending
from handlers.core.old_cluster import OldCluster
from handlers.core.reprotection import Order
from handlers.core.reprotection_results import Standby
from handlers.gateways.acting import OtherRegion, RebuildRoleVariables
from handlers.gateways.archive import Archive, ArchiveVariables
from handlers.gateways.clusters import Clusters
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, RebuildRoleVariables, ArchiveVariables):
    """What this step reads."""

    cluster: str
    peer_cluster: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.for_rebuild(ENVIRONMENT)
HERE = Clusters.here(ENVIRONMENT)

AVAILABLE = "available"


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    old = Archive.of(ENVIRONMENT, order.epoch).the_old_cluster()
    there = Clusters.there(OTHER_REGION, ENVIRONMENT, order.run)
    return asdict(build_standby(CONTROL, there, HERE, old, ENVIRONMENT, order))


def build_standby(
    control: ControlTable, there: Clusters, here: Clusters, old: OldCluster, environment: Environment, order: Order
) -> Standby:
    """Returns the standby once every instance is available.

    Raises
    ------
    RebuildPending
        RDS is still working on it.
    Misconfigured
        the old cluster is still there, or the writer is not.
    LockLost
        another run re-protects.
    """
    control.assert_reprotecting(order.run, order.epoch)
    name = environment.peer_cluster
    cluster = there.find(name)
    if cluster is None:
        primary = here.find(environment.cluster)
        if primary is None:
            raise Misconfigured(f"the writer's cluster {environment.cluster} is gone; find out who removed it")
        there.make_secondary(
            old.cluster, environment.global_cluster, primary["EngineVersion"], source=environment.aws_region
        )
        raise RebuildPending(f"RDS was asked to create the cluster {name}")
    if cluster["DbClusterResourceId"] == old.resource_id:
        raise Misconfigured(f"the old cluster {name} is still there; it must be retired first")
    waiting = []
    for settings in old.instances:
        instance = there.find_instance(settings["DBInstanceIdentifier"])
        if instance is None:
            there.make_instance(settings)
        if instance is None or instance["DBInstanceStatus"] != AVAILABLE:
            waiting.append(settings["DBInstanceIdentifier"])
    if waiting or cluster["Status"] != AVAILABLE:
        raise RebuildPending(
            f"the cluster {name} is {cluster['Status']}; its instances {waiting or 'are'} not available"
        )
    logger.info("the standby is there", resource_id=cluster["DbClusterResourceId"])
    return Standby(name, cluster["DbClusterResourceId"], [one["DBInstanceIdentifier"] for one in old.instances])
