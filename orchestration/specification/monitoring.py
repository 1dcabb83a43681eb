"""Alarms of a region and the rules that start the workflow.

A region watches its peer: in the present writer region the metrics of a standby's monitor are not published, so the
trigger stays quiet there; after a swap of roles the two exchange places without a deployment.

The monitor's verdict reaches the workflow twice, by the alarm on its metric and by its own event, and the claim makes
one failover of it. What comes after the first attempt the monitor starts itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from handlers.core.backup import FAILED, KINDS
from handlers.core.detection import EVENT_SOURCE, EVENT_TYPE
from handlers.core.events import SOURCE, WriterMoved
from orchestration.settings import Settings
from orchestration.specification.model import Function, FunctionRule, Metric, MetricAlarm, Rule
from orchestration.specification.names import METRIC_NAMESPACE, Names

# Alarms with a period of 10 s are evaluated every 10 s (CloudWatch guide); the shortest that custom metrics allow.
DETECTION_PERIOD_SECONDS = 10
# Aurora publishes its replication lag once a minute.
AURORA_PERIOD_SECONDS = 60
# What AWS publishes of functions, workflows and rules comes once a minute, and so does what Route 53 reads: it takes
# no metric of high resolution (Route 53 guide, "Monitoring a CloudWatch alarm").
STANDARD_PERIOD_SECONDS = 60
# Functions whose errors fail no run: those that no workflow waits for, and steps without which a run still ends well.
# Of the other steps' errors the workflow says what comes of them, or its own alarms do.
FAIL_NO_RUN = (
    *("monitor", "prober", "fence", "writer_switch", "announce_end"),
    *("run_hooks", "watch_application", "follow_capacity"),
    *("record_run", "notify", "end_reprotection", "notify_reprotection"),
)
# One run of the monitor starts each minute; two may be late or throttled before its silence means something.
SILENT_MONITOR_PERIODS = 3
# Readiness looks twice in this time: an alarm on its errors stays on between the looks, and misses none.
READINESS_PERIOD_SECONDS = 3600
# What the monitor says comes in every period or once a minute. One that is late, or lost, is no change of state: an
# alarm takes two of three (CloudWatch guide, "Evaluating an alarm", M out of N).
OF_PERIODS = 3
PERIODS = 2
# Of Aurora's lag, minute by minute: longer than a burst of writes. In a row, for Route 53 shows this alarm, and follows
# none on M out of N (docs/architecture.md).
LAG_PERIODS = 3


def alarms(settings: Settings, names: Names, region: str, peer: str) -> tuple[MetricAlarm, ...]:
    """The metric alarms of ``region`` on the databases; one of them shows Route 53 the writer's connectivity."""
    return (
        MetricAlarm(
            key="writer-down",
            name=names.alarm("writer-down", region),
            description=f"Both observers agree: the writer in {peer} is down. Starts the failover workflow. "
            "Runbook: docs/runbooks/failover.md",
            metric=Metric(
                METRIC_NAMESPACE,
                "WriterDown",
                "Maximum",
                DETECTION_PERIOD_SECONDS,
                {"GlobalCluster": names.global_cluster},
            ),
            comparison="GreaterThanOrEqualToThreshold",
            threshold=1,
            evaluation_periods=OF_PERIODS,
            datapoints=PERIODS,
            missing_data="notBreaching",
            notifies=True,  # by itself, so that people hear of it even when the workflow cannot start
        ),
        MetricAlarm(
            key="heartbeat-missing",
            name=names.alarm("heartbeat-missing", region),
            description=f"The heartbeat of {peer} does not arrive in {region}: its monitor is silent or cut off, or "
            "says that its database takes no writes. It pages people and decides nothing. "
            "Runbook: docs/runbooks/orchestrator.md",
            metric=Metric(
                METRIC_NAMESPACE,
                "Heartbeat",
                "Maximum",
                STANDARD_PERIOD_SECONDS,
                {"GlobalCluster": names.global_cluster, "FromRegion": peer},
            ),
            comparison="LessThanThreshold",
            threshold=1,
            evaluation_periods=OF_PERIODS,
            datapoints=PERIODS,
            missing_data="breaching",
            notifies=True,
        ),
        MetricAlarm(
            key="replication-lag",
            name=names.alarm("replication-lag", region),
            description=f"{region} lags behind the writer by more than "
            f"{settings.thresholds.replication_lag_alarm_ms} ms; it never triggers a failover by itself. "
            "Runbook: docs/runbooks/gate.md#replication-lags",
            metric=Metric(
                "AWS/RDS",
                "AuroraGlobalDBReplicationLag",
                "Maximum",
                AURORA_PERIOD_SECONDS,
                {"DBClusterIdentifier": names.cluster(region), "SourceRegion": peer},
            ),
            comparison="GreaterThanThreshold",
            threshold=settings.thresholds.replication_lag_alarm_ms,
            evaluation_periods=LAG_PERIODS,
            missing_data="notBreaching",
            notifies=True,
        ),
        MetricAlarm(
            key="writer-connectivity",
            name=names.alarm("writer-connectivity", region),
            description=f"{region} cannot connect to the writer. Nothing moves while its guardian lives; people are "
            "paged, and Route 53 shows it. Runbook: docs/runbooks/orchestrator.md",
            metric=Metric(
                METRIC_NAMESPACE,
                "WriterReachable",
                "Maximum",
                STANDARD_PERIOD_SECONDS,
                {"GlobalCluster": names.global_cluster},
            ),
            comparison="LessThanThreshold",
            threshold=1,
            evaluation_periods=PERIODS,  # Route 53 follows no alarm on M out of N
            missing_data="notBreaching",
            notifies=True,
        ),
        _monitor_says(
            names,
            region,
            "monitor-refused",
            "MonitorRefused",
            f"The monitor of {region} cannot log in to the writer, which lives: its login, the certificate "
            "or a connection is refused. Nothing moves and nothing is fenced; but nobody sees whether the writer dies. "
            "Runbook: docs/runbooks/orchestrator.md",
        ),
        _monitor_says(
            names,
            region,
            "automation-overdue",
            "AutomationOverdue",
            f"Automatic failover from {peer} is off for longer than meant: a pause or a maintenance "
            "ends within 10 min while the writer is not well, or has lasted for more than a day, or a maintenance has "
            "ended without anybody ending it. `failoverctl status` says which; it decides nothing. "
            "Runbook: docs/runbooks/orchestrator.md",
        ),
    )


