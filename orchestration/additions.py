"""What a deployment adds to an account in which the database exists already, for whoever has to agree to it.

``python -m orchestration.additions`` writes the tables of docs/adopt.md anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.existing import ExistingRegion
from orchestration.specification import Specification, people
from orchestration.specification.model import Permission
from orchestration.specification.policies import permissions


@dataclass(frozen=True)
class Addition:
    """One kind of thing that is added: how many, what for, and what that exists it is added to (None for nothing)."""

    what: str
    count: int
    why: str
    to: str | None = None


@dataclass(frozen=True)
class Right:
    """What may be done with what exists: by which function or service, and why."""

    who: str
    permission: Permission


def additions(specification: Specification) -> tuple[Addition, ...]:
    """Returns everything that is added around an existing database; what is added to what exists comes first."""
    settings = specification.settings
    regions = [(name, settings.existing_in(name)) for name in settings.regions]
    touched = [
        *(addition for name, there in regions for addition in _in_the_network(specification, name, there)),
        *(
            [
                Addition(
                    "DNS records",
                    len(specification.zone.records),
                    f"{specification.zone.writer_name} and the clusters' own names",
                    f"zone {settings.existing.zone_id}",
                )
            ]
            if settings.existing.zone_id
            else [Addition("private DNS zone", 1, f"{specification.zone.name}, associated with both VPCs")]
        ),
    ]
    if not settings.existing.link:
        touched.append(Addition("VPC peering connection", 1, "probers of each region reach the other region's cluster"))
    return (*touched, *_around(specification))


def _in_the_network(specification: Specification, region: str, there: ExistingRegion) -> Iterator[Addition]:
    if not there.prober_security_group_id:
        yield Addition(
            "ingress rules, TCP",
            2,
            f"port {specification.settings.database.port} from this region's prober and from the other region's VPC",
            f"security group {there.security_group_ids[0]} ({region})",
        )
        yield Addition("security group for the prober", 1, f"its network cards in {region}")
    yield Addition(
        "security group of the fence", 1, f"takes the cluster's groups' place in {region} while it is fenced"
    )
    if not specification.settings.existing.link:
        peer = specification.regions[region].peer
        for table in there.route_table_ids:
            yield Addition(
                "route", 1, f"to {specification.settings.cidr(peer)}, the VPC of {peer}", f"{table} ({region})"
            )
    if specification.settings.game_day.enabled:
        yield Addition(
            "network ACL of AWS FIS",
            1,
            "on a game day, and only while it lasts: cuts off whatever is in these subnets",
            f"the subnets of {there.subnet_group} ({region})",
        )


def _around(specification: Specification) -> Iterator[Addition]:
    regions = specification.regions.values()
    settings = specification.settings
    yield Addition("Lambda functions", sum(len(each.functions) for each in regions), "the steps, monitors and probers")
    yield Addition("Step Functions workflows", 2 * len(regions), "failover and re-protection, in each region")
    yield Addition(
        "IAM roles",
        sum(len(permissions(specification.names, each)) for each in regions),
        "one for each function, workflow and rule: docs/permissions.md",
    )
    policies = people.policies(specification.names)
    whose = "readers, operators, break-glass" + (", game days" if settings.game_day.enabled else "")
    yield Addition("IAM policies", len(policies), f"{whose}; attached to nobody")
    yield Addition(
        "CloudWatch alarms", sum(len((*each.alarms, *each.upkeep_alarms)) for each in regions), "detection and upkeep"
    )
    yield Addition("DynamoDB tables", 2 + 2 * len(regions), "the control record, sessions, runs, tokens")
    yield Addition("S3 buckets", 3 * len(regions), "salvage, reports of runs, reports of backups")
    yield Addition("Route 53 health checks", len(_checks(specification)), "where the writer's name leads")
    yield Addition("AWS Backup vaults and plans", len(regions), "daily snapshots of each cluster, kept for 7 days")
    ours = [each.name for each in regions if not settings.existing_in(each.name).alert_topic]
    if ours:
        yield Addition("SNS topics", len(ours), "tell people")
    ours = [each.name for each in regions if not settings.existing_in(each.name).key_alias]
    if ours:
        yield Addition("KMS keys", len(ours), "encrypt what is added")


def _checks(specification: Specification) -> tuple[object, ...]:
    zone = specification.zone
    return (*zone.health_checks, zone.writer_check, *zone.alarm_checks, zone.database_check)


def rights(specification: Specification) -> tuple[Right, ...]:
    """Returns every permission on what exists already, and who has it: all that may change or read the database."""
    names, settings = specification.names, specification.settings
    found = []
    for region in specification.regions.values():
        there = settings.existing_in(region.name)
        for who, granted in permissions(names, region).items():
            found += [Right(who, each) for each in granted if _is_on(each, there)]
    return tuple(found)


def _is_on(permission: Permission, there: ExistingRegion) -> bool:
    services = {action.partition(":")[0] for action in permission.actions}
    if "ec2:ReplaceNetworkAclAssociation" in permission.actions:
        return True
    if services & {"rds", "rds-data", "rds-db", "secretsmanager", "route53"}:
        return True
    return there.storage_key_arn in permission.resources
