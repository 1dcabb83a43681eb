"""The cost table of the documentation counts what is deployed, and adds up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orchestration.settings import PROJECT_ROOT
from tests.infrastructure.synthesized import Deployment, Stack

ROWS = [
    [cell.strip(" *") for cell in line.strip("|").split("|")]
    for line in (PROJECT_ROOT / "docs" / "cost.md").read_text().replace("\N{MULTIPLICATION SIGN}", "x").splitlines()
    if line.startswith("| ") and not line.startswith("| resource")
]
HIGH_RESOLUTION_SECONDS = 60  # alarms with shorter periods cost more


def row(resource: str) -> list[str]:
    (found,) = [row for row in ROWS if row[0] == resource]
    return found


def period(alarm: dict[str, Any]) -> int:
    seconds: int = alarm.get("period") or next(q["metric"]["period"] for q in alarm["metric_query"] if "metric" in q)
    return seconds


def alarms(stack: Stack) -> str:
    periods = [period(alarm) for alarm in stack.all("aws_cloudwatch_metric_alarm")]
    fast = sum(seconds < HIGH_RESOLUTION_SECONDS for seconds in periods)
    composite = len(stack.all("aws_cloudwatch_composite_alarm"))
    return f"2 x ({fast} of 10 s at 0.30, {len(periods) - fast} standard at 0.10, {composite} composite at 0.50)"


def test_the_table_adds_up() -> None:
    *parts, total = [float(re.sub(r"[^\d.]", "", row[-1])) for row in ROWS]
    assert sum(parts) == pytest.approx(total, abs=5)  # "about"


def test_alarms_are_counted_as_they_are_deployed(development: Deployment) -> None:
    assert [row("CloudWatch alarms")[1]] == list({alarms(stack) for stack in development.both})


def test_health_checks_are_counted_as_they_are_deployed(development: Deployment) -> None:
    kinds = [check["type"] for check in development.stacks["global"].all("aws_route53_health_check")]
    counted = re.findall(r"(\d) (?:HTTPS|alarm-based|calculated)", row("Route 53 health checks")[1])
    assert [int(count) for count in counted] == [
        kinds.count(kind) for kind in ("HTTPS", "CLOUDWATCH_METRIC", "CALCULATED")
    ]


def test_capacity_is_the_default_minimum_of_every_instance(development: Deployment) -> None:
    instances = [len(stack.all("aws_rds_cluster_instance")) for stack in development.both]
    (least,) = {
        stack.only("aws_rds_cluster")["serverlessv2_scaling_configuration"]["min_capacity"]
        for stack in development.both
    }
    assert row("Aurora capacity")[1] == f"{len(instances)} regions x {instances[0]} instances x {least} ACU x 730 h"
