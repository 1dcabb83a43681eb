"""What the emulator itself says that it holds, asked of each service and not of Terraform's state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient
from botocore.session import get_session


@dataclass(frozen=True)
class Listing:
    """How to list the resources of one type by name, and where the name stands: at AWS and in Terraform."""

    kind: str  # Terraform's type
    attribute: str  # Terraform's attribute that holds the name
    service: str
    operation: str
    result: str  # the key of the answer's list
    name: str | None  # the name's key in each item; None where an item is the name itself


# Every service that the stacks use. What has no name, such as a rule of a security group, belongs to something here,
# and a plan finds it missing.
LISTINGS = (
    Listing("aws_backup_plan", "name", "backup", "list_backup_plans", "BackupPlansList", "BackupPlanName"),
    Listing("aws_backup_vault", "name", "backup", "list_backup_vaults", "BackupVaultList", "BackupVaultName"),
    Listing("aws_cloudwatch_event_rule", "name", "events", "list_rules", "Rules", "Name"),
    Listing("aws_cloudwatch_log_group", "name", "logs", "describe_log_groups", "logGroups", "logGroupName"),
    Listing("aws_cloudwatch_metric_alarm", "alarm_name", "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    Listing("aws_dynamodb_table", "name", "dynamodb", "list_tables", "TableNames", None),
    Listing("aws_iam_role", "name", "iam", "list_roles", "Roles", "RoleName"),
    Listing("aws_kms_alias", "name", "kms", "list_aliases", "Aliases", "AliasName"),
    Listing("aws_lambda_function", "function_name", "lambda", "list_functions", "Functions", "FunctionName"),
    Listing(
        "aws_rds_cluster", "cluster_identifier", "rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier"
    ),
    Listing(
        "aws_rds_cluster_instance",
        "identifier",
        "rds",
        "describe_db_instances",
        "DBInstances",
        "DBInstanceIdentifier",
    ),
    Listing(
        "aws_rds_global_cluster",
        "global_cluster_identifier",
        "rds",
        "describe_global_clusters",
        "GlobalClusters",
        "GlobalClusterIdentifier",
    ),
    Listing("aws_route53_zone", "name", "route53", "list_hosted_zones", "HostedZones", "Name"),
    Listing("aws_s3_bucket", "bucket", "s3", "list_buckets", "Buckets", "Name"),
    Listing("aws_secretsmanager_secret", "name", "secretsmanager", "list_secrets", "SecretList", "Name"),
    Listing("aws_security_group", "name", "ec2", "describe_security_groups", "SecurityGroups", "GroupName"),
    Listing("aws_sfn_state_machine", "name", "stepfunctions", "list_state_machines", "stateMachines", "name"),
    Listing("aws_sns_topic", "arn", "sns", "list_topics", "Topics", "TopicArn"),
)


def names(listing: Listing, regions: Iterable[str], url: str) -> set[str]:
    """The names of all resources of a type that an emulator at ``url`` has in these regions."""
    session = get_session()
    found = set()
    for region in regions:
        client = session.create_client(listing.service, region, endpoint_url=url)
        for item in _all(client, listing):
            # Route 53 ends every name with a dot.
            found.add(str(item[listing.name] if listing.name else item).removesuffix("."))
    return found


def missing(resources: Iterable[dict[str, Any]], regions: Iterable[str], url: str) -> list[str]:
    """Those resources of a Terraform state that the emulator does not list, each as its type and name."""
    wanted = [(resource["type"], resource["values"]) for resource in resources]
    regions = list(regions)
    found = []
    for listing in LISTINGS:
        expected = {str(values[listing.attribute]) for kind, values in wanted if kind == listing.kind}
        if expected:
            found += [f"{listing.kind} {name}" for name in sorted(expected - names(listing, regions, url))]
    return found


def present(suffix: str, regions: Iterable[str], url: str) -> list[str]:
    """Everything of the deployment ``suffix`` that the emulator has, each as its type and name."""
    regions = list(regions)
    return [
        f"{listing.kind} {name}"
        for listing in LISTINGS
        for name in sorted(names(listing, regions, url))
        if belongs(name, suffix)
    ]


def belongs(name: str, suffix: str) -> bool:
    """Whether a name carries a deployment's suffix."""
    return re.search(rf"(^|[-/.:]){re.escape(suffix)}([-/.:]|$)", name) is not None


def _all(client: BaseClient, listing: Listing) -> list[Any]:
    """Every item of a listing, all pages of it."""
    if client.can_paginate(listing.operation):
        answer = client.get_paginator(listing.operation).paginate().build_full_result()
    else:
        answer = getattr(client, listing.operation)()
    return list(answer.get(listing.result, ()))
