"""AskRetirement: asks people, in both regions, whether the old cluster may be retired.

The workflow waits for the answer; the message holds the command that gives it, and says until when it counts.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.approval import RETIREMENT_APPROVAL_S, retirement_request
from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields
from handlers.core.reprotection import Order, Snapshot
from handlers.core.salvage import Salvage
from handlers.core.shape import read_as
from handlers.gateways import notifications
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`.

    It also reads ``snapshot`` and ``salvage``, what is kept. For the event's ``token`` see AskApproval.
    """
    order = Order.read(event)
    logger.append_keys(run=order.run)
    fields = Fields(event, "the step's event", InvalidRequest)
    asking = retirement_request(
        order,
        # Nobody is asked to let a cluster go without being told what is kept of it.
        read_as(Snapshot, fields.section("snapshot")),
        read_as(Salvage, fields.section("salvage")),
        topic=ENVIRONMENT.topic_arn,
        deadline=time.time() + RETIREMENT_APPROVAL_S,
    )
    sent = notifications.publish_to_all(TOPICS, asking)
    logger.info("asked for an approval", sent=sent.sent, failed=sent.failed)
    return asdict(sent)
