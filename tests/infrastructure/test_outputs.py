"""Outputs: what a user looks for after the deployment, in the stack that made it."""

from __future__ import annotations

import re

import pytest

from tests.infrastructure.synthesized import Deployment, Stack

OF_THE_GLOBAL_STACK = {"writer_name", "zone_name", "zone_id", "control_table_name", "session_table_name"}
OF_A_REGION = {
    "cluster_endpoint",
    "cluster_reader_endpoint",
    "cluster_dns_name",
    "reader_dns_name",
    "cluster_identifier",
    "global_cluster_identifier",
    "database_name",
    "vpc_id",
    "client_subnet_ids",
    "application_security_group_id",
    "notifications_topic_arn",
    "failover_state_machine_arn",
    "reprotection_state_machine_arn",
    "dashboard_name",
    "dashboard_url",
    "reports_bucket_name",
    "salvage_bucket_name",
}


def outputs(stack: Stack) -> dict[str, dict[str, object]]:
    return stack.json.get("output", {})  # type: ignore[no-any-return]


def resource(stack: Stack, value: object) -> dict[str, object]:
    """The resource of which an output is one attribute."""
    found = re.fullmatch(r"\$\{(aws_\w+)\.([\w-]+)\.\w+\}", str(value))
    assert found, value
    return stack.json["resource"][found[1]][found[2]]  # type: ignore[no-any-return]


def test_each_stack_tells_what_it_has_made(development: Deployment) -> None:
    for stack in development.both:
        assert set(outputs(stack)) == OF_A_REGION
    assert set(outputs(development.stacks["global"])) == OF_THE_GLOBAL_STACK
    assert outputs(development.stacks["identity"]) == {}


def test_every_output_says_what_it_is(development: Deployment) -> None:
    for stack in development.stacks.values():
        for name, output in outputs(stack).items():
            assert re.fullmatch(r"[A-Z].{15,}\.", str(output["description"])), name


@pytest.mark.parametrize("secret", ["password", "secret", "ephemeral"])
def test_no_output_holds_a_secret(development: Deployment, production: Deployment, secret: str) -> None:
    for deployment in (development, production):
        for stack in deployment.stacks.values():
            for name, output in outputs(stack).items():
                assert secret not in f"{name} {output['value']}".lower()


def test_clients_are_told_where_to_connect(development: Deployment, region: str) -> None:
    short = {"us-east-1": "use1", "us-west-2": "usw2"}[region]
    stack = development.stacks[region]
    told = {name: output["value"] for name, output in outputs(stack).items()}
    reader = str(told["cluster_reader_endpoint"])
    assert reader.endswith(".reader_endpoint}")
    assert resource(stack, reader)["cluster_identifier"] == f"payments-{short}-test"
    assert told["cluster_endpoint"] == f'${{replace({reader[2:-1]}, ".cluster-ro-", ".cluster-")}}'
    assert told["cluster_dns_name"] == f"{short}.test.payments.internal"
    assert told["reader_dns_name"] == f"{short}-ro.test.payments.internal"
    assert told["global_cluster_identifier"] == "payments-global-test"
    assert told["database_name"] == "payments"
    assert resource(stack, told["cluster_identifier"])["cluster_identifier"] == f"payments-{short}-test"
    assert resource(stack, told["vpc_id"]) == stack.only("aws_vpc")
    assert told["application_security_group_id"] == f"${{{stack.security_group('application')}.id}}"
    subnets = told["client_subnet_ids"]
    assert isinstance(subnets, list)
    tiers = [resource(stack, subnet)["tags"] for subnet in subnets]
    assert len(tiers) == 3
    assert all("client" in str(tags) for tags in tiers)


def test_operators_are_told_what_to_look_at_and_to_start(development: Deployment, region: str) -> None:
    short = {"us-east-1": "use1", "us-west-2": "usw2"}[region]
    stack = development.stacks[region]
    told = {name: output["value"] for name, output in outputs(stack).items()}
    assert resource(stack, told["notifications_topic_arn"])["name"] == f"failover-notifications-{short}-test"
    assert resource(stack, told["failover_state_machine_arn"])["name"] == f"failover-{short}-test"
    assert resource(stack, told["reprotection_state_machine_arn"])["name"] == f"reprotect-{short}-test"
    assert resource(stack, told["dashboard_name"]) == stack.only("aws_cloudwatch_dashboard")
    assert str(told["dashboard_url"]).startswith(f"https://{region}.console.aws.amazon.com/cloudwatch/")
    assert str(told["dashboard_url"]).endswith(str(told["dashboard_name"]))
    assert str(resource(stack, told["reports_bucket_name"])["bucket"]).startswith(f"payments-reports-{short}-test-")
    assert str(resource(stack, told["salvage_bucket_name"])["bucket"]).startswith(f"payments-salvage-{short}-test-")


def test_what_spans_the_regions_is_told_once(development: Deployment) -> None:
    stack = development.stacks["global"]
    told = {name: output["value"] for name, output in outputs(stack).items()}
    assert told["writer_name"] == "writer.test.payments.internal"
    assert resource(stack, told["zone_name"])["name"] == resource(stack, told["zone_id"])["name"]
    assert resource(stack, told["zone_name"])["name"] == "test.payments.internal"
    assert resource(stack, told["control_table_name"])["name"] == "failover-control-test"
    assert resource(stack, told["session_table_name"])["name"] == "payments-sessions-test"
