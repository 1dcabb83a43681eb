"""Alarms and dashboard of one region, the schedule of its monitor and the rules that start its workflow."""

from __future__ import annotations

import json

from cdktf_cdktf_provider_aws.cloudwatch_dashboard import CloudwatchDashboard
from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import (
    CloudwatchEventTarget,
    CloudwatchEventTargetInputTransformer,
    CloudwatchEventTargetRetryPolicy,
)
from cdktf_cdktf_provider_aws.cloudwatch_metric_alarm import CloudwatchMetricAlarm
from cdktf_cdktf_provider_aws.cloudwatch_query_definition import CloudwatchQueryDefinition
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from orchestration.constructs.orchestrator import Orchestrator
from orchestration.specification import Specification
from orchestration.specification.dashboard import dashboard, queries
from orchestration.specification.model import Function, FunctionRule, MetricAlarm, Region, Rule, Schedule

# The shortest age that EventBridge allows. A start that could not be delivered for so long is history: the monitor has
# made its own attempts since. The schedule's next event comes at the same time.
EVENT_AGE_SECONDS = 60
TRIGGER_RETRIES = 20
# People are told of a run's end late rather than not.
NEWS_AGE_SECONDS = 3600
NEWS_RETRIES = 60


class Monitoring(Construct):
    """What watches the peer of ``region``, tells people and starts the workflow."""

    def __init__(
        self, scope: Construct, specification: Specification, region: Region, orchestrator: Orchestrator
    ) -> None:
        super().__init__(scope, "monitoring")
        self._names = specification.names
        self._region = region
        self._orchestrator = orchestrator
        for alarm in (*region.alarms, *region.upkeep_alarms):
            self._metric_alarm(alarm)
        for rule in region.rules:
            self._rule(rule)
        for function_rule in region.function_rules:
            self._function_rule(function_rule)
        for schedule in region.schedules:
            self._schedule(schedule)
        self.dashboard = CloudwatchDashboard(
            self,
            "dashboard",
            dashboard_name=self._names.regional("failover", region.name),
            dashboard_body=json.dumps(dashboard(specification.settings, self._names, region)),
        )

        for number, query in enumerate(queries(self._names, region.name)):
            CloudwatchQueryDefinition(
                self,
                f"query-{number}",
                name=query.name,
                log_group_names=list(query.log_groups),
                query_string=query.text.replace(" | ", "\n| "),
            )

    def _metric_alarm(self, alarm: MetricAlarm) -> None:
        topics = [self._orchestrator.topic.arn] if alarm.notifies else None
        CloudwatchMetricAlarm(
            self,
            alarm.key,
            alarm_name=alarm.name,
            alarm_description=alarm.description,
            metric_name=alarm.metric.name,
            namespace=alarm.metric.namespace,
            statistic=alarm.metric.statistic,
            period=alarm.metric.period_seconds,
            dimensions=alarm.metric.dimensions,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            evaluation_periods=alarm.evaluation_periods,
            datapoints_to_alarm=alarm.datapoints,
            treat_missing_data=alarm.missing_data,
            alarm_actions=topics,
            ok_actions=topics,
        )

    def _rule(self, rule: Rule) -> None:
        built = CloudwatchEventRule(
            self,
            rule.key,
            name=rule.name,
            description=rule.description,
            event_pattern=json.dumps(rule.event_pattern),
        )
        CloudwatchEventTarget(
            self,
            f"{rule.key}-workflow",
            rule=built.name,
            target_id=rule.state_machine,
            arn=self._orchestrator.workflow.arn,
            role_arn=self._names.role_arn(rule.name),
            input_transformer=CloudwatchEventTargetInputTransformer(
                input_paths=rule.input_paths, input_template=rule.input_template
            ),
            retry_policy=CloudwatchEventTargetRetryPolicy(
                maximum_event_age_in_seconds=EVENT_AGE_SECONDS, maximum_retry_attempts=TRIGGER_RETRIES
            ),
        )

    def _function_rule(self, rule: FunctionRule) -> None:
        built = CloudwatchEventRule(
            self,
            rule.key,
            name=rule.name,
            description=rule.description,
            event_pattern=json.dumps(rule.event_pattern),
        )
        self._invokes(built, rule.key, rule.function, NEWS_AGE_SECONDS, NEWS_RETRIES)

    def _schedule(self, schedule: Schedule) -> None:
        rule = CloudwatchEventRule(
            self,
            f"{schedule.function.step}-schedule",
            name=schedule.name,
            description=f"Keeps {schedule.function.name} running",
            schedule_expression=schedule.expression,
        )
        self._invokes(rule, "schedule", schedule.function, EVENT_AGE_SECONDS, 0)

    def _invokes(
        self, rule: CloudwatchEventRule, statement: str, invoked: Function, age_seconds: int, retries: int
    ) -> None:
        """Has a rule invoke a function; ``statement`` names the permission in the function's policy."""
        step = invoked.step
        function = self._orchestrator.functions[step]
        CloudwatchEventTarget(
            self,
            f"{step}-{statement}-target",
            rule=rule.name,
            target_id=step,
            arn=function.arn,
            retry_policy=CloudwatchEventTargetRetryPolicy(
                maximum_event_age_in_seconds=age_seconds, maximum_retry_attempts=retries
            ),
        )
        LambdaPermission(
            self,
            f"{step}-{statement}-invokes",
            statement_id=statement,
            action="lambda:InvokeFunction",
            function_name=function.function_name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
        )
