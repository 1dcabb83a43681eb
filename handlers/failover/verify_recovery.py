"""VerifyRecovery: success is a real write through the public name that arrives in the new writer region."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.errors import NotRecoveredYet
from handlers.core.results import Recovery
from handlers.gateways.prober import Prober, ProberVariables
from handlers.telemetry import instrumented, logger


class Environment(ProberVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
PROBER = Prober.of(ENVIRONMENT)
PROBE_TIMEOUT_S = 2.0


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(verify_recovery(PROBER, step))


def verify_recovery(prober: Prober, step: Step) -> Recovery:
    """Writes through the public name and checks where the write arrived.

    Raises
    ------
    NotRecoveredYet
        no write yet, or it reached another region: DNS has not switched everywhere. Try again.
    """
    probe = prober.probe("writer", PROBE_TIMEOUT_S, proof={"run": step.run, "epoch": step.claim.epoch + 1})
    if not probe.writes:
        found = "it is fenced" if probe.role == "writer" else probe.error or "it leads to a reader"
        raise NotRecoveredYet(f"no write through the public name yet: {found}")
    if probe.region != step.claim.target_region:
        raise NotRecoveredYet(f"the public name still leads to {probe.region}, not to {step.claim.target_region}")
    logger.info("a write through the public name arrived", region=probe.region)
    return Recovery(probe.region, time.time())
