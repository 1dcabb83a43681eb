"""What `failoverctl adopt` concludes from what it found: what is in the way, what is weaker, what is written. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from failoverctl.found import Around, Found, FoundRegion, zone_words
from handlers.core.sessions import MOST_SESSIONS
from orchestration.existing import FEWEST_FUNCTION_SUBNETS
from orchestration.settings import FIRST_WITH_LOGIN_TRIGGER, Settings
from orchestration.specification.names import FIRST_SUPPORTED_MAJOR

FIRST_WITH_RESERVED_CONNECTIONS = 16  # PostgreSQL's parameter `reserved_connections`
AVAILABLE = "available"
# What RDS says of write forwarding, and what it is called.
FORWARDING = {
    "GlobalWriteForwardingStatus": "global write forwarding",
    "LocalWriteForwardingStatus": "local write forwarding",
}
PEERING = "pcx-"  # how the id of a VPC peering connection begins


@dataclass(frozen=True)
class Weaker:
    """A promise that holds less far here than around a database of our own, why, and what would mend it."""

    promise: str
    why: str
    remedy: str


def major(region: FoundRegion) -> int:
    """Returns PostgreSQL's major version."""
    return int(str(region.cluster["EngineVersion"]).split(".")[0])


def faults(found: Found, settings: Settings) -> list[str]:
    """Returns what has to be changed before this can be adopted: field, value and remedy of each."""
    return [
        *_regions(found, settings),
        *_members(found, settings),
        *(fault for there in found.both.values() for fault in _cluster(there)),
        *_alike(found),
        *_of_the_network(found.around, settings),
    ]


def faults_around(around: Around, settings: Settings) -> list[str]:
    """Returns the same of what exists around a database that is to be ours, and what the settings say otherwise."""
    there = (fault for name in around.vpcs for fault in _as_named(around, name, settings))
    return [*there, *_of_the_network(around, settings)] or [*_of_the_link(around, settings)]


def _as_named(around: Around, name: str, settings: Settings) -> Iterator[str]:
    there, named = around.vpcs[name], settings.existing.both[name]
    if named.vpc_cidr != there.vpc["CidrBlock"]:
        yield (
            f"existing.{name}.vpc_cidr = {_toml(named.vpc_cidr)}, but {named.vpc_id} ({there.region}) has "
            f"{_toml(there.vpc['CidrBlock'])}: write that"
        )
    for field in ("function_subnet_ids", "database_subnet_ids"):
        if missing := [subnet for subnet in getattr(named, field) if subnet not in there.subnets]:
            yield (
                f"existing.{name}.{field}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not of "
                f"{named.vpc_id} ({there.region}): name subnets of it"
            )


def _of_the_network(around: Around, settings: Settings) -> Iterator[str]:
    for there in around.vpcs.values():
        if not there.resolves:
            yield (
                f"{there.vpc['VpcId']} ({there.region}) does not resolve private names: turn on its DNS support and "
                "DNS host names"
            )
    yield from _ranges(around)
    yield from _unfinished(around, settings)
    yield from _zone(around, settings)


def _regions(found: Found, settings: Settings) -> Iterator[str]:
    wanted, there = settings.regions, (found.writer.region, found.standby.region)
    if there == wanted[::-1]:
        yield (
            f"writer_region = {wanted[0]}, but the writer of {_name(found)} is {found.writer.name} in {there[0]}: "
            f'exchange the two, writer_region = "{there[0]}" and standby_region = "{there[1]}"'
        )
    elif there != wanted:
        yield (
            f"writer_region = {wanted[0]} and standby_region = {wanted[1]}, but {_name(found)} has its writer in "
            f'{there[0]} and its standby in {there[1]}: set writer_region = "{there[0]}" and standby_region = '
            f'"{there[1]}", and a witness_region of the same set'
        )


