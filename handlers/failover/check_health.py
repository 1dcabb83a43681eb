"""CheckHealth: two independent observers must agree that the writer is down."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.claim import Claim
from handlers.core.commands import Step
from handlers.core.detection import GuardianSeen, guardian_seen, is_silent
from handlers.core.health import Evidence, Health, judge
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.prober import STEP_INVOCATION_TIMEOUT_S, Prober, ProberVariables
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(ControlVariables, ProberVariables, GlobalDatabaseVariables):
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
    health = check_health(CONTROL, PROBER, DATABASE, ENVIRONMENT.recovery_grace_s, step.claim)
    logger.info("judged the writer's health", proceed=health.proceed, reason=health.reason)
    return asdict(health)


def check_health(
    control: ControlTable, prober: Prober, database: GlobalDatabase, grace_s: float, claim: Claim
) -> Health:
    """Gathers the evidence, all at once, and judges it."""
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(prober.probe, "peer", PROBE_TIMEOUT_S)
        standby = pool.submit(prober.probe, "own_reader", PROBE_TIMEOUT_S)
        guardian = pool.submit(look_at_guardian, control, grace_s)
        membership = pool.submit(database.membership)
        evidence = Evidence(writer.result(), guardian.result(), standby.result(), membership.result())
        return judge(claim.mode, evidence, only_forward=claim.only_forward)


def look_at_guardian(control: ControlTable, grace_s: float) -> GuardianSeen:
    """Returns what the control record shows of the writer's guardian at this moment."""
    record = control.read()
    now = time.time()
    return guardian_seen(record, is_silent(record, now), now, grace_s)
