"""Idempotency tokens in this region's DynamoDB table (Powertools): a step repeated within a run acts once."""

from __future__ import annotations

from dataclasses import dataclass

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig

from handlers.core.environment import Variables
from handlers.gateways.aws import client

# Longer than any execution may take (30 min), and long enough for people to look at them after an incident.
TOKEN_LIFETIME_S = 7 * 24 * 3600


@dataclass(frozen=True)
class TokenVariables(Variables):
    """The table of this region."""

    idempotency_table: str


def tokens(environment: TokenVariables) -> DynamoDBPersistenceLayer:
    """Returns the table that holds the tokens."""
    return DynamoDBPersistenceLayer(
        table_name=environment.idempotency_table, boto3_client=client("dynamodb", environment.aws_region)
    )


def by(*fields: str) -> IdempotencyConfig:
    """Returns one token for each distinct set of values of these fields of the event."""
    return IdempotencyConfig(
        event_key_jmespath=f"[{', '.join(fields)}]",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=TOKEN_LIFETIME_S,
    )