def _members(found: Found, settings: Settings) -> Iterator[str]:
    """Compares with what the settings name already, where they do."""
    if settings.existing.global_cluster not in (None, _name(found)):
        yield (
            f"existing.global_cluster = {settings.existing.global_cluster}, and {_name(found)} was asked for: name "
            "that, or remove [existing] from the settings"
        )
    for (name, named), there in zip(settings.existing.both.items(), found.both.values(), strict=True):
        if named.cluster not in (None, there.name):
            yield (
                f"existing.{name}.cluster = {named.cluster} is not the member of {_name(found)} in {there.region}: "
                f"that is {there.name}; name it"
            )


def _cluster(there: FoundRegion) -> Iterator[str]:
    cluster, where = there.cluster, f"{there.name} ({there.region})"
    if major(there) < FIRST_SUPPORTED_MAJOR:
        yield (
            f"{where} has EngineVersion = {cluster['EngineVersion']}: upgrade the global database to "
            f"{FIRST_SUPPORTED_MAJOR} or later"
        )
    if cluster["Status"] != AVAILABLE:
        yield f"{where} has Status = {cluster['Status']}: wait until it is {AVAILABLE}"
    if not there.instances:
        yield f"{where} has no instance, so nothing can be promoted there: add one"
    if not cluster.get("IAMDatabaseAuthenticationEnabled"):
        yield (
            f"{where} has IAMDatabaseAuthenticationEnabled = false, and the monitors log in by IAM: turn IAM database "
            "authentication on"
        )
    if len(there.function_subnets) < FEWEST_FUNCTION_SUBNETS:
        yield (
            f"DBSubnetGroup = {cluster['DBSubnetGroup']} ({there.region}) has {len(there.function_subnets)} subnets "
            f"in which Lambda can have network cards: add subnets in {FEWEST_FUNCTION_SUBNETS} zones or more"
        )
    first = ipaddress.IPv4Network(there.vpc["CidrBlock"])
    for subnet, block in there.subnets.items():
        if not ipaddress.IPv4Network(block).subnet_of(first):
            yield (
                f"{subnet} of DBSubnetGroup = {cluster['DBSubnetGroup']} ({there.region}) has CidrBlock = {block}, "
                f"outside {first}, the first range of {there.vpc['VpcId']}, which alone our rules and routes let "
                "through: use subnets inside it"
            )


def _alike(found: Found) -> Iterator[str]:
    ports = {there.cluster["Port"] for there in found.both.values()}
    if len(ports) > 1:
        ours, theirs = (f"{there.name} listens on {there.cluster['Port']}" for there in found.both.values())
        yield f"{ours} and {theirs}: give both clusters one port"


def _ranges(around: Around) -> Iterator[str]:
    for ours, theirs in combinations(around.vpcs.values(), 2):
        for one, other in product(ours.ranges, theirs.ranges):
            if ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other)):
                yield (
                    f"CidrBlock = {one} of {ours.vpc['VpcId']} ({ours.region}) overlaps with {other} "
                    f"of {theirs.vpc['VpcId']} ({theirs.region}): no peering or transit gateway can join "
                    "them, so no prober sees the other region; move one of the two clusters into a VPC with a range of "
                    "its own"
                )


def _unfinished(around: Around, settings: Settings) -> Iterator[str]:
    """Over a peering that waits no prober sees the other region, and AWS makes no second one beside it."""
    if around.link is not None or settings.existing.link not in (None, *around.unfinished):
        return
    ends = " and ".join(there.vpc["VpcId"] for there in around.vpcs.values())
    for peering, state in around.unfinished.items():
        yield (
            f"{peering} between {ends} has Status = {state}: accept it and give both VPCs their routes, or delete it, "
            "and one is made"
        )


def _zone(around: Around, settings: Settings) -> Iterator[str]:
    if around.zone is None:
        return
    zone, name = around.zone["HostedZone"], around.zone["HostedZone"]["Name"].rstrip(".")
    zone_id = zone["Id"].rsplit("/", 1)[-1]
    said = zone_words(settings, zone_id)
    if not zone.get("Config", {}).get("PrivateZone"):
        yield f"{said} ({name}) is a public zone: name a private one, or none for a zone of our own"
        return
    if name != settings.dns_zone:
        yield f'dns_zone = {settings.dns_zone}, and {said} is {name}: set dns_zone = "{name}"'
    seen_from = {one.get("VPCId") for one in around.zone.get("VPCs", [])}
    for there in around.vpcs.values():
        if there.vpc["VpcId"] not in seen_from:
            yield (
                f"{said} ({name}) is not associated with {there.vpc['VpcId']} ({there.region}), so nobody "
                "there resolves the writer's name: associate it"
            )


