"""CloudWatch: the heartbeat as this region's alarms hold it, and the replication lag."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.core.errors import Misconfigured, TransientFailure
from handlers.gateways import metrics
from tests.deployment import CLOCK, STANDBY, WRITER, Deployment

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"


def heartbeat(deployment: Deployment) -> str:
    region = deployment.specification.regions[STANDBY]
    missing, unhealthy = region.alarm("heartbeat-missing").name, region.alarm("heartbeat-unhealthy").name
    return metrics.heartbeat(deployment.client("cloudwatch", STANDBY), missing, unhealthy)


def lag(deployment: Deployment) -> Any:
    cluster = deployment.specification.regions[STANDBY].cluster.identifier
    return metrics.replication_lag(deployment.client("cloudwatch", STANDBY), cluster, WRITER, CLOCK.now())


def test_p6_only_an_alarm_that_rings_counts_against_the_heartbeat(deployment: Deployment) -> None:
    said = {}
    for missing in (OK, UNKNOWN, ALARM):
        for unhealthy in (OK, UNKNOWN, ALARM):
            deployment.ring("heartbeat-missing", STANDBY, missing)
            deployment.ring("heartbeat-unhealthy", STANDBY, unhealthy)
            said[missing, unhealthy] = heartbeat(deployment)
    assert {states for states, word in said.items() if word == "missing"} == {
        (ALARM, OK),
        (ALARM, UNKNOWN),
        (ALARM, ALARM),
    }
    assert {states for states, word in said.items() if word == "unhealthy"} == {(OK, ALARM), (UNKNOWN, ALARM)}
    assert set(said.values()) == {"healthy", "missing", "unhealthy"}


def test_the_other_regions_alarms_do_not_count(deployment: Deployment) -> None:
    deployment.ring("heartbeat-missing", WRITER)
    assert heartbeat(deployment) == "healthy"


def test_every_alarm_that_does_not_exist_is_named(deployment: Deployment) -> None:
    names = [
        deployment.specification.regions[STANDBY].alarm(f"heartbeat-{what}").name for what in ("missing", "unhealthy")
    ]
    deployment.client("cloudwatch", STANDBY).delete_alarms(AlarmNames=names)
    with pytest.raises(
        Misconfigured, match=f"there is no alarm {names[0]}, {names[1]}; deploy this region's stack again"
    ):
        heartbeat(deployment)


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


@pytest.mark.parametrize("operation", ["cloudwatch.DescribeAlarms", "cloudwatch.GetMetricData"])
def test_cloudwatch_that_does_not_answer_says_nothing(operation: str, deployment: Deployment) -> None:
    deployment.trouble(operation, "refused", times=10)
    with pytest.raises(TransientFailure):
        (heartbeat if operation.endswith("Alarms") else lag)(deployment)
