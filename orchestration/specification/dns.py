"""The private zone: one name for the writer, switched by a health check and never by editing a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestration.settings import Settings
from orchestration.specification.model import (
    AlarmHealthCheck,
    CombinedHealthCheck,
    HealthCheck,
    Record,
    Region,
    Zone,
)
from orchestration.specification.names import Names

# Clients follow a switch within this time. It is short because it is part of every RTO, and not 0, so that a resolver's
# outage of a second or two goes unnoticed.
WRITER_TTL_SECONDS = 5
# A cluster's own name changes only when re-protection rebuilds the cluster.
CLUSTER_TTL_SECONDS = 60
# The fastest that Route 53 offers (10 s, one failed check); both cost extra and are part of every RTO.
SWITCH_INTERVAL_SECONDS: Literal[10, 30] = 10
SWITCH_FAILURE_THRESHOLD = 1

WRITER_SWITCH_CHECK = "writer-switch"
# Alarms whose metrics Route 53 can follow: of standard resolution, without metric math. They show the database's
# connectivity and lag; they are too slow to decide anything.
SHOWN_ALARMS = ("writer-connectivity", "replication-lag")


def zone(settings: Settings, names: Names, regions: Mapping[str, Region]) -> Zone:
    """Returns the zone. The writer switch is the function in the region that is the standby at deployment.

    The check of the writer switch is inverted: Route 53 answers with the PRIMARY record unless the standby region
    itself says "engaged". An unreachable switch therefore changes nothing (AWS networking blog, "Creating Disaster
    Recovery Mechanisms Using Amazon Route 53", the pattern "standby takes over primary").
    """
    writer, standby = settings.regions
    check = HealthCheck(
        key=WRITER_SWITCH_CHECK,
        name=names.regional(WRITER_SWITCH_CHECK, standby),
        function=regions[standby].functions["writer_switch"],
        function_region=standby,
        path="/",
        interval_seconds=SWITCH_INTERVAL_SECONDS,
        failure_threshold=SWITCH_FAILURE_THRESHOLD,
        inverted=True,
    )
    shown = tuple(
        AlarmHealthCheck(f"{key}-{region}", names.regional(key, region), regions[region].alarm(key), region)
        for region in settings.regions
        for key in SHOWN_ALARMS
    )
    return Zone(
        name=names.zone,
        writer_name=names.writer,
        records=(
            Record(names.writer, writer, "writer", WRITER_TTL_SECONDS, "PRIMARY", check.key),
            Record(names.writer, standby, "writer", WRITER_TTL_SECONDS, "SECONDARY"),
            *(Record(names.cluster_dns(region), region, "writer", CLUSTER_TTL_SECONDS) for region in settings.regions),
            *(Record(names.reader_dns(region), region, "reader", CLUSTER_TTL_SECONDS) for region in settings.regions),
        ),
        health_checks=(check,),
        alarm_checks=shown,
        database_check=CombinedHealthCheck(names.unique("database"), tuple(part.key for part in shown)),
    )
