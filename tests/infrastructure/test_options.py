"""What only some settings ask for, deployed: hooks, the application's alarms, a capacity that follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infrastructure.synthesized import Deployment, Stack, synthesized

OPTIONS: dict[str, Any] = {
    "hooks": [
        {"name": "scale-out", "when": "WriterMoved", "function": "scale-application"},
        {"name": "ticket", "when": "FailoverStarted", "state_machine": "tickets", "required": True},
        {"name": "drain", "when": "Unprotected", "document": "drain-queues", "document_role": "drain-queues"},
    ],
    "application_alarms": ["checkout-errors"],
    "database": {"capacity_follows": True},
}
STEPS = {"run_hooks": "hooks", "watch_application": "application", "follow_capacity": "capacity"}


@pytest.fixture(scope="module")
def asked_for(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return synthesized(tmp_path_factory.mktemp("options"), **OPTIONS)


def functions(stack: Stack) -> set[str]:
    return {function["handler"].split(".")[-2] for function in stack.all("aws_lambda_function")}


def test_nothing_of_it_is_deployed_where_nobody_asks(development: Deployment, asked_for: Deployment) -> None:
    for before, after in zip(development.both, asked_for.both, strict=True):
        assert functions(after) - functions(before) == set(STEPS)


def test_each_is_started_by_its_events_on_the_default_bus(asked_for: Deployment) -> None:
    for stack in asked_for.both:
        for step, key in STEPS.items():
            rule = stack.find("aws_cloudwatch_event_rule", name=f"failover-{key}-{short(stack)}-test")
            assert json.loads(rule["event_pattern"])["source"] == ["failover.orchestrator"]
            assert "event_bus_name" not in rule
            target = stack.find("aws_cloudwatch_event_target", target_id=step)
            assert target["arn"].startswith("${aws_lambda_function.")
            permission = stack.find("aws_lambda_permission", statement_id=key)
            assert permission["principal"] == "events.amazonaws.com"
            assert step in permission["function_name"]


def test_what_fails_of_it_pages_and_the_dashboard_stays_free(asked_for: Deployment) -> None:
    for stack in asked_for.both:
        names = {alarm["alarm_name"] for alarm in stack.all("aws_cloudwatch_metric_alarm")}
        assert {f"{step.replace('_', '-')}-errors-{short(stack)}-test" for step in STEPS} <= names
        body = json.loads(stack.only("aws_cloudwatch_dashboard")["dashboard_body"])
        assert sum(len(widget["properties"].get("metrics", ())) for widget in body["widgets"]) <= 50


def test_p8_terraform_lowers_no_capacity_that_has_followed(development: Deployment, asked_for: Deployment) -> None:
    follows = "serverlessv2_scaling_configuration[0].min_capacity"
    for stack in asked_for.both:
        assert follows in stack.only("aws_rds_cluster")["lifecycle"]["ignore_changes"]
    for stack in development.both:
        assert follows not in stack.only("aws_rds_cluster")["lifecycle"]["ignore_changes"]


def test_each_has_a_role_of_its_own_that_can_write_its_log(asked_for: Deployment) -> None:
    roles = {role["name"] for role in asked_for.stacks["identity"].all("aws_iam_role")}
    for stack in asked_for.both:
        assert {f"failover-{step.replace('_', '-')}-{short(stack)}-test" for step in STEPS} <= roles


def short(stack: Stack) -> str:
    return {"us-east-1": "use1", "us-west-2": "usw2"}[stack.name]
