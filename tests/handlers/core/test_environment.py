"""What a function is told by its deployment."""

from __future__ import annotations

from dataclasses import fields

import pytest

from handlers.core.environment import RDS_CA_BUNDLE, Environment, SecurityGroups
from handlers.core.errors import Misconfigured
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe
from orchestration.specification.model import Function

REGIONS = describe(load(environment_suffix="test", environment="development"), "123456789012").regions
GIVEN_BY_LAMBDA = {"AWS_REGION"}
# Read by Powertools and boto3 themselves.
FOR_LIBRARIES = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL", "AWS_STS_REGIONAL_ENDPOINTS"}
READ = {field.name.upper() for field in fields(Environment)}

FUNCTIONS = [
    pytest.param(region, function, id=f"{step} {region}")
    for region, there in REGIONS.items()
    for step, function in there.functions.items()
]
WHOLE = {**REGIONS["us-west-2"].functions["claim"].environment, "AWS_REGION": "us-west-2"}


@pytest.mark.parametrize(("region", "function"), FUNCTIONS)
def test_the_specification_gives_every_function_what_it_reads(region: str, function: Function) -> None:
    environment = Environment.read({**function.environment, "AWS_REGION": region})
    assert environment.aws_region == region
    assert environment.peer_region == REGIONS[region].peer
    assert environment.cluster == REGIONS[region].cluster.identifier
    assert environment.cluster_arn.split(":")[3] == region
    assert environment.peer_cluster == REGIONS[environment.peer_region].cluster.identifier
    assert environment.topic_arn.endswith(f":{region}:123456789012:{REGIONS[region].topic}")
    assert environment.peer_topic_arn.endswith(REGIONS[environment.peer_region].topic)
    assert environment.idempotency_table == REGIONS[region].idempotency_table.name
    assert environment.prober_function == REGIONS[region].functions["prober"].name
    assert environment.state_machine_arn.endswith(REGIONS[region].state_machine.name)
    assert environment.fence_function == REGIONS[region].functions["fence"].name
    assert environment.peer_fence_function == REGIONS[environment.peer_region].functions["fence"].name
    assert environment.peer_role_arn.endswith(f":role/{REGIONS[environment.peer_region].role_for_peer.name}")
    assert environment.runs_table == REGIONS[region].runs_table.name
    assert environment.cool_down_s == load(environment_suffix="test").thresholds.cool_down_minutes * 60
    assert environment.heartbeat_missing_alarm == REGIONS[region].alarm("heartbeat-missing").name
    assert environment.heartbeat_unhealthy_alarm == REGIONS[region].alarm("heartbeat-unhealthy").name


@pytest.mark.parametrize(("region", "function"), FUNCTIONS)
def test_the_specification_gives_nothing_that_nobody_reads(region: str, function: Function) -> None:
    own = set(function.environment) - READ - FOR_LIBRARIES
    assert {name for name, _ in function.security_groups} <= {"CLUSTER_SECURITY_GROUP", "FENCE_SECURITY_GROUP"}
    source = (PROJECT_ROOT / "handlers" / function.folder / f"{function.step}.py").read_text() if own else ""
    assert all(variable in source for variable in own)


@pytest.mark.parametrize("variable", sorted(READ))
def test_a_missing_variable_is_named(variable: str) -> None:
    with pytest.raises(Misconfigured, match=rf"{variable} is missing; deploy it from the specification again"):
        Environment.read({name: value for name, value in WHOLE.items() if name != variable})


def test_an_empty_variable_is_a_missing_one() -> None:
    with pytest.raises(Misconfigured, match="CLUSTER is missing"):
        Environment.read(WHOLE | {"CLUSTER": ""})


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(Misconfigured) as raised:
        Environment.read(WHOLE | {"CLUSTER": "", "DATABASE_PORT": "5432x", "RPO_BUDGET_MS": "-1"})
    for fault in ("CLUSTER is missing", "DATABASE_PORT is '5432x', not a whole number", "RPO_BUDGET_MS is '-1'"):
        assert fault in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"CLUSTER_SECURITY_GROUP": "sg-1"}, "FENCE_SECURITY_GROUP is missing"),
        ({"FENCE_SECURITY_GROUP": "sg-2", "CLUSTER_SECURITY_GROUP": ""}, "CLUSTER_SECURITY_GROUP is missing"),
        ({}, "CLUSTER_SECURITY_GROUP, FENCE_SECURITY_GROUP is missing"),
    ],
    ids=["no fence", "no cluster", "none"],
)
def test_a_missing_security_group_is_named(variables: dict[str, str], missing: str) -> None:
    with pytest.raises(Misconfigured, match=f"{missing}; deploy this region's stack again"):
        SecurityGroups.read(variables)


def test_the_fence_and_nobody_else_is_told_the_security_groups() -> None:
    for there in REGIONS.values():
        assert [step for step, function in there.functions.items() if function.security_groups] == ["fence"]
        told = {name: f"sg-{key}" for name, key in there.functions["fence"].security_groups}
        assert SecurityGroups.read(told) == SecurityGroups(cluster="sg-database", fence="sg-fence")


def test_the_certificate_authorities_are_in_the_package() -> None:
    assert RDS_CA_BUNDLE.read_text().count("BEGIN CERTIFICATE") > 1
