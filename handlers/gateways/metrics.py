"""CloudWatch: publishing what the monitor sees, reading alarms and the replication lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from handlers.core.errors import Misconfigured
from handlers.core.health import Heartbeat
from handlers.core.lag import Measurement
from handlers.gateways.aws import named_errors

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

LAG_METRIC = "AuroraGlobalDBReplicationLag"
LAG_PERIOD_S = 60  # Aurora publishes it once a minute
LAG_LOOK_BACK_S = 600  # far enough to tell "stale" from "never published"
HIGH_RESOLUTION_S = 1
STANDARD_RESOLUTION_S = 60  # the only one that Route 53's health checks accept


@dataclass(frozen=True)
class Value:
    """A value of the metric ``name``."""

    name: str
    value: float
    resolution_s: int = HIGH_RESOLUTION_S


def publish(
    client: CloudWatchClient, namespace: str, values: Sequence[Value], dimensions: dict[str, str], at: float
) -> None:
    """Publishes values that were taken at ``at`` (seconds since 1970), in one call."""
    with named_errors(f"publishing {', '.join(value.name for value in values)}"):
        client.put_metric_data(
            Namespace=namespace,
            MetricData=[
                {
                    "MetricName": value.name,
                    "Value": value.value,
                    "Timestamp": datetime.fromtimestamp(at, UTC),
                    "StorageResolution": value.resolution_s,
                    "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
                }
                for value in values
            ],
        )


def heartbeat(client: CloudWatchClient, missing_alarm: str, unhealthy_alarm: str) -> Heartbeat:
    """Returns what the other region last said of itself, as this region's two heartbeat alarms have it.

    Raises
    ------
    Misconfigured
        one of the alarms does not exist: its silence says nothing.
    """
    with named_errors("reading the heartbeat alarms"):
        answer = client.describe_alarms(AlarmNames=[missing_alarm, unhealthy_alarm], AlarmTypes=["MetricAlarm"])
    states = {alarm.get("AlarmName"): alarm.get("StateValue") for alarm in answer["MetricAlarms"]}
    absent = {missing_alarm, unhealthy_alarm} - states.keys()
    if absent:
        raise Misconfigured(f"there is no alarm {', '.join(sorted(absent))}; deploy this region's stack again")
    if states[missing_alarm] == "ALARM":
        return "missing"
    return "unhealthy" if states[unhealthy_alarm] == "ALARM" else "healthy"


def replication_lag(client: CloudWatchClient, cluster: str, source_region: str, now: float) -> Measurement | None:
    """Returns the newest lag that Aurora published for ``cluster`` behind ``source_region``; None when there is none.

    The two dimensions are those of the AWS Database Blog, "Monitor Amazon Aurora Global Database replication at scale
    using Amazon CloudWatch Metrics Insights"; the user guide names none.
    """
    with named_errors(f"reading {LAG_METRIC} of {cluster}"):
        answer = client.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "lag",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/RDS",
                            "MetricName": LAG_METRIC,
                            "Dimensions": [
                                {"Name": "DBClusterIdentifier", "Value": cluster},
                                {"Name": "SourceRegion", "Value": source_region},
                            ],
                        },
                        "Period": LAG_PERIOD_S,
                        "Stat": "Maximum",
                    },
                }
            ],
            StartTime=datetime.fromtimestamp(now - LAG_LOOK_BACK_S, UTC),
            EndTime=datetime.fromtimestamp(now + LAG_PERIOD_S, UTC),
            ScanBy="TimestampDescending",
        )
    result = answer["MetricDataResults"][0]
    newest = max(zip(result["Timestamps"], result["Values"], strict=True), default=None)
    if newest is None:
        return None
    at, value = newest
    return Measurement(lag_ms=value, age_s=max(0.0, now - at.timestamp()), source=LAG_METRIC)
