"""Somebody else's Terraform: a global database in two VPCs with a zone, which knows nothing of this project.

It ignores what docs/adopt.md tells its owner to ignore, and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestration.constructs.database import CHANGED_OUTSIDE_TERRAFORM, TAKEN_FROM_A_MEMBER

WRITER, STANDBY = "us-east-1", "us-west-2"
GLOBAL, ZONE = "orders-global", "orders.internal"
CLUSTERS = {WRITER: "orders-east", STANDBY: "orders-west"}
RANGES = {WRITER: "10.60.0.0/16", STANDBY: "10.61.0.0/16"}
INSTANCES = {WRITER: 2, STANDBY: 1}
CLASS = "db.r6g.large"
VERSION = "16.8"
PORT = 6432


def write(folder: Path, provider_version: str | None) -> None:
    """Writes the configuration into ``folder``."""
    resources: dict[str, dict[str, Any]] = {}
    for region in (WRITER, STANDBY):
        for address, body in _region(region).items():
            kind, _, name = address.partition(".")
            resources.setdefault(kind, {})[name] = {"provider": f"aws.{_alias(region)}", **body}
    resources["aws_route53_zone"] = {
        "zone": {
            "provider": f"aws.{_alias(STANDBY)}",
            "name": ZONE,
            "vpc": [
                {"vpc_id": f"${{aws_vpc.{_alias(region)}.id}}", "vpc_region": region} for region in (WRITER, STANDBY)
            ],
        }
    }
    resources["aws_rds_global_cluster"] = {
        "global": {
            "provider": f"aws.{_alias(WRITER)}",
            "global_cluster_identifier": GLOBAL,
            "engine": "aurora-postgresql",
            "engine_version": VERSION,
            "storage_encrypted": True,
            "lifecycle": {"ignore_changes": TAKEN_FROM_A_MEMBER},
        }
    }
    folder.mkdir(parents=True)
    aws = {"source": "hashicorp/aws", **({"version": provider_version} if provider_version else {})}
    (folder / "main.tf.json").write_text(
        json.dumps(
            {
                "terraform": {"required_providers": {"aws": aws}},
                "provider": {
                    "aws": [{"region": region, "alias": _alias(region)} for region in (WRITER, STANDBY)],
                },
                "resource": resources,
            },
            indent=1,
        )
    )


def _region(region: str) -> dict[str, dict[str, Any]]:
    name, first = _alias(region), region == WRITER
    prefix = RANGES[region].split(".0.")[0]
    groups = {
        f"aws_security_group.{name}-{n}": {"name": f"orders-{n}", "vpc_id": f"${{aws_vpc.{name}.id}}"} for n in range(2)
    }
    subnets = {
        f"aws_subnet.{name}-{n}": {
            "vpc_id": f"${{aws_vpc.{name}.id}}",
            "cidr_block": f"{prefix}.{n}.0/24",
            "availability_zone": f"{region}{zone}",
        }
        for n, zone in enumerate("ab")
    }
    made_with = {"master_username": "orders_admin", "master_password": "of-no-matter", "database_name": "orders"}
    cluster = {
        "cluster_identifier": CLUSTERS[region],
        "global_cluster_identifier": "${aws_rds_global_cluster.global.id}",
        "engine": "aurora-postgresql",
        "engine_version": VERSION,
        "port": PORT,
        "db_subnet_group_name": f"${{aws_db_subnet_group.{name}.name}}",
        "db_cluster_parameter_group_name": f"${{aws_rds_cluster_parameter_group.{name}.name}}",
        "vpc_security_group_ids": [f"${{{address}.id}}" for address in groups],
        "storage_encrypted": True,
        "iam_database_authentication_enabled": True,
        "skip_final_snapshot": True,
        **(made_with if first else {"source_region": WRITER}),
        "lifecycle": {"ignore_changes": CHANGED_OUTSIDE_TERRAFORM},
        **({} if first else {"depends_on": [f"aws_rds_cluster_instance.{_alias(WRITER)}-0"]}),
    }
    instances = {
        f"aws_rds_cluster_instance.{name}-{n}": {
            "identifier": f"{CLUSTERS[region]}-{n}",
            "cluster_identifier": f"${{aws_rds_cluster.{name}.id}}",
            "instance_class": CLASS,
            "engine": "aurora-postgresql",
            "auto_minor_version_upgrade": False,
            "lifecycle": {"ignore_changes": ["availability_zone", "engine_version"]},
        }
        for n in range(INSTANCES[region])
    }
    return {
        f"aws_vpc.{name}": {"cidr_block": RANGES[region], "enable_dns_hostnames": True},
        **subnets,
        **groups,
        f"aws_db_subnet_group.{name}": {
            "name": f"orders-{name}",
            "subnet_ids": [f"${{{address}.id}}" for address in subnets],
        },
        f"aws_rds_cluster_parameter_group.{name}": {"name": "orders-pg16", "family": "aurora-postgresql16"},
        f"aws_rds_cluster.{name}": cluster,
        **instances,
    }


def _alias(region: str) -> str:
    return "east" if region == WRITER else "west"
