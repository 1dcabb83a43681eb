"""The game day, deployed: off by default, exactly what it cuts, what ends it, and who may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.settings import SettingsError, load
from tests.infrastructure.existing import SETTINGS, existing, linked, region
from tests.infrastructure.synthesized import ACCOUNT, Deployment, Stack, synthesized
from tests.infrastructure.test_identity import role_as_text
from tests.infrastructure.test_people import as_text, granted

KINDS = {"aws_fis_experiment_template"}
ROLE = """\
failover-game-day-usw2-test
  for Service fis.amazonaws.com
    if StringEquals aws:SourceAccount ACCOUNT
    if ArnLike aws:SourceArn fis:us-west-2:ACCOUNT:experiment/*
  may ec2:CreateNetworkAcl
    on ec2:us-west-2:ACCOUNT:network-acl/*
    if StringEquals aws:RequestTag/managedByFIS true
  may ec2:CreateNetworkAcl
    on ec2:us-west-2:ACCOUNT:vpc/*
    if StringEquals ec2:ResourceTag/Name payments-vpc-usw2-test
  may ec2:CreateTags
    on ec2:us-west-2:ACCOUNT:network-acl/*
    if StringEquals ec2:CreateAction CreateNetworkAcl
    if StringEquals aws:RequestTag/managedByFIS true
  may ec2:CreateNetworkAclEntry
  may ec2:DeleteNetworkAcl
    on ec2:us-west-2:ACCOUNT:network-acl/*
    if StringEquals ec2:ResourceTag/managedByFIS true
  may ec2:ReplaceNetworkAclAssociation
    on ec2:us-west-2:ACCOUNT:network-acl/*
  may ec2:ReplaceNetworkAclAssociation
    on ec2:us-west-2:ACCOUNT:subnet/*
    if StringLike ec2:ResourceTag/Name payments-database-?-usw2-test
  may ec2:DescribeManagedPrefixLists
  may ec2:DescribeNetworkAcls
  may ec2:DescribeSubnets
  may ec2:DescribeVpcs
    on *
    if StringEquals aws:RequestedRegion us-west-2
  may ec2:GetManagedPrefixListEntries
    on ec2:us-west-2:ACCOUNT:prefix-list/*
  may logs:CreateLogDelivery
  may logs:DescribeLogGroups
  may logs:DescribeResourcePolicies
  may logs:PutResourcePolicy
    on *
    if StringEquals aws:RequestedRegion us-west-2"""
ONE_REGION = (
    "fis:GetExperimentTemplate, fis:StartExperiment on arn:aws:fis:{r}:ACCOUNT:experiment-template/* if "
    '{{"StringEquals": {{"aws:ResourceTag/Name": "failover-game-day-{s}-test"}}}}',
    "fis:StartExperiment, fis:TagResource on arn:aws:fis:{r}:ACCOUNT:experiment/* if "
    '{{"StringEquals": {{"aws:RequestTag/Name": "failover-game-day-{s}-test"}}}}',
    "fis:GetExperiment, fis:StopExperiment on arn:aws:fis:{r}:ACCOUNT:experiment/* if "
    '{{"StringEquals": {{"aws:ResourceTag/Name": "failover-game-day-{s}-test"}}}}',
)
REGIONS = (("us-east-1", "use1"), ("us-west-2", "usw2"))
PEOPLE = [
    *(
        f'{actions} on * if {{"StringEquals": {{"aws:RequestedRegion": "{name}"}}}}'
        for actions in (
            "fis:ListExperimentTemplates, fis:ListExperiments",
            "cloudwatch:DescribeAlarms, ec2:DescribeNetworkInterfaces",
        )
        for name, _ in REGIONS
    ),
    *(line.format(r=name, s=short) for name, short in REGIONS for line in ONE_REGION),
    "iam:CreateServiceLinkedRole on "
    "arn:aws:iam::ACCOUNT:role/aws-service-role/fis.amazonaws.com/AWSServiceRoleForFIS if "
    '{"StringEquals": {"iam:AWSServiceName": "fis.amazonaws.com"}}',
]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    settings = {"enabled": True, "minutes": 15, "stop_alarms": ["checkout-of-others"]}
    return synthesized(tmp_path_factory.mktemp("game-day"), game_day=settings)


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return synthesized(
        tmp_path_factory.mktemp("adopted-game-day"), existing=linked(), game_day={"enabled": True}, **SETTINGS
    )


def added(before: Stack, after: Stack) -> set[tuple[str, str]]:
    def found(stack: Stack) -> set[tuple[str, str]]:
        return {(kind, name) for kind, name, _ in stack.resources()}

    assert found(before) <= found(after)
    return found(after) - found(before)


def test_without_the_setting_there_is_nothing_of_it(development: Deployment, wanted: Deployment) -> None:
    """With it: one template and one log group a region, their role, and one policy for people; nothing that costs."""
    for before, after in zip(development.both, wanted.both, strict=True):
        kinds = sorted(kind for kind, _ in added(before, after))
        assert kinds == ["aws_cloudwatch_log_group", "aws_fis_experiment_template"]
    identity = added(development.stacks["identity"], wanted.stacks["identity"])
    assert sorted(kind for kind, _ in identity) == [
        "aws_iam_policy",
        *["aws_iam_role"] * 2,
        *["aws_iam_role_policy"] * 2,
    ]
    assert added(development.stacks["global"], wanted.stacks["global"]) == set()


def test_it_cuts_the_databases_subnets_off_and_nothing_else(wanted: Deployment) -> None:
    for stack in wanted.both:
        template = stack.only("aws_fis_experiment_template")
        (action,), (target,) = template["action"], template["target"]
        assert action["action_id"] == "aws:network:disrupt-connectivity"
        assert {each["key"]: each["value"] for each in action["parameter"]} == {"duration": "PT15M", "scope": "all"}
        assert action["target"] == {"key": "Subnets", "value": target["name"]}
        assert target["resource_type"] == "aws:ec2:subnet"
        assert target["selection_mode"] == "ALL"
        assert target["resource_arns"] == (
            f'${{formatlist("arn:aws:ec2:{stack.name}:{ACCOUNT}:subnet/%s", [{", ".join(database_subnets(stack))}])}}'
        )
        assert template["experiment_options"] == {
            "account_targeting": "single-account",
            "empty_target_resolution_mode": "fail",
        }


def database_subnets(stack: Stack) -> list[str]:
    """As Terraform refers to them in an expression."""
    subnets = stack.json["resource"]["aws_subnet"]
    return [f"aws_subnet.{name}.id" for name, one in subnets.items() if "-database-" in one["tags"]["Name"]]


def test_alarms_that_are_deployed_end_it(wanted: Deployment) -> None:
    """Both are of the region that is cut off, for FIS looks there; ours says that nobody would take over."""
    for stack, short in zip(wanted.both, ("use1", "usw2"), strict=True):
        alarms = {each["value"] for each in stack.only("aws_fis_experiment_template")["stop_condition"]}
        arn = f"arn:aws:cloudwatch:{stack.name}:{ACCOUNT}:alarm"
        assert alarms == {f"{arn}:heartbeat-missing-{short}-test", f"{arn}:checkout-of-others"}
        assert stack.find("aws_cloudwatch_metric_alarm", alarm_name=f"heartbeat-missing-{short}-test")


def test_its_log_is_kept_and_encrypted_and_its_name_finds_it(wanted: Deployment) -> None:
    for stack, short in zip(wanted.both, ("use1", "usw2"), strict=True):
        log = stack.find("aws_cloudwatch_log_group", name=f"/aws/vendedlogs/fis/failover-game-day-{short}-test")
        assert log["retention_in_days"] == wanted.settings.log_retention_days
        assert (
            log["kms_key_id"]
            == stack.find("aws_cloudwatch_log_group", name=f"/aws/lambda/failover-claim-{short}-test")["kms_key_id"]
        )
        template = stack.only("aws_fis_experiment_template")
        (id_,) = [key for key, one in stack.json["resource"]["aws_cloudwatch_log_group"].items() if one is log]
        assert template["log_configuration"] == {
            "log_schema_version": 2,
            "cloudwatch_logs_configuration": {"log_group_arn": f"${{aws_cloudwatch_log_group.{id_}.arn}}:*"},
        }
        assert template["tags"] == {"Name": f"failover-game-day-{short}-test"}
        assert template["role_arn"] == f"arn:aws:iam::{ACCOUNT}:role/failover-game-day-{short}-test"


def test_its_role_may_do_what_was_reviewed_and_is_for_experiments_of_the_region_only(wanted: Deployment) -> None:
    assert role(wanted) == ROLE


def role(deployment: Deployment) -> str:
    name, identity = "failover-game-day-usw2-test", deployment.stacks["identity"]
    statements = json.loads(identity.find("aws_iam_role_policy", name=name)["policy"])["Statement"]
    return role_as_text(identity.find("aws_iam_role", name=name), statements)


def test_who_holds_a_game_day_may_start_and_stop_this_experiment_and_no_other(wanted: Deployment) -> None:
    assert [as_text(statement) for statement in granted(wanted, "gameday")] == PEOPLE
    assert [as_text(one) for one in granted(wanted, "operators") if any("fis:" in each for each in one["Action"])] == []


def test_an_adopted_databases_subnets_are_those_of_its_subnet_group(adopted: Deployment) -> None:
    for stack, name in zip(adopted.both, ("writer", "standby"), strict=True):
        ((id_, group),) = stack.json["data"]["aws_db_subnet_group"].items()
        subnets = f"data.aws_db_subnet_group.{id_}.subnet_ids"
        assert group["name"] == f"orders-{name}-subnets"
        template = stack.only("aws_fis_experiment_template")
        (target,) = template["target"]
        assert target["resource_arns"].endswith(f':subnet/%s", tolist({subnets}))}}')
        assert [each["condition"] for each in template["lifecycle"]["precondition"]] == [
            f"${{length({subnets}) <= 5}}",
            f"${{length(setintersection({subnets}, {json.dumps(region(name)['function_subnet_ids'])})) == 0}}",
        ]


def test_the_role_is_held_to_the_vpc_of_an_adopted_database(adopted: Deployment) -> None:
    text = role(adopted)
    vpc = "ec2:us-west-2:ACCOUNT:vpc/vpc-0bbbbbbbbbbbbbbb1"
    assert f"  may ec2:CreateNetworkAcl\n    on {vpc}\n  may" in text
    assert f"    on ec2:us-west-2:ACCOUNT:subnet/*\n    if ArnEquals ec2:Vpc {vpc}\n" in text


NO_CLUSTER: dict[str, Any] = {
    "cluster": None,
    "instances": [],
    "security_group_ids": [],
    "subnet_group": None,
    "parameter_group": None,
}
SUBNETS = [f"subnet-0ccccccccccccccc{n}" for n in range(1, 8)]


@pytest.mark.parametrize(
    ("subnets", "says"),
    [
        (
            SUBNETS[:6],
            "existing.writer.database_subnet_ids are more than 5, the most that a game day cuts off",
        ),
        (
            [SUBNETS[0], region("writer")["function_subnet_ids"][0]],
            "existing.writer: subnet-0aaaaaaaaaaaaaaa1 are of the database and of the prober",
        ),
    ],
)
def test_subnets_of_which_nothing_would_come_are_refused(subnets: list[str], says: str) -> None:
    there = {**NO_CLUSTER, "database_subnet_ids": subnets}
    here = existing(there, {**NO_CLUSTER, "database_subnet_ids": SUBNETS[:2]}, global_cluster=None, master_secret=None)
    given: dict[str, Any] = {"environment_suffix": "test", "existing": here, "dns_zone": "orders.internal"}
    load(**given)
    with pytest.raises(SettingsError, match=says):
        load(**given, game_day={"enabled": True})


@pytest.mark.parametrize(
    ("setting", "value"), [("minutes", 9), ("minutes", 61), ("stop_alarms", ["a", "b", "c", "d", "e"])]
)
def test_what_fis_or_reason_does_not_take_is_refused(setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"game_day.{setting}"):
        load(environment_suffix="test", game_day={"enabled": True, setting: value})
