"""What spans both regions: names, the check that moves the writer's name, and the control record."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestration.constructs.dns import AWAIT_SWITCHES
from orchestration.specification import describe
from tests.infrastructure.synthesized import ACCOUNT, Deployment, Stack


def stack(deployment: Deployment) -> Stack:
    return deployment.stacks["global"]


def test_zone_is_private_and_in_both_networks(development: Deployment) -> None:
    zone = stack(development).only("aws_route53_zone")
    assert zone["name"] == "test.payments.internal"
    assert {vpc["vpc_region"] for vpc in zone["vpc"]} == {"us-east-1", "us-west-2"}


def test_records_are_deployed_as_specified(development: Deployment) -> None:
    records = [record for record in stack(development).all("aws_route53_record") if record["type"] != "SOA"]
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
        reader = f"data.aws_rds_cluster.{cluster_data(development, record.cluster_region)}.reader_endpoint"
        # A standby may not report its writer endpoint before it is promoted; the reader endpoint has the same name.
        of_writer = f'replace({reader}, ".cluster-ro-", ".cluster-")'
        assert deployed["records"] == [f"${{{of_writer if record.endpoint == 'writer' else reader}}}"]


def test_that_a_name_is_not_there_is_not_kept_for_longer_than_where_it_leads(development: Deployment) -> None:
    """Route 53's own SOA record has it kept for 15 min (terraform-provider-aws#7846)."""
    authority = stack(development).find("aws_route53_record", type="SOA")
    ((id_, zone),) = stack(development).json["resource"]["aws_route53_zone"].items()
    assert authority["name"] == zone["name"]
    (value,) = authority["records"]
    server, *rest = value.rsplit(" ", 6)
    assert server == f'${{trimsuffix(aws_route53_zone.{id_}.primary_name_server, ".")}}.'
    assert rest == ["awsdns-hostmaster.amazon.com.", "1", "7200", "900", "1209600", "5"]
    assert authority["ttl"] == 5, "RFC 2308: the lesser of both counts"
    # It is made with the zone, so that it can only be overwritten; and a provider that took the refusal to delete it
    # for an error could not destroy the zone (#37863; the constraint on the provider excludes those).
    assert authority["allow_overwrite"] is True
    assert stack(development).json["terraform"]["required_providers"]["aws"]["version"] == ">= 6.29, < 7.0"


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


def test_p10_either_regions_engaged_switch_moves_the_name_and_the_loss_of_one_does_not(
    development: Deployment,
) -> None:
    checks = stack(development).json["resource"]["aws_route53_health_check"]
    urls = stack(development).json["data"]["aws_lambda_function_url"]
    decides = writer_check(development)
    switches = {reference(id_): c for id_, c in checks.items() if c["type"] == "HTTPS"}
    assert set(decides["child_healthchecks"]) == set(switches)
    assert (decides["type"], decides["child_health_threshold"], decides["invert_healthcheck"]) == (
        "CALCULATED",
        1,
        True,
    )
    asked = set()
    for check in switches.values():
        assert (check["port"], check["request_interval"], check["failure_threshold"]) == (443, 10, 1)
        assert "invert_healthcheck" not in check
        asked |= {url["function_name"] for id_, url in urls.items() if id_ in check["fqdn"]}
    assert asked == {"failover-writer-switch-use1-test", "failover-writer-switch-usw2-test"}


def test_both_switches_are_told_of_the_same_secondary_record(development: Deployment) -> None:
    secondary = stack(development).find("aws_route53_record", failover_routing_policy={"type": "SECONDARY"})
    for region in development.both:
        function = region.find("aws_lambda_function", handler="handlers.standing.writer_switch.handler")
        told = function["environment"]["variables"]["SECONDARY_REGION"]
        assert told == secondary["set_identifier"] == "us-west-2"


def writer_check(deployment: Deployment) -> dict[str, Any]:
    """The check that decides where the writer's name leads."""
    checks = stack(deployment).json["resource"]["aws_route53_health_check"]
    (primary,) = [r for r in stack(deployment).all("aws_route53_record") if "health_check_id" in r]
    decides: dict[str, Any]
    (decides,) = [check for id_, check in checks.items() if primary["health_check_id"] == reference(id_)]
    return decides


