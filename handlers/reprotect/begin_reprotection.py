"""BeginReprotection: reads and validates a request and takes the re-protection's lock."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.control import ReprotectionLock
from handlers.core.environment import PeerVariables
from handlers.core.errors import InvalidRequest, TransientFailure
from handlers.core.reading import Fields
from handlers.core.reprotection import Order, ReprotectionRequest, decide_begin
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, PeerVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions: ``run``, the execution's name, and ``input``, its input."""
    fields = Fields(event, "the step's event", InvalidRequest)
    run = fields.text("run")
    logger.append_keys(run=run)
    request = ReprotectionRequest.read(fields.data.get("input"))
    order = begin_reprotection(CONTROL, ENVIRONMENT, request, run)
    logger.info("decided on the request", decision=order.decision, reason=order.reason)
    return asdict(order)


def begin_reprotection(
    control: ControlTable, environment: Environment, request: ReprotectionRequest, run: str
) -> Order:
    """Decides on the request and takes the lock; raises `TransientFailure` when the record changes meanwhile."""
    record = control.read()
    order = decide_begin(record, request, run, environment.aws_region, environment.peer_region)
    lock = ReprotectionLock(run, request.started_by, time.time())
    if order.decision == "proceed" and not control.begin_reprotection(lock, record):
        raise TransientFailure(
            "the control record changed while the request was being decided; the step will decide again"
        )
    return order
