"""Asks RDS, CloudWatch and the databases themselves what Aurora does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from failoverctl.account import Account
from handlers.core.readiness import NotSeen, Said
from handlers.gateways.aws import READ_TIMEOUT_S as A_STEP_WAITS_S

ENGINE = "aurora-postgresql"
SERVERLESS = "db.serverless"
# Instances are in two zones, so that Aurora handles the loss of one.
ZONES = 2
RESERVED = "reserved_connections"
# Aurora publishes its lag once a minute, and CloudWatch may show it some minutes late.
LAG_OF = timedelta(minutes=10)
IDLE_OF, IDLE_PERIOD_S = timedelta(hours=3), 300
LOOKS = 10
PROBE_S = 4.0


def engine(account: Account, region: str) -> Said:
    """Asks whether the engine's version is offered, for a global database."""
    version = account.settings.database.engine_version
    offered = account.pages(
        "rds", region, "describe_db_engine_versions", "DBEngineVersions", Engine=ENGINE, EngineVersion=version
    )
    fitting = [each for each in offered if each.get("SupportsGlobalDatabases")]
    if fitting:
        return "ok", f"{ENGINE} {version} is offered for global databases"
    return "failing", f"{ENGINE} {version} is {'offered, but not for global databases' if offered else 'not offered'}"


def instance_classes(account: Account, region: str) -> Said:
    """Asks whether the instances' classes can be ordered: those that are there, or that of a new deployment."""
    wanted = sorted(_classes(account, region)) or [SERVERLESS]
    faults = [fault for each in wanted if (fault := not_orderable(account, region, each))]
    return ("failing", "; ".join(faults)) if faults else ("ok", f"{', '.join(wanted)}: in {ZONES} zones or more")


def _instances(account: Account, region: str) -> list[Mapping[str, Any]]:
    return account.pages(
        "rds",
        region,
        "describe_db_instances",
        "DBInstances",
        Filters=[{"Name": "db-cluster-id", "Values": [account.names.cluster(region)]}],
    )


def _classes(account: Account, region: str) -> set[str]:
    return {str(each["DBInstanceClass"]) for each in _instances(account, region)}


def not_orderable(account: Account, region: str, instance_class: str) -> str | None:
    """Returns why a class cannot be ordered for the engine's version in two zones; None where it can."""
    version = account.settings.database.engine_version
    options = account.pages(
        "rds",
        region,
        "describe_orderable_db_instance_options",
        "OrderableDBInstanceOptions",
        Engine=ENGINE,
        EngineVersion=version,
        DBInstanceClass=instance_class,
    )
    fitting = [each for each in options if each.get("SupportsGlobalDatabases")]
    zones = {zone["Name"] for each in fitting for zone in each.get("AvailabilityZones", ())}
    if not fitting:
        return f"{instance_class} cannot be ordered for {version}" + (" in a global database" if options else "")
    return f"{instance_class} can be ordered in {', '.join(sorted(zones))} only" if len(zones) < ZONES else None


def reserved_connections(account: Account, region: str) -> Said:
    """Asks whether a cluster's parameter group may reserve connections for the monitor."""
    wanted = account.settings.database.reserved_connections
    if account.settings.adopts:
        return "ok", "the parameter group is its owner's, and not set by us"
    if not wanted:
        return "ok", "reserved_connections is 0, so no parameter group sets it"
    family = f"{ENGINE}{account.settings.database.engine_version.split('.')[0]}"
    with_marker: dict[str, str] = {}
    while True:
        defaults = account.answer(
            "rds",
            region,
            "describe_engine_default_cluster_parameters",
            DBParameterGroupFamily=family,
            **with_marker,
        )["EngineDefaults"]
        for each in defaults.get("Parameters", ()):
            if each["ParameterName"] == RESERVED:
                modifiable = bool(each.get("IsModifiable"))
                return "ok" if modifiable else "failing", f"{family} has it, {'' if modifiable else 'not '}modifiable"
        if not defaults.get("Marker"):
            return "failing", f"{family} has no cluster parameter {RESERVED}"
        with_marker = {"Marker": str(defaults["Marker"])}


