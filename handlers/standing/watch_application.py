"""WatchApplication: after the writer has moved, says whether the application is well, by its own alarms.

Started by EventBridge with `WriterMoved`, beside everything else: a run has recovered, whatever the application does.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.application import LOOK_EVERY_S, SETTLES_S, WATCH_FOR_S, Health, Seen, is_news, message
from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.reading import Fields
from handlers.gateways import notifications
from handlers.gateways.aws import client, named_errors
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables, RunTableVariables, ControlVariables):
    """What the function reads."""

    application_alarms: str


ENVIRONMENT = Environment.read()
ALARMS = ENVIRONMENT.application_alarms.split(",")
CLOUDWATCH = client("cloudwatch", ENVIRONMENT.aws_region)
TOPICS = notifications.topics(ENVIRONMENT)
CONTROL = ControlTable.of(ENVIRONMENT)
RUNS = RunTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; of the event it reads which run has moved the writer."""
    run = Fields(event, "the event", InvalidRequest).section("detail").line("run")
    logger.append_keys(run=run)
    end = time.monotonic() + WATCH_FOR_S
    time.sleep(SETTLES_S)
    seen = Seen((), error="nobody has looked")
    noted: Health = "healthy"  # of one that is well all along, the record says nothing, and people hear nothing
    told: Health = "healthy"
    while not moved_on():
        seen = look(seen.ringing)
        last = time.monotonic() + LOOK_EVERY_S > end
        if seen.health != noted:
            note(run, seen)
            noted = seen.health
        if is_news(seen.health, told, last=last):
            notifications.publish_to_all(TOPICS, message(seen.health, seen.words, run, ENVIRONMENT.topic_arn))
            told = seen.health
        if last:
            break
        time.sleep(LOOK_EVERY_S)
    return {"health": seen.health, "seen": seen.words}


def moved_on() -> bool:
    """Returns whether the writer has left this region since: what alarms here say then, says nothing of the run."""
    try:
        return CONTROL.read().writer_region != ENVIRONMENT.aws_region
    except FailoverError:
        logger.exception("where the writer is, is not known; the application is watched all the same")
        return False


def look(rang: Collection[str]) -> Seen:
    """Returns what the alarms say; ``rang`` are those that rang at the look before."""
    try:
        with named_errors("looking at the application's alarms"):
            found = CLOUDWATCH.describe_alarms(AlarmNames=ALARMS, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    except FailoverError as error:
        logger.warning("the application's alarms cannot be seen", error=str(error))
        return Seen(tuple(rang), error=str(error))
    alarms = [*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ())]
    return Seen.of(ALARMS, {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}, rang)


def note(run: str, seen: Seen) -> None:
    """Notes beside the record of the run how the application is; people are told of it without."""
    logger.warning("how the application is", health=seen.health, seen=seen.words)
    try:
        RUNS.note_application(run, seen.health)
    except FailoverError:
        logger.exception("how the application is was not noted")
