"""The network: private, in three zones, and open only to those who need the databases."""

from __future__ import annotations

import ipaddress
from itertools import combinations

from tests.infrastructure.synthesized import Deployment, Stack


def subnets(stack: Stack, tier: str) -> list[dict[str, object]]:
    return [s for s in stack.all("aws_subnet") if f"-{tier}-" in s["tags"]["Name"]]


def test_subnets_of_each_tier_are_in_three_zones(development: Deployment) -> None:
    for stack in development.both:
        for tier in ("client", "database"):
            assert len({subnet["availability_zone"] for subnet in subnets(stack, tier)}) == 3


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
        vpc = ipaddress.ip_network(stack.only("aws_vpc")["cidr_block"])
        ranges = [ipaddress.ip_network(subnet["cidr_block"]) for subnet in stack.all("aws_subnet")]
        assert all(subnet.subnet_of(vpc) for subnet in ranges)
        assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))


def test_databases_let_in_the_application_and_the_probers_and_nobody_else(development: Deployment) -> None:
    for stack in development.both:
        database = group(stack, "database")
        rules = stack.all("aws_vpc_security_group_ingress_rule")
        assert {rule["security_group_id"] for rule in rules} == {database}
        assert {(rule["ip_protocol"], rule["from_port"], rule["to_port"]) for rule in rules} == {("tcp", 5432, 5432)}
        sources = {rule.get("referenced_security_group_id") or rule["cidr_ipv4"] for rule in rules}
        peer = development.standby if stack is development.writer else development.writer
        assert sources == {group(stack, "application"), group(stack, "prober"), client_range(peer)}


def test_clients_reach_the_databases_of_both_regions_and_nothing_else(development: Deployment) -> None:
    for stack in development.both:
        rules = stack.all("aws_vpc_security_group_egress_rule")
        assert {rule["security_group_id"] for rule in rules} == {group(stack, "application"), group(stack, "prober")}
        assert {(rule["ip_protocol"], rule["from_port"], rule["to_port"]) for rule in rules} == {("tcp", 5432, 5432)}
        assert "0.0.0.0/0" not in {rule.get("cidr_ipv4") for rule in rules}


def test_routes_lead_both_ways_between_clients_and_databases(development: Deployment) -> None:
    routes = development.stacks["global"].all("aws_route")
    assert sorted(route["destination_cidr_block"] for route in routes) == [
        "10.40.0.0/17",  # databases of the writer region, from the standby's clients
        "10.40.128.0/17",  # clients of the writer region, from the standby's databases
        "10.41.0.0/17",
        "10.41.128.0/17",
    ]
    assert len({route["route_table_id"] for route in routes}) == 4


def group(stack: Stack, purpose: str) -> str:
    """The reference to the security group of a purpose."""
    (logical_id,) = [
        logical_id
        for logical_id, group in stack.json["resource"]["aws_security_group"].items()
        if f"-{purpose}-" in group["name"]
    ]
    return f"${{aws_security_group.{logical_id}.id}}"


def client_range(stack: Stack) -> str:
    """The smallest range that holds a region's client subnets and the rest of their half."""
    half = list(ipaddress.ip_network(stack.only("aws_vpc")["cidr_block"]).subnets(prefixlen_diff=1))[1]
    assert all(ipaddress.ip_network(str(s["cidr_block"])).subnet_of(half) for s in subnets(stack, "client"))
    return str(half)
