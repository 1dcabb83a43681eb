"""NotifyReprotection: keeps the record of the re-protection; tells people and programs how it ended."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.announcing import announce
from handlers.core.errors import InvalidRequest
from handlers.core.events import of_reprotection
from handlers.core.reading import Fields
from handlers.core.reprotection_outcome import ReprotectionEnd, message, record
from handlers.gateways import notifications
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.idempotency import TokenVariables, acts_once_by
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables, RunTableVariables, TokenVariables):
    """What this step reads."""

    reprotection_state_machine_arn: str
    peer_state_machine_arn: str
    global_cluster: str


ENVIRONMENT = Environment.read()
TOPICS = notifications.topics(ENVIRONMENT)
RUNS = RunTable.of(ENVIRONMENT)


@instrumented
@acts_once_by(ENVIRONMENT, "run", "outcome")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection_outcome.ReprotectionEnd`.

    It also reads ``started_at``, the execution's start.
    """
    end = ReprotectionEnd.read(event)
    logger.append_keys(run=end.run)
    if end.unreadable:
        logger.warning("a part of the progress cannot be read", unreadable=end.unreadable)
    started_at = Fields(event, "the step's event", InvalidRequest).text("started_at")
    kept = asdict(record(end, started_at, time.time()))
    RUNS.keep(kept)
    told = message(
        end, reprotect=ENVIRONMENT.reprotection_state_machine_arn, failover=ENVIRONMENT.peer_state_machine_arn
    )
    sent = notifications.publish_to_all(TOPICS, told)
    if sent.failed:
        logger.warning("a topic did not take the message", failed=sent.failed)
    announce(ENVIRONMENT.aws_region, ENVIRONMENT.global_cluster, of_reprotection(end))
    return kept | asdict(sent)
