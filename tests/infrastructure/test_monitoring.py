"""Alarms, rule and schedule: what is deployed is what the specification describes and the lab evaluates."""

from __future__ import annotations

import json

from orchestration.specification import describe
from orchestration.specification.model import Region
from tests.infrastructure.synthesized import ACCOUNT, Deployment


def specified(deployment: Deployment, region: str) -> Region:
    return describe(deployment.settings, ACCOUNT).regions[region]


def test_metric_alarms_are_deployed_as_specified(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    alarms = specified(development, region).alarms
    assert len(stack.all("aws_cloudwatch_metric_alarm")) == len(alarms)
    for alarm in alarms:
        deployed = stack.find("aws_cloudwatch_metric_alarm", alarm_name=alarm.name)
        assert deployed["comparison_operator"] == alarm.comparison
        assert deployed["threshold"] == alarm.threshold
        assert deployed["evaluation_periods"] == alarm.evaluation_periods
        assert deployed["treat_missing_data"] == alarm.missing_data
        assert ("alarm_actions" in deployed) is alarm.notifies
        metric = deployed if alarm.fill is None else measured(deployed)
        assert metric["metric_name"] == alarm.metric.name
        assert metric["namespace"] == alarm.metric.namespace
        assert metric["period"] == alarm.metric.period_seconds
        assert metric["dimensions"] == alarm.metric.dimensions
        assert metric["statistic" if alarm.fill is None else "stat"] == alarm.metric.statistic


def test_a_silent_heartbeat_is_seen_at_once(development: Deployment, region: str) -> None:
    alarm = development.stacks[region].find(
        "aws_cloudwatch_metric_alarm", alarm_name=specified(development, region).alarm("heartbeat-missing").name
    )
    (watched,) = [query for query in alarm["metric_query"] if query.get("return_data")]
    assert watched["expression"] == f"FILL({measured_id(alarm)}, 0)"
    assert "metric_name" not in alarm
    assert "period" not in alarm


def test_lag_over_half_a_second_tells_people(development: Deployment, region: str) -> None:
    alarm = development.stacks[region].find("aws_cloudwatch_metric_alarm", metric_name="AuroraGlobalDBReplicationLag")
    assert (alarm["comparison_operator"], alarm["threshold"]) == ("GreaterThanThreshold", 500)
    assert alarm["alarm_actions"]


def test_trigger_needs_both_observers(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    (composite,) = specified(development, region).composites
    deployed = stack.only("aws_cloudwatch_composite_alarm")
    assert (deployed["alarm_name"], deployed["alarm_rule"]) == (composite.name, composite.rule)
    assert len(deployed["depends_on"]) == len(stack.all("aws_cloudwatch_metric_alarm"))


def test_rule_starts_the_workflow_with_the_incident(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    (rule,) = specified(development, region).rules
    deployed = stack.find("aws_cloudwatch_event_rule", name=rule.name)
    assert json.loads(deployed["event_pattern"]) == rule.event_pattern
    target = stack.find("aws_cloudwatch_event_target", target_id=rule.state_machine)
    assert target["input_transformer"] == {
        "input_paths": rule.input_paths,
        "input_template": rule.input_template,
    }
    assert target["arn"].startswith("${aws_sfn_state_machine.")
    assert target["role_arn"].endswith(f"role/{rule.name}")
    assert target["retry_policy"]["maximum_event_age_in_seconds"] == 300


def test_monitor_runs_every_minute(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    (schedule,) = specified(development, region).schedules
    rule = stack.find("aws_cloudwatch_event_rule", name=schedule.name)
    assert rule["schedule_expression"] == "rate(1 minute)"
    permission = stack.find("aws_lambda_permission", principal="events.amazonaws.com")
    assert permission["source_arn"].startswith("${aws_cloudwatch_event_rule.")
    assert "monitor" in permission["function_name"]


def measured_id(alarm: dict) -> str:
    (query,) = [query for query in alarm["metric_query"] if "metric" in query]
    return query["id"]


def measured(alarm: dict) -> dict:
    (query,) = [query for query in alarm["metric_query"] if "metric" in query]
    return query["metric"]