def _monitor_says(names: Names, region: str, key: str, metric: str, description: str) -> MetricAlarm:
    """The alarm on something that the monitor says once a minute while it is so, and that people have to hear of."""
    return MetricAlarm(
        key=key,
        name=names.alarm(key, region),
        description=description,
        metric=Metric(
            METRIC_NAMESPACE, metric, "Maximum", STANDARD_PERIOD_SECONDS, {"GlobalCluster": names.global_cluster}
        ),
        comparison="GreaterThanOrEqualToThreshold",
        threshold=1,
        evaluation_periods=1,
        missing_data="notBreaching",
        notifies=True,
    )


def upkeep_alarms(names: Names, region: str, functions: Iterable[Function]) -> tuple[MetricAlarm, ...]:
    """The alarms on the orchestrator of ``region`` itself.

    They rest on metrics that AWS publishes, so they still ring when the orchestrator's own functions are silent.
    """
    monitor = names.function("monitor", region)
    return (
        MetricAlarm(
            key="monitor-silent",
            name=names.alarm("monitor-silent", region),
            description=f"Dead man's alarm: the monitor of {region} does not run, so nobody watches the writer. "
            "It pages people and never moves the writer. Runbook: docs/runbooks/orchestrator.md",
            metric=Metric("AWS/Lambda", "Invocations", "Sum", STANDARD_PERIOD_SECONDS, {"FunctionName": monitor}),
            comparison="LessThanThreshold",
            threshold=1,
            evaluation_periods=SILENT_MONITOR_PERIODS,
            missing_data="breaching",
            notifies=True,
        ),
        MetricAlarm(
            key="not-ready",
            name=names.alarm("not-ready", region),
            description=f"A failover would not work as it should, as {region} sees it, or nobody can tell: "
            "`failoverctl ready` says why and what to do. It also rings when nobody has looked for an hour. "
            "Runbook: docs/runbooks/orchestrator.md#not-ready",
            metric=Metric(
                "AWS/Lambda",
                "Errors",
                "Sum",
                READINESS_PERIOD_SECONDS,
                {"FunctionName": names.function("readiness", region)},
            ),
            comparison="GreaterThanOrEqualToThreshold",
            threshold=1,
            evaluation_periods=1,
            missing_data="breaching",
            notifies=True,
        ),
        *(
            _failures(
                names,
                region,
                f"{workflow}-{key}",
                f"A run of the workflow {machine} {ended}. Runbook: docs/runbooks/{page}",
                "AWS/States",
                metric,
                {"StateMachineArn": names.machine_arn(machine, region)},
            )
            for workflow, machine, page in (
                ("workflow", names.state_machine(region), "stuck.md"),
                ("reprotection", names.reprotection(region), "reprotection.md#when-it-stops"),
            )
            for key, metric, ended in (
                ("failed", "ExecutionsFailed", "failed; its execution says where and why"),
                ("timed-out", "ExecutionsTimedOut", "ran into the workflow's time limit"),
                ("aborted", "ExecutionsAborted", "was stopped by a person"),
            )
        ),
        _failures(
            names,
            region,
            "trigger-not-delivered",
            "EventBridge could not start the failover workflow; the monitor's own attempts go on. "
            "Runbook: docs/runbooks/orchestrator.md",
            "AWS/Events",
            "FailedInvocations",
            {"RuleName": names.trigger_rule(region)},
        ),
        *(
            _failures(
                names,
                region,
                f"{function.step.replace('_', '-')}-errors",
                f"{function.name} ended with an error; its log says which. Runbook: docs/runbooks/orchestrator.md",
                "AWS/Lambda",
                "Errors",
                {"FunctionName": function.name},
            )
            for function in functions
            if function.step in FAIL_NO_RUN
        ),
    )


