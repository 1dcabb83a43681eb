"""A database that exists already: it is read, and never made, changed or destroyed by our stacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from orchestration.settings import SettingsError, load
from orchestration.specification import describe
from orchestration.specification.policies import permissions
from tests.infrastructure.existing import GROUPS, SETTINGS, VPC, ZONE, existing, linked, region
from tests.infrastructure.synthesized import Deployment, synthesized

# Whatever is adopted is of one of these kinds, and so is what belongs to it.
OF_THE_DATABASE = {
    "aws_db_instance",
    "aws_db_parameter_group",
    "aws_db_subnet_group",
    "aws_rds_cluster",
    "aws_rds_cluster_instance",
    "aws_rds_cluster_parameter_group",
    "aws_rds_global_cluster",
    "aws_secretsmanager_secret",
    "aws_secretsmanager_secret_version",
}
OF_THE_NETWORK = {
    "aws_default_security_group",
    "aws_flow_log",
    "aws_route53_zone",
    "aws_route53_zone_association",
    "aws_route_table",
    "aws_route_table_association",
    "aws_subnet",
    "aws_vpc",
    "aws_vpc_endpoint",
}
OF_THE_LINK = {"aws_route", "aws_vpc_peering_connection", "aws_vpc_peering_connection_accepter"}
OF_THE_REST = {"aws_kms_alias", "aws_kms_key", "aws_sns_topic", "aws_sns_topic_policy", "aws_sns_topic_subscription"}


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Around a database in two VPCs, with a zone; the peering, keys and topics are ours."""
    return synthesized(tmp_path_factory.mktemp("adopted"), existing=existing(), **SETTINGS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The same, where everything exists that can be adopted."""
    return synthesized(tmp_path_factory.mktemp("whole"), existing=linked(), **SETTINGS)


def kinds(deployment: Deployment) -> set[str]:
    return {kind for stack in deployment.stacks.values() for kind, _, _ in stack.resources()}


def naming(deployment: Deployment, name: str) -> set[str]:
    """The kinds of all resources that name ``name`` in any attribute."""
    whole_name = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return {
        kind
        for stack in deployment.stacks.values()
        for kind, _, resource in stack.resources()
        if whole_name.search(json.dumps(resource))
    }


def reading(deployment: Deployment) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Stack, kind and content of every data source."""
    for stack in deployment.stacks.values():
        for kind, found in stack.json.get("data", {}).items():
            for source in found.values():
                yield stack.name, kind, source


def test_p8_nothing_that_exists_is_a_resource_of_ours(adopted: Deployment, whole: Deployment) -> None:
    assert not kinds(adopted) & (OF_THE_DATABASE | OF_THE_NETWORK)
    assert not kinds(whole) & (OF_THE_DATABASE | OF_THE_NETWORK | OF_THE_LINK | OF_THE_REST)


def test_p8_what_is_added_to_what_exists_is_what_is_announced(adopted: Deployment, whole: Deployment) -> None:
    """Each is a resource of its own, whose destruction leaves what exists as it was: docs/adopt.md lists them."""
    for name in ("writer", "standby"):
        first, *others = GROUPS[name]
        assert naming(adopted, first) == {"aws_vpc_security_group_ingress_rule", *RULES, "aws_lambda_function"}
        for other in others:
            assert naming(adopted, other) == {"aws_lambda_function"}  # the fence gives it back
        assert naming(adopted, region(name)["route_table_ids"][0]) == {"aws_route"}
        assert naming(whole, first) == {"aws_lambda_function"}
    assert naming(adopted, ZONE) == naming(whole, ZONE) == set()  # the records name it by the data source
    for deployment in (adopted, whole):
        (zone,) = deployment.stacks["global"].json["data"]["aws_route53_zone"]
        assert naming(deployment, f"data.aws_route53_zone.{zone}.zone_id") == {"aws_route53_record"}


RULES = {"aws_vpc_security_group_egress_rule"}  # of our prober, to the cluster


def test_p8_only_a_failover_and_a_fence_can_take_a_function_to_the_cluster(adopted: Deployment) -> None:
    """Terraform passes names and ids on, to functions, their roles, the alarms and what people see, and backups."""
    assert naming(adopted, "orders-writer") <= {
        "aws_backup_report_plan",
        "aws_backup_selection",
        "aws_cloudwatch_dashboard",
        "aws_cloudwatch_metric_alarm",
        "aws_cloudwatch_query_definition",
        "aws_iam_policy",
        "aws_iam_role_policy",
        "aws_lambda_function",
    }


def test_what_exists_is_read_by_its_id(adopted: Deployment, whole: Deployment) -> None:
    for deployment in (adopted, whole):
        clusters = {
            (stack, s["cluster_identifier"]) for stack, kind, s in reading(deployment) if kind == "aws_rds_cluster"
        }
        assert clusters == {
            ("us-east-1", "orders-writer"),
            ("us-west-2", "orders-standby"),
            ("global", "orders-writer"),
            ("global", "orders-standby"),
        }
        vpcs = {(stack, source["id"]) for stack, kind, source in reading(deployment) if kind == "aws_vpc"}
        assert vpcs == {
            ("us-east-1", VPC["writer"]),
            ("us-west-2", VPC["standby"]),
            ("global", VPC["writer"]),
            ("global", VPC["standby"]),
        }
    links = {source["id"] for _, kind, source in reading(whole) if kind == "aws_vpc_peering_connection"}
    assert links == {"pcx-0123456789abcdef0"}


def test_a_wrong_engine_vpc_or_zone_ends_the_plan_before_anything_is_changed(adopted: Deployment) -> None:
    """Each condition has a message that names field, value and remedy."""
    demanded = {
        (kind, condition["condition"])
        for _, kind, source in reading(adopted)
        for condition in source.get("lifecycle", {}).get("postcondition", [])
    }
    assert demanded == {
        ("aws_rds_cluster", '${self.engine == "aurora-postgresql"}'),
        ("aws_rds_cluster", '${tonumber(split(".", self.engine_version)[0]) >= 15}'),
        ("aws_rds_cluster", "${self.port == 5432}"),
        ("aws_rds_cluster", "${self.iam_database_authentication_enabled}"),
        ("aws_vpc", '${self.cidr_block == "10.60.0.0/20"}'),
        ("aws_vpc", '${self.cidr_block == "10.61.0.0/20"}'),
        ("aws_vpc", "${self.enable_dns_support && self.enable_dns_hostnames}"),
        ("aws_subnet", f'${{self.vpc_id == "{VPC["writer"]}"}}'),
        ("aws_subnet", f'${{self.vpc_id == "{VPC["standby"]}"}}'),
        ("aws_security_group", f'${{self.vpc_id == "{VPC["writer"]}"}}'),
        ("aws_security_group", f'${{self.vpc_id == "{VPC["standby"]}"}}'),
        ("aws_route53_zone", "${self.private_zone}"),
        ("aws_route53_zone", '${trimsuffix(self.name, ".") == "orders.internal"}'),
    }


def test_p8_nothing_that_a_failover_changes_is_demanded_of_what_exists(adopted: Deployment) -> None:
    """After a failover the clusters have exchanged roles, or one is gone from the global database."""
    for _, kind, source in reading(adopted):
        assert kind != "aws_rds_global_cluster"
        said = json.dumps(source.get("lifecycle", {}))
        assert not re.search(r"self\.(global|replication|cluster_members|endpoint|vpc_security_group_ids|kms)", said)


def test_p1_a_fence_gives_back_all_the_groups_that_the_cluster_had(adopted: Deployment) -> None:
    for name, stack in zip(("writer", "standby"), adopted.both, strict=True):
        (fence,) = [f for f in stack.all("aws_lambda_function") if f["handler"] == "handlers.standing.fence.handler"]
        told = fence["environment"]["variables"]
        assert told["CLUSTER_SECURITY_GROUPS"].split(",") == GROUPS[name]
        assert told["FENCE_SECURITY_GROUP"] == f"${{{stack.security_group('fence')}.id}}"


def test_probers_reach_the_databases_of_both_regions_and_nobody_else_is_let_in(adopted: Deployment) -> None:
    for name, peer_range, stack in zip(
        ("writer", "standby"), ("10.61.0.0/20", "10.60.0.0/20"), adopted.both, strict=True
    ):
        rules = stack.all("aws_vpc_security_group_ingress_rule")
        let_in = [rule for rule in rules if rule["security_group_id"] == GROUPS[name][0]]
        prober = f"${{{stack.security_group('prober')}.id}}"
        assert {rule.get("referenced_security_group_id") or rule["cidr_ipv4"] for rule in let_in} == {
            prober,
            peer_range,
        }
        assert {rule["from_port"] for rule in rules} == {5432}
        assert {g["name"].split("-")[1] for g in stack.all("aws_security_group")} == {"fence", "prober"}
    routes = adopted.stacks["global"].all("aws_route")
    assert {(r["route_table_id"], r["destination_cidr_block"]) for r in routes} == {
        (region("writer")["route_table_ids"][0], "10.61.0.0/20"),
        (region("standby")["route_table_ids"][0], "10.60.0.0/20"),
    }


def test_whoever_gives_the_prober_a_group_gets_no_rule_in_his_own(whole: Deployment) -> None:
    for stack in whole.both:
        (fence,) = stack.all("aws_security_group")
        (rule,) = stack.all("aws_vpc_security_group_ingress_rule")
        assert rule["security_group_id"] == f"${{{stack.security_group('fence')}.id}}"
        assert "-fence-" in fence["name"]
        assert not stack.all("aws_vpc_security_group_egress_rule")


def test_functions_are_told_what_exists(whole: Deployment) -> None:
    described = describe(whole.settings, "123456789012")
    told = described.regions["us-west-2"].functions
    environment = {name: value for function in told.values() for name, value in function.environment.items()}
    assert {name: environment[name] for name in EXPECTED} == EXPECTED
    assert described.first_control_record["database"] == {"S": "orders-global"}


EXPECTED = {
    "CLUSTER": "orders-standby",
    "CLUSTER_ARN": "arn:aws:rds:us-west-2:123456789012:cluster:orders-standby",
    "GLOBAL_CLUSTER": "orders-global",
    "INSTANCES": "orders-standby-1,orders-standby-2",
    "MASTER_SECRET": "orders/master",
    "PEER_CLUSTER": "orders-writer",
    "PEER_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:orders-writer-alerts",
    "TOPIC_ARN": "arn:aws:sns:us-west-2:123456789012:orders-standby-alerts",
    "WRITER_DNS_NAME": "writer.test.orders.internal",
    "ZONE": "orders.internal",
}


def test_a_rebuild_may_use_the_groups_and_keys_of_the_cluster_that_it_replaces(whole: Deployment) -> None:
    described = describe(whole.settings, "123456789012")
    there = described.regions["us-east-1"]
    granted = permissions(described.names, there)[there.role_for_rebuild.name]
    may = {
        action: {r for p in granted if action in p.actions for r in p.resources}
        for p in granted
        for action in p.actions
    }
    arn = "arn:aws:rds:us-east-1:123456789012:"
    assert {f"{arn}cluster:orders-writer", f"{arn}cluster-pg:orders-pg16", f"{arn}subgrp:orders-writer-subnets"} <= may[
        "rds:CreateDBCluster"
    ]
    assert {f"{arn}db:orders-writer-1", f"{arn}pg:orders-instances", f"{arn}subgrp:orders-writer-subnets"} <= may[
        "rds:CreateDBInstance"
    ]
    assert "arn:aws:kms:us-east-1:123456789012:key/one" in may["kms:CreateGrant"]
    assert may["rds:DeleteDBInstance"] == {f"{arn}db:orders-writer-{n}" for n in (1, 2)}


def test_names_of_ours_are_inside_a_zone_that_exists(adopted: Deployment) -> None:
    records = adopted.stacks["global"].all("aws_route53_record")
    assert {record["name"].partition(".")[2] for record in records} == {"test.orders.internal"}


def test_a_database_of_ours_in_vpcs_that_exist(tmp_path: Any) -> None:
    given = {
        name: {
            "vpc_id": VPC[name],
            "vpc_cidr": region(name)["vpc_cidr"],
            "function_subnet_ids": region(name)["function_subnet_ids"],
            "database_subnet_ids": region(name)["function_subnet_ids"],
            "route_table_ids": region(name)["route_table_ids"],
        }
        for name in ("writer", "standby")
    }
    made = synthesized(tmp_path, existing=given)
    assert not kinds(made) & OF_THE_NETWORK - {"aws_route53_zone"}
    for stack in made.both:
        (used,) = stack.only("aws_rds_cluster")["vpc_security_group_ids"]
        assert used == f"${{{stack.security_group('database')}.id}}"
        assert len(stack.only("aws_db_subnet_group")["subnet_ids"]) == 3
        assert not any("availability_zone" in instance for instance in stack.all("aws_rds_cluster_instance"))
        assert stack.security_group("application")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"existing": existing(global_cluster=None)}, "global_cluster missing", "with both its clusters"),
    ({"existing": existing(writer={"cluster": "Orders"})}, "existing.writer.cluster = 'Orders'", "pattern"),
    (
        {"existing": existing(writer={"instances": []})},
        "instances missing beside cluster orders-writer",
        "give them all",
    ),
    ({"existing": existing(standby={"cluster": "orders-writer"})}, "both orders-writer", "each region's own"),
    ({"existing": existing(standby={"vpc_cidr": "10.60.8.0/24"})}, "existing.standby.vpc_cidr 10.60.8.0/24", "choose"),
    ({"existing": existing(standby={"vpc_cidr": "10.60.8.0/8"})}, "10.60.8.0/8", "give the VPC's range"),
    ({"existing": existing(writer={"vpc_id": None})}, "vpc_id", "give the VPC"),
    (
        {"existing": existing(writer={"function_subnet_ids": ["subnet-0123456789abcdef0"]})},
        "subnet-0123",
        "different zones",
    ),
    ({"existing": existing(writer={"route_table_ids": []})}, "writer.route_table_ids are missing", "or the link"),
    ({"existing": existing(link="pcx-0123456789abcdef0")}, "writer.route_table_ids rtb-0aaa", "remove them"),
    ({"existing": existing(link="vgw-1")}, "existing.link = 'vgw-1'", "pattern"),
    ({"existing": {"zone_id": ZONE}}, f"zone_id {ZONE}", "leave the zone to us"),
    ({"existing": {"master_secret": "orders"}}, "master_secret orders", "give global_cluster"),
    ({"existing": {"writer": {"key_alias": "alias/aws/rds"}}}, "key_alias = 'alias/aws/rds'", "customer-managed"),
    (
        {"existing": existing(writer={"storage_key_arn": "arn:aws:kms:us-west-2:123456789012:key/one"})},
        "existing.writer.storage_key_arn arn:aws:kms:us-west-2:123456789012:key/one is not in writer_region us-east-1",
        "exchange the two regions",
    ),
    (
        {"existing": {"writer": {"alert_topic": "orders"}}, "alert_emails": ["a@example.org"]},
        "alert_emails a@example.org",
        "subscribe them there",
    ),
    ({"existing": {"writer": {"no_such": 1}}}, "existing.writer.no_such", "remove it"),
]


@pytest.mark.parametrize(("wrong", "field", "remedy"), WRONG, ids=[field for _, field, _ in WRONG])
def test_settings_that_do_not_fit_give_one_error_with_field_value_and_remedy(
    wrong: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{"environment_suffix": "test", "environment": "development", **wrong})
    message = str(caught.value)
    assert message.startswith("1 setting(s) cannot be used")
    assert field in message
    assert remedy in message


def test_a_setting_of_a_region_can_be_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_EXISTING__WRITER__KEY_ALIAS", "alias/orders")
    assert load().existing.writer.key_alias == "alias/orders"
    monkeypatch.setenv("FAILOVER_EXISTING__WRITER__KEY_ALIASES", "alias/orders")
    with pytest.raises(SettingsError, match="FAILOVER_EXISTING__WRITER__KEY_ALIAS may be meant"):
        load()
