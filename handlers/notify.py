"""Notify: tells people in both regions how the run ended. The loss of one region's topic is tolerated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.idempotency import idempotent
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import Environment
from handlers.core.errors import FailoverError, NotificationFailed
from handlers.core.outcome import End, Message, message
from handlers.gateways import notifications
from handlers.gateways.aws import client
from handlers.idempotency import by, tokens
from handlers.telemetry import instrumented, logger

ENVIRONMENT = Environment.read()
TOPICS = {
    ENVIRONMENT.topic_arn: client("sns", ENVIRONMENT.aws_region),
    # One attempt: the other region may be the one that failed.
    ENVIRONMENT.peer_topic_arn: client("sns", ENVIRONMENT.peer_region, attempts=1),
}


@dataclass(frozen=True)
class Notification:
    """Which topics took the message, and why others did not."""

    sent: list[str]
    failed: dict[str, str]


@instrumented
@idempotent(config=by("run", "outcome"), persistence_store=tokens(ENVIRONMENT))
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Step Functions' entry; see `handlers.core.outcome.End`."""
    end = End.read(event)
    logger.append_keys(run=end.run)
    return asdict(notify(TOPICS, message(end, ENVIRONMENT.aws_region, ENVIRONMENT.state_machine_arn)))


def notify(topics: dict[str, Any], text: Message) -> Notification:
    """Publishes to every topic at once.

    Raises
    ------
    NotificationFailed
        no topic took the message.
    """
    sent: list[str] = []
    failed: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        attempts = {
            topic: pool.submit(notifications.publish, sns, topic, text.subject, text.text)
            for topic, sns in topics.items()
        }
        for topic, attempt in attempts.items():
            try:
                attempt.result()
                sent.append(topic)
            except FailoverError as error:
                failed[topic] = str(error)
                logger.warning("a topic did not take the message", topic=topic, error=str(error))
    if not sent:
        raise NotificationFailed(f"no topic took the message: {failed}")
    return Notification(sent, failed)
