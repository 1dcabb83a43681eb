"""Names: each carries the environment's suffix and fits AWS's limits, whatever the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.synthesized import ACCOUNT, Deployment, Stack, synthesized

ACCOUNT_ID = "123456789012"  # what the account's token becomes
# The regions' short names are 5 characters here, their longest.
LONGEST: dict[str, Any] = {
    "environment_suffix": "abcdefgh-1234567",
    "application": "abcdefghijkl",
    "writer_region": "ap-northeast-1",
    "standby_region": "ap-northeast-2",
    "witness_region": "ap-northeast-3",
    "game_day": {"enabled": True},
}
SHORTEST: dict[str, Any] = {"environment_suffix": "a", "application": "b"}

# Where each kind of resource has its name, and what AWS allows there (service quotas and API references).
LIMITS = {
    "aws_backup_plan": ("name", r"[a-zA-Z0-9_.-]{1,50}"),
    "aws_backup_report_plan": ("name", r"[a-zA-Z][_a-zA-Z0-9]{1,255}"),
    "aws_backup_selection": ("name", r"[a-zA-Z0-9_.-]{1,50}"),
    "aws_backup_vault": ("name", r"[a-zA-Z0-9_-]{2,50}"),
    "aws_cloudwatch_query_definition": ("name", r".{1,255}"),
    "aws_cloudwatch_dashboard": ("dashboard_name", r"[\w-]{1,255}"),
    "aws_default_security_group": ("tags.Name", r".{1,256}"),
    "aws_fis_experiment_template": ("tags.Name", r".{1,256}"),
    "aws_flow_log": ("tags.Name", r".{1,256}"),
    "aws_s3_bucket": ("bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "aws_vpc_endpoint": ("tags.Name", r".{1,256}"),
    "aws_cloudwatch_composite_alarm": ("alarm_name", r".{1,255}"),
    "aws_cloudwatch_event_rule": ("name", r"[.\-_A-Za-z0-9]{1,64}"),
    "aws_cloudwatch_event_target": ("target_id", r"[.\-_A-Za-z0-9]{1,64}"),
    "aws_cloudwatch_log_group": ("name", r"[.\-_/#A-Za-z0-9]{1,512}"),
    "aws_cloudwatch_metric_alarm": ("alarm_name", r".{1,255}"),
    "aws_db_subnet_group": ("name", r"[a-z0-9 ._-]{1,255}"),
    "aws_dynamodb_table": ("name", r"[a-zA-Z0-9_.-]{3,255}"),
    "aws_iam_policy": ("name", r"[\w+=,.@-]{1,128}"),
    "aws_iam_role": ("name", r"[\w+=,.@-]{1,64}"),
    "aws_iam_role_policy": ("name", r"[\w+=,.@-]{1,128}"),
    "aws_kms_alias": ("name", r"alias/[a-zA-Z0-9/_-]{1,250}"),
    "aws_lambda_function": ("function_name", r"[a-zA-Z0-9-_]{1,64}"),
    "aws_rds_cluster": ("cluster_identifier", r"[a-z](-?[a-z0-9]){0,62}"),
    "aws_rds_cluster_instance": ("identifier", r"[a-z](-?[a-z0-9]){0,62}"),
    "aws_rds_cluster_parameter_group": ("name", r"[a-z](-?[a-z0-9]){0,254}"),
    "aws_rds_global_cluster": ("global_cluster_identifier", r"[a-z](-?[a-z0-9]){0,62}"),
    "aws_route53_health_check": ("tags.Name", r".{1,256}"),
    "aws_route53_record": ("name", r"([a-z0-9-]{1,63}\.)+[a-z]{2,63}"),
    "aws_route53_zone": ("name", r"([a-z0-9-]{1,63}\.)+[a-z]{2,63}"),
    "aws_route_table": ("tags.Name", r".{1,256}"),
    "aws_secretsmanager_secret": ("name", r"[\w/+=.@-]{1,512}"),
    "aws_security_group": ("name", r"(?!sg-)[\w .:/()#,@\[\]+=&;{}!$*-]{1,255}"),
    "aws_sfn_state_machine": ("name", r"[\w-]{1,80}"),
    "aws_sns_topic": ("name", r"[\w-]{1,256}"),
    "aws_subnet": ("tags.Name", r".{1,256}"),
    "aws_vpc": ("tags.Name", r".{1,256}"),
    "aws_vpc_peering_connection": ("tags.Name", r".{1,256}"),
    "aws_vpc_peering_connection_accepter": ("tags.Name", r".{1,256}"),
}
# These have no name of their own: they belong to one that has.
NAMELESS = {
    "aws_backup_vault_lock_configuration",
    "aws_backup_vault_notifications",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_object_lock_configuration",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_sns_topic_policy",
    "aws_dynamodb_table_item",
    "aws_lambda_function_event_invoke_config",
    "aws_lambda_function_url",
    "aws_lambda_permission",
    "aws_route",
    "aws_route_table_association",
    "aws_secretsmanager_secret_version",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
    "aws_kms_key",  # its alias is its name
    "aws_sns_topic_subscription",
}
# An EventBridge target is named inside its rule, so it may be called what it is.
WITHOUT_SUFFIX = {"aws_cloudwatch_event_target"}


def names(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """The kind of every resource, its name, and the pattern that the name has to match."""
    for kind, _, resource in stack.resources():
        if kind in NAMELESS:
            continue
        attribute, pattern = LIMITS[kind]
        value: Any = resource
        for part in attribute.split("."):
            value = value[part]
        yield kind, value.replace(ACCOUNT, ACCOUNT_ID), pattern


@pytest.fixture(scope="module", params=[LONGEST, SHORTEST], ids=["longest", "shortest"])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder: Path = tmp_path_factory.mktemp("names")
    return synthesized(folder, **request.param)


def test_every_name_carries_the_suffix(deployment: Deployment) -> None:
    suffix = deployment.settings.environment_suffix
    for stack in deployment.stacks.values():
        for kind, name, _ in names(stack):
            if kind == "aws_backup_report_plan":  # AWS Backup allows no hyphen there
                name = name.replace("_", "-")
            carries = re.search(rf"(^|[-/.]){suffix}([-/.]|$)", name)
            assert carries or kind in WITHOUT_SUFFIX, f"{kind} {name}"


def test_every_name_fits_its_service(deployment: Deployment) -> None:
    for stack in deployment.stacks.values():
        for kind, name, pattern in names(stack):
            assert re.fullmatch(pattern, name), f"{kind} {name!r} is not {pattern}"


def test_names_are_unique_among_their_kind(deployment: Deployment) -> None:
    for stack in deployment.stacks.values():
        for kind in LIMITS:
            found = [name for k, name, _ in names(stack) if k == kind]
            if kind not in {"aws_route53_record", "aws_cloudwatch_event_target"}:
                assert len(set(found)) == len(found), kind


def test_every_resource_is_tagged_with_its_deployment(deployment: Deployment) -> None:
    for stack in deployment.stacks.values():
        for provider in stack.json["provider"]["aws"]:
            (tags,) = provider["default_tags"]
            assert tags["tags"]["EnvironmentSuffix"] == deployment.settings.environment_suffix
