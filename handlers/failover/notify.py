"""Notify: tells people in both regions, and programs, that a run has begun, lasts, or how it ended.

The loss of one region's topic is tolerated. Nobody is told of a run that was started beside the one that does the work;
its record says so. Nor is anybody told of every attempt: see `handlers.core.told`.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.announcing import announce, known
from handlers.core.control import ControlRecord, Told
from handlers.core.errors import FailoverError
from handlers.core.outcome import FailoverEnd, message
from handlers.core.told import is_due
from handlers.gateways import notifications
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.notifications import Notification
from handlers.idempotency import TokenVariables, acts_once_by
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables, notifications.WorkflowVariables, TokenVariables, ControlVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.outcome.FailoverEnd`."""
    end = FailoverEnd.read(event)
    logger.append_keys(run=end.run)
    if end.is_duplicate:  # a storm of starts must not become a storm of messages, nor of tokens
        logger.info("a duplicate: nobody is told")
        return asdict(Notification([], {}))
    try:
        return tell(event, context)
    finally:  # also where no topic takes the message
        tell_programs(end)


@acts_once_by(ENVIRONMENT, "run", "outcome", "at")
def tell(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Tells people, unless they have been told.

    Of a run that lasts, they are told more than once: ``at``, when the state was entered, tells those messages apart.
    """
    end = FailoverEnd.read(event)
    told_as, now = end.told_as, time.time()
    record = known(CONTROL) if told_as is not None or end.leaves_writer else None
    if told_as is not None and not is_news(record, *told_as, now):
        logger.info("people have been told of that", about=told_as[0], reason=told_as[1])
        return asdict(Notification([], {}))
    sent = notifications.publish_to_all(TOPICS, message(end, notifications.workflows(ENVIRONMENT), record, now))
    if sent.failed:
        logger.warning("a topic did not take the message", failed=sent.failed)
    if told_as is not None:
        note(CONTROL, *told_as)
    return asdict(sent)


def tell_programs(end: FailoverEnd) -> None:
    """Puts the events of this end."""
    from handlers.core.events import of_failover  # a start that tells nobody anything is spared it

    announce(ENVIRONMENT.aws_region, ENVIRONMENT.global_cluster, of_failover(end))


def is_news(record: ControlRecord | None, about: str, reason: str, now: float) -> bool:
    """Returns whether people have to be told; they are rather than not, while the record cannot be read."""
    return record is None or is_due(record.told, about, reason, now)


def note(control: ControlTable, about: str, reason: str) -> None:
    """Notes what people have been told; where that does not succeed, they may be told again."""
    try:
        control.note_told(control.read(), Told(about, reason, time.time()))
    except FailoverError:
        logger.exception("what people were told is not noted")
