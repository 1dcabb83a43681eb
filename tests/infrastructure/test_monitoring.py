"""Alarms, rule and schedule: what is deployed is what the specification describes and the lab evaluates."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.events.models import EventPattern

from orchestration.specification import describe, standing, workflows
from orchestration.specification.model import Region
from tests.infrastructure.synthesized import ACCOUNT, Deployment


def specified(deployment: Deployment, region: str) -> Region:
    return describe(deployment.settings, ACCOUNT).regions[region]


# Every alarm but those on functions' errors: metric, statistic and period (s), when it rings, after how many of its
# periods, what a missing period counts as, and whether it pages people.
PAGES = True
AT_LEAST, ABOVE, BELOW = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold"
ALARMS = {
    "writer-down": ("WriterDown", "Maximum", 10, AT_LEAST, 1, "2 of 3", "notBreaching", PAGES),
    "heartbeat-missing": ("Heartbeat", "Maximum", 60, BELOW, 1, "2 of 3", "breaching", PAGES),
    "replication-lag": ("AuroraGlobalDBReplicationLag", "Maximum", 60, ABOVE, 500, "3 of 3", "notBreaching", PAGES),
    "writer-connectivity": ("WriterReachable", "Maximum", 60, BELOW, 1, "2 of 2", "notBreaching", PAGES),
    "monitor-refused": ("MonitorRefused", "Maximum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "automation-overdue": ("AutomationOverdue", "Maximum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "monitor-silent": ("Invocations", "Sum", 60, BELOW, 1, "3 of 3", "breaching", PAGES),
    "workflow-failed": ("ExecutionsFailed", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "workflow-timed-out": ("ExecutionsTimedOut", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "workflow-aborted": ("ExecutionsAborted", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "reprotection-failed": ("ExecutionsFailed", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "reprotection-timed-out": ("ExecutionsTimedOut", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "reprotection-aborted": ("ExecutionsAborted", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
    "not-ready": ("Errors", "Sum", 3600, AT_LEAST, 1, "1 of 1", "breaching", PAGES),
    "trigger-not-delivered": ("FailedInvocations", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES),
}
# What they look at, in us-west-2.
STATE_MACHINES = f"arn:aws:states:us-west-2:{ACCOUNT}:stateMachine"
EVERYONE = {"GlobalCluster": "payments-global-test"}
FROM_PEER = EVERYONE | {"FromRegion": "us-east-1"}
FAILOVER, REPROTECTION = (
    {"StateMachineArn": f"{STATE_MACHINES}:failover-usw2-test"},
    {"StateMachineArn": f"{STATE_MACHINES}:reprotect-usw2-test"},
)
WATCHED = {
    "writer-down": ("FailoverOrchestrator", EVERYONE),
    "heartbeat-missing": ("FailoverOrchestrator", FROM_PEER),
    "replication-lag": ("AWS/RDS", {"DBClusterIdentifier": "payments-usw2-test", "SourceRegion": "us-east-1"}),
    "writer-connectivity": ("FailoverOrchestrator", EVERYONE),
    "monitor-refused": ("FailoverOrchestrator", EVERYONE),
    "automation-overdue": ("FailoverOrchestrator", EVERYONE),
    "monitor-silent": ("AWS/Lambda", {"FunctionName": "failover-monitor-usw2-test"}),
    "workflow-failed": ("AWS/States", FAILOVER),
    "workflow-timed-out": ("AWS/States", FAILOVER),
    "workflow-aborted": ("AWS/States", FAILOVER),
    "reprotection-failed": ("AWS/States", REPROTECTION),
    "reprotection-timed-out": ("AWS/States", REPROTECTION),
    "reprotection-aborted": ("AWS/States", REPROTECTION),
    "not-ready": ("AWS/Lambda", {"FunctionName": "failover-readiness-usw2-test"}),
    "trigger-not-delivered": ("AWS/Events", {"RuleName": "failover-trigger-usw2-test"}),
}
# Of these the first error pages people; of any other step's the workflow tells, or its own alarms do.
ERRORS_PAGE = {
    "monitor",
    "prober",
    "fence",
    "writer_switch",
    "announce_end",
    "record_run",
    "notify",
    "end_reprotection",
    "notify_reprotection",
}


AT = {"us-east-1": "use1-test", "us-west-2": "usw2-test"}


def deployed_alarms(deployment: Deployment, region: str) -> dict[str, dict[str, Any]]:
    """The metric alarms of a region by their keys, the last parts of their names taken away."""
    ending = {"us-east-1": "-use1-test", "us-west-2": "-usw2-test"}[region]
    return {
        alarm["alarm_name"].removesuffix(ending): alarm
        for alarm in deployment.stacks[region].all("aws_cloudwatch_metric_alarm")
    }


def test_every_alarm_rings_when_it_was_agreed_to(development: Deployment, region: str) -> None:
    topic = f"${{aws_sns_topic.{next(iter(development.stacks[region].json['resource']['aws_sns_topic']))}.arn}}"
    alarms = deployed_alarms(development, region)
    agreed = ALARMS | {
        f"{step.replace('_', '-')}-errors": ("Errors", "Sum", 60, AT_LEAST, 1, "1 of 1", "notBreaching", PAGES)
        for step in ERRORS_PAGE
    }
    assert set(alarms) == set(agreed)
    for key, alarm in alarms.items():
        periods = alarm["evaluation_periods"]
        pages = "alarm_actions" in alarm
        assert agreed[key] == (
            alarm["metric_name"],
            alarm["statistic"],
            alarm["period"],
            alarm["comparison_operator"],
            alarm["threshold"],
            f"{alarm.get('datapoints_to_alarm', periods)} of {periods}",
            alarm["treat_missing_data"],
            pages,
        )
        assert alarm.get("alarm_actions") == alarm.get("ok_actions") == ([topic] if pages else None)
        assert alarm.get("actions_enabled", True)


def test_errors_page_people_where_no_run_fails_by_them() -> None:
    """Where every error and success lead to the same state, the workflow's own alarms stay quiet."""
    goes_on_regardless = {
        step
        for path in (workflows.FAILOVER_ASL, workflows.REPROTECT_ASL)
        for _, step, state in workflows.tasks(workflows.definition(path))
        for caught in state.get("Catch", ())
        if caught["ErrorEquals"] == ["States.ALL"] and caught["Next"] == state.get("Next")
    }
    assert goes_on_regardless == {step for step in ERRORS_PAGE if step not in {row.name for row in standing.FUNCTIONS}}


