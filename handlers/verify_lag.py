"""VerifyLag: asks whether a promotion now would lose more than the RPO budget allows."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.environment import Environment
from handlers.core.lag import Lag, judge
from handlers.gateways import metrics as cloudwatch
from handlers.gateways.aws import client
from handlers.gateways.global_database import GlobalDatabase
from handlers.telemetry import instrumented, logger

ENVIRONMENT = Environment.read()
CLOUDWATCH = client("cloudwatch", ENVIRONMENT.aws_region)
DATABASE = GlobalDatabase.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Step Functions' entry; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    lag = verify_lag(CLOUDWATCH, DATABASE, ENVIRONMENT)
    logger.info("judged the replication lag", proceed=lag.proceed, reason=lag.reason)
    return asdict(lag)


def verify_lag(cloudwatch_client: Any, database: GlobalDatabase, environment: Environment) -> Lag:
    """Reads the last known lag of this region's cluster and compares it with the budget."""
    measured = cloudwatch.replication_lag(cloudwatch_client, environment.cluster, environment.peer_region, time.time())
    return judge(measured, environment.rpo_budget_ms, cloudwatch.LAG_METRIC, database.is_detached())