def _failures(
    names: Names, region: str, key: str, description: str, namespace: str, metric: str, dimensions: dict[str, str]
) -> MetricAlarm:
    """An alarm on the first failure that AWS counts in a minute."""
    return MetricAlarm(
        key=key,
        name=names.alarm(key, region),
        description=description,
        metric=Metric(namespace, metric, "Sum", STANDARD_PERIOD_SECONDS, dimensions),
        comparison="GreaterThanOrEqualToThreshold",
        threshold=1,
        evaluation_periods=1,
        missing_data="notBreaching",
        notifies=True,
    )


def rules(settings: Settings, names: Names, region: str) -> tuple[Rule, ...]:
    """The rules that start the region's workflow: when the alarm goes off, and when the monitor says so.

    EventBridge names the execution itself and cannot be told a name, so the claim on the control record sees to it that
    an outage is handled once. How old the start is, and for which epoch, travels in the input.
    """
    asked = {"mode": settings.trigger_mode, "automatic": True, "asked_at": "<at>", "target_region": region}
    return (
        Rule(
            key="trigger",
            name=names.trigger_rule(region),
            description="Starts the failover workflow when the alarm says that the writer is down",
            event_pattern={
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "resources": [names.alarm_arn("writer-down", region)],
                "detail": {"state": {"value": ["ALARM"]}},
            },
            input_paths={"alarm": "$.detail.alarmName", "at": "$.time"},
            input_template=json.dumps(asked | {"started_by": "alarm <alarm>"}),
            state_machine=names.state_machine(region),
        ),
        Rule(
            key="event",
            name=names.event_rule(region),
            description="Starts the failover workflow when the monitor says that the writer is down",
            # Whoever may put events may put this one. Of its detail only a number is used: how EventBridge quotes a
            # text inside a template is not documented, and a text could say more than the monitor does.
            event_pattern={
                "source": [EVENT_SOURCE],
                "detail-type": [EVENT_TYPE],
                "detail": {"epoch": [{"numeric": [">=", 1]}]},
            },
            input_paths={"epoch": "$.detail.epoch", "at": "$.time"},
            # Numbers stand without quotes, which JSON cannot say of a placeholder.
            input_template=json.dumps(asked | {"started_by": "monitor", "attempt": 1, "epoch": "<epoch>"}).replace(
                '"<epoch>"', "<epoch>"
            ),
            state_machine=names.state_machine(region),
        ),
    )


