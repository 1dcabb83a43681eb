"""What a deployment costs at idle: computed from what is deployed, small enough, and told as it is computed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from drills.aws.health_checks import CHECKERS
from handlers.core.lease import TICK_S
from orchestration import idle_cost
from orchestration.idle_cost import Line, Price
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import Specification, describe
from orchestration.specification.names import METRIC_NAMESPACE
from tests.deployment import CLOCK, STANDBY, WRITER
from tests.deployment import Deployment as Running
from tests.deployment.monitors import new_watch, tick
from tests.infrastructure.existing import existing
from tests.infrastructure.synthesized import ACCOUNT, Deployment

TOLD = (PROJECT_ROOT / "docs" / "cost.md").read_text()
BUDGET_DOLLARS = 40  # a month, for everything but the database


@pytest.fixture
def specification(development: Deployment) -> Specification:
    return describe(development.settings, ACCOUNT)


def line(lines: list[Line], resource: str) -> Line:
    (found,) = [one for one in lines if one.resource == resource]
    return found


def test_the_orchestrator_costs_40_dollars_a_month_at_most(specification: Specification) -> None:
    assert idle_cost.total(idle_cost.orchestrator(specification)) <= BUDGET_DOLLARS


def test_the_page_shows_the_tables_as_they_are_computed(specification: Specification) -> None:
    for table in idle_cost.tables(specification).strip().split("\n\n"):
        assert table in TOLD, "write the output of `python -m orchestration.idle_cost` into docs/cost.md"


def test_every_price_has_a_note_that_the_page_explains(specification: Specification) -> None:
    explained = {int(note) for note in re.findall(r"\[(\d)\] \w", TOLD)}
    assert {one.price.note for one in _all(specification)} == explained


def test_a_line_costs_its_count_at_its_price() -> None:
    assert Line("requests", "of all", 3_000_000, Price(0.20, 1_000_000, "requests", 1)).dollars == pytest.approx(0.60)


def test_alarms_dashboards_and_keys_are_counted_as_they_are_deployed(
    development: Deployment, specification: Specification
) -> None:
    lines = idle_cost.orchestrator(specification)
    deployed = [alarm for stack in development.both for alarm in stack.all("aws_cloudwatch_metric_alarm")]
    fast = sum(alarm["period"] < 60 for alarm in deployed)
    assert line(lines, "CloudWatch alarms").count == len(deployed) - fast
    assert line(lines, "CloudWatch alarms, fast").count == fast
    everything = Counter(kind for stack in development.stacks.values() for kind, _, _ in stack.resources())
    assert everything["aws_cloudwatch_composite_alarm"] == 0
    assert everything["aws_cloudwatch_dashboard"] == 2
    assert line(lines, "KMS keys").count == everything["aws_kms_key"]
    assert everything["aws_nat_gateway"] == 0
    endpoints = [endpoint for stack in development.both for endpoint in stack.all("aws_vpc_endpoint")]
    assert {endpoint["vpc_endpoint_type"] for endpoint in endpoints} == {"Gateway"}


def test_health_checks_are_counted_as_they_are_deployed(development: Deployment, specification: Specification) -> None:
    checks = development.stacks["global"].all("aws_route53_health_check")
    lines = idle_cost.orchestrator(specification)
    counted = [line(lines, f"Route 53 checks that {what}").count for what in ("decide", "show")]
    assert sum(counted) == len(checks)
    assert line(lines, "Route 53 checks, options").count == 2 * sum(check["type"] == "HTTPS" for check in checks)
    assert idle_cost.CHECKERS == CHECKERS


def test_dynamodb_is_counted_as_it_is_deployed(development: Deployment) -> None:
    tables = [table for stack in development.stacks.values() for table in stack.all("aws_dynamodb_table")]
    replicas = sum(1 + len(table.get("replica", ())) for table in tables)
    assert f"some MB in {replicas} tables" in TOLD
    assert {table["billing_mode"] for table in tables} == {"PAY_PER_REQUEST"}


def test_the_monitors_run_for_as_long_as_is_counted(specification: Specification) -> None:
    with Running() as running, running.lambdas.environment(STANDBY, "monitor") as module:
        assert module.RUN_FOR_S == idle_cost.RUN_SECONDS
    schedules = {one.function.step: one.expression for one in specification.regions[STANDBY].schedules}
    assert schedules == {"monitor": "rate(1 minute)", "readiness": "rate(30 minutes)"}
    assert idle_cost.LOOKS == idle_cost.RUNS / 30


@pytest.fixture
def idle_run() -> Iterator[Running]:
    """A deployment in which nothing happens, after one run of the writer's monitor and one of the standby's."""
    CLOCK.sleep(1000)  # far from the test before
    watchers: dict[str, Any] = {}
    with Running() as running:
        running.guardian_was_here()
        for _ in range(int(idle_cost.RUN_SECONDS / TICK_S)):
            for region in (WRITER, STANDBY):
                with running.lambdas.environment(region, "monitor") as module:
                    tick(watchers.setdefault(region, new_watch(module)))
            CLOCK.sleep(TICK_S)
        yield running


def test_a_run_of_each_monitor_publishes_what_is_counted_and_no_more(
    idle_run: Running, specification: Specification
) -> None:
    names = [
        metric["MetricName"]
        for region in (WRITER, STANDBY)
        for metric in idle_run.client("cloudwatch", region).list_metrics(Namespace=METRIC_NAMESPACE)["Metrics"]
    ]
    assert sorted(names) == sorted(idle_cost.WRITERS_METRICS + idle_cost.STANDBYS_METRICS)
    puts = sum(step == "monitor" and what == "cloudwatch.PutMetricData" for step, _, what in idle_run.gate.seen)
    made, _ = idle_cost.calls(specification)["CloudWatch `PutMetricData`"]
    assert puts * idle_cost.RUNS == made


def test_functions_that_run_millions_of_times_log_only_what_goes_wrong(development: Deployment, region: str) -> None:
    quiet = {
        function["handler"].split(".")[-2]
        for function in development.stacks[region].all("aws_lambda_function")
        if function["logging_config"]["system_log_level"] == "WARN"
    }
    assert quiet == {"prober", "writer_switch"}


def test_capacity_is_the_default_minimum_of_every_instance(
    development: Deployment, specification: Specification
) -> None:
    capacity = sum(
        len(stack.all("aws_rds_cluster_instance"))
        * stack.only("aws_rds_cluster")["serverlessv2_scaling_configuration"]["min_capacity"]
        for stack in development.both
    )
    assert line(idle_cost.database(specification), "Aurora capacity").count == capacity * 730


def _all(specification: Specification) -> list[Line]:
    return idle_cost.orchestrator(specification) + idle_cost.database(specification)


def capacity(environment: str, **database: float) -> str | None:
    return idle_cost.capacity_warning(load(environment_suffix="test", environment=environment, database=database))


def test_production_below_the_recommended_capacity_is_told_both_bills() -> None:
    said = capacity("production", min_capacity=2, standby_min_capacity=0.5, max_capacity=4)
    # As in docs/cost.md: 2 instances a region, at 0.12 an ACU-hour, and 5.58 for everything else.
    acu = 2 * 730 * 0.12
    assert said == (
        "database.min_capacity is 2 ACU and database.standby_min_capacity is 0.5 ACU; for the primary of a global "
        "database in production, which either region's cluster may be, Aurora recommends at least 8. "
        f"Idle, the database costs ${2.5 * acu + 5.58:,.2f} a month as it is set, and ${16 * acu + 5.58:,.2f} with 8 "
        "(docs/cost.md)"
    )


def test_only_what_is_too_low_is_named_and_raised() -> None:
    said = str(capacity("production", min_capacity=12, standby_min_capacity=7.5))
    assert said.startswith("database.standby_min_capacity is 7.5 ACU; ")
    assert f"and ${20 * 2 * 730 * 0.12 + 5.58:,.2f} with 8" in said


def test_nothing_is_said_of_enough_capacity_nor_outside_production() -> None:
    assert capacity("production", min_capacity=8, standby_min_capacity=8) is None
    assert capacity("staging", min_capacity=0.5) is None
    adopted = load(environment_suffix="test", environment="production", existing=existing())
    assert idle_cost.capacity_warning(adopted) is None, "its capacity is not ours to set"
