"""Claim: reads and validates the request and takes the one lock on the control record."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.claim import Claim, decide_claim, lock_for
from handlers.core.control import ControlRecord
from handlers.core.errors import InvalidRequest, TransientFailure
from handlers.core.reading import Fields
from handlers.core.request import Request
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.runs import Runs, RunsVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, RunsVariables):
    """What this step reads."""

    cool_down_s: int


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
RUNS = Runs.of(ENVIRONMENT)

# Each failed attempt means that another run changed the record in between; once that run has the lock, the next look
# says so.
ATTEMPTS = 3


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions: ``run`` (execution name) and ``input`` (the execution's input)."""
    fields = Fields(event, "the step's event", InvalidRequest)
    run = fields.text("run")
    logger.append_keys(run=run)
    request = Request.read(event.get("input"), run, ENVIRONMENT.aws_region)
    return asdict(claim(CONTROL, RUNS, request, run, ENVIRONMENT.cool_down_s))


def claim(control: ControlTable, runs: Runs, request: Request, run: str, cool_down_s: float) -> Claim:
    """Decides on the request and takes the lock where the decision needs it.

    Raises
    ------
    TransientFailure
        the record changed under every attempt.
    """
    for _ in range(ATTEMPTS):
        now = time.time()
        record = control.read()
        decided = decide_claim(record, request, run, now, cool_down_s, holder_is_over=holder_is_over(runs, record, run))
        if decided.decision != "proceed" or decided.mode == "rehearsal":
            logger.info("decided on the claim", decision=decided.decision, reason=decided.reason)
            return decided
        if control.take(lock_for(decided, record, now), record):
            logger.info("took the lock", reason=decided.reason, epoch=decided.epoch)
            return decided
    raise TransientFailure(f"the control record changed {ATTEMPTS} times while run {run} tried to take the lock")


def holder_is_over(runs: Runs, record: ControlRecord, run: str) -> bool | None:
    """Returns whether the run that holds the lock has ended; None when nobody else holds it, or that is not known.

    Only a run of this region can hold it: the one that works towards the standby, and there is one standby.
    """
    held = record.transition
    return None if held is None or held.run == run else runs.is_over(held.run)
