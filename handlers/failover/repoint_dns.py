"""RepointDns: engages the writer switch. No record is edited: Route 53's control plane may be gone with its region.

Best effort: what it engages beside the promotion, the commit engages in any case.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.results import Repointing
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables):
    """What this step reads."""

    writer_dns_name: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(repoint_dns(CONTROL, step, ENVIRONMENT.writer_dns_name))


def repoint_dns(control: ControlTable, step: Step, writer_name: str) -> Repointing:
    """Lets the writer switch answer "engaged" for the claim's target region from now on."""
    control.engage_dns(step.run)
    logger.info("engaged the writer switch", writer_name=writer_name, region=step.claim.target_region)
    return Repointing(writer_name, step.claim.target_region)