def _cluster(account: Account, region: str) -> Mapping[str, Any]:
    name = account.names.cluster(region)
    found = account.answer("rds", region, "describe_db_clusters", DBClusterIdentifier=name)["DBClusters"]
    return dict(found[0])


def endpoints(account: Account, region: str) -> Said:
    """Asks how the cluster's endpoints are reported: the writer's may be absent, the reader's must not be."""
    cluster = _cluster(account, region)
    writer, reader = cluster.get("Endpoint"), cluster.get("ReaderEndpoint")
    if not reader or ".cluster-ro-" not in reader:
        return "failing", f"the reader endpoint is {reader or 'not reported'}"
    if writer is None:
        return "ok", "the reader endpoint is reported and the writer endpoint is not, which is borne"
    derived = reader.replace(".cluster-ro-", ".cluster-")
    if writer != derived:
        return "failing", f"the writer endpoint is {writer}, and not {derived}"
    return "ok", "both are reported, and differ by -ro"


def instance_endpoints(account: Account, region: str) -> Said:
    """Asks whether an instance's endpoint is its name before what follows the cluster's name in the reader endpoint."""
    _, _, domain = str(_cluster(account, region).get("ReaderEndpoint")).partition(".cluster-ro-")
    there = _instances(account, region)
    found = {str(each["DBInstanceIdentifier"]): each.get("Endpoint", {}).get("Address") for each in there}
    other = [f"that of {name} is {address}" for name, address in found.items() if address != f"{name}.{domain}"]
    if not found:
        return "failing", "the cluster has no instances"
    return ("failing", "; ".join(other)) if other else ("ok", f"those of {len(found)} instances are as derived")


def instance_login(account: Account, region: str) -> Said:
    """Has the standby's prober log in to an instance by the instance's own endpoint."""
    reached = account.prober(region).probe("own_instances", PROBE_S)
    if reached.refused:
        return "failing", f"an instance {reached.refused}"
    if reached.role != "reader":
        return "failing", f"it reached {reached.role or 'no instance'} ({reached.error})"
    return "ok", "a session with an instance, by its own name, says that it is a reader"


def names_resolve(account: Account, region: str) -> Said:
    """Asks the resolver of this machine for the cluster's endpoints; that of a standby may have no address."""
    reader = str(_cluster(account, region).get("ReaderEndpoint"))
    writer = reader.replace(".cluster-ro-", ".cluster-")
    has = {name: _resolves(name) for name in (reader, writer)}
    if not has[reader]:
        return "failing", f"{reader} does not resolve on this machine"
    if has[writer]:
        return "ok", "the writer's and the reader's endpoint resolve"
    if region == account.writer:
        return "failing", f"{writer} does not resolve on this machine, and is the writer's"
    return "ok", "the reader endpoint resolves and the standby's writer endpoint does not, which is borne"


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except socket.gaierror:
        return False


def data_api(account: Account, region: str) -> Said:
    """Asks whether the cluster's Data API is on, and login by IAM."""
    cluster = _cluster(account, region)
    off = [
        words
        for key, words in (
            ("HttpEndpointEnabled", "the Data API"),
            ("IAMDatabaseAuthenticationEnabled", "login by IAM"),
        )
        if not cluster.get(key)
    ]
    if not off:
        return "ok", "the Data API and login by IAM are on"
    # An adopted database may do without the Data API, and is promised less then (docs/adopt.md).
    borne = account.settings.adopts and cluster.get("IAMDatabaseAuthenticationEnabled")
    return "warning" if borne else "failing", f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} off"


