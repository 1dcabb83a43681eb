"""FollowCapacity: after a failover, gives the new writer at least the capacity that the old one used.

Started by EventBridge with `WriterMoved`, and so never before the detach, which RDS refuses while it changes a
cluster. For the same reason it asks for nothing while a run has the lock, nor when the writer has moved on: an event
may be late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.capacity import Bounds, message, raised
from handlers.core.errors import FailoverError, InvalidRequest, TransientFailure
from handlers.core.reading import Fields
from handlers.gateways import notifications
from handlers.gateways.aws import client
from handlers.gateways.clusters import Clusters
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.surroundings import used_acu
from handlers.telemetry import instrumented, logger

# RDS is busy with the promotion for a while.
TRIES, WAIT_S = 20, 15.0

Result = TypeVar("Result")


class MovedOn(FailoverError):
    """The writer has moved again since."""


class Environment(notifications.TopicVariables, ControlVariables):
    """What the function reads; ``least_acu``: the least that the settings give a writer, in tenths of an ACU."""

    cluster: str
    cluster_arn: str
    peer_cluster: str
    least_acu_tenths: int


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
CLUSTERS = Clusters.here(ENVIRONMENT)
# The old writer's region may be dark: one attempt, and without its answer the settings decide.
THERE = client("cloudwatch", ENVIRONMENT.peer_region, attempts=1)
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; of the event it reads which run has moved the writer."""
    run = Fields(event, "the event", InvalidRequest).section("detail").line("run")
    logger.append_keys(run=run)
    before = patiently(lambda: CLUSTERS.capacity(ENVIRONMENT.cluster))
    used = old_writer_used()
    after = raised(before, used, ENVIRONMENT.least_acu_tenths / 10) if before else None
    if before is None or after is None:
        logger.info("the new writer has capacity enough", bounds=before and asdict(before), used=used)
        return {"raised_to": None}
    error = None
    try:
        patiently(lambda: change(after))
    except FailoverError as failure:
        error = str(failure)
    logger.warning("the new writer's capacity", before=before.least, after=after.least, used=used, error=error)
    notifications.publish_to_all(TOPICS, message(ENVIRONMENT.cluster_arn, before, after, used, error, run))
    return {"raised_to": None if error else after.least}


def old_writer_used() -> float | None:
    """Returns the most that the old writer used in the last hour, in ACU; None where its region does not say."""
    try:
        return used_acu(THERE, ENVIRONMENT.peer_cluster, time.time())
    except FailoverError as error:
        logger.warning("what the old writer used is not known", error=str(error))
        return None


def patiently(work: Callable[[], Result]) -> Result:
    """Returns what work comes to, which is tried again and again while it raises `TransientFailure`."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except TransientFailure as failure:
            logger.warning("it is tried again", error=str(failure))
        time.sleep(WAIT_S)
    return work()


def change(bounds: Bounds) -> None:
    """Changes the cluster, if it is the writer's and no run has the lock.

    Raises
    ------
    TransientFailure
        it may be changed later.
    MovedOn
        the writer is in the other region.
    """
    record = CONTROL.read()
    if record.writer_region != ENVIRONMENT.aws_region:
        raise MovedOn(f"the writer is in {record.writer_region} again")
    if record.transition is not None:
        raise TransientFailure(f"run {record.transition.run} has the lock, and RDS must not be busy for it")
    CLUSTERS.set_capacity(ENVIRONMENT.cluster, bounds)
