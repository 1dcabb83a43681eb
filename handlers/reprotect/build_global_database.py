"""BuildGlobalDatabase: rebuilds the global database around the present writer, under its old name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import Misconfigured, RebuildPending
from handlers.core.old_cluster import OldCluster
from handlers.core.reprotection import Order
from handlers.core.reprotection_results import GlobalDatabase
from handlers.gateways.archive import Archive, ArchiveVariables
from handlers.gateways.clusters import Clusters, members
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ArchiveVariables):
    """What this step reads."""

    cluster_arn: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
HERE = Clusters.here(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    old = Archive.of(ENVIRONMENT, order.epoch).the_old_cluster()
    return asdict(build_global_database(CONTROL, HERE, old, ENVIRONMENT, order))


def build_global_database(
    control: ControlTable, here: Clusters, old: OldCluster, environment: Environment, order: Order
) -> GlobalDatabase:
    """Returns the global database once it is available.

    Raises
    ------
    RebuildPending
        it is being created.
    Misconfigured
        one of that name has another primary.
    LockLost
        another run re-protects.
    """
    control.assert_reprotecting(order.run, order.epoch)
    name = environment.global_cluster
    found = here.find_global(name)
    if found is None:
        here.make_global(old.global_database, environment.cluster_arn)
        raise RebuildPending(f"RDS was asked to create the global database {name}")
    primary = next((arn for arn, is_primary in members(found).items() if is_primary), None)
    if primary not in (None, environment.cluster_arn):
        raise Misconfigured(
            f"the global database {name} has {primary} as its primary, not {environment.cluster_arn}; find out who "
            "made it, and remove it by hand if nobody needs it"
        )
    if primary is None or found.get("Status") != "available":
        raise RebuildPending(f"the global database {name} is {found.get('Status')}")
    logger.info("the global database is there", primary=primary)
    return GlobalDatabase(name, primary)
