"""Notify: tells people in both regions how the run ended. The loss of one region's topic is tolerated.

Nobody is told of a run that was started beside the one that does the work; its record says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.message import Workflows
from handlers.core.outcome import FailoverEnd, message
from handlers.gateways import notifications
from handlers.gateways.notifications import Notification
from handlers.idempotency import TokenVariables, acts_once_by
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(notifications.TopicVariables, TokenVariables):
    """What this step reads."""

    state_machine_arn: str
    peer_state_machine_arn: str
    reprotection_state_machine_arn: str


ENVIRONMENT = Environment.read()
WORKFLOWS = Workflows(
    ENVIRONMENT.state_machine_arn, ENVIRONMENT.peer_state_machine_arn, ENVIRONMENT.reprotection_state_machine_arn
)
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
@acts_once_by(ENVIRONMENT, "run", "outcome")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.outcome.FailoverEnd`."""
    end = FailoverEnd.read(event)
    logger.append_keys(run=end.run)
    if end.is_duplicate:  # a storm of starts must not become a storm of messages
        logger.info("a duplicate: nobody is told")
        return asdict(Notification([], {}))
    sent = notifications.publish_to_all(TOPICS, message(end, WORKFLOWS))
    if sent.failed:
        logger.warning("a topic did not take the message", failed=sent.failed)
    return asdict(sent)
