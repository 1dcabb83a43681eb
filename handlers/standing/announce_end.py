"""AnnounceEnd: tells people of runs whose end no step announces. Started by EventBridge, not by a workflow."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.announcing import known
from handlers.core.unannounced import Ended, message
from handlers.gateways import notifications
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.notifications import Notification
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables, notifications.WorkflowVariables, ControlVariables):
    """What the function reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; see `handlers.core.unannounced.Ended`."""
    ended = Ended.read(event)
    logger.append_keys(run=ended.run)
    if ended.is_announced:
        logger.info("the run has told people itself", error=ended.error)
        return asdict(Notification([], {}))
    said = message(ended, known(CONTROL), notifications.workflows(ENVIRONMENT), time.time())
    sent = notifications.publish_to_all(TOPICS, said)
    logger.warning("announced an end that no step announces", status=ended.status, failed=sent.failed)
    return asdict(sent)
