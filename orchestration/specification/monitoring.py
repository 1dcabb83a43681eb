"""Alarms of a region and the rule that starts the workflow.

A region watches its peer: in the present writer region the metrics of a standby's observer are not published, so the
composite stays quiet there; after a swap of roles the two exchange places without a deployment.
"""

from __future__ import annotations

import json

from orchestration.settings import Settings
from orchestration.specification.functions import METRIC_NAMESPACE
from orchestration.specification.model import CompositeAlarm, Metric, MetricAlarm, Rule
from orchestration.specification.names import Names

# Alarms with a period of 10 s are evaluated every 10 s (CloudWatch guide); the shortest that custom metrics allow.
DETECTION_PERIOD_SECONDS = 10
# Aurora publishes its replication lag once a minute.
AURORA_PERIOD_SECONDS = 60


def alarms(settings: Settings, names: Names, region: str, peer: str) -> tuple[MetricAlarm, ...]:
    """The metric alarms of ``region``, which watch the writer while it is in ``peer``."""
    heartbeat = {"GlobalCluster": names.global_cluster, "FromRegion": peer}
    detection = DETECTION_PERIOD_SECONDS
    return (
        MetricAlarm(
            key="writer-unreachable",
            name=names.alarm("writer-unreachable", region),
            description=f"Observer 1: {region} cannot reach the writer in {peer}.",
            metric=Metric(
                METRIC_NAMESPACE,
                "WriterUnreachable",
                "Maximum",
                detection,
                {"GlobalCluster": names.global_cluster},
            ),
            comparison="GreaterThanOrEqualToThreshold",
            threshold=1,
            evaluation_periods=1,
            missing_data="notBreaching",
            notifies=False,
        ),
        MetricAlarm(
            key="heartbeat-missing",
            name=names.alarm("heartbeat-missing", region),
            description=f"Observer 2: {peer} is silent. Alone it means a dead monitor there, and pages people.",
            metric=Metric(METRIC_NAMESPACE, "Heartbeat", "SampleCount", detection, heartbeat),
            comparison="LessThanThreshold",
            threshold=1,
            evaluation_periods=1,
            missing_data="breaching",
            notifies=True,
            fill=0,
        ),
        MetricAlarm(
            key="heartbeat-unhealthy",
            name=names.alarm("heartbeat-unhealthy", region),
            description=f"Observer 2: {peer} lives and has said for "
            f"{settings.thresholds.unhealthy_heartbeat_s} s that its database is unhealthy.",
            metric=Metric(METRIC_NAMESPACE, "Heartbeat", "Maximum", detection, heartbeat),
            comparison="LessThanThreshold",
            threshold=1,
            evaluation_periods=settings.thresholds.unhealthy_heartbeat_s // detection,
            missing_data="notBreaching",
            notifies=True,
        ),
        MetricAlarm(
            key="replication-lag",
            name=names.alarm("replication-lag", region),
            description=f"{region} lags behind the writer by more than "
            f"{settings.thresholds.replication_lag_alarm_ms} ms; it never triggers a failover by itself.",
            metric=Metric(
                "AWS/RDS",
                "AuroraGlobalDBReplicationLag",
                "Maximum",
                AURORA_PERIOD_SECONDS,
                {"DBClusterIdentifier": names.cluster(region), "SourceRegion": peer},
            ),
            comparison="GreaterThanThreshold",
            threshold=settings.thresholds.replication_lag_alarm_ms,
            evaluation_periods=1,
            missing_data="notBreaching",
            notifies=True,
        ),
    )


def composites(names: Names, region: str, peer: str) -> tuple[CompositeAlarm, ...]:
    """The trigger: both observers agree that the writer in ``peer`` is down."""
    unreachable, missing, unhealthy = (
        f'ALARM("{names.alarm(key, region)}")'
        for key in ("writer-unreachable", "heartbeat-missing", "heartbeat-unhealthy")
    )
    return (
        CompositeAlarm(
            key="writer-down",
            name=names.alarm("writer-down", region),
            description=f"Both observers agree: the writer in {peer} is down. Starts the failover workflow.",
            rule=f"{unreachable} AND ({missing} OR {unhealthy})",
        ),
    )


def rules(settings: Settings, names: Names, region: str) -> tuple[Rule, ...]:
    """The rule that starts the region's workflow when the composite alarm goes off.

    EventBridge names the execution itself and cannot be told a name, so the incident (alarm and moment) travels in
    the input, and the claim on the control record sees to it that one incident is handled once.
    """
    return (
        Rule(
            name=names.regional("failover-trigger", region),
            description="Starts the failover workflow when both observers agree that the writer is down",
            event_pattern={
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "resources": [names.alarm_arn("writer-down", region)],
                "detail": {"state": {"value": ["ALARM"]}},
            },
            input_paths={"alarm": "$.detail.alarmName", "at": "$.detail.state.timestamp"},
            input_template=json.dumps(
                {
                    "mode": settings.trigger_mode,
                    "incident": "<alarm> <at>",
                    "started_by": "alarm <alarm>",
                    "automatic": True,
                    "target_region": region,
                }
            ),
            state_machine=names.state_machine(region),
        ),
    )
