"""What a function is told by its deployment."""

from __future__ import annotations

from dataclasses import fields

import pytest

from handlers.core.environment import RDS_CA_BUNDLE, Environment
from handlers.core.errors import Misconfigured
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe
from orchestration.specification.model import Function

REGIONS = describe(load(environment_suffix="test", environment="development"), "123456789012").regions
GIVEN_BY_LAMBDA = {"AWS_REGION"}
# Read by Powertools itself.
FOR_POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL"}
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
    assert environment.heartbeat_missing_alarm == REGIONS[region].alarm("heartbeat-missing").name
    assert environment.heartbeat_unhealthy_alarm == REGIONS[region].alarm("heartbeat-unhealthy").name


@pytest.mark.parametrize(("region", "function"), FUNCTIONS)
def test_the_specification_gives_nothing_that_nobody_reads(region: str, function: Function) -> None:
    own = set(function.environment) - READ - FOR_POWERTOOLS
    source = (PROJECT_ROOT / "handlers" / f"{function.step}.py").read_text() if own else ""
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


def test_the_certificate_authorities_are_in_the_package() -> None:
    assert RDS_CA_BUNDLE.read_text().count("BEGIN CERTIFICATE") > 1
