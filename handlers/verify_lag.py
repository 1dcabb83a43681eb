"""VerifyLag: measures whether a promotion now would lose more than the RPO budget allows."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.control import Claim
from handlers.core.environment import Environment
from handlers.core.errors import FailoverError
from handlers.core.heartbeat import Beat
from handlers.core.lag import Lag, by_heartbeats, judge
from handlers.gateways import metrics as cloudwatch
from handlers.gateways.aws import client
from handlers.gateways.prober import STEP_INVOCATION_TIMEOUT_S, Prober
from handlers.telemetry import instrumented, logger

ENVIRONMENT = Environment.read()
CLOUDWATCH = client("cloudwatch", ENVIRONMENT.aws_region)
PROBER = Prober.of(ENVIRONMENT, STEP_INVOCATION_TIMEOUT_S)

PROBE_TIMEOUT_S = 0.75  # as CheckHealth's, which waits for the same database beside this


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Step Functions' entry; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    lag = verify_lag(PROBER, CLOUDWATCH, ENVIRONMENT, step.claim)
    logger.info("judged the replication lag", proceed=lag.proceed, reason=lag.reason)
    return asdict(lag)


def verify_lag(prober: Prober, cloudwatch_client: Any, environment: Environment, claim: Claim) -> Lag:
    """Measures the lag by heartbeats, else takes the metric's last value, and compares it with the budget."""
    measured = by_heartbeats(claim.heartbeat, replicated_heartbeat(prober), time.time())
    if measured is None:
        measured = cloudwatch.replication_lag(
            cloudwatch_client, environment.cluster, environment.peer_region, time.time()
        )
    return judge(measured, environment.rpo_budget_ms, cloudwatch.LAG_METRIC, only_forward=claim.only_forward)


def replicated_heartbeat(prober: Prober) -> Beat | None:
    """The newest heartbeat in this region's database; None when it cannot be asked."""
    try:
        return prober.probe("own_reader", PROBE_TIMEOUT_S).heartbeat
    except FailoverError as error:
        logger.warning("the prober gave no answer", error=str(error))
        return None
