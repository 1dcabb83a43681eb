"""VerifyReplication: waits until the new standby replicates inside the RPO budget, and opens it to its readers."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import ReplicationBehind
from handlers.core.lag import Lag, judge, measure
from handlers.core.reprotection import Order
from handlers.gateways.acting import OtherRegion, ReprotectionRoleVariables
from handlers.gateways.clusters import Clusters, members
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.fence import INVOCATION_TIMEOUT_S, FenceFunction, PeerFenceVariables
from handlers.gateways.prober import PeerProberVariables, Prober
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ReprotectionRoleVariables, PeerFenceVariables, PeerProberVariables):
    """What this step reads."""

    peer_cluster: str
    peer_cluster_arn: str
    rpo_budget_ms: int


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.for_reprotection(ENVIRONMENT)
HERE = Clusters.here(ENVIRONMENT)

PROBE_TIMEOUT_S = 2.0


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    fence = FenceFunction.there(OTHER_REGION, ENVIRONMENT, order.run, read_timeout_s=INVOCATION_TIMEOUT_S)
    prober = Prober.there(OTHER_REGION, ENVIRONMENT, order.run)
    lag = verify_replication(CONTROL, HERE, prober, fence, ENVIRONMENT, order)
    logger.info("the standby replicates", reason=lag.reason)
    return asdict(lag)


def verify_replication(
    control: ControlTable, here: Clusters, prober: Prober, fence: FenceFunction, environment: Environment, order: Order
) -> Lag:
    """Returns the lag of the new standby, by the writer's heartbeats that it holds.

    Raises
    ------
    ReplicationBehind
        it is not a secondary yet, does not answer, lags too far behind, or is not open to its readers yet.
    LockLost
        another run re-protects.
    """
    control.assert_reprotecting(order.run, order.epoch)
    found = here.find_global(environment.global_cluster) or {}
    if members(found).get(environment.peer_cluster_arn) is not False:
        raise ReplicationBehind(f"{environment.peer_cluster} is not a secondary of {environment.global_cluster} yet")
    # It was created with the security group that the old cluster had, which is the fence's.
    opened = fence.open_secondary("the new standby takes no writes")
    if opened.by_group is not False:
        raise ReplicationBehind(f"the standby's security group is not open yet: {opened.error}")
    standby = prober.probe("own_reader", PROBE_TIMEOUT_S, lag=True)
    measured = measure(control.read().heartbeat, standby.heartbeat, standby.replicated_until, time.time())
    lag = judge(measured, environment.rpo_budget_ms, only_forward=False)
    if standby.role != "reader" or not lag.proceed:
        raise ReplicationBehind(f"the standby is a {standby.role} ({standby.error}); {lag.reason}")
    return lag
