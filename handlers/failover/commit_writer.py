"""CommitWriter: records the new writer region and the next epoch, and gives the lock back."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.results import Commit
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(commit_writer(CONTROL, step))


def commit_writer(control: ControlTable, step: Step) -> Commit:
    """Makes the claim's target region the writer of the next epoch; repeated, it changes nothing."""
    epoch = control.commit(step.claim, time.time())
    logger.info("committed the new writer", writer_region=step.claim.target_region, epoch=epoch)
    return Commit(step.claim.target_region, epoch)
