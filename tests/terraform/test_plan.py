"""Terraform and the real AWS provider read every stack: init and plan, with moto in AWS's place.

A plan validates first. Each region is planned while the other one is dark: it hangs up on every request, IAM and
Route 53 included when it is us-east-1.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from orchestration.specification import describe
from orchestration.terraform import TerraformFailed
from tests.infrastructure.synthesized import Deployment
from tests.terraform import emulator, provider
from tests.terraform.check import terraform_environment
from tests.terraform.configuration import prepare
from tests.terraform.endpoint import Endpoint
from tests.terraform.terraform import Terraform

ACCOUNT = "123456789012"  # moto's
# Asked of AWS by a plan, and unknown to moto; `tests/statemachines` checks the workflow's definition.
LACKING = {"AWSStepFunctions.ValidateStateMachineDefinition": '{"result": "OK", "diagnostics": []}'}


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A moto server of its own, behind an endpoint that can make regions dark."""
    folder = tmp_path_factory.mktemp("moto")
    port = emulator.free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with emulator.running(command, port, folder / "moto.log") as upstream, Endpoint(upstream, LACKING).running() as aws:
        yield aws


@pytest.fixture(scope="session")
def stacks(
    deployment: Deployment, aws: Endpoint, tmp_path_factory: pytest.TempPathFactory, optional_tool: Callable[..., Any]
) -> Callable[[str], Terraform]:
    """Prepares a stack, once, for Terraform to run it."""
    program = optional_tool("terraform", provider.terraform(), "plans the stacks")
    found = provider.find()
    folder = tmp_path_factory.mktemp("terraform-stacks")
    environment = terraform_environment(aws.url) | found.write(folder)
    ready: dict[str, Terraform] = {}

    def prepared(name: str) -> Terraform:
        if name not in ready:
            prepare(deployment.stacks[name].folder, folder / name, found.version)
            ready[name] = Terraform(program, folder / name, environment)
            ready[name].init()
        return ready[name]

    return prepared


def test_a_plan_finds_arguments_that_exclude_each_other(stacks: Callable[[str], Terraform], tmp_path: Path) -> None:
    """What no check of types can see; it shows that a plan validates, by the provider's own rules."""
    planned = stacks("identity")
    configuration = json.loads((planned.folder / "cdk.tf.json").read_text())
    alarm = {
        "alarm_name": "broken",
        "comparison_operator": "GreaterThanThreshold",
        "evaluation_periods": 1,
        "metric_name": "one",
        "namespace": "some",
        "period": 60,
        "statistic": "Sum",
        "threshold": 1,
        "metric_query": [{"id": "one", "expression": "1", "return_data": True}],
    }
    alone = {"resource": {"aws_cloudwatch_metric_alarm": {"broken": alarm}}}
    alone |= {part: configuration[part] for part in ("terraform", "provider")}
    (tmp_path / "cdk.tf.json").write_text(json.dumps(alone))
    stack = replace(planned, folder=tmp_path)
    stack.init()
    with pytest.raises(TerraformFailed, match="conflicts with metric_name"):
        stack.plan()


@pytest.mark.parametrize(("region", "dark"), [("us-east-1", "us-west-2"), ("us-west-2", "us-east-1")])
def test_region_is_planned_while_the_other_one_is_dark(
    stacks: Callable[[str], Terraform], deployment: Deployment, aws: Endpoint, region: str, dark: str
) -> None:
    stack = stacks(region)
    with aws.without(dark) as seen:
        planned = stack.plan()
    assert {where for where, _ in seen} == {region}
    assert_creates_everything(planned, deployment, region)


def test_roles_are_planned(stacks: Callable[[str], Terraform], deployment: Deployment) -> None:
    assert_creates_everything(stacks("identity").plan(), deployment, "identity")


def test_global_stack_finds_the_regions_resources_by_name(
    stacks: Callable[[str], Terraform], deployment: Deployment, aws: Endpoint
) -> None:
    for region in deployment.settings.regions:
        deploy_what_is_looked_up(deployment, aws.url, region)
    assert_creates_everything(stacks("global").plan(), deployment, "global")


def assert_creates_everything(planned: list[Any], deployment: Deployment, stack: str) -> None:
    assert {change.actions for change in planned} == {("create",)}
    written = {f"{kind}.{name}" for kind, name, _ in deployment.stacks[stack].resources()}
    assert {change.address for change in planned} == written


def deploy_what_is_looked_up(deployment: Deployment, url: str, region: str) -> None:
    """Makes what the global stack looks up by name in a region."""
    specification = describe(deployment.settings, ACCOUNT)
    names = specification.names
    session = get_session()
    session.set_credentials("test", "test")

    def client(service: str) -> Any:
        return session.create_client(service, region, endpoint_url=url)

    ec2, lambdas = client("ec2"), client("lambda")
    vpc = ec2.create_vpc(CidrBlock=str(deployment.settings.cidr(region)))["Vpc"]["VpcId"]
    tables = {tier: ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for tier in ("client", "database")}
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": names.vpc(region)}])
    for tier, table in tables.items():
        ec2.create_tags(Resources=[table], Tags=[{"Key": "Name", "Value": names.route_table(tier, region)}])
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    client("kms").create_alias(AliasName=names.key_alias(region), TargetKeyId=key)
    client("rds").create_db_cluster(
        DBClusterIdentifier=names.cluster(region),
        Engine="aurora-postgresql",
        MasterUsername="postgres_admin",
        MasterUserPassword="made-up-password",
    )
    function = specification.regions[region].functions["writer_switch"]
    role = client("iam").create_role(RoleName=function.name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("handler.py", "")
    lambdas.create_function(
        FunctionName=function.name,
        Runtime="python3.12",
        Role=role,
        Handler=function.handler,
        Code={"ZipFile": code.getvalue()},
    )
    lambdas.create_function_url_config(FunctionName=function.name, AuthType="NONE")