def test_every_alarm_looks_at_what_it_is_named_after(development: Deployment, region: str) -> None:
    for key, alarm in deployed_alarms(development, region).items():
        if key in WATCHED:
            assert (alarm["namespace"], in_us_west_2(alarm["dimensions"], region)) == WATCHED[key]
        else:
            assert alarm["namespace"] == "AWS/Lambda"
            named = f"failover-{key.removesuffix('-errors')}-usw2-test"
            assert in_us_west_2(alarm["dimensions"], region) == {"FunctionName": named}


def in_us_west_2(dimensions: dict[str, str], region: str) -> dict[str, str]:
    """The dimensions, with the regions in each other's place if they are us-east-1's."""
    swap = {"us-east-1": "us-west-2", "us-west-2": "us-east-1", "use1": "usw2", "usw2": "use1"}
    if region == "us-west-2":
        return dimensions
    return {name: re.sub("|".join(swap), lambda found: swap[found[0]], text) for name, text in dimensions.items()}


def test_no_alarm_fills_in_what_is_missing(development: Deployment, region: str) -> None:
    """With late data the newest point would always be the filled one (CloudWatch guide, on FILL)."""
    for alarm in development.stacks[region].all("aws_cloudwatch_metric_alarm"):
        assert "metric_query" not in alarm
    assert development.stacks[region].all("aws_cloudwatch_composite_alarm") == []


def test_lag_over_half_a_second_tells_people(development: Deployment, region: str) -> None:
    alarm = development.stacks[region].find("aws_cloudwatch_metric_alarm", metric_name="AuroraGlobalDBReplicationLag")
    assert (alarm["comparison_operator"], alarm["threshold"]) == ("GreaterThanThreshold", 500)
    assert alarm["alarm_actions"]


def test_p5_the_trigger_is_the_verdict_of_both_observers(development: Deployment, region: str) -> None:
    """Which the monitor of the standby has made; nothing else that is measured moves the writer."""
    stack = development.stacks[region]
    patterns = [
        json.loads(rule["event_pattern"])
        for rule in stack.all("aws_cloudwatch_event_rule")
        if rule.get("event_pattern") and "failover" in rule["name"]
    ]
    named = [name for pattern in patterns for name in pattern.get("resources", ())]
    assert [arn.rsplit(":", 1)[1] for arn in named] == [specified(development, region).alarm("writer-down").name]
    deployed = stack.find("aws_cloudwatch_metric_alarm", metric_name="WriterDown")
    (topic,) = deployed["alarm_actions"]  # people hear of it even when the workflow cannot start
    assert topic.startswith("${aws_sns_topic.")


