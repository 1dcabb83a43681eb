"""CloudWatch: publishing what the monitor sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from handlers.gateways.aws import named_errors

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

HIGH_RESOLUTION_S = 1
STANDARD_RESOLUTION_S = 60  # the only one that Route 53's health checks accept


class Value(NamedTuple):
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
