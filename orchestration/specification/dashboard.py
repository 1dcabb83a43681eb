"""The dashboard of a region, for an incident: the questions of whoever is woken, in the order in which they come up.

It and the saved queries cost nothing: an account's first three dashboards are free, what is not a metric is read from
logs and the control record when somebody looks, and no metric is published for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestration.settings import Settings
from orchestration.specification import failover
from orchestration.specification.model import Region
from orchestration.specification.names import METRIC_NAMESPACE, Names

NEWEST = ("sort @timestamp desc", "limit 100")
STEPS = tuple(step.name for step in failover.STEPS)
# Each question: the functions whose logs answer it, the fields that are shown, and what is done with them.
QUESTIONS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "what-was-the-verdict-on-the-writer": (
        ("monitor",),
        "message, verdict, why, reason",
        (
            'filter message like "verdict on the writer" or message like "attempt" or message like "on the bus"',
            *NEWEST,
        ),
    ),
    "what-did-the-guardian-say": (
        ("monitor", "fence"),
        "message, why, reason, order, state",
        ('filter message like "fenc" or message like "guardian" or message like "recovered" or order != ""', *NEWEST),
    ),
    "who-asked-what-and-what-was-decided": (
        ("claim", "begin_reprotection"),
        "run, message, decision, reason",
        ("filter ispresent(run)", *NEWEST),
    ),
    "which-claims-were-refused": (
        ("claim",),
        "run, reason",
        ('filter decision = "refused"', *NEWEST),
    ),
    "one-runs-steps-across-functions": (
        STEPS,
        "function_name, level, message, reason",
        ('filter run = "RUN"', "sort @timestamp asc", "limit 1000"),
    ),
    "what-went-wrong": (
        (*STEPS, "monitor", "fence", "prober", "announce_end", "announce_backup", "keep_report"),
        "function_name, run, level, message, exception",
        ('filter level = "ERROR" or level = "WARNING"', *NEWEST),
    ),
}
# Those that the dashboard shows.
SHOWN = ("what-was-the-verdict-on-the-writer", "which-claims-were-refused")


@dataclass(frozen=True)
class Query:
    """A saved query of CloudWatch Logs Insights: its name, with a folder, and what it asks of which log groups."""

    name: str
    log_groups: tuple[str, ...]
    text: str


# Functions whose errors are seen by the person who calls them, and those that only some settings ask for, which have an
# alarm each. A dashboard of more than 50 metrics costs something.
NOT_SHOWN = ("bootstrap_database", "show_incident", "run_hooks", "watch_application", "follow_capacity")

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
            "type": "custom",
            "properties": {
                "title": "Who is the writer, how old is its lease, which run is at work, what did the last move cost?",
                "endpoint": names.function_arn("show_incident", here),
                "updateOn": {"refresh": True, "resize": False, "timeRange": False},
            },
        },
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
        *(_table(names, here, key) for key in SHOWN),
        _graph(
            here,
            "Attempts: runs of the failover workflow",
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
                if function.step not in NOT_SHOWN
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


def queries(names: Names, region: str) -> tuple[Query, ...]:
    """Returns the saved queries of ``region`` for the questions of a night."""
    return tuple(
        Query(
            f"{names.regional('failover', region)}/{key}",
            tuple(names.log_group(names.function(step, region)) for step in steps),
            " | ".join((f"fields @timestamp, {fields}", *then)),
        )
        for key, (steps, fields, then) in QUESTIONS.items()
    )


def _table(names: Names, region: str, key: str) -> dict[str, Any]:
    query = next(one for one in queries(names, region) if one.name.endswith(f"/{key}"))
    sources = " | ".join(f"SOURCE '{group}'" for group in query.log_groups)
    return {
        "type": "log",
        "properties": {
            "title": key.replace("-", " ").capitalize(),
            "region": region,
            "view": "table",
            "query": f"{sources} | {query.text}",
        },
    }


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
