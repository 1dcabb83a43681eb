"""NotifyReprotection: keeps the record of the re-protection, and tells people in both regions how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.utilities.idempotency import idempotent
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields
from handlers.core.reprotection import Order
from handlers.core.reprotection_outcome import End, message, record
from handlers.gateways import notifications
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.idempotency import TokenVariables, by, tokens
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(notifications.TopicVariables, RunTableVariables, TokenVariables):
    """What this step reads."""

    reprotection_state_machine_arn: str
    peer_state_machine_arn: str


ENVIRONMENT = Environment.read()
TOPICS = notifications.topics(ENVIRONMENT)
RUNS = RunTable.of(ENVIRONMENT)
MACHINES = {"reprotect": ENVIRONMENT.reprotection_state_machine_arn, "failover": ENVIRONMENT.peer_state_machine_arn}


@instrumented
@idempotent(config=by("run", "outcome"), persistence_store=tokens(ENVIRONMENT))
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Step Functions' entry; see `handlers.core.reprotection_outcome.End`. Besides: ``started_at``."""
    end = End.read(event)
    logger.append_keys(run=end.run)
    order = Order.read(end.progress)
    started_at = Fields(event, "the step's event", InvalidRequest).text("started_at")
    kept = record(end, order, started_at, time.time())
    RUNS.keep(kept)
    sent = notifications.publish_to_all(TOPICS, message(end, order, MACHINES))
    if sent.failed:
        logger.warning("a topic did not take the message", failed=sent.failed)
    return kept
