"""The private zone: one name for the writer, switched by a health check and never by editing a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orchestration.settings import Settings
from orchestration.specification.model import (
    AlarmHealthCheck,
    CalculatedHealthCheck,
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
# How long a resolver keeps that a name of the zone is not there, as while Terraform replaces a record: as short as what
# the writer's name leads to. Route 53's own is 15 min.
NEGATIVE_TTL_SECONDS = WRITER_TTL_SECONDS
# The fastest that Route 53 offers (10 s, one failed check); both cost extra and are part of every RTO.
SWITCH_INTERVAL_SECONDS: Literal[10, 30] = 10
SWITCH_FAILURE_THRESHOLD = 1

# Either switch can vouch that clients belong in the SECONDARY's region, so neither is missed.
SWITCHES_TO_ENGAGE = 1

# Alarms whose metrics Route 53 can follow: of standard resolution, without metric math. They show the database's
# connectivity and lag; they are too slow to decide anything.
SHOWN_ALARMS = ("writer-connectivity", "replication-lag")


def zone(settings: Settings, names: Names, regions: Mapping[str, Region]) -> Zone:
    """Returns the zone; PRIMARY is the record of the region that is the writer's at deployment.

    The writer switches of both regions answer one question from the control record: do clients belong in the
    SECONDARY's region? PRIMARY's check counts those that say yes and is inverted, so that PRIMARY is the answer unless
    one says yes. Whichever region has the writer, either switch is enough, and one that is silent changes nothing.
    (Route 53 API reference, ``HealthCheckConfig``: ``HealthThreshold``, ``Inverted``. AWS networking blog, "Creating
    Disaster Recovery Mechanisms Using Amazon Route 53": the pattern "standby takes over primary".)
    """
    primary, secondary = settings.regions
    switches = tuple(
        HealthCheck(
            key=f"writer-switch-{region}",
            name=names.regional("writer-switch", region),
            function=regions[region].functions["writer_switch"],
            function_region=region,
            path="/",
            interval_seconds=SWITCH_INTERVAL_SECONDS,
            failure_threshold=SWITCH_FAILURE_THRESHOLD,
        )
        for region in settings.regions
    )
    check = CalculatedHealthCheck(
        key="writer-primary",
        name=names.unique("writer-primary"),
        parts=tuple(switch.key for switch in switches),
        threshold=SWITCHES_TO_ENGAGE,
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
        negative_ttl_seconds=NEGATIVE_TTL_SECONDS,
        records=(
            Record(names.writer, primary, "writer", WRITER_TTL_SECONDS, "PRIMARY", check.key),
            Record(names.writer, secondary, "writer", WRITER_TTL_SECONDS, "SECONDARY"),
            *(Record(names.cluster_dns(region), region, "writer", CLUSTER_TTL_SECONDS) for region in settings.regions),
            *(Record(names.reader_dns(region), region, "reader", CLUSTER_TTL_SECONDS) for region in settings.regions),
        ),
        health_checks=switches,
        writer_check=check,
        alarm_checks=shown,
        database_check=CalculatedHealthCheck(
            "database", names.unique("database"), tuple(part.key for part in shown), threshold=len(shown)
        ),
    )