def test_a_dead_monitor_pages_people_within_minutes(development: Deployment, region: str) -> None:
    alarm = development.stacks[region].find(
        "aws_cloudwatch_metric_alarm", alarm_name=specified(development, region).alarm("monitor-silent").name
    )
    assert (alarm["namespace"], alarm["metric_name"]) == ("AWS/Lambda", "Invocations")
    assert alarm["dimensions"]["FunctionName"] == specified(development, region).functions["monitor"].name
    assert (alarm["comparison_operator"], alarm["threshold"], alarm["evaluation_periods"]) == (
        "LessThanThreshold",
        1,
        3,
    )
    assert alarm["treat_missing_data"] == "breaching"
    assert alarm["alarm_actions"]


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


def test_dashboard_shows_every_alarm_and_both_limits_of_the_lag(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    body = json.loads(stack.only("aws_cloudwatch_dashboard")["dashboard_body"])
    (alarms,) = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
    deployed = {alarm["alarm_name"] for alarm in stack.all("aws_cloudwatch_metric_alarm")}
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


def test_dashboard_asks_the_control_record_when_somebody_looks(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    body = json.loads(stack.only("aws_cloudwatch_dashboard")["dashboard_body"])
    (panel,) = [w["properties"] for w in body["widgets"] if w["type"] == "custom"]
    assert panel["endpoint"] == f"arn:aws:lambda:{region}:{ACCOUNT}:function:failover-show-incident-{AT[region]}"
    assert panel["updateOn"]["refresh"] is True


def test_dashboard_and_saved_queries_read_logs_that_are_there(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    logs = {log["name"] for log in stack.all("aws_cloudwatch_log_group")}
    asked = {group for query in stack.all("aws_cloudwatch_query_definition") for group in query["log_group_names"]}
    body = json.loads(stack.only("aws_cloudwatch_dashboard")["dashboard_body"])
    shown = [w["properties"]["query"] for w in body["widgets"] if w["type"] == "log"]
    assert shown
    assert asked | {group for query in shown for group in re.findall("SOURCE '(.*?)'", query)} <= logs
    folders = {query["name"].split("/")[0] for query in stack.all("aws_cloudwatch_query_definition")}
    assert folders == {f"failover-{AT[region]}"}


def test_dashboard_stays_free(development: Deployment, region: str) -> None:
    """An account's first three dashboards are, with 50 metrics each at most (CloudWatch pricing)."""
    body = json.loads(development.stacks[region].only("aws_cloudwatch_dashboard")["dashboard_body"])
    assert sum(len(w["properties"].get("metrics", ())) for w in body["widgets"]) <= 50


def test_logs_are_kept_as_long_as_the_settings_say_and_encrypted(development: Deployment, region: str) -> None:
    for log in development.stacks[region].all("aws_cloudwatch_log_group"):
        assert log["retention_in_days"] == 90
        assert log["kms_key_id"].startswith("${aws_kms_key.")


def test_every_function_and_the_workflow_have_a_log_group(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    logs = {log["name"] for log in stack.all("aws_cloudwatch_log_group")}
    assert {f"/aws/lambda/{f['function_name']}" for f in stack.all("aws_lambda_function")} <= logs
    assert f"/aws/rds/cluster/{stack.only('aws_rds_cluster')['cluster_identifier']}/postgresql" in logs


def test_the_alarm_and_the_monitors_event_start_the_workflow(development: Deployment, region: str) -> None:
    at = {"us-east-1": "use1-test", "us-west-2": "usw2-test"}[region]
    asked = {"mode": "failover", "automatic": True, "asked_at": "<at>", "target_region": region}
    started = {
        f"failover-trigger-{at}": (
            {
                "source": ["aws.cloudwatch"],
                "detail-type": ["CloudWatch Alarm State Change"],
                "resources": [f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:writer-down-{at}"],
                "detail": {"state": {"value": ["ALARM"]}},
            },
            {"alarm": "$.detail.alarmName", "at": "$.time"},
            asked | {"started_by": "alarm <alarm>"},
        ),
        f"failover-event-{at}": (
            {
                "source": ["failover.monitor"],
                "detail-type": ["Writer Down"],
                "detail": {"epoch": [{"numeric": [">=", 1]}]},
            },
            {"epoch": "$.detail.epoch", "at": "$.time"},
            asked | {"started_by": "monitor", "attempt": 1, "epoch": 7},
        ),
    }
    for name, (pattern, paths, template) in started.items():
        rule, target = rule_and_target(development, region, name)
        assert json.loads(rule["event_pattern"]) == pattern
        assert target["input_transformer"]["input_paths"] == paths
        assert json.loads(target["input_transformer"]["input_template"].replace("<epoch>", "7")) == template
        assert target["arn"] == f"${{aws_sfn_state_machine.{workflow_id(development, region)}.arn}}"
        assert target["role_arn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
        # EventBridge would try for 24 h.
        assert target["retry_policy"] == {"maximum_event_age_in_seconds": 60, "maximum_retry_attempts": 20}


def rule_and_target(development: Deployment, region: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    resources = development.stacks[region].json["resource"]
    ((id_, rule),) = [
        (id_, rule) for id_, rule in resources["aws_cloudwatch_event_rule"].items() if rule["name"] == name
    ]
    (target,) = [
        target
        for target in resources["aws_cloudwatch_event_target"].values()
        if target["rule"] == f"${{aws_cloudwatch_event_rule.{id_}.name}}"
    ]
    return rule, target


def workflow_id(development: Deployment, region: str) -> str:
    machines = development.stacks[region].json["resource"]["aws_sfn_state_machine"]
    name = specified(development, region).state_machine.name
    return next(str(id_) for id_, machine in machines.items() if machine["name"] == name)


# A monitor's runs leave no gap; readiness is looked at often enough to be mended before the next outage.
SCHEDULES = {"monitor": "rate(1 minute)", "readiness": "rate(30 minutes)"}


def test_what_runs_all_day_is_started_by_schedule(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    for schedule in specified(development, region).schedules:
        rule = stack.find("aws_cloudwatch_event_rule", name=schedule.name)
        assert rule["schedule_expression"] == SCHEDULES[schedule.function.step]
    permissions = [one for one in stack.all("aws_lambda_permission") if one["statement_id"] == "schedule"]
    assert all(one["source_arn"].startswith("${aws_cloudwatch_event_rule.") for one in permissions)
    invoked = [next(step for step in SCHEDULES if step in one["function_name"]) for one in permissions]
    assert sorted(invoked) == sorted(SCHEDULES)


def test_an_alarm_on_readiness_lasts_from_one_look_to_the_next_and_rings_when_nobody_looks(
    development: Deployment, region: str
) -> None:
    alarm = deployed_alarms(development, region)["not-ready"]
    assert alarm["period"] >= 2 * 30 * 60  # rate(30 minutes)
    assert alarm["treat_missing_data"] == "breaching"


def test_a_backup_that_failed_reaches_the_function_that_says_so(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    rule = stack.find("aws_cloudwatch_event_rule", name=specified(development, region).backup_rule.name)
    pattern = EventPattern.load(rule["event_pattern"])
    for kind in ("Backup Job State Change", "Copy Job State Change", "Restore Job State Change"):
        for state in ("FAILED", "ABORTED", "EXPIRED", "PARTIAL", "RUNNING", "COMPLETED"):
            event: Any = {"source": "aws.backup", "detail-type": kind, "detail": {"state": state}}
            told = not kind.startswith("Restore") and state not in ("RUNNING", "COMPLETED")
            assert pattern.matches_event(event) == told
    permission = stack.find("aws_lambda_permission", principal="events.amazonaws.com", statement_id="backups")
    assert "announce_backup" in permission["function_name"]
    target = stack.find("aws_cloudwatch_event_target", target_id="announce_backup")
    assert target["retry_policy"] == {"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 60}


def test_p7_an_end_that_no_step_announces_reaches_the_function_that_does(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    there = specified(development, region)
    rule = stack.find("aws_cloudwatch_event_rule", name=there.end_rule.name)
    pattern = EventPattern.load(rule["event_pattern"])
    for machine in (there.state_machine, there.reprotection):
        arn = f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:{machine.name}"
        for status in ("TIMED_OUT", "ABORTED", "FAILED", "RUNNING", "SUCCEEDED"):
            event: Any = {
                "source": "aws.states",
                "detail-type": "Step Functions Execution Status Change",
                "detail": {"stateMachineArn": arn, "status": status},
            }
            assert pattern.matches_event(event) == (status in ("TIMED_OUT", "ABORTED", "FAILED"))
    every = EventPattern.load(stack.find("aws_cloudwatch_event_rule", name=there.report_rule.name)["event_pattern"])
    for status in ("TIMED_OUT", "ABORTED", "FAILED", "RUNNING", "SUCCEEDED"):  # a report is kept of all
        event["detail"]["status"] = status
        assert every.matches_event(event) == (status != "RUNNING")
    permission = stack.find("aws_lambda_permission", principal="events.amazonaws.com", statement_id="ends")
    assert "announce_end" in permission["function_name"]
    target = stack.find("aws_cloudwatch_event_target", target_id="announce_end")
    assert target["retry_policy"] == {"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 60}
