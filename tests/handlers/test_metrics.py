"""CloudWatch: the replication lag, and what the monitor says in metrics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from handlers.core.errors import TransientFailure
from handlers.gateways import metrics
from handlers.gateways.metrics import Publisher, Value
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment


def lag(deployment: Deployment) -> Any:
    cluster = deployment.specification.regions[STANDBY].cluster.identifier
    return metrics.replication_lag(deployment.client("cloudwatch", STANDBY), cluster, WRITER, CLOCK.now())


def test_a_lag_that_was_never_published_is_none(deployment: Deployment) -> None:
    assert lag(deployment) is None


def test_a_lag_comes_with_its_age(deployment: Deployment) -> None:
    deployment.publish_lag(40.0, age_s=120.0)
    measured = lag(deployment)
    assert measured.lag_ms == 40.0
    assert 120.0 <= measured.age_s < 181.0  # CloudWatch answers with the start of the value's minute


def test_a_lag_that_is_too_old_to_be_asked_for_is_none(deployment: Deployment) -> None:
    deployment.publish_lag(40.0, age_s=metrics.LAG_LOOK_BACK_S + 120.0)
    assert lag(deployment) is None


def test_cloudwatch_that_does_not_answer_says_nothing(deployment: Deployment) -> None:
    deployment.trouble("cloudwatch.GetMetricData", "refused", times=10)
    with pytest.raises(TransientFailure):
        lag(deployment)


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
