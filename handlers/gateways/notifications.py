"""SNS: messages to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.gateways.aws import named_errors

if TYPE_CHECKING:
    from types_boto3_sns import SNSClient


def publish(client: SNSClient, topic_arn: str, subject: str, text: str) -> None:
    """Publishes one message; ``subject`` is at most 100 ASCII characters (SNS API reference, Publish)."""
    with named_errors(f"publishing to {topic_arn}"):
        client.publish(TopicArn=topic_arn, Subject=subject, Message=text)
