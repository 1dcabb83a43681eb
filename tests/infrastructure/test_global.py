"""What spans both regions: names, the check that moves the writer's name, and the control record."""

from __future__ import annotations

import json
from typing import Any

from orchestration.specification import describe
from tests.infrastructure.synthesized import ACCOUNT, Deployment, Stack


def stack(deployment: Deployment) -> Stack:
    return deployment.stacks["global"]


def test_zone_is_private_and_in_both_networks(development: Deployment) -> None:
    zone = stack(development).only("aws_route53_zone")
    assert zone["name"] == "test.payments.internal"
    assert {vpc["vpc_region"] for vpc in zone["vpc"]} == {"us-east-1", "us-west-2"}


def test_records_are_deployed_as_specified(development: Deployment) -> None:
    records = stack(development).all("aws_route53_record")
    specified = describe(development.settings, ACCOUNT).zone.records
    assert len(records) == len(specified)
    for record in specified:
        (deployed,) = [
            r
            for r in records
            if r["name"] == record.name and r.get("failover_routing_policy", {}).get("type") == record.failover
        ]
        assert (deployed["type"], deployed["ttl"]) == ("CNAME", record.ttl_seconds)
        assert deployed.get("set_identifier") == (record.cluster_region if record.failover else None)
        attribute = "endpoint" if record.endpoint == "writer" else "reader_endpoint"
        assert deployed["records"] == [
            f"${{data.aws_rds_cluster.{cluster_data(development, record.cluster_region)}.{attribute}}}"
        ]


def test_the_writer_has_one_name_with_a_record_for_each_region(development: Deployment) -> None:
    records = {
        r["failover_routing_policy"]["type"]: r
        for r in stack(development).all("aws_route53_record")
        if "failover_routing_policy" in r
    }
    assert set(records) == {"PRIMARY", "SECONDARY"}
    assert {r["name"] for r in records.values()} == {"writer.test.payments.internal"}
    assert {r["ttl"] for r in records.values()} == {5}
    assert "health_check_id" in records["PRIMARY"]
    assert "health_check_id" not in records["SECONDARY"]


def test_only_an_engaged_switch_in_the_standby_region_moves_the_name(development: Deployment) -> None:
    check = stack(development).find("aws_route53_health_check", type="HTTPS")
    assert check["invert_healthcheck"] is True
    assert (check["type"], check["port"], check["request_interval"], check["failure_threshold"]) == (
        "HTTPS",
        443,
        10,
        1,
    )
    ((logical_id, url),) = stack(development).json["data"]["aws_lambda_function_url"].items()
    assert url["function_name"] == "failover-writer-switch-usw2-test"
    assert logical_id in check["fqdn"]


def test_control_table_is_strongly_consistent_with_a_witness(development: Deployment) -> None:
    table = stack(development).find("aws_dynamodb_table", name="failover-control-test")
    (replica,) = table["replica"]
    assert (replica["region_name"], replica["consistency_mode"]) == ("us-east-1", "STRONG")
    assert table["global_table_witness"] == {"region_name": "us-east-2"}
    assert table["point_in_time_recovery"]["enabled"] is True
    assert replica["point_in_time_recovery"] is True
    assert "ttl" not in table  # strongly consistent tables have none


def test_database_connectivity_and_lag_of_both_regions_are_shown_and_combined(development: Deployment) -> None:
    checks = stack(development).json["resource"]["aws_route53_health_check"]
    shown = {f"${{aws_route53_health_check.{id_}.id}}": c for id_, c in checks.items() if c["type"] != "HTTPS"}
    parts = {
        reference: (c["cloudwatch_alarm_region"], c["cloudwatch_alarm_name"])
        for reference, c in shown.items()
        if c["type"] == "CLOUDWATCH_METRIC"
    }
    assert sorted(parts.values()) == [
        ("us-east-1", "replication-lag-use1-test"),
        ("us-east-1", "writer-connectivity-use1-test"),
        ("us-west-2", "replication-lag-usw2-test"),
        ("us-west-2", "writer-connectivity-usw2-test"),
    ]
    (combined,) = [c for c in shown.values() if c["type"] == "CALCULATED"]
    assert set(combined["child_healthchecks"]) == set(parts)
    assert combined["child_health_threshold"] == len(parts)


