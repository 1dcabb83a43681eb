"""FollowCapacity: after a failover, gives the new writer at least the capacity that the old one used.

Started by EventBridge with `WriterMoved`, and so never before the detach, which RDS refuses while it changes a cluster.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.capacity import Bounds, message, raised
from handlers.core.errors import FailoverError, InvalidRequest, TransientFailure
from handlers.core.reading import Fields
from handlers.gateways import notifications
from handlers.gateways.aws import client
from handlers.gateways.clusters import Clusters
from handlers.gateways.surroundings import used_acu
from handlers.telemetry import instrumented, logger

# RDS is busy with the promotion for a while.
TRIES, WAIT_S = 20, 15.0


class Environment(notifications.TopicVariables):
    """What the function reads; ``least_acu``: the least that the settings give a writer, in tenths of an ACU."""

    cluster: str
    cluster_arn: str
    peer_cluster: str
    least_acu_tenths: int


ENVIRONMENT = Environment.read()
CLUSTERS = Clusters.here(ENVIRONMENT)
# The old writer's region may be dark: one attempt, and without its answer the settings decide.
THERE = client("cloudwatch", ENVIRONMENT.peer_region, attempts=1)
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; of the event it reads which run has moved the writer."""
    run = Fields(event, "the event", InvalidRequest).section("detail").line("run")
    logger.append_keys(run=run)
    before = CLUSTERS.capacity(ENVIRONMENT.cluster)
    used = old_writer_used()
    after = raised(before, used, ENVIRONMENT.least_acu_tenths / 10) if before else None
    if before is None or after is None:
        logger.info("the new writer has capacity enough", bounds=before and asdict(before), used=used)
        return {"raised_to": None}
    error = set_to(after)
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


def set_to(bounds: Bounds) -> str | None:
    """Changes the cluster, and asks again while RDS is busy; returns why it has not been changed."""
    error = "RDS was not asked"
    for number in range(TRIES):
        try:
            CLUSTERS.set_capacity(ENVIRONMENT.cluster, bounds)
        except TransientFailure as failure:
            error = str(failure)
        except FailoverError as failure:
            return str(failure)
        else:
            return None
        if number < TRIES - 1:
            time.sleep(WAIT_S)
    return error
