"""VerifyLag: measures whether a promotion now would lose more than the RPO budget allows."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.claim import Claim
from handlers.core.commands import Step
from handlers.core.errors import FailoverError, StandbySilent, TransientFailure
from handlers.core.health import Probe
from handlers.core.lag import Lag, judge, measure
from handlers.gateways.prober import STEP_INVOCATION_TIMEOUT_S, Prober, ProberVariables
from handlers.telemetry import instrumented, logger


class Environment(ProberVariables):
    """What this step reads."""

    rpo_budget_ms: int


ENVIRONMENT = Environment.read()
PROBER = Prober.of(ENVIRONMENT, STEP_INVOCATION_TIMEOUT_S)

PROBE_TIMEOUT_S = 0.75  # as in CheckHealth, which waits for the same database at the same time


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    lag = verify_lag(PROBER, ENVIRONMENT.rpo_budget_ms, step.claim)
    logger.info("judged the replication lag", proceed=lag.proceed, reason=lag.reason)
    return asdict(lag)


def verify_lag(prober: Prober, budget_ms: int, claim: Claim) -> Lag:
    """Measures the lag by the heartbeats that this region's database has, and compares it with the budget.

    Raises
    ------
    StandbySilent, TransientFailure
        the database cannot be asked now, by a run that moves the writer and has not asked RDS yet: its silence says
        nothing of the lag, and nobody should have to decide because of it.
    """
    standby = reach_standby(prober, tolerant=claim.only_forward or claim.mode == "rehearsal")
    measured = None
    if standby is not None:
        measured = measure(claim.heartbeat, standby.heartbeat, standby.replicated_until, time.time())
    lag = judge(measured, budget_ms, only_forward=claim.only_forward)
    # A cluster that already takes writes has transactions of its own.
    replicates = standby is not None and standby.role == "reader"
    return replace(lag, replicated_xid=standby.oldest_xid if standby and replicates else None)


def reach_standby(prober: Prober, *, tolerant: bool) -> Probe | None:
    """Probes this region's database, for its newest heartbeat among the rest; raises as `verify_lag` does.

    None when it cannot be asked: where that is tolerated, or where the prober's answer cannot be read.
    """
    try:
        standby = prober.probe("own_reader", PROBE_TIMEOUT_S, lag=True)
    except TransientFailure:
        if not tolerant:
            raise
        return None
    except FailoverError:
        logger.exception("the prober's answer says nothing")
        return None
    if standby.role is None and not tolerant:
        raise StandbySilent(f"this region's own database does not answer ({standby.error})")
    return standby