def test_a_region_without_replication_lag_counts_as_healthy(development: Deployment) -> None:
    """The writer's region publishes none."""
    for check in stack(development).all("aws_route53_health_check"):
        if check["type"] == "CLOUDWATCH_METRIC":
            assert check["insufficient_data_health_status"] == "Healthy"


def test_alarms_that_route_53_follows_are_of_standard_resolution_and_without_metric_math(
    development: Deployment,
) -> None:
    for check in describe(development.settings, ACCOUNT).zone.alarm_checks:
        alarm = development.stacks[check.alarm_region].find("aws_cloudwatch_metric_alarm", alarm_name=check.alarm.name)
        assert alarm["period"] >= 60
        assert "metric_query" not in alarm


def test_no_record_waits_for_a_slow_check(development: Deployment) -> None:
    checks = stack(development).json["resource"]["aws_route53_health_check"]
    slow = {f"${{aws_route53_health_check.{id_}.id}}" for id_, c in checks.items() if c["type"] != "HTTPS"}
    assert not slow & {r.get("health_check_id") for r in stack(development).all("aws_route53_record")}


def test_sessions_are_in_both_regions_encrypted_with_each_regions_key(development: Deployment) -> None:
    table = stack(development).find("aws_dynamodb_table", name="payments-sessions-test")
    aliases = {
        f"${{data.aws_kms_alias.{id_}.target_key_arn}}": alias["name"]
        for id_, alias in stack(development).json["data"]["aws_kms_alias"].items()
    }
    (replica,) = table["replica"]
    assert replica["region_name"] == "us-east-1"
    assert aliases[replica["kms_key_arn"]] == "alias/failover-use1-test"
    assert aliases[table["server_side_encryption"]["kms_key_arn"]] == "alias/failover-usw2-test"
    assert "consistency_mode" not in replica  # eventual: strongly consistent tables have no time to live
    assert table["ttl"] == {"attribute_name": "expires_at", "enabled": True}
    assert (table["stream_enabled"], table["stream_view_type"]) == (True, "NEW_AND_OLD_IMAGES")
    assert table["point_in_time_recovery"]["enabled"] is True
    assert replica["point_in_time_recovery"] is True


def test_production_tables_cannot_be_destroyed(development: Deployment, production: Deployment) -> None:
    for deployment, protected in ((development, False), (production, True)):
        for table in stack(deployment).all("aws_dynamodb_table"):
            assert table["deletion_protection_enabled"] is protected
            assert table["lifecycle"]["prevent_destroy"] is protected
            assert {r["deletion_protection_enabled"] for r in table["replica"]} == {protected}


def test_first_record_names_the_writer_and_then_belongs_to_the_orchestrators(development: Deployment) -> None:
    record = stack(development).only("aws_dynamodb_table_item")
    assert json.loads(record["item"]) == {
        "database": {"S": "payments-global-test"},
        "writer_region": {"S": "us-east-1"},
        "epoch": {"N": "1"},
        "automatic_failover": {"BOOL": True},
    }
    assert record["lifecycle"]["ignore_changes"] == ["item"]


def cluster_data(deployment: Deployment, region: str) -> str:
    """Logical id of the data source of a region's cluster."""
    identifier = describe(deployment.settings, ACCOUNT).regions[region].cluster.identifier
    clusters: dict[str, dict[str, Any]] = stack(deployment).json["data"]["aws_rds_cluster"]
    (logical_id,) = [logical_id for logical_id, data in clusters.items() if data["cluster_identifier"] == identifier]
    return logical_id