def test_p10_the_record_is_given_a_new_check_when_it_knows_what_it_says(development: Deployment) -> None:
    """A new check counts as healthy until it has data, so that an inverted one would point at SECONDARY."""
    check = writer_check(development)
    (waits,) = check["provisioner"]
    assert list(waits) == ["local-exec"], "the record refers to the check, and so waits for this"
    urls = stack(development).json["data"]["aws_lambda_function_url"]
    assert set(waits["local-exec"]["environment"]["SWITCHES"].split()) == {
        f"${{data.aws_lambda_function_url.{url}.function_url}}" for url in urls
    }
    ((record, _),) = stack(development).json["resource"]["aws_dynamodb_table_item"].items()
    assert check["depends_on"] == [f"aws_dynamodb_table_item.{record}"]
    # A part that is replaced is new as well; and the record keeps the old check until the new one is ready.
    parts = {part.removeprefix("${").removesuffix("}") for part in check["child_healthchecks"]}
    assert set(check["lifecycle"]["replace_triggered_by"]) == parts
    assert check["lifecycle"]["create_before_destroy"] is True


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ([("there", True)], True),
        ([("there", False)], True),
        (["", ("a gateway's error", None), ("there", False)], True),
        (["", ("error", False)], False),
        ([""], False),
    ],
    ids=["engaged", "not engaged", "late", "the record cannot be read", "silent"],
)
def test_p10_the_wait_for_the_switches_ends_when_both_have_answered_from_the_record(
    answers: list[Any], ends: bool, tmp_path: Path
) -> None:
    """Answers are the switch's own; `curl` gives one after another, and the last one for ever."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for index, one in enumerate(answers):
        text, engaged = one if isinstance(one, tuple) else (one, None)
        body = {"engaged": engaged, "error": "TransientFailure"} if text == "error" else {"engaged": engaged}
        (tmp_path / f"answer-{index}").write_text(text if engaged is None else json.dumps(body))
    (tools / "curl").write_text(
        f"""#!/bin/sh
asked=$(cat {tmp_path}/asked 2>/dev/null || echo 0)
echo $((asked + 1)) > {tmp_path}/asked
[ -f {tmp_path}/answer-$asked ] || asked={len(answers) - 1}
cat {tmp_path}/answer-$asked
"""
    )
    (tools / "sleep").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/slept\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "SWITCHES": "https://one/ https://two/"}
    done = subprocess.run(["sh", "-c", AWAIT_SWITCHES], env=environment, capture_output=True, text=True, check=False)
    slept = (tmp_path / "slept").read_text().split()
    if ends:
        assert done.returncode == 0
        assert int((tmp_path / "asked").read_text()) == len(answers) + 1
        assert slept[-1] == "60", "every checker has asked"
    else:
        assert done.returncode == 1
        assert "https://one/ does not answer from the control record" in done.stderr
        assert "60" not in slept


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
    parts = {
        reference(id_): (c["cloudwatch_alarm_region"], c["cloudwatch_alarm_name"])
        for id_, c in checks.items()
        if c["type"] == "CLOUDWATCH_METRIC"
    }
    assert sorted(parts.values()) == [
        ("us-east-1", "replication-lag-use1-test"),
        ("us-east-1", "writer-connectivity-use1-test"),
        ("us-west-2", "replication-lag-usw2-test"),
        ("us-west-2", "writer-connectivity-usw2-test"),
    ]
    (combined,) = [c for c in checks.values() if set(c.get("child_healthchecks", ())) == set(parts)]
    assert combined["child_health_threshold"] == len(parts)
    assert combined["tags"]["Name"] == "database-test"


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
        assert "datapoints_to_alarm" not in alarm  # M out of N


def test_no_record_waits_for_a_slow_check(development: Deployment) -> None:
    checks = stack(development).json["resource"]["aws_route53_health_check"]
    slow = {reference(id_) for id_, c in checks.items() if c["type"] == "CLOUDWATCH_METRIC"}
    for check in checks.values():
        if slow & set(check.get("child_healthchecks", ())):
            slow |= {reference(id_) for id_, c in checks.items() if c is check}
    assert len(slow) == 5
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


def reference(health_check: str) -> str:
    """How another resource refers to a health check."""
    return f"${{aws_route53_health_check.{health_check}.id}}"


def cluster_data(deployment: Deployment, region: str) -> str:
    """Logical id of the data source of a region's cluster."""
    identifier = describe(deployment.settings, ACCOUNT).regions[region].cluster.identifier
    clusters: dict[str, dict[str, Any]] = stack(deployment).json["data"]["aws_rds_cluster"]
    (logical_id,) = [logical_id for logical_id, data in clusters.items() if data["cluster_identifier"] == identifier]
    return logical_id
