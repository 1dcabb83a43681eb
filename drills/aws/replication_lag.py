"""Aurora's own metric of replication lag.

Models (Aurora user guide, "Monitoring an Aurora global database"): ``AuroraGlobalDBReplicationLag``, in milliseconds,
once a minute, published in the standby's region; it ends when the standby is detached. What is published is measured:
the replay lag that the real writer sees of its real standby.

Limits: one value a minute, the lag at that moment and not the minute's course; CloudWatch shows it at once.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.aws.timetable import Timetable
    from drills.world.clock import Clock
    from drills.world.postgres import ReplicationLag
    from orchestration.specification.model import Cluster

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0


class ReplicationLagMetric:
    """The metric of one standby cluster."""

    def __init__(
        self,
        cluster: Cluster,
        source_region: str,
        measure: Callable[[], ReplicationLag | None],
        cloudwatch: Any,
        clock: Clock,
    ) -> None:
        """Publishes nothing yet; ``measure`` asks the writer, ``cloudwatch`` is a client of the standby's region."""
        self._cluster = cluster
        self._source_region = source_region
        self._measure = measure
        self._cloudwatch = cloudwatch
        self._clock = clock

    def start(self, timetable: Timetable) -> None:
        """Publishes now, and then once a minute."""
        timetable.every(INTERVAL_SECONDS, self._clock.now(), self._begin)

    def _begin(self, at: float) -> None:
        # In a thread of its own, because a server that freezes while it is asked never answers.
        threading.Thread(target=self.publish, args=(at,), name="replication lag", daemon=True).start()

    def publish(self, at: float) -> None:
        """Publishes the present lag; nothing when the writer does not answer or has no standby."""
        try:
            lag = self._measure()
        except psycopg.Error as error:
            log.info("no replication lag: %s", error)
            return
        if lag is None:
            return
        self._cloudwatch.put_metric_data(
            Namespace="AWS/RDS",
            MetricData=[
                {
                    "MetricName": "AuroraGlobalDBReplicationLag",
                    "Value": self._clock.to_virtual(lag.seconds) * 1000,
                    "Unit": "Milliseconds",
                    "Timestamp": datetime.fromtimestamp(at, UTC),
                    "Dimensions": [
                        {"Name": "DBClusterIdentifier", "Value": self._cluster.identifier},
                        {"Name": "SourceRegion", "Value": self._source_region},
                    ],
                }
            ],
        )