# What [existing] says of a cluster, and RDS and EC2 say as well.
OF_THE_CLUSTER = (
    "instances",
    "security_group_ids",
    "subnet_group",
    "parameter_group",
    "storage_key_arn",
    "vpc_id",
    "vpc_cidr",
)


def outdated(found: Found, settings: Settings) -> list[str]:
    """Returns what the settings say otherwise than it is: field, value and remedy of each.

    A group that is not named is not given back at a fence's end, and an instance that is not named is not restarted.
    """
    return [
        *_of_the_clusters(found, settings),
        *_of_the_database(found, settings),
        *_of_the_link(found.around, settings),
    ]


def _of_the_clusters(found: Found, settings: Settings) -> Iterator[str]:
    for (name, named), there in zip(settings.existing.both.items(), found.both.values(), strict=True):
        seen = _section_of(there, routes=False)
        for field in OF_THE_CLUSTER:
            said, is_ = getattr(named, field), seen.get(field)
            if isinstance(said, tuple):
                said, is_ = sorted(said), sorted(is_ or ())
            if said != is_:
                yield (
                    f"existing.{name}.{field} = {_toml(said)}, but {there.name} ({there.region}) has {_toml(is_)}: "
                    "write that"
                )


def _of_the_database(found: Found, settings: Settings) -> Iterator[str]:
    for field, seen in database(found).items():
        said = getattr(settings.database, field)
        if field == "engine_version":  # minor versions are upgraded in RDS, and nothing here rests on them
            said, seen = (str(version).partition(".")[0] for version in (said, seen))
        if said != seen:
            yield f"database.{field} = {_toml(said)}, but {found.writer.name} has {_toml(seen)}: write that"


def _of_the_link(around: Around, settings: Settings) -> Iterator[str]:
    said, peering = settings.existing.link, (around.link or "").startswith(PEERING)
    if said is None and peering:
        yield (
            f"existing.link is not given, but {around.link} joins the two VPCs, and AWS makes no second peering: write "
            f'link = "{around.link}"'
        )
    if said is not None and said.startswith(PEERING) and said != around.link:
        yield f"existing.link = {said} does not join the two VPCs: write {around.link or 'none, and one is made'}"


