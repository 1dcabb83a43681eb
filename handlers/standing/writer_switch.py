"""The writer switch: tells Route 53's health checkers whether clients belong in this region.

200 means engaged. Everything else, and silence, means not engaged, so its loss changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.control import writer_switch_engaged
from handlers.core.errors import FailoverError
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import logger


@dataclass(frozen=True)
class Environment(ControlVariables):
    """What the function reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)

ENGAGED, NOT_ENGAGED = 200, 503  # Route 53 counts 2xx and 3xx as healthy


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for the function URL; nothing in the request matters, so nothing of it is read."""
    try:
        engaged = writer_switch_engaged(CONTROL.read(), ENVIRONMENT.aws_region)
    except FailoverError as error:
        logger.exception("the control record cannot be read: not engaged")
        return answer(NOT_ENGAGED, {"engaged": False, "error": type(error).__name__})
    return answer(ENGAGED if engaged else NOT_ENGAGED, {"engaged": engaged})


def answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """Returns an HTTP answer in the shape of Lambda function URLs, never to be cached."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps(body),
    }
