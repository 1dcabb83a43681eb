"""CheckHealth: two independent observers must agree that the writer is down."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.claim import Claim
from handlers.core.commands import Step
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.errors import StandbySilent
from handlers.core.health import Evidence, GuardianSeen, Health, judge
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.prober import STEP_INVOCATION_TIMEOUT_S, Prober, ProberVariables
from handlers.gateways.warm_up import WarmUpVariables, Workflow
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ProberVariables, GlobalDatabaseVariables, WarmUpVariables):
    """What this step reads."""

    recovery_grace_s: int


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT, STEP_INVOCATION_TIMEOUT_S)
DATABASE = GlobalDatabase.of(ENVIRONMENT)

# The monitor has waited for the writer already. This probe can only veto, and a healthy writer in the other region
# answers in about 0.5 s (7 round trips of 64 ms); a hanging one must not hold the run up for a second.
PROBE_TIMEOUT_S = 0.75


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    with ThreadPoolExecutor(1) as pool:
        if step.claim.mode == "switchover":  # the next step closes the writer, and nothing may hold up those after it
            # Its client is made here, and not when the function starts: a failover does without.
            pool.submit(Workflow.of(ENVIRONMENT).wait_until_warm)
        health = check_health(CONTROL, PROBER, DATABASE, ENVIRONMENT.recovery_grace_s, step.claim)
    logger.info("judged the writer's health", proceed=health.proceed, reason=health.reason)
    return asdict(health)


def check_health(
    control: ControlTable, prober: Prober, database: GlobalDatabase, grace_s: float, claim: Claim
) -> Health:
    """Gathers the evidence, all at once, and judges it.

    Raises `StandbySilent` when nothing speaks against the move but that this region's own database has not answered:
    one that has been idle may be slow to.
    """
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(prober.probe, "peer", PROBE_TIMEOUT_S)
        standby = pool.submit(prober.probe, "own_reader", PROBE_TIMEOUT_S)
        guardian = pool.submit(look_at_guardian, control, grace_s)
        membership = pool.submit(database.membership)
        evidence = Evidence(writer.result(), guardian.result(), standby.result(), membership.result())
    health = judge(claim.mode, evidence, only_forward=claim.only_forward)
    if claim.mode != "rehearsal" and not health.proceed and is_standby_all_that_is_missing(claim, evidence):
        raise StandbySilent(health.reason)
    # A writer that is stopped for nothing is closed to its applications for some seconds.
    at_work = database.at_work() if claim.mode == "switchover" and health.proceed else None
    if at_work:
        return replace(health, proceed=False, reason=f"RDS is at work on the global database ({at_work})")
    return health


def is_standby_all_that_is_missing(claim: Claim, evidence: Evidence) -> bool:
    """Returns whether the verdict would be another one if this region's own database had answered."""
    answered = replace(evidence, standby=replace(evidence.standby, role="reader"))
    return evidence.standby.role is None and judge(claim.mode, answered, only_forward=claim.only_forward).proceed


def look_at_guardian(control: ControlTable, grace_s: float) -> GuardianSeen:
    """Returns what the control record shows of the writer's guardian at this moment."""
    record = control.read()
    now = time.time()
    return guardian_seen(record, is_silent(record, now), now, grace_s)
