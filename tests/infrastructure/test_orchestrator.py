"""Functions, workflow, tables and topics: what is deployed is what the specification describes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from drills.aws.health_checks import CHECKERS
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe, failover
from tests.infrastructure.synthesized import ACCOUNT, Deployment


def test_functions_are_deployed_as_specified(development: Deployment, region: str) -> None:
    specified = describe(development.settings, ACCOUNT).regions[region].functions
    stack = development.stacks[region]
    assert len(stack.all("aws_lambda_function")) == len(specified)
    for function in specified.values():
        deployed = stack.find("aws_lambda_function", function_name=function.name)
        assert deployed["handler"] == f"handlers.{function.folder}.{function.step}.handler"
        assert deployed["timeout"] == function.timeout_seconds
        assert deployed["memory_size"] == function.memory_mb
        assert deployed.get("reserved_concurrent_executions") == function.concurrency
        groups = {name: f"${{{stack.security_group(purpose)}.id}}" for name, purpose in function.security_groups}
        assert deployed["environment"]["variables"] == function.environment | groups
        assert ("vpc_config" in deployed) is function.in_vpc
        assert (deployed["runtime"], deployed["architectures"]) == ("python3.12", ["arm64"])


def test_functions_are_deployed_again_when_their_package_changes(development: Deployment, region: str) -> None:
    specified = describe(development.settings, ACCOUNT).regions[region].functions
    stack = development.stacks[region]
    for function in specified.values():
        deployed = stack.find("aws_lambda_function", function_name=function.name)
        package = development.packages[function.package]
        assert deployed["source_code_hash"] == package.sha256_base64
        assert (stack.folder / deployed["filename"]).read_bytes() == package.path.read_bytes()


def test_stale_events_are_not_run_late(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    configured = stack.all("aws_lambda_function_event_invoke_config")
    assert len(configured) == len(stack.all("aws_lambda_function"))
    assert {(c["maximum_retry_attempts"], c["maximum_event_age_in_seconds"]) for c in configured} == {(0, 60)}


def test_each_workflow_is_its_file_with_this_regions_functions(development: Deployment, region: str) -> None:
    described = describe(development.settings, ACCOUNT).regions[region]
    machines = {machine["name"]: machine for machine in development.stacks[region].all("aws_sfn_state_machine")}
    assert set(machines) == {described.state_machine.name, described.reprotection.name}
    for specified in (described.state_machine, described.reprotection):
        machine = machines[specified.name]
        assert json.loads(machine["definition"]) == json.loads(specified.definition)
        assert "${" not in machine["definition"]
        assert machine["type"] == "STANDARD"
        assert machine["logging_configuration"]["level"] == "ALL"


def test_idempotency_tokens_expire_and_are_recoverable(development: Deployment, region: str) -> None:
    described = describe(development.settings, ACCOUNT).regions[region].idempotency_table
    table = development.stacks[region].find("aws_dynamodb_table", name=described.name)
    assert table["ttl"] == {"attribute_name": "expiration", "enabled": True}
    assert table["point_in_time_recovery"] == {"enabled": True}
    assert table["server_side_encryption"]["enabled"] is True
    assert table["hash_key"] == "id"


def test_runs_are_recorded_encrypted_and_for_good(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    described = describe(development.settings, ACCOUNT).regions[region]
    table = stack.find("aws_dynamodb_table", name=described.runs_table.name)
    (key,) = stack.json["resource"]["aws_kms_key"]
    assert table["server_side_encryption"] == {"enabled": True, "kms_key_arn": f"${{aws_kms_key.{key}.arn}}"}
    assert table["point_in_time_recovery"] == {"enabled": True}
    assert "ttl" not in table
    assert table["hash_key"] == "run"
    recorder = stack.find("aws_lambda_function", function_name=described.functions["record_run"].name)
    assert recorder["environment"]["variables"]["RUNS_TABLE"] == table["name"]


def test_tables_of_production_are_protected(production: Deployment, development: Deployment) -> None:
    for deployment, protected in ((production, True), (development, False)):
        for stack in deployment.both:
            tables = stack.all("aws_dynamodb_table")
            assert len(tables) == 2
            assert {table["deletion_protection_enabled"] for table in tables} == {protected}
            assert {table["lifecycle"]["prevent_destroy"] for table in tables} == {protected}


def test_fence_chooses_between_two_different_groups_and_the_cluster_starts_in_the_open_one(
    development: Deployment, region: str
) -> None:
    stack = development.stacks[region]
    function = describe(development.settings, ACCOUNT).regions[region].functions["fence"]
    variables = stack.find("aws_lambda_function", function_name=function.name)["environment"]["variables"]
    assert [variables["CLUSTER_SECURITY_GROUPS"]] == stack.only("aws_rds_cluster")["vpc_security_group_ids"]
    assert variables["FENCE_SECURITY_GROUP"] != variables["CLUSTER_SECURITY_GROUPS"]


def test_topic_and_functions_are_encrypted_with_the_regions_key(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    (key,) = stack.json["resource"]["aws_kms_key"]
    arn = f"${{aws_kms_key.{key}.arn}}"
    assert stack.only("aws_sns_topic")["kms_master_key_id"] == arn
    assert {f["kms_key_arn"] for f in stack.all("aws_lambda_function")} == {arn}
    assert {log["kms_key_id"] for log in stack.all("aws_cloudwatch_log_group")} == {arn}


def test_alarms_may_publish_to_the_encrypted_topic(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    key = json.loads(stack.only("aws_kms_key")["policy"])["Statement"]
    topic = json.loads(stack.only("aws_sns_topic_policy")["policy"])["Statement"]
    for statements, actions in ((key, {"kms:Decrypt", "kms:GenerateDataKey*"}), (topic, {"sns:Publish"})):
        (granted,) = [s for s in statements if s["Principal"].get("Service") == "cloudwatch.amazonaws.com"]
        granted_actions = granted["Action"] if isinstance(granted["Action"], list) else [granted["Action"]]
        assert set(granted_actions) == actions
        assert granted["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_writer_switch_answers_health_checkers_through_both_grants(development: Deployment, region: str) -> None:
    stack = development.stacks[region]
    assert stack.only("aws_lambda_function_url")["authorization_type"] == "NONE"
    public = [p for p in stack.all("aws_lambda_permission") if p["principal"] == "*"]
    assert {p["action"] for p in public} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert len({p["function_name"] for p in public}) == 1
    assert "writer_switch" in public[0]["function_name"]
    (invoke,) = [p for p in public if p["action"] == "lambda:InvokeFunction"]
    assert invoke["invoked_via_function_url"] is True  # nobody calls it but through its URL


def test_p10_what_a_failover_needs_is_reserved_whatever_else_runs_in_the_account(
    development: Deployment, region: str
) -> None:
    functions = describe(development.settings, ACCOUNT).regions[region].functions.values()
    reserved = {function.step for function in functions if function.concurrency}
    assert reserved == {step.name for step in failover.STEPS} | {
        "monitor",
        "prober",
        "fence",
        "writer_switch",
        "readiness",
    }


def test_the_public_function_has_a_limit_that_its_health_checkers_do_not_reach(region: str) -> None:
    """Lambda takes ten times as many requests a second from a URL as it runs at a time."""
    function = describe(load(environment_suffix="test"), ACCOUNT).regions[region].functions["writer_switch"]
    assert CHECKERS <= 10 * (function.concurrency or 0) <= 100


def test_the_quota_that_this_needs_is_a_stated_prerequisite(region: str) -> None:
    needed = describe(load(environment_suffix="test"), ACCOUNT).regions[region].concurrency
    (stated,) = re.findall(r"\*concurrent executions\* at (\d+) or more", (PROJECT_ROOT / "docs/deploy.md").read_text())
    assert needed <= int(stated) < needed + 50


def test_nothing_but_the_writer_switch_is_public(development: Deployment, region: str) -> None:
    functions = {
        permission["function_name"]
        for permission in development.stacks[region].all("aws_lambda_permission")
        if permission["principal"] == "*"
    }
    assert len(functions) == 1


def test_people_are_subscribed(tmp_path: Path) -> None:
    from tests.infrastructure.synthesized import synthesized

    deployment = synthesized(tmp_path, alert_emails=("one@example.org", "two@example.org"))
    for stack in deployment.both:
        assert {s["endpoint"] for s in stack.all("aws_sns_topic_subscription")} == {
            "one@example.org",
            "two@example.org",
        }


def test_both_regions_run_the_same(development: Deployment) -> None:
    writer, standby = (
        {kind: len(resources) for kind, resources in stack.json["resource"].items()} for stack in development.both
    )
    once = {"aws_rds_global_cluster", "aws_secretsmanager_secret", "aws_secretsmanager_secret_version"}
    assert {kind: count for kind, count in writer.items() if kind not in once} == standby
