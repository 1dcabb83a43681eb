"""CloudWatch: the heartbeat as this region's alarms hold it."""

from __future__ import annotations

import pytest

from handlers.core.errors import Misconfigured, TransientFailure
from handlers.gateways import metrics
from tests.deployment import STANDBY, WRITER, Deployment

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"


def heartbeat(deployment: Deployment) -> str:
    region = deployment.specification.regions[STANDBY]
    missing, unhealthy = region.alarm("heartbeat-missing").name, region.alarm("heartbeat-unhealthy").name
    return metrics.heartbeat(deployment.client("cloudwatch", STANDBY), missing, unhealthy)


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


def test_cloudwatch_that_does_not_answer_says_nothing(deployment: Deployment) -> None:
    deployment.trouble("cloudwatch.DescribeAlarms", "refused", times=10)
    with pytest.raises(TransientFailure):
        heartbeat(deployment)
