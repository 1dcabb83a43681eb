"""Alarms and dashboard of one region, the schedule of its monitor and the rule that starts its workflow."""

from __future__ import annotations

import json

from cdktf_cdktf_provider_aws.cloudwatch_composite_alarm import CloudwatchCompositeAlarm
from cdktf_cdktf_provider_aws.cloudwatch_dashboard import CloudwatchDashboard
from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import (
    CloudwatchEventTarget,
    CloudwatchEventTargetInputTransformer,
    CloudwatchEventTargetRetryPolicy,
)
from cdktf_cdktf_provider_aws.cloudwatch_metric_alarm import (
    CloudwatchMetricAlarm,
    CloudwatchMetricAlarmMetricQuery,
    CloudwatchMetricAlarmMetricQueryMetric,
)
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from orchestration.constructs.orchestrator import Orchestrator
from orchestration.specification import Specification
from orchestration.specification.dashboard import dashboard
from orchestration.specification.model import CompositeAlarm, MetricAlarm, Region, Rule, Schedule

# An alarm that could not start the workflow for five minutes is history: people have been paged and have decided.
TRIGGER_AGE_SECONDS = 300
TRIGGER_RETRIES = 20
# The shortest age that EventBridge allows; the schedule's next event comes at the same time.
SCHEDULE_AGE_SECONDS = 60


class Monitoring(Construct):
    """What watches the peer of ``region``, tells people and starts the workflow."""

    def __init__(
        self, scope: Construct, specification: Specification, region: Region, orchestrator: Orchestrator
    ) -> None:
        super().__init__(scope, "monitoring")
        self._names = specification.names
        self._region = region
        self._orchestrator = orchestrator
        metric_alarms = [self._metric_alarm(alarm) for alarm in region.alarms]
        for composite in region.composites:
            self._composite_alarm(composite, metric_alarms)
        for alarm in region.upkeep_alarms:
            self._metric_alarm(alarm)
        for rule in region.rules:
            self._rule(rule)
        for schedule in region.schedules:
            self._schedule(schedule)
        self.dashboard = CloudwatchDashboard(
            self,
            "dashboard",
            dashboard_name=self._names.regional("failover", region.name),
            dashboard_body=json.dumps(dashboard(specification.settings, self._names, region)),
        )

    def _metric_alarm(self, alarm: MetricAlarm) -> CloudwatchMetricAlarm:
        topics = [self._orchestrator.topic.arn] if alarm.notifies else None
        built = CloudwatchMetricAlarm(
            self,
            alarm.key,
            alarm_name=alarm.name,
            alarm_description=alarm.description,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            evaluation_periods=alarm.evaluation_periods,
            treat_missing_data=alarm.missing_data,
            alarm_actions=topics,
            ok_actions=topics,
        )
        if alarm.fill is None:
            built.metric_name = alarm.metric.name
            built.namespace = alarm.metric.namespace
            built.statistic = alarm.metric.statistic
            built.period = alarm.metric.period_seconds
            built.dimensions = alarm.metric.dimensions
        else:
            built.put_metric_query(_filled(alarm))
        return built

    def _composite_alarm(self, composite: CompositeAlarm, parts: list[CloudwatchMetricAlarm]) -> None:
        topics = [self._orchestrator.topic.arn] if composite.notifies else None
        # CloudWatch refuses a composite alarm whose parts do not exist yet, and knows them by name only.
        CloudwatchCompositeAlarm(
            self,
            composite.key,
            alarm_name=composite.name,
            alarm_description=composite.description,
            alarm_rule=composite.rule,
            alarm_actions=topics,
            ok_actions=topics,
            depends_on=list(parts),
        )

    def _rule(self, rule: Rule) -> None:
        built = CloudwatchEventRule(
            self,
            "trigger",
            name=rule.name,
            description=rule.description,
            event_pattern=json.dumps(rule.event_pattern),
        )
        CloudwatchEventTarget(
            self,
            "trigger-workflow",
            rule=built.name,
            target_id=rule.state_machine,
            arn=self._orchestrator.workflow.arn,
            role_arn=self._names.role_arn(rule.name),
            input_transformer=CloudwatchEventTargetInputTransformer(
                input_paths=rule.input_paths, input_template=rule.input_template
            ),
            retry_policy=CloudwatchEventTargetRetryPolicy(
                maximum_event_age_in_seconds=TRIGGER_AGE_SECONDS, maximum_retry_attempts=TRIGGER_RETRIES
            ),
        )

    def _schedule(self, schedule: Schedule) -> None:
        step = schedule.function.step
        function = self._orchestrator.functions[step]
        rule = CloudwatchEventRule(
            self,
            f"{step}-schedule",
            name=schedule.name,
            description=f"Keeps {schedule.function.name} running",
            schedule_expression=schedule.expression,
        )
        CloudwatchEventTarget(
            self,
            f"{step}-schedule-target",
            rule=rule.name,
            target_id=step,
            arn=function.arn,
            retry_policy=CloudwatchEventTargetRetryPolicy(
                maximum_event_age_in_seconds=SCHEDULE_AGE_SECONDS, maximum_retry_attempts=0
            ),
        )
        LambdaPermission(
            self,
            f"{step}-schedule-invokes",
            statement_id="schedule",
            action="lambda:InvokeFunction",
            function_name=function.function_name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
        )


def _filled(alarm: MetricAlarm) -> list[CloudwatchMetricAlarmMetricQuery]:
    """Returns the metric-math form of an alarm that must notice a missing period at once."""
    metric = alarm.metric
    return [
        CloudwatchMetricAlarmMetricQuery(
            id="filled",
            expression=f"FILL(measured, {alarm.fill:g})",
            label=metric.name,
            return_data=True,
        ),
        CloudwatchMetricAlarmMetricQuery(
            id="measured",
            metric=CloudwatchMetricAlarmMetricQueryMetric(
                metric_name=metric.name,
                namespace=metric.namespace,
                stat=metric.statistic,
                period=metric.period_seconds,
                dimensions=metric.dimensions,
            ),
        ),
    ]
