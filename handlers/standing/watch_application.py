"""WatchApplication: after the writer has moved, says whether the application is well, by its own alarms.

Started by EventBridge with `WriterMoved`, beside everything else: a run has recovered, whatever the application does.
"""

from __future__ import annotations

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.application import LOOK_EVERY_S, SETTLES_S, WATCH_FOR_S, Health, Seen, message
from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.reading import Fields
from handlers.gateways import notifications
from handlers.gateways.aws import client, named_errors
from handlers.gateways.run_table import RunTable, RunTableVariables
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables, RunTableVariables):
    """What the function reads."""

    application_alarms: str


ENVIRONMENT = Environment.read()
ALARMS = ENVIRONMENT.application_alarms.split(",")
CLOUDWATCH = client("cloudwatch", ENVIRONMENT.aws_region)
TOPICS = notifications.topics(ENVIRONMENT)
RUNS = RunTable.of(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; of the event it reads which run has moved the writer."""
    run = Fields(event, "the event", InvalidRequest).section("detail").line("run")
    logger.append_keys(run=run)
    end = time.monotonic() + WATCH_FOR_S
    time.sleep(SETTLES_S)
    said: Health | None = None
    while True:
        health, words = look()
        if health != said and (said is not None or health != "healthy"):  # one that was well all along is no news
            tell(run, health, words)
        said = health
        if health == "healthy" or time.monotonic() + LOOK_EVERY_S > end:
            return {"health": health, "seen": words}
        time.sleep(LOOK_EVERY_S)


def look() -> tuple[Health, str]:
    """Returns what the alarms say, and in words."""
    try:
        with named_errors("looking at the application's alarms"):
            found = CLOUDWATCH.describe_alarms(AlarmNames=ALARMS, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    except FailoverError as error:
        logger.warning("the application's alarms cannot be seen", error=str(error))
        return "unknown", str(error)
    alarms = [*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ())]
    seen = Seen.of(ALARMS, {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms})
    return seen.health, seen.words


def tell(run: str, health: Health, words: str) -> None:
    """Tells people, and notes it in the record of the run; either is done without the other."""
    logger.warning("how the application is", health=health, seen=words)
    try:
        RUNS.note_application(run, health)
    except FailoverError:
        logger.exception("how the application is was not noted")
    notifications.publish_to_all(TOPICS, message(health, words, run, ENVIRONMENT.topic_arn))
