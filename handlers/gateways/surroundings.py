"""What readiness looks at beside the databases: metrics, DNS, Lambda's reservations, backups, the topic, past runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from handlers.core.environment import Variables
from handlers.core.errors import Misconfigured
from handlers.core.readiness import DAY_S, HEARTBEAT_OF_S, HOUR_S, ConcurrencySeen, DnsSeen
from handlers.gateways.aws import client, code_of, named_errors

# What a run says of itself that has shown that a failover to its region works.
DRILLED = frozenset({"recovered", "rehearsed"})
# Late and duplicate starts end successfully as well, and an outage may have brought some.
RUNS_LOOKED_AT = 20


class SurroundingsVariables(Variables):
    """The things around this region's database, by their names."""

    backup_vault: str
    cluster_arn: str
    state_machine_arn: str
    topic_arn: str
    writer_dns_name: str
    zone: str


class Surroundings:
    """One region's; each look is made of requests that change nothing, and raises `FailoverError`."""

    def __init__(self, environment: SurroundingsVariables) -> None:
        self._environment = environment
        region = environment.aws_region
        self._lambda = client("lambda", region)
        self._backup = client("backup", region)
        self._sns = client("sns", region)
        self._runs = client("stepfunctions", region)
        self._dns = client("route53", region)

    @classmethod
    def of(cls, environment: SurroundingsVariables) -> Surroundings:
        """Returns those that a function's environment names."""
        return cls(environment)

    def concurrency(self, functions: Iterable[str]) -> ConcurrencySeen:
        """Returns Lambda's quota here, and what is reserved for each of ``functions``."""
        with named_errors("reading Lambda's quota"):
            quota = self._lambda.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
        return ConcurrencySeen(quota, {name: self._reserved(name) for name in functions})

    def _reserved(self, function: str) -> int | None:
        with named_errors(f"reading what is reserved for {function}"):
            found = self._lambda.get_function_concurrency(FunctionName=function)
        reserved = found.get("ReservedConcurrentExecutions")
        return None if reserved is None else int(reserved)

    def last_backup_at(self) -> float | None:
        """Returns when the newest backup of this region's cluster in its vault was made; None when there is none."""
        vault = self._environment.backup_vault
        with named_errors(f"listing the backups in {vault}"):
            pages = self._backup.get_paginator("list_recovery_points_by_backup_vault").paginate(
                BackupVaultName=vault, ByResourceArn=self._environment.cluster_arn
            )
            points = [point for page in pages for point in page["RecoveryPoints"]]
        made = [point["CreationDate"].timestamp() for point in points if point["Status"] == "COMPLETED"]
        return max(made, default=None)

    def subscribers(self) -> tuple[int, int]:
        """Returns how many have confirmed that they want to hear of this region, and how many have not yet."""
        with named_errors("reading the topic's subscribers"):
            found = self._sns.get_topic_attributes(TopicArn=self._environment.topic_arn)["Attributes"]
        return int(found["SubscriptionsConfirmed"]), int(found["SubscriptionsPending"])

    def last_drill_at(self) -> float | None:
        """Returns when the last run to this region ended that did what it was for; None when there is none."""
        with named_errors("listing the runs"):
            found = self._runs.list_executions(
                stateMachineArn=self._environment.state_machine_arn,
                statusFilter="SUCCEEDED",
                maxResults=RUNS_LOOKED_AT,
            )["executions"]
        for run in found:  # the newest first
            with named_errors(f"reading how run {run['name']} ended"):
                output = self._runs.describe_execution(executionArn=run["executionArn"]).get("output")
            if json.loads(output or "{}").get("outcome") in DRILLED:
                return float(run["stopDate"].timestamp())
        return None

    def dns(self) -> DnsSeen:
        """Returns the records of the writer's name, and the check that decides between them.

        Raises `Misconfigured` where there is no such zone.
        """
        records = {record["Failover"]: record for record in self._writer_records() if "Failover" in record}
        primary = records.get("PRIMARY", {}).get("HealthCheckId")
        check = self._check(primary) if primary else {}
        counted = check.get("ChildHealthChecks", [])
        switches = {name: self._check(name) for name in counted}
        disabled = [name for name, each in {str(primary): check, **switches}.items() if each.get("Disabled")]
        own = [
            record["ResourceRecords"][0]["Value"]
            for record in records.values()
            if record.get("SetIdentifier") == self._environment.aws_region and record.get("ResourceRecords")
        ]
        return DnsSeen(
            primary_has_check=primary is not None,
            own_value=own[0].rstrip(".") if own else None,
            inverted=bool(check.get("Inverted")),
            counted=len(counted),
            threshold=int(check.get("HealthThreshold", 0)),
            disabled=tuple(disabled),
        )

    def _writer_records(self) -> list[Mapping[str, Any]]:
        zone, name = self._environment.zone, self._environment.writer_dns_name
        with named_errors(f"reading the records of {name}"):
            zones = self._dns.list_hosted_zones_by_name(DNSName=zone)["HostedZones"]
            named = [found for found in zones if found["Name"].rstrip(".") == zone]
            if not named:
                raise Misconfigured(f"there is no zone {zone}; the global stack makes it")
            # A public one may have the same name, for the world outside.
            ours = max(named, key=lambda found: found.get("Config", {}).get("PrivateZone", False))
            pages = self._dns.get_paginator("list_resource_record_sets").paginate(
                HostedZoneId=ours["Id"].rsplit("/", 1)[-1]
            )
            records = [record for page in pages for record in page["ResourceRecordSets"]]
        return [record for record in records if record["Name"].rstrip(".") == name]

    def _check(self, identifier: str) -> Mapping[str, Any]:
        with named_errors(f"reading the health check {identifier}"):
            try:
                found: Mapping[str, Any] = self._dns.get_health_check(HealthCheckId=identifier)["HealthCheck"]
            except ClientError as error:
                if code_of(error) == "NoSuchHealthCheck":
                    return {}
                raise
        config: Mapping[str, Any] = found["HealthCheckConfig"]
        return config