def seen_commits(account: Account, region: str) -> Said:
    """Asks the standby itself up to when it has the writer's commits."""
    reached = account.prober(region).probe("own_reader", PROBE_S, lag=True)
    if reached.role != "reader":
        return "failing", f"the database here is {reached.role or 'not reached'} ({reached.error})"
    if reached.replicated_until is None:
        return "failing", "the standby does not say up to when it has the writer's commits"
    return "ok", f"the standby says that it has them up to {_ago(account, reached.replicated_until)}"


def _ago(account: Account, at: float) -> str:
    return f"{max(0.0, account.reading.now - at):.0f} s before this look began"


def lag_metric(account: Account, region: str) -> Said:
    """Asks CloudWatch for Aurora's lag, under the dimensions that the alarm on it has."""
    alarm = account.specification.regions[region].alarm("replication-lag")
    metric = alarm.metric
    listed = account.pages(
        "cloudwatch", region, "list_metrics", "Metrics", Namespace=metric.namespace, MetricName=metric.name
    )
    found = [{each["Name"]: each["Value"] for each in one.get("Dimensions", ())} for one in listed]
    if dict(metric.dimensions) not in found:
        other = sorted({" and ".join(sorted(each)) for each in found})
        return (
            "failing",
            f"it has no metric by {' and '.join(sorted(metric.dimensions))}, but by {', '.join(other) or 'none'}",
        )
    points = account.points(region, metric.namespace, metric.name, metric.dimensions, LAG_OF, 60)
    if not points:
        return "failing", f"no value in the last {LAG_OF.seconds / 60:.0f} minutes"
    worst = max(float(each["Maximum"]) for each in points)
    return "ok", f"{len(points)} values in {LAG_OF.seconds / 60:.0f} minutes, {worst:.0f} ms at most"


def idle_capacity(account: Account, region: str) -> Said:
    """Asks how far the cluster goes down; what it costs when nobody uses it rests on that.

    It is compared with the cluster's own minimum: that of an adopted one is its owner's, and not in the settings.
    """
    classes = _classes(account, region)
    if classes and SERVERLESS not in classes:
        return "ok", f"{', '.join(sorted(classes))}: provisioned instances have no capacity that could go down"
    least = _cluster(account, region).get("ServerlessV2ScalingConfiguration", {}).get("MinCapacity")
    if least is None:
        raise NotSeen("RDS does not tell the cluster's minimum of ACUs")
    dimensions = {"DBClusterIdentifier": account.names.cluster(region)}
    points = account.points(region, "AWS/RDS", "ServerlessDatabaseCapacity", dimensions, IDLE_OF, IDLE_PERIOD_S)
    if not points:
        raise NotSeen("CloudWatch has no capacity of the cluster yet: it is new")
    seen = min(float(each["Minimum"]) for each in points)
    words = f"{seen:g} ACU at least in the last {IDLE_OF.seconds / 3600:.0f} hours; the minimum is {least:g}"
    return "ok" if seen <= least else "warning", words


def time_to_answer(account: Account, region: str) -> Said:
    """Asks RDS some times for what the steps ask it, and measures how long it takes."""
    names = account.names
    looks: tuple[Callable[[], Any], ...] = (
        lambda: account.answer("rds", region, "describe_global_clusters", GlobalClusterIdentifier=names.global_cluster),
        lambda: account.answer("rds", region, "describe_db_clusters", DBClusterIdentifier=names.cluster(region)),
    )
    looks[0]()  # the connection is not what is measured
    took = sorted(_seconds(look) for _ in range(LOOKS) for look in looks)
    words = f"{took[len(took) // 2] * 1000:.0f} ms in the middle, {took[-1] * 1000:.0f} ms at most, of {len(took)}"
    return "ok" if took[-1] < A_STEP_WAITS_S else "failing", f"{words}; a step waits {A_STEP_WAITS_S} s"


def _seconds(look: Callable[[], Any]) -> float:
    began = time.monotonic()
    look()
    return time.monotonic() - began
