"""CloudWatch: what the monitor says in metrics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.exceptions import EndpointConnectionError

from handlers.core.errors import TransientFailure
from handlers.gateways.metrics import Publisher, Value


class CloudWatch:
    """Keeps what is put; fails while it is told to."""

    def __init__(self) -> None:
        self.put: list[tuple[str, float]] = []
        self.fails = False

    def put_metric_data(self, **request: Any) -> None:
        if self.fails:
            raise EndpointConnectionError(endpoint_url="")
        (datum,) = request["MetricData"]
        self.put.append((datum["MetricName"], datum["Value"]))


def publisher(cloudwatch: Any) -> Publisher:
    def at_once(_: str, work: Callable[[], None]) -> None:
        with suppress(TransientFailure):
            work()

    return Publisher(cloudwatch, "N", {}, lambda: 1_800_000_000.0, at_once)


def test_a_metric_is_said_once_and_then_when_it_changes() -> None:
    cloudwatch = CloudWatch()
    said = publisher(cloudwatch)
    for value in (1, 1, 1, 0, 0, 1):
        said.say(Value("Heartbeat", value))
    said.say(Value("Other", 1))
    assert cloudwatch.put == [("Heartbeat", 1), ("Heartbeat", 0), ("Heartbeat", 1), ("Other", 1)]


def test_what_an_alarm_counts_is_said_every_time() -> None:
    cloudwatch = CloudWatch()
    said = publisher(cloudwatch)
    for value in (0, 0, 1, 1, 0):
        said.say(Value("WriterDown", value), always=bool(value))
    assert cloudwatch.put == [("WriterDown", value) for value in (0, 1, 1, 0)]


def test_a_metric_that_was_not_published_is_said_again() -> None:
    cloudwatch = CloudWatch()
    said = publisher(cloudwatch)
    cloudwatch.fails = True
    said.say(Value("Heartbeat", 0))
    cloudwatch.fails = False
    said.say(Value("Heartbeat", 0))
    assert cloudwatch.put == [("Heartbeat", 0)]