def newest(cloudwatch: Any, namespace: str, metric: str, dimensions: Mapping[str, str], now: float) -> float | None:
    """Returns the newest value of a metric that comes once a minute; None when there is none of late."""
    points = _points(cloudwatch, namespace, metric, dimensions, now, HEARTBEAT_OF_S, 60)
    last = max(points, key=lambda point: point["Timestamp"], default=None)
    return None if last is None else float(last["Maximum"])


def peak_acu(cloudwatch: Any, cluster: str, now: float) -> float | None:
    """Returns the most that a cluster's instances used in a day, in ACU; None when that is not known."""
    dimensions = {"DBClusterIdentifier": cluster}
    points = _points(cloudwatch, "AWS/RDS", "ServerlessDatabaseCapacity", dimensions, now, DAY_S, int(HOUR_S))
    return max((float(point["Maximum"]) for point in points), default=None)


def used_acu(cloudwatch: Any, cluster: str, now: float) -> float | None:
    """Returns the most that a cluster's instances used in the last hour, in ACU; None when that is not known."""
    dimensions = {"DBClusterIdentifier": cluster}
    points = _points(cloudwatch, "AWS/RDS", "ServerlessDatabaseCapacity", dimensions, now, HOUR_S, 60)
    return max((float(point["Maximum"]) for point in points), default=None)


def _points(
    cloudwatch: Any,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    now: float,
    of_s: float,
    period_s: int,
) -> list[Any]:
    end = datetime.fromtimestamp(now, UTC)
    with named_errors(f"reading the metric {metric}"):
        answer = cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=end - timedelta(seconds=of_s),
            EndTime=end + timedelta(seconds=60),
            Period=period_s,
            Statistics=["Maximum"],
        )
    return list(answer["Datapoints"])
