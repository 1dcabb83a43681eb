"""SNS: messages to people, in both regions. The loss of one region's topic is tolerated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.core.environment import PeerVariables, Variables
from handlers.core.errors import FailoverError, NotificationFailed
from handlers.core.message import Message, Workflows
from handlers.core.plain import shortened
from handlers.gateways.aws import client, named_errors

if TYPE_CHECKING:
    from types_boto3_sns import SNSClient

# Step Functions passes 256 KB from state to state, and a message names all tables that a salvage could not read.
LONGEST_KEPT = 20_000  # characters


@dataclass(frozen=True)
class Notification:
    """Which topics took the message, why others did not, and what it said, which the report of the run shows."""

    sent: list[str]
    failed: dict[str, str]
    subject: str = ""
    text: str = ""


class TopicVariables(PeerVariables):
    """The topics of both regions."""

    topic_arn: str
    peer_topic_arn: str


class WorkflowVariables(Variables):
    """The workflows whose commands a message may hold."""

    state_machine_arn: str
    peer_state_machine_arn: str
    reprotection_state_machine_arn: str


def workflows(environment: WorkflowVariables) -> Workflows:
    """Returns the same, by what they do."""
    return Workflows(
        failover=environment.state_machine_arn,
        failover_there=environment.peer_state_machine_arn,
        reprotect=environment.reprotection_state_machine_arn,
    )


def topics(environment: TopicVariables) -> dict[str, SNSClient]:
    """Returns the topics of both regions, each with a client of its region."""
    return {
        environment.topic_arn: client("sns", environment.aws_region),
        # One attempt: the other region may be the one that failed.
        environment.peer_topic_arn: client("sns", environment.peer_region, attempts=1),
    }


def publish_to_all(all_topics: dict[str, SNSClient], message: Message) -> Notification:
    """Publishes to every topic at once.

    Raises
    ------
    NotificationFailed
        no topic took the message.
    """
    sent: list[str] = []
    failed: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        attempts = {topic: pool.submit(_publish, sns, topic, message) for topic, sns in all_topics.items()}
        for topic, attempt in attempts.items():
            try:
                attempt.result()
                sent.append(topic)
            except FailoverError as error:
                failed[topic] = str(error)
    if not sent:
        raise NotificationFailed(f"no topic took the message: {failed}")
    return Notification(sent, failed, message.subject, shortened(message.text, LONGEST_KEPT))


def _publish(sns: SNSClient, topic_arn: str, message: Message) -> None:
    with named_errors(f"publishing to {topic_arn}"):
        sns.publish(TopicArn=topic_arn, Subject=message.subject, Message=message.text)