def _toml(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def weaker(found: Found) -> list[Weaker]:
    """Returns which promises are weaker here, and why."""
    return [
        *_of_the_version(found),
        *(one for there in found.both.values() for one in _of_a_region(there)),
        *_of_the_size(found),
        *_of_the_routes(found.around),
        *_of_both(),
    ]


def _of_the_version(found: Found) -> Iterator[Weaker]:
    version = min(major(there) for there in found.both.values())
    if version < FIRST_WITH_LOGIN_TRIGGER:
        yield Weaker(
            "P1",
            f"PostgreSQL {version} has no login trigger, so a server that starts is not fenced by itself: an old "
            "writer that comes back takes writes from clients that hold its own endpoint, until its guardian has "
            "closed it. Hosts in a connection string (instead of the writer's name) are not safe here",
            f"upgrade to {FIRST_WITH_LOGIN_TRIGGER}",
        )
        yield Weaker(
            "P10",
            f"PostgreSQL {version} starts open, so a restart that takes the place of a fence by SQL leaves none whose "
            "lift opens the security group again: the guardian's next run opens it, a minute later at most instead of "
            "10 s",
            f"upgrade to {FIRST_WITH_LOGIN_TRIGGER}",
        )
    if version < FIRST_WITH_RESERVED_CONNECTIONS:
        yield Weaker(
            "P10",
            f"PostgreSQL {version} reserves no connections for the monitors: applications that take them all have the "
            "writer answer that it is full, which moves nothing, and keep a fence by SQL out",
            f"upgrade to {FIRST_WITH_RESERVED_CONNECTIONS}, and set reserved_connections = {MOST_SESSIONS}",
        )


def _of_a_region(there: FoundRegion) -> Iterator[Weaker]:
    where, cluster = f"{there.name} ({there.region})", there.cluster
    if len(there.instances) == 1:
        yield Weaker(
            "99.99%",
            f"{where} has a single instance: while it restarts, or its zone is lost, the region has no database; as "
            "the writer it is failed over to the other region after recovery_grace_s",
            "add an instance in another zone",
        )
    said = there.parameters.get("reserved_connections", "")
    kept = int(said) if said.isdecimal() else 0
    if major(there) >= FIRST_WITH_RESERVED_CONNECTIONS and kept < MOST_SESSIONS:
        yield Weaker(
            "P10",
            f"{where} reserves {kept or 'no'} connections for the monitors, which may hold {MOST_SESSIONS}: "
            "applications that take all others may keep a fence by SQL out",
            f"set reserved_connections = {MOST_SESSIONS} in {cluster['DBClusterParameterGroup']}; it counts after a "
            "restart",
        )
    if there.parameters.get("rds.force_ssl") == "0":
        yield Weaker(
            "security",
            f"{where} admits connections without TLS (rds.force_ssl = 0)",
            f"set rds.force_ssl = 1 in {cluster['DBClusterParameterGroup']}",
        )
    if not cluster.get("HttpEndpointEnabled"):
        yield Weaker(
            "break-glass",
            f"{where} has no Data API: `failoverctl bootstrap`, `break-glass` and `salvage replay` cannot run SQL "
            "there",
            "turn the Data API on, or run handlers/sql/monitoring.sql with psql, as docs/adopt.md shows",
        )
    upgraded = [one["DBInstanceIdentifier"] for one in there.instances if one.get("AutoMinorVersionUpgrade")]
    if upgraded:
        yield Weaker(
            "P5",
            f"{', '.join(upgraded)} ({there.region}) are upgraded by AWS when it likes: the two regions may differ, "
            "and Aurora refuses a switchover then",
            "turn AutoMinorVersionUpgrade off, and upgrade both regions on one day",
        )
    yield from _not_rebuilt(there)


def _not_rebuilt(there: FoundRegion) -> Iterator[Weaker]:
    """Returns what a re-protection does not give the cluster that it builds (`handlers.core.old_cluster`)."""
    where, cluster = f"{there.name} ({there.region})", there.cluster
    watched = [one["DBInstanceIdentifier"] for one in there.instances if one.get("MonitoringInterval")]
    if watched:
        yield Weaker(
            "re-protection",
            f"{', '.join(watched)} ({there.region}) have Enhanced Monitoring, which a rebuilt instance has not: that "
            "takes the right to pass its role on, which we do not ask for",
            "turn it on again after a re-protection",
        )
    roles = [
        f"{one['RoleArn']} ({one.get('FeatureName', 'any feature')})" for one in cluster.get("AssociatedRoles", ())
    ]
    if roles:
        yield Weaker(
            "re-protection",
            f"{where} has the IAM roles {', '.join(roles)}, which a rebuilt cluster has not: imports from S3, exports "
            "to it and calls of functions fail when it is the writer again",
            "add them after a re-protection: `aws rds add-role-to-db-cluster`",
        )
    if endpoints := cluster.get("CustomEndpoints"):
        yield Weaker(
            "re-protection",
            f"{where} has the custom endpoints {', '.join(endpoints)}, which go with the old cluster: their names lead "
            "nowhere",
            "make them again after a re-protection: `aws rds create-db-cluster-endpoint`",
        )
    forwarding = [words for field, words in FORWARDING.items() if cluster.get(field) in ("enabled", "enabling")]
    if forwarding:
        yield Weaker(
            "re-protection",
            f"{where} has {' and '.join(forwarding)} on, which a rebuilt cluster has not: writes to its readers fail",
            "turn it on again after a re-protection: `aws rds modify-db-cluster`",
        )


def _of_the_size(found: Found) -> Iterator[Weaker]:
    writer, standby = ({one["DBInstanceClass"] for one in there.instances} for there in found.both.values())
    if writer != standby:
        yield Weaker(
            "99.99%",
            f"the instances of {found.standby.name} are {', '.join(sorted(standby))}, and those of {found.writer.name} "
            f"{', '.join(sorted(writer))}: after a failover the load meets another size",
            "give both regions the same classes",
        )


def _of_the_routes(around: Around) -> Iterator[Weaker]:
    if around.link is None:
        return
    yield Weaker(
        "detection",
        f"{around.link} joins the two VPCs, and whether their routes lead through it was not looked at: without them "
        "the standby's prober never sees the writer, and a failover rests on the guardian's silence or word alone",
        "have routes to the other VPC's range in the tables of the probers' and the clusters' subnets (of a transit "
        "gateway, in its own tables, too); `failoverctl ready` shows by its check `reach` that they work",
    )


def _of_both() -> Iterator[Weaker]:
    yield Weaker(
        "P1, P8",
        "whatever made this database (Terraform, CloudFormation) does not know of failovers: an apply of it after one "
        "may lift a fence, detach a cluster, or replace what re-protection has rebuilt",
        "have it ignore the attributes that docs/adopt.md lists, and run `failoverctl apply-safe` before each apply",
    )


def section(found: Found, settings: Settings) -> dict[str, Any]:
    """Returns ``[existing]`` as the settings take it; what was found empty, or is left to us, is not in it."""
    around, given = found.around, settings.existing
    zone = around.zone["HostedZone"]["Id"].rsplit("/", 1)[-1] if around.zone else None
    whole = {
        "global_cluster": _name(found),
        "master_secret": given.master_secret,
        "zone_id": zone,
        "link": around.link,
        **{name: _section_of(there, routes=around.link is None) for name, there in found.both.items()},
    }
    return {name: value for name, value in whole.items() if value}


def _section_of(there: FoundRegion, *, routes: bool) -> dict[str, Any]:
    cluster = there.cluster
    groups = {group["DBParameterGroupName"] for one in there.instances for group in one.get("DBParameterGroups", [])}
    whole: dict[str, Any] = {
        "cluster": there.name,
        "instances": [one["DBInstanceIdentifier"] for one in there.instances],
        "security_group_ids": [group["VpcSecurityGroupId"] for group in cluster["VpcSecurityGroups"]],
        "subnet_group": cluster["DBSubnetGroup"],
        "parameter_group": cluster["DBClusterParameterGroup"],
        # RDS's own are granted in any case.
        "instance_parameter_groups": sorted(group for group in groups if not group.startswith("default.")),
        "storage_key_arn": there.storage_key,
        "vpc_id": there.vpc["VpcId"],
        "vpc_cidr": there.vpc["CidrBlock"],
        "function_subnet_ids": list(there.function_subnets),
        "route_table_ids": list(there.route_tables) if routes else [],
    }
    return {name: value for name, value in whole.items() if value}


def database(found: Found) -> dict[str, Any]:
    """Returns what ``[database]`` of the settings must say of the clusters: they were made with it."""
    cluster = found.writer.cluster
    told = {
        "name": cluster.get("DatabaseName"),
        "master_username": cluster.get("MasterUsername"),
        "engine_version": cluster["EngineVersion"],
        "port": cluster["Port"],
    }
    return {name: value for name, value in told.items() if value is not None}


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns tables of TOML, the inner ones after their own values."""
    lines: list[str] = []
    for name, values in sections.items():
        inner = {f"{name}.{key}": value for key, value in values.items() if isinstance(value, dict)}
        lines += [
            f"[{name}]",
            *(f"{key} = {json.dumps(v)}" for key, v in values.items() if not isinstance(v, dict)),
            "",
        ]
        if inner:
            lines += [toml(inner)]
    return "\n".join(lines)


def _name(found: Found) -> str:
    return str(found.global_database["GlobalClusterIdentifier"])
