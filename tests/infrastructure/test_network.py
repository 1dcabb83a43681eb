"""The network: private, in three zones, and open only to those who need the databases."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

from tests.infrastructure.synthesized import ACCOUNT, Deployment, Stack


def subnets(stack: Stack, tier: str) -> list[dict[str, Any]]:
    return [s for s in stack.all("aws_subnet") if f"-{tier}-" in s["tags"]["Name"]]


def test_subnets_of_each_tier_are_in_three_zones(development: Deployment) -> None:
    for stack in development.both:
        for tier in ("client", "database"):
            assert len({subnet["availability_zone"] for subnet in subnets(stack, tier)}) == 3


def test_too_few_zones_stop_the_plan(development: Deployment) -> None:
    for stack in development.both:
        (precondition,) = stack.only("aws_vpc")["lifecycle"]["precondition"]
        assert precondition["condition"].endswith(".names) >= 3}")


def test_a_new_zone_does_not_move_a_subnet(development: Deployment) -> None:
    for stack in development.both:
        for subnet in stack.all("aws_subnet"):
            assert "availability_zone" in subnet["lifecycle"]["ignore_changes"]


def test_no_subnet_is_public(development: Deployment) -> None:
    for stack in development.stacks.values():
        assert not stack.all("aws_internet_gateway")
        assert not stack.all("aws_nat_gateway")
        assert not stack.all("aws_eip")
        for subnet in stack.all("aws_subnet"):
            assert subnet["map_public_ip_on_launch"] is False
        for route in stack.all("aws_route"):
            assert route["destination_cidr_block"] != "0.0.0.0/0"


def test_subnets_lie_in_their_vpc_and_apart(development: Deployment) -> None:
    for stack in development.both:
        vpc = IPv4Network(stack.only("aws_vpc")["cidr_block"])
        ranges = [IPv4Network(subnet["cidr_block"]) for subnet in stack.all("aws_subnet")]
        assert all(subnet.subnet_of(vpc) for subnet in ranges)
        assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))


def test_databases_let_in_the_application_and_the_probers_and_nobody_else(development: Deployment) -> None:
    for stack in development.both:
        rules = ingress(stack, "database")
        assert {(rule["ip_protocol"], rule["from_port"], rule["to_port"]) for rule in rules} == {("tcp", 5432, 5432)}
        sources = {rule.get("referenced_security_group_id") or rule["cidr_ipv4"] for rule in rules}
        peer = development.standby if stack is development.writer else development.writer
        assert sources == {group(stack, "application"), group(stack, "prober"), client_range(peer)}


def test_a_fence_lets_in_the_own_prober_and_nobody_else(development: Deployment) -> None:
    """The prober only logs in as the monitoring user; without it nobody would see when a fence may be lifted."""
    for stack in development.both:
        (rule,) = ingress(stack, "fence")
        assert rule["referenced_security_group_id"] == group(stack, "prober")
        assert "cidr_ipv4" not in rule
        assert (rule["ip_protocol"], rule["from_port"], rule["to_port"]) == ("tcp", 5432, 5432)
        (fence,) = [g for g in stack.all("aws_security_group") if "-fence-" in g["name"]]
        assert not {"ingress", "egress"} & set(fence)


def test_no_group_but_those_of_the_databases_lets_anybody_in(development: Deployment) -> None:
    for stack in development.both:
        entered = {rule["security_group_id"] for rule in stack.all("aws_vpc_security_group_ingress_rule")}
        assert entered == {group(stack, "database"), group(stack, "fence")}


WITHIN = {"handlers.standing.prober.handler", "handlers.standing.salvage.handler"}


def test_the_functions_inside_the_vpc_and_nobody_else_have_a_way_through_a_fence(development: Deployment) -> None:
    for stack in development.both:
        fence = group(stack, "fence")
        rules = stack.all("aws_vpc_security_group_egress_rule")
        (way,) = [rule for rule in rules if rule.get("referenced_security_group_id") == fence]
        assert way["security_group_id"] == group(stack, "prober")
        for function in stack.all("aws_lambda_function"):
            used = function.get("vpc_config", {}).get("security_group_ids", [])
            assert (group(stack, "prober") in used) is (function["handler"] in WITHIN)


def test_clients_reach_the_databases_of_both_regions_and_the_gateway_endpoints(development: Deployment) -> None:
    for stack in development.both:
        rules = stack.all("aws_vpc_security_group_egress_rule")
        application, prober = group(stack, "application"), group(stack, "prober")
        assert {rule["security_group_id"] for rule in rules} == {application, prober}
        assert "0.0.0.0/0" not in {rule.get("cidr_ipv4") for rule in rules}
        to_databases = [rule for rule in rules if "prefix_list_id" not in rule]
        assert {(r["ip_protocol"], r["from_port"], r["to_port"]) for r in to_databases} == {("tcp", 5432, 5432)}
        to_endpoints = [rule for rule in rules if "prefix_list_id" in rule]
        assert {(r["ip_protocol"], r["from_port"], r["to_port"]) for r in to_endpoints} == {("tcp", 443, 443)}
        assert {rule["security_group_id"] for rule in to_endpoints} == {application}


def test_dynamodb_and_s3_are_reached_through_gateway_endpoints_of_this_account_only(development: Deployment) -> None:
    for stack in development.both:
        endpoints = stack.all("aws_vpc_endpoint")
        assert {e["vpc_endpoint_type"] for e in endpoints} == {"Gateway"}
        assert {e["service_name"] for e in endpoints} == {f"com.amazonaws.{stack.name}.{s}" for s in ("dynamodb", "s3")}
        for endpoint in endpoints:
            assert len(endpoint["route_table_ids"]) == 1
            (statement,) = json.loads(endpoint["policy"])["Statement"]
            assert statement["Condition"]["StringEquals"]["aws:ResourceAccount"] == ACCOUNT


def test_group_that_comes_with_the_vpc_lets_nothing_through(development: Deployment) -> None:
    for stack in development.both:
        default = stack.only("aws_default_security_group")
        assert not {"ingress", "egress"} & set(default)


def test_flow_log_records_all_traffic_in_an_encrypted_log(development: Deployment) -> None:
    for stack in development.both:
        flow_log = stack.only("aws_flow_log")
        assert flow_log["traffic_type"] == "ALL"
        log_id = flow_log["log_destination"].split(".")[1]
        log = stack.json["resource"]["aws_cloudwatch_log_group"][log_id]
        assert log["kms_key_id"].startswith("${aws_kms_key.")
        role = flow_log["iam_role_arn"].rsplit("/")[-1]
        assert development.stacks["identity"].find("aws_iam_role", name=role)


def test_security_groups_say_what_they_are_for(development: Deployment) -> None:
    for stack in development.both:
        for group_ in stack.all("aws_security_group"):
            assert len(group_["description"]) > 20
        for kind in ("aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"):
            for rule in stack.all(kind):
                assert re.match(r"(PostgreSQL (from|to)|HTTPS to) ", rule["description"])


def test_peering_joins_the_two_vpcs_without_an_invitation_by_hand(development: Deployment) -> None:
    stack = development.stacks["global"]
    request = stack.only("aws_vpc_peering_connection")
    assert request["peer_region"] == "us-west-2"
    assert stack.only("aws_vpc_peering_connection_accepter")["auto_accept"] is True


def test_routes_lead_both_ways_between_clients_and_databases(development: Deployment) -> None:
    routes = development.stacks["global"].all("aws_route")
    assert sorted(route["destination_cidr_block"] for route in routes) == [
        "10.40.0.0/17",  # databases of the writer region, from the standby's clients
        "10.40.128.0/17",  # clients of the writer region, from the standby's databases
        "10.41.0.0/17",
        "10.41.128.0/17",
    ]
    assert len({route["route_table_id"] for route in routes}) == 4


def ingress(stack: Stack, purpose: str) -> list[dict[str, Any]]:
    """The rules that let somebody into the security group of a purpose."""
    rules = stack.all("aws_vpc_security_group_ingress_rule")
    return [rule for rule in rules if rule["security_group_id"] == group(stack, purpose)]


def group(stack: Stack, purpose: str) -> str:
    """The reference to the security group of a purpose."""
    return f"${{{stack.security_group(purpose)}.id}}"


def client_range(stack: Stack) -> str:
    """The smallest range that holds a region's client subnets and the rest of their half."""
    half = list(IPv4Network(stack.only("aws_vpc")["cidr_block"]).subnets(prefixlen_diff=1))[1]
    assert all(IPv4Network(s["cidr_block"]).subnet_of(half) for s in subnets(stack, "client"))
    return str(half)
