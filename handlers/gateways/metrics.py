"""CloudWatch: publishing what the monitor sees, reading alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from handlers.core.errors import Misconfigured
from handlers.core.health import Heartbeat
from handlers.gateways.aws import named_errors

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

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
