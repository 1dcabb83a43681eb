"""The monitor: what it publishes where, and what it does not say when it knows nothing."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.deployment import CLOCK, STANDBY, WRITER, Deployment

NAMESPACE = "FailoverOrchestrator"


def published(deployment: Deployment, region: str, name: str, from_region: str = "") -> list[float]:
    """The values of a metric in CloudWatch, one a second, oldest first."""
    dimensions = [{"Name": "GlobalCluster", "Value": deployment.specification.global_identifier}]
    if from_region:
        dimensions.append({"Name": "FromRegion", "Value": from_region})
    now = datetime.datetime.fromtimestamp(CLOCK.now(), datetime.UTC)
    answer = deployment.client("cloudwatch", region).get_metric_data(
        MetricDataQueries=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions},
                    "Period": 1,
                    "Stat": "Maximum",
                },
            }
        ],
        StartTime=now - datetime.timedelta(seconds=100),
        EndTime=now + datetime.timedelta(seconds=5),
        ScanBy="TimestampAscending",
    )
    return answer["MetricDataResults"][0]["Values"]  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _far_from_the_test_before() -> None:
    CLOCK.sleep(1000)


def watch(deployment: Deployment, region: str, ticks: int) -> None:
    """Let a monitor look that often, every 2 s."""
    with deployment.lambdas.environment(region, "monitor") as module, deployment.lambdas.doing("monitor"):
        watcher = module.Watch(module.ENVIRONMENT, module.CONTROL, module.PROBER, module.HERE, module.PEER)
        for _ in range(ticks):
            watcher.tick()
            watcher._beside.submit(lambda: None).result()  # the heartbeat beside the tick has been sent
            CLOCK.sleep(module.TICK_S)


def test_the_writers_heartbeat_is_published_in_the_other_region(deployment: Deployment) -> None:
    watch(deployment, WRITER, 3)
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [1.0, 1.0, 1.0]
    assert published(deployment, WRITER, "Heartbeat", WRITER) == []


def test_a_writer_that_is_down_says_so(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    watch(deployment, WRITER, 2)
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [0.0, 0.0]


def test_a_writer_that_became_a_reader_says_so(deployment: Deployment) -> None:
    deployment.databases.script = lambda target: {
        "target": target,
        "role": "reader",
        "region": WRITER,
        "error": None,
        "elapsed_ms": 1.0,
    }
    watch(deployment, WRITER, 1)
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == [0.0]


def test_three_failures_in_a_row_are_published_here(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    watch(deployment, STANDBY, 4)
    assert published(deployment, STANDBY, "WriterUnreachable") == [0.0, 0.0, 1.0, 1.0]


def test_a_standby_that_reaches_the_writer_says_so_and_that_it_lives(deployment: Deployment) -> None:
    watch(deployment, STANDBY, 2)
    assert published(deployment, STANDBY, "WriterUnreachable") == [0.0, 0.0]
    assert published(deployment, WRITER, "Heartbeat", STANDBY) == [1.0, 1.0]


def test_the_alarms_watch_what_the_monitors_publish(deployment: Deployment) -> None:
    for region in deployment.specification.regions.values():
        unreachable, missing = region.alarm("writer-unreachable").metric, region.alarm("heartbeat-missing").metric
        assert (unreachable.namespace, unreachable.name) == (NAMESPACE, "WriterUnreachable")
        assert unreachable.dimensions == {"GlobalCluster": deployment.specification.global_identifier}
        assert (missing.namespace, missing.name) == (NAMESPACE, "Heartbeat")
        assert missing.dimensions == {
            "GlobalCluster": deployment.specification.global_identifier,
            "FromRegion": region.peer,
        }


def test_p6_a_prober_that_fails_publishes_nothing_about_the_writer(deployment: Deployment) -> None:
    def crash(target: str) -> None:
        raise MemoryError("made by the test")

    deployment.databases.script = crash
    watch(deployment, STANDBY, 5)
    watch(deployment, WRITER, 5)
    assert published(deployment, STANDBY, "WriterUnreachable") == []
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == []


def test_p6_a_monitor_that_never_read_its_role_publishes_nothing(deployment: Deployment) -> None:
    deployment.trouble("dynamodb.GetItem", "refused", times=10**6)
    deployment.databases.up[WRITER] = False
    for region in (WRITER, STANDBY):
        watch(deployment, region, 4)
    assert published(deployment, STANDBY, "WriterUnreachable") == []
    assert published(deployment, STANDBY, "Heartbeat", WRITER) == []
    assert published(deployment, WRITER, "Heartbeat", STANDBY) == []


def test_a_monitor_that_loses_the_control_record_keeps_its_role(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.trouble("dynamodb.GetItem", "refused", times=10**6, skip=1)
    watch(deployment, STANDBY, 4)
    assert published(deployment, STANDBY, "WriterUnreachable") == [0.0, 0.0, 1.0, 1.0]


def test_p4_a_region_that_refuses_metrics_does_not_stop_the_watch(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    deployment.trouble("cloudwatch.PutMetricData", "refused", region=WRITER, times=10**6)
    watch(deployment, STANDBY, 4)
    assert published(deployment, STANDBY, "WriterUnreachable") == [0.0, 0.0, 1.0, 1.0]


def test_roles_change_without_a_restart(deployment: Deployment) -> None:
    with deployment.lambdas.environment(STANDBY, "monitor") as module:
        watcher = module.Watch(module.ENVIRONMENT, module.CONTROL, module.PROBER, module.HERE, module.PEER)
        watcher.tick()
        deployment.change_record(writer_region=STANDBY)
        deployment.databases.writes = {WRITER: False, STANDBY: False}
        CLOCK.sleep(2)
        watcher.tick()
        watcher._beside.submit(lambda: None).result()
    # As the standby it lived; as the writer it says what its own database is.
    assert published(deployment, WRITER, "Heartbeat", STANDBY) == [1.0, 0.0]


def test_a_run_overlaps_the_next_and_ends_inside_its_time_limit(deployment: Deployment) -> None:
    deployment.databases.up[WRITER] = False
    for region in (STANDBY, WRITER):
        function = deployment.specification.regions[region].functions["monitor"]
        before = CLOCK.now()
        result: dict[str, Any] = deployment.call("monitor", {}, region)
        assert 60 < CLOCK.now() - before < function.timeout_seconds
        assert 20 <= result["ticks"] <= 33