def end_rule(names: Names, region: str, function: Function) -> FunctionRule:
    """The rule that has people told of runs of both workflows whose end no step announces.

    Of those that failed, the function tells apart which have told people themselves. (Step Functions guide, "Automating
    Step Functions event delivery with EventBridge".)
    """
    return _ends(
        names,
        region,
        "ends",
        names.end_rule(region),
        "Has people told of a run that timed out, was stopped, or failed without a word",
        ["TIMED_OUT", "ABORTED", "FAILED"],
        function,
    )


def report_rule(names: Names, region: str, function: Function) -> FunctionRule:
    """The rule that has the report of every run of both workflows kept, however it ended."""
    return _ends(
        names,
        region,
        "reports",
        names.report_rule(region),
        "Has the report of a run kept, which nobody changes",
        ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
        function,
    )


def backup_rule(names: Names, region: str, function: Function) -> FunctionRule:
    """The rule that has people told of backups and copies that failed.

    Vaults send no notification of a failed backup any more (AWS Backup guide, "Notification options"). Which vault a
    job is of stands in another place for each kind, so that the function tells them apart.
    """
    return FunctionRule(
        key="backups",
        name=names.backup_rule(region),
        description="Has people told of a backup or a copy that failed",
        event_pattern={"source": ["aws.backup"], "detail-type": list(KINDS), "detail": {"state": list(FAILED)}},
        function=function,
    )


def hook_rule(settings: Settings, names: Names, region: str, function: Function) -> FunctionRule:
    """The rule that has the settings' hooks run with the events of this deployment that they wait for."""
    return FunctionRule(
        key="hooks",
        name=names.hook_rule(region),
        description="Has the hooks of the settings run",
        event_pattern={
            "source": [SOURCE],
            "detail-type": sorted({hook.when for hook in settings.hooks}),
            "detail": {"global_cluster": [names.global_cluster]},
        },
        function=function,
    )


def application_rule(names: Names, region: str, function: Function) -> FunctionRule:
    """The rule that has the application watched after the writer has moved."""
    return _moved(
        names,
        "application",
        names.application_rule(region),
        "Has the application watched after the writer has moved",
        function,
        {},
    )


def capacity_rule(names: Names, region: str, function: Function) -> FunctionRule:
    """The rule that has the capacity raised after a failover: a standby of a switchover has what a writer needs."""
    return _moved(
        names,
        "capacity",
        names.capacity_rule(region),
        "Has the new writer's least capacity raised after a failover",
        function,
        {"mode": ["failover"]},
    )


def _moved(
    names: Names, key: str, name: str, description: str, function: Function, detail: dict[str, list[str]]
) -> FunctionRule:
    return FunctionRule(
        key=key,
        name=name,
        description=description,
        event_pattern={
            "source": [SOURCE],
            "detail-type": [WriterMoved.__name__],
            "detail": {"global_cluster": [names.global_cluster], **detail},
        },
        function=function,
    )


def _ends(
    names: Names, region: str, key: str, name: str, description: str, statuses: list[str], function: Function
) -> FunctionRule:
    return FunctionRule(
        key=key,
        name=name,
        description=description,
        event_pattern={
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [names.state_machine_arn(region), names.reprotection_arn(region)],
                "status": statuses,
            },
        },
        function=function,
    )
