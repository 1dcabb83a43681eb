"""VerifyLag: measures whether a promotion now would lose more than the RPO budget allows."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.claim import Claim
from handlers.core.commands import Step
from handlers.core.environment import PeerVariables
from handlers.core.errors import FailoverError
from handlers.core.health import Probe
from handlers.core.lag import Lag, by_heartbeats, judge
from handlers.gateways import metrics as cloudwatch
from handlers.gateways.aws import client
from handlers.gateways.prober import STEP_INVOCATION_TIMEOUT_S, Prober, ProberVariables
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(ProberVariables, PeerVariables):
    """What this step reads."""

    cluster: str
    rpo_budget_ms: int


ENVIRONMENT = Environment.read()
CLOUDWATCH = client("cloudwatch", ENVIRONMENT.aws_region)
PROBER = Prober.of(ENVIRONMENT, STEP_INVOCATION_TIMEOUT_S)

PROBE_TIMEOUT_S = 0.75  # as in CheckHealth, which waits for the same database at the same time


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    lag = verify_lag(PROBER, CLOUDWATCH, ENVIRONMENT, step.claim)
    logger.info("judged the replication lag", proceed=lag.proceed, reason=lag.reason)
    return asdict(lag)


def verify_lag(prober: Prober, cloudwatch_client: Any, environment: Environment, claim: Claim) -> Lag:
    """Measures the lag by heartbeats, else takes the metric's last value, and compares it with the budget."""
    standby = reach_standby(prober)
    measured = by_heartbeats(claim.heartbeat, standby.heartbeat if standby else None, time.time())
    if measured is None:
        measured = cloudwatch.replication_lag(
            cloudwatch_client, environment.cluster, environment.peer_region, time.time()
        )
    lag = judge(measured, environment.rpo_budget_ms, cloudwatch.LAG_METRIC, only_forward=claim.only_forward)
    # A cluster that already takes writes has transactions of its own.
    replicates = standby is not None and standby.role == "reader"
    return replace(lag, replicated_xid=standby.oldest_xid if standby and replicates else None)


def reach_standby(prober: Prober) -> Probe | None:
    """Probes this region's database, for its newest heartbeat among the rest; None when it cannot be asked."""
    try:
        return prober.probe("own_reader", PROBE_TIMEOUT_S)
    except FailoverError as error:
        logger.warning("the prober gave no answer", error=str(error))
        return None
