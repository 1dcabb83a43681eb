"""CloudWatch: publishing what the monitor sees, reading the replication lag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

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


class Publisher:
    """What one run of the monitor says in metrics: each once, and then what changes.

    A run of it starts each minute, so every metric is said once a minute; that is what an alarm on silence needs, and
    a fortieth of what every tick would cost. CloudWatch is called beside the caller's work.
    """

    def __init__(
        self,
        client: CloudWatchClient,
        namespace: str,
        dimensions: dict[str, str],
        now: Callable[[], float],
        beside: Callable[[str, Callable[[], None]], None],
    ) -> None:
        """Says nothing yet; ``beside`` does work of a kind beside the caller's, unless the last of it is not done."""
        self._client = client
        self._namespace = namespace
        self._dimensions = dimensions
        self._now = now
        self._beside = beside
        self._said: dict[str, float] = {}

    def say(self, value: Value, *, always: bool = False) -> None:
        """Publishes a value that differs from the last one, or any; one that was not published is said again."""
        if not always and self._said.get(value.name) == value.value:
            return

        def put(at: float = self._now()) -> None:
            publish(self._client, self._namespace, (value,), self._dimensions, at)
            self._said[value.name] = value.value

        self._beside(f"publish {value.name}", put)


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
