"""The writer switch: tells Route 53's health checkers whether clients belong in the region of the SECONDARY record.

200 means that they do. Everything else, and silence, means that this switch does not vouch for it. The switches of both
regions answer the same question from the same record, so the loss of either changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.control import writer_switch_engaged
from handlers.core.errors import FailoverError
from handlers.core.lease import LEASE_S
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.machine import Machine
from handlers.telemetry import logger


class Environment(ControlVariables):
    """What the function reads."""

    secondary_region: str


# A health checker waits for 2 s (Route 53 guide); an answer from memory has to leave before that.
READ_TIMEOUT_S = 1.0

ENVIRONMENT = Environment.read()
MACHINE = Machine()
CONTROL = ControlTable.of(ENVIRONMENT, read_timeout_s=READ_TIMEOUT_S, attempts=1)

ENGAGED, NOT_ENGAGED = 200, 503  # Route 53 counts 2xx and 3xx as healthy


@dataclass
class LastAnswer:
    """What the record last said, and when it was read (seconds since 1970)."""

    engaged: bool = False
    read_at: float = 0.0

    def still_holds(self, now: float) -> bool:
        """Returns whether it may be repeated: for one lease, which outlasts a hiccup of the table.

        No failover is held up by that: it waits for the old writer's lease as well.
        """
        return 0 <= now - self.read_at <= LEASE_S


LAST = LastAnswer()  # of this execution environment; a new one has none


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for the function URL; nothing in the request matters, so nothing of it is read.

    A switch that cannot read the record repeats its last answer for as long as that holds, and then does not vouch.
    """
    asked_at = MACHINE.now()
    try:
        LAST.engaged, LAST.read_at = writer_switch_engaged(CONTROL.read(), ENVIRONMENT.secondary_region), asked_at
    except FailoverError as error:
        repeated = LAST.engaged and LAST.still_holds(MACHINE.now())
        logger.exception("the control record cannot be read", repeated=repeated)
        return answer(repeated, {"engaged": repeated, "error": type(error).__name__})
    return answer(LAST.engaged, {"engaged": LAST.engaged})


def answer(engaged: bool, body: dict[str, Any]) -> dict[str, Any]:
    """Returns an HTTP answer in the shape of Lambda function URLs, never to be cached."""
    return {
        "statusCode": ENGAGED if engaged else NOT_ENGAGED,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps(body),
    }
