"""AskApproval: asks people, in both regions, whether the writes that a failover would lose may be lost.

The workflow waits for the answer; the message holds the command that gives it, and says until when it counts.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.announcing import announce
from handlers.core.approval import APPROVAL_S, request
from handlers.core.commands import Step
from handlers.core.errors import InvalidRequest
from handlers.core.events import of_question
from handlers.core.reading import Fields
from handlers.gateways import notifications
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables):
    """What this step reads."""

    global_cluster: str


ENVIRONMENT = Environment.read()
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`.

    It also reads ``lag``, VerifyLag's verdict. The event's ``token``, which an answer has to name, is there to be in
    the run's history, where ``failoverctl`` finds it.
    """
    step = Step.read(event)
    logger.append_keys(run=step.run)
    fields = Fields(event, "the step's event", InvalidRequest)
    reason, deadline = fields.section("lag").text("reason", pattern=".{1,1000}"), time.time() + APPROVAL_S
    asking = request(step.claim, reason=reason, topic=ENVIRONMENT.topic_arn, deadline=deadline)
    sent = notifications.publish_to_all(TOPICS, asking)
    logger.info("asked for an approval", sent=sent.sent, failed=sent.failed)
    announce(ENVIRONMENT.aws_region, ENVIRONMENT.global_cluster, [of_question(step.claim, reason, deadline)])
    return asdict(sent)
