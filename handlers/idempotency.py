"""Idempotency tokens in this region's DynamoDB table (Powertools): a step repeated within a run acts once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import Variables
from handlers.gateways.aws import client
from handlers.telemetry import Handler, logger

# Longer than any execution may take (30 min), and long enough for people to look at them after an incident.
TOKEN_LIFETIME_S = 7 * 24 * 3600

# A token is asked for before the work and written after it, each time once: a table that hangs must leave the step the
# time to do its work without one.
READ_TIMEOUT_S = 1.0


class TokenVariables(Variables):
    """The table of this region."""

    idempotency_table: str


def acts_once_by(environment: TokenVariables, *fields: str) -> Callable[[Handler], Handler]:
    """Returns a decorator: however often a handler is called with the same values of these fields, it acts once.

    While the table of tokens does not answer it acts without one: done twice is better than not done.

    Powertools' idempotency is imported by the first call: it imports boto3, which nothing else needs, and takes a fifth
    of a cold start, of which a start that tells nobody anything is spared.
    """

    def decorate(handler: Handler) -> Handler:
        once: Handler | None = None

        @wraps(handler)
        def act(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyPersistenceLayerError

            nonlocal once
            once = once or _once(handler, environment, fields)
            try:
                return once(event, context)
            except IdempotencyPersistenceLayerError as error:
                logger.warning("acts without an idempotency token", error=str(error))
                return handler(event, context)

        return act

    return decorate


def _once(handler: Handler, environment: TokenVariables, fields: tuple[str, ...]) -> Handler:
    from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent

    table = DynamoDBPersistenceLayer(
        table_name=environment.idempotency_table,
        boto3_client=client("dynamodb", environment.aws_region, read_timeout_s=READ_TIMEOUT_S, attempts=1),
    )
    config = IdempotencyConfig(
        event_key_jmespath=f"[{', '.join(fields)}]",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=TOKEN_LIFETIME_S,
    )
    once: Handler = idempotent(config=config, persistence_store=table)(handler)
    return once
