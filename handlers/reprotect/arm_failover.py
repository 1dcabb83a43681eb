"""ArmFailover: records that there is a standby again; from now on an alarm or a person may move the writer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.reprotection import Order
from handlers.core.reprotection_results import Armed
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`."""
    order = Order.read(event)
    logger.append_keys(run=order.run)
    return asdict(arm_failover(CONTROL, order))


def arm_failover(control: ControlTable, order: Order) -> Armed:
    """Ends the re-protection; repeated, it changes nothing. Raises `LockLost` when another run re-protects."""
    control.arm(order.run, order.epoch)
    armed = Armed(control.read().automatic_failover)
    logger.info("there is a standby again", automatic_failover=armed.automatic_failover)
    return armed
