"""Alarms, rule and schedule: what is deployed is what the specification describes and the lab evaluates."""

from __future__ import annotations

import json

from orchestration.specification import describe
from orchestration.specification.model import Region
from orchestration.specification.monitoring import POLLING_STEPS
from tests.infrastructure.synthesized import ACCOUNT, Deployment


def specified(deployment: Deployment, region: str) -> Region:
    return describe(deployment.settings, ACCOUNT).regions[region]


def test_metric_alarms_are_deployed_as_specified(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    described = specified(development, region)
    alarms = (*described.alarms, *described.upkeep_alarms)
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
    assert len(deployed["depends_on"]) == len(specified(development, region).alarms)
    assert deployed["alarm_actions"]  # people hear of it even when the workflow cannot start


def test_a_dead_monitor_pages_people_within_minutes(development: Deployment, region: str) -> None:
    alarm = development.stacks[region].find(
        "aws_cloudwatch_metric_alarm", alarm_name=specified(development, region).alarm("monitor-silent").name
    )
    metric = measured(alarm)
    assert (metric["namespace"], metric["metric_name"]) == ("AWS/Lambda", "Invocations")
    assert metric["dimensions"]["FunctionName"] == specified(development, region).functions["monitor"].name
    assert (alarm["comparison_operator"], alarm["threshold"], alarm["evaluation_periods"]) == (
        "LessThanThreshold",
        1,
        3,
    )
    assert alarm["treat_missing_data"] == "breaching"
    assert alarm["alarm_actions"]


def test_upkeep_alarms_never_move_the_writer(development: Deployment, region: str) -> None:
    described = specified(development, region)
    for alarm in described.upkeep_alarms:
        for composite in described.composites:
            assert f'"{alarm.name}"' not in composite.rule


def test_failures_of_either_workflow_tell_people(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    names = describe(development.settings, ACCOUNT).names
    for machine in (names.state_machine_arn(region), names.reprotection_arn(region)):
        for metric in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"):
            wanted = {"metric_name": metric, "dimensions": {"StateMachineArn": machine}}
            alarm = stack.find("aws_cloudwatch_metric_alarm", **wanted)
            assert (alarm["threshold"], alarm["treat_missing_data"]) == (1, "notBreaching")
            assert alarm["alarm_actions"]
    undelivered = stack.find("aws_cloudwatch_metric_alarm", metric_name="FailedInvocations")
    assert undelivered["dimensions"] == {"RuleName": specified(development, region).rules[0].name}
    assert undelivered["alarm_actions"]


def test_errors_of_every_function_tell_people(development: Deployment, region: str) -> None:
    alarms = [
        a for a in development.stacks[region].all("aws_cloudwatch_metric_alarm") if a.get("metric_name") == "Errors"
    ]
    watched = {a["dimensions"]["FunctionName"] for a in alarms if a["alarm_actions"]}
    functions = specified(development, region).functions
    # These answer "not yet" by an error that the workflow retries; what comes of it the workflow's alarms say.
    assert watched == {function.name for step, function in functions.items() if step not in POLLING_STEPS}
    assert set(functions) > POLLING_STEPS


def test_dashboard_shows_every_alarm_and_both_limits_of_the_lag(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    body = json.loads(stack.only("aws_cloudwatch_dashboard")["dashboard_body"])
    (alarms,) = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
    deployed = {
        a["alarm_name"]
        for kind in ("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm")
        for a in stack.all(kind)
    }
    assert {arn.rsplit(":")[-1] for arn in alarms} == deployed
    limits = [w["properties"]["annotations"]["horizontal"] for w in body["widgets"] if "annotations" in w["properties"]]
    assert [[limit["value"] for limit in limit_set] for limit_set in limits] == [[500, 1000]]
    assert {w["properties"]["region"] for w in body["widgets"] if w["type"] == "metric"} == {region}


def test_dashboard_draws_the_metrics_that_the_alarms_watch(development: Deployment, region: str) -> None:
    body = json.loads(development.stacks[region].only("aws_cloudwatch_dashboard")["dashboard_body"])
    drawn = {
        (m[0], m[1], tuple(m[2:-1]))
        for w in body["widgets"]
        if w["type"] == "metric"
        for m in w["properties"]["metrics"]
    }
    for alarm in specified(development, region).alarms:
        flat = tuple(text for pair in alarm.metric.dimensions.items() for text in pair)
        assert (alarm.metric.namespace, alarm.metric.name, flat) in drawn


def test_logs_are_kept_as_long_as_the_settings_say_and_encrypted(development: Deployment, region: str) -> None:
    for log in development.stacks[region].all("aws_cloudwatch_log_group"):
        assert log["retention_in_days"] == 90
        assert log["kms_key_id"].startswith("${aws_kms_key.")


def test_every_function_and_the_workflow_have_a_log_group(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    logs = {log["name"] for log in stack.all("aws_cloudwatch_log_group")}
    assert {f"/aws/lambda/{f['function_name']}" for f in stack.all("aws_lambda_function")} <= logs
    assert f"/aws/rds/cluster/{stack.only('aws_rds_cluster')['cluster_identifier']}/postgresql" in logs


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
