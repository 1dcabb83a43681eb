"""The dashboard of a region: what a person on call looks at first."""

from __future__ import annotations

from typing import Any

from orchestration.settings import Settings
from orchestration.specification.model import Region
from orchestration.specification.names import METRIC_NAMESPACE, Names

WIDTH = 12  # half of the dashboard's 24 columns
HEIGHT = 6


def dashboard(settings: Settings, names: Names, region: Region) -> dict[str, Any]:
    """Returns the body of the dashboard of ``region``, as CloudWatch expects it."""
    here, peer = region.name, region.peer
    cluster = {"DBClusterIdentifier": region.cluster.identifier}
    everyone = {"GlobalCluster": names.global_cluster}
    keys = [alarm.key for alarm in (*region.alarms, *region.upkeep_alarms)]
    workflow = {"StateMachineArn": names.state_machine_arn(here)}
    lag_limits = [
        {"label": "tell people", "value": settings.thresholds.replication_lag_alarm_ms},
        {"label": "ask a person before a failover", "value": settings.thresholds.rpo_budget_ms},
    ]
    widgets = [
        {
            "type": "alarm",
            "properties": {
                "title": f"Alarms of {here}",
                "alarms": [names.alarm_arn(key, here) for key in keys],
            },
        },
        _graph(
            here,
            f"Is the writer in {peer} down? (reachable 0: not from here; heartbeat 0: it says so itself; refused 1: it "
            "lives, and does not let the monitor in; overdue 1: a pause is longer than meant)",
            [
                _metric(METRIC_NAMESPACE, "WriterDown", everyone, "Maximum", 10),
                _metric(METRIC_NAMESPACE, "WriterReachable", everyone, "Minimum", 60),
                _metric(METRIC_NAMESPACE, "Heartbeat", everyone | {"FromRegion": peer}, "Minimum", 60),
                _metric(METRIC_NAMESPACE, "MonitorRefused", everyone, "Maximum", 60),
                _metric(METRIC_NAMESPACE, "AutomationOverdue", everyone, "Maximum", 60),
            ],
        ),
        _graph(
            here,
            "Replication lag, ms (only while this region is the standby)",
            [
                _metric(
                    "AWS/RDS",
                    "AuroraGlobalDBReplicationLag",
                    region.alarm("replication-lag").metric.dimensions,
                    "Maximum",
                    60,
                )
            ],
            lag_limits,
        ),
        _graph(
            here,
            "Runs of the failover workflow",
            [
                _metric("AWS/States", name, workflow, "Sum", 60)
                for name in ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
            ],
        ),
        _graph(
            here,
            "Errors of the functions",
            [
                _metric("AWS/Lambda", "Errors", {"FunctionName": function.name}, "Sum", 60)
                for function in region.functions.values()
            ],
        ),
        _graph(
            here,
            "Capacity, ACU, and connections",
            [
                _metric("AWS/RDS", "ServerlessDatabaseCapacity", cluster, "Maximum", 60),
                _metric("AWS/RDS", "DatabaseConnections", cluster, "Maximum", 60),
            ],
        ),
    ]
    placed = [
        {**widget, "x": index % 2 * WIDTH, "y": index // 2 * HEIGHT, "width": WIDTH, "height": HEIGHT}
        for index, widget in enumerate(widgets)
    ]
    return {"widgets": placed}


def _graph(
    region: str, title: str, metrics: list[list[Any]], limits: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    properties: dict[str, Any] = {"title": title, "region": region, "view": "timeSeries", "metrics": metrics}
    if limits:
        properties["annotations"] = {"horizontal": limits}
    return {"type": "metric", "properties": properties}


def _metric(namespace: str, name: str, dimensions: dict[str, str], statistic: str, period_seconds: int) -> list[Any]:
    flat = [text for pair in dimensions.items() for text in pair]
    return [namespace, name, *flat, {"stat": statistic, "period": period_seconds}]
