"""What an account has of a global database and around it, as ``failoverctl adopt`` reads it: nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from failoverctl.account import Account
from failoverctl.errors import CannotTell, Refused, is_denied
from handlers.core.errors import FailoverError
from handlers.gateways.aws import code_of, named_errors
from orchestration.existing import ExistingRegion
from orchestration.settings import Settings
from orchestration.specification.names import ZONE_IDS_WITHOUT_LAMBDA, Names

Description = dict[str, Any]

# Every action of IAM that is asked for here.
CALLS = (
    "rds:DescribeGlobalClusters",
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSubnetGroups",
    "rds:DescribeDBClusterParameters",
    "ec2:DescribeVpcs",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeSubnets",
    "ec2:DescribeRouteTables",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeTransitGatewayVpcAttachments",
    "ec2:DescribeTransitGatewayPeeringAttachments",
    "kms:DescribeKey",
    "route53:GetHostedZone",
)
# States of a peering connection: it joins; it never will, and is not in the way of another.
JOINS = "active"
OVER = frozenset({"deleted", "deleting", "expired", "failed", "rejected"})


@dataclass(frozen=True)
class FoundVpc:
    """The VPC of one region.

    Attributes
    ----------
    vpc
        EC2's own description.
    resolves
        whether it resolves private names.
    subnets
        address range of each of its subnets that count, by its id: those of the cluster's subnet group, or where the
        database is to be ours, those that the settings name.
    """

    region: str
    vpc: Description
    resolves: bool
    subnets: dict[str, str]

    @property
    def ranges(self) -> tuple[str, ...]:
        """Address ranges of the VPC, its first one first: all of them count where two VPCs are joined."""
        also = (
            one["CidrBlock"]
            for one in self.vpc.get("CidrBlockAssociationSet", ())
            if one.get("CidrBlockState", {}).get("State") == "associated"
        )
        return tuple(dict.fromkeys((str(self.vpc["CidrBlock"]), *map(str, also))))


@dataclass(frozen=True)
class FoundRegion(FoundVpc):
    """What one region has of a database; descriptions are RDS's and EC2's own.

    Attributes
    ----------
    function_subnets
        those in which Lambda can place a network card.
    route_tables
        those of the cluster's subnets.
    parameters
        what somebody has set in the cluster's parameter group.
    storage_key
        ARN of the customer-managed key of the cluster; None for RDS's own, or where it is not encrypted.
    """

    cluster: Description
    instances: tuple[Description, ...]
    function_subnets: tuple[str, ...]
    route_tables: tuple[str, ...]
    parameters: dict[str, str]
    storage_key: str | None

    @property
    def name(self) -> str:
        """Identifier of the cluster."""
        return str(self.cluster["DBClusterIdentifier"])


@dataclass(frozen=True)
class Around:
    """What exists around a database, be it one that exists or one that is to be ours.

    Attributes
    ----------
    vpcs
        those that exist, by the names that their regions have in the settings; in both regions, in one, or in none.
    link
        joins the two VPCs: a peering connection, or the transit gateway of the writer's region; None when nothing does.
    unfinished
        peering connections between them that do not join yet, with their states.
    zone
        Route 53's answer on the zone that was named.
    """

    vpcs: Mapping[str, FoundVpc]
    link: str | None
    unfinished: dict[str, str]
    zone: Description | None


@dataclass(frozen=True)
class Found:
    """A global database, its two regions, that of the writer first, and what is around it."""

    global_database: Description
    writer: FoundRegion
    standby: FoundRegion
    around: Around

    @property
    def both(self) -> dict[str, FoundRegion]:
        """The two regions, by the names that they have in the settings."""
        return {"writer": self.writer, "standby": self.standby}


def members(global_database: Description) -> dict[str, str]:
    """Returns region and ARN of each cluster of a global database, the writer first.

    Raises
    ------
    Refused
        it is of another engine, or has not exactly a writer and one standby.
    """
    name = global_database["GlobalClusterIdentifier"]
    engine = global_database.get("Engine")
    if engine != "aurora-postgresql":
        raise Refused(f"{name} is of the engine {engine}; name a global database of aurora-postgresql")
    found = sorted(global_database.get("GlobalClusterMembers", []), key=lambda one: not one.get("IsWriter"))
    arns = [one["DBClusterArn"] for one in found]
    if len(arns) != 2 or not found[0].get("IsWriter"):  # a writer and a standby
        raise Refused(
            f"{name} has the members {', '.join(arns) or 'none'}; a writer and one standby are looked after: add the "
            "secondary that is missing, or remove the one that is too many"
        )
    return {arn.split(":")[3]: arn for arn in arns}


def global_database(account: Account, name: str) -> Description:
    """Returns the global database of that name, as RDS of either region describes it.

    Raises
    ------
    Refused
        there is none.
    CannotTell
        the credentials may not look.
    """
    for region in account.regions:
        with _asking(f"reading the global database {name} in {region}"):
            try:
                answer = account.client("rds", region).describe_global_clusters(GlobalClusterIdentifier=name)
            except ClientError as error:
                if code_of(error) != "GlobalClusterNotFoundFault":
                    raise
                continue
        for one in answer["GlobalClusters"]:
            if one["GlobalClusterIdentifier"] == name:
                return dict(one)
    field = "existing.global_cluster =" if account.settings.existing.global_cluster == name else "GLOBAL_CLUSTER"
    raise Refused(
        f"{field} {name}: RDS knows no such global database in {' or '.join(account.regions)}; "
        "the RDS console lists those that there are, and the settings name the regions"
    )


def look(account: Account, found: Description, zone: str | None) -> Found:
    """Returns all that there is around a global database. Raises `Refused` as `members`, and `CannotTell`."""
    writer, standby = (_region(account, region, arn) for region, arn in members(found).items())
    return Found(found, writer, standby, _around(account, {"writer": writer, "standby": standby}, zone))


def look_around(account: Account) -> Around:
    """Returns what there is of the VPCs, the link and the zone that the settings name, around a database of our own.

    Raises
    ------
    Refused
        a VPC or the zone is not there.
    CannotTell
        the credentials may not look.
    """
    settings = account.settings
    vpcs = {
        name: _vpc(account, region, f"existing.{name}.vpc_id", there)
        for (name, there), region in zip(settings.existing.both.items(), settings.regions, strict=True)
        if there.vpc_id
    }
    return _around(account, vpcs, settings.existing.zone_id)


def _vpc(account: Account, region: str, field: str, named: ExistingRegion) -> FoundVpc:
    ec2, subnets = account.client("ec2", region), {*named.function_subnet_ids, *named.database_subnet_ids}
    with _asking(f"reading the network of {named.vpc_id} in {region}"):
        try:
            vpc, resolves = _network(ec2, str(named.vpc_id))
        except ClientError as error:
            if code_of(error) == "InvalidVpcID.NotFound":
                raise Refused(f"{field} = {named.vpc_id}: EC2 knows no such VPC in {region}; name one of it") from error
            raise
        described = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [named.vpc_id]}])["Subnets"]
    there = {one["SubnetId"]: one["CidrBlock"] for one in described if one["SubnetId"] in subnets}
    return FoundVpc(region=region, vpc=vpc, resolves=resolves, subnets=there)


def _network(ec2: Any, vpc_id: str) -> tuple[Description, bool]:
    """Returns EC2's description of a VPC, and whether it resolves private names."""
    vpc = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]
    resolves = all(
        ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=asked)[told]["Value"]
        for asked, told in (("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames"))
    )
    return vpc, resolves


def _around(account: Account, vpcs: Mapping[str, FoundVpc], zone: str | None) -> Around:
    peerings: dict[str, str] = {}
    gateway = None
    if len(vpcs) == 2:  # one alone is joined with nothing that exists
        writer, standby = vpcs["writer"], vpcs["standby"]
        peerings, gateway = _peerings(account, writer, standby), _gateway(account, writer, standby)
    active = next((peering for peering, state in peerings.items() if state == JOINS), None)
    return Around(
        vpcs,
        link=active or gateway,
        unfinished={peering: state for peering, state in peerings.items() if state not in (JOINS, *OVER)},
        zone=_zone(account, zone, account.settings.writer_region) if zone else None,
    )


def _region(account: Account, region: str, arn: str) -> FoundRegion:
    rds, ec2 = account.client("rds", region), account.client("ec2", region)
    name = arn.rsplit(":", 1)[-1]
    with _asking(f"reading the cluster {name} in {region}"):
        cluster = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        answer = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [name]}])
        instances = sorted(answer["DBInstances"], key=lambda one: str(one["DBInstanceIdentifier"]))
        group = rds.describe_db_subnet_groups(DBSubnetGroupName=cluster["DBSubnetGroup"])["DBSubnetGroups"][0]
    with _asking(f"reading the parameters of {name} in {region}"):
        pages = rds.get_paginator("describe_db_cluster_parameters").paginate(
            DBClusterParameterGroupName=cluster["DBClusterParameterGroup"], Source="user"
        )
        parameters = {
            one["ParameterName"]: one.get("ParameterValue", "") for page in pages for one in page["Parameters"]
        }
    subnets = [one["SubnetIdentifier"] for one in group["Subnets"]]
    with _asking(f"reading the network of {name} in {region}"):
        vpc, resolves = _network(ec2, group["VpcId"])
        described = ec2.describe_subnets(SubnetIds=subnets)["Subnets"]
        tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [group["VpcId"]]}])["RouteTables"]
    return FoundRegion(
        region=region,
        cluster=cluster,
        instances=tuple(instances),
        vpc=vpc,
        resolves=resolves,
        subnets={one["SubnetId"]: one["CidrBlock"] for one in described},
        function_subnets=tuple(
            sorted(one["SubnetId"] for one in described if one.get("AvailabilityZoneId") not in ZONE_IDS_WITHOUT_LAMBDA)
        ),
        route_tables=_tables_of(subnets, tables),
        parameters=parameters,
        storage_key=_storage_key(account, region, cluster),
    )


def _tables_of(subnets: list[str], tables: list[Description]) -> tuple[str, ...]:
    """Returns the route tables of the subnets: one without a table of its own has the VPC's main one."""
    of = {one.get("SubnetId"): table["RouteTableId"] for table in tables for one in table["Associations"]}
    main = next((t["RouteTableId"] for t in tables if any(one.get("Main") for one in t["Associations"])), None)
    return tuple(sorted({table for subnet in subnets if (table := of.get(subnet, main))}))


def _storage_key(account: Account, region: str, cluster: Description) -> str | None:
    key = cluster.get("KmsKeyId") if cluster.get("StorageEncrypted") else None
    if not key:
        return None
    with _asking(f"reading the key of {cluster['DBClusterIdentifier']} in {region}"):
        found = account.client("kms", region).describe_key(KeyId=key)["KeyMetadata"]
    return str(found["Arn"]) if found["KeyManager"] == "CUSTOMER" else None


def _peerings(account: Account, writer: FoundVpc, standby: FoundVpc) -> dict[str, str]:
    """Returns the state of each peering connection between the two VPCs, by its id.

    One that our own stack has made is none that exists: a deployment that has stopped behind it is called again.
    """
    ours = {"Key": "Name", "Value": Names(account.settings, account="").peering}
    ends = {writer.vpc["VpcId"], standby.vpc["VpcId"]}
    with _asking(f"reading the peering connections in {writer.region}"):
        answer = account.client("ec2", writer.region).describe_vpc_peering_connections()["VpcPeeringConnections"]
    return {
        str(one["VpcPeeringConnectionId"]): str(one["Status"]["Code"])
        for one in answer
        if {one["AccepterVpcInfo"].get("VpcId"), one["RequesterVpcInfo"].get("VpcId")} == ends
        and ours not in one.get("Tags", ())
    }


def _gateway(account: Account, writer: FoundVpc, standby: FoundVpc) -> str | None:
    """Returns the transit gateway of the writer's region, where it is peered with one of the standby's.

    A transit gateway is of one region: two VPCs in two regions are joined by two of them, and by what joins those.
    """
    ours, theirs = (_gateways(account, each) for each in (writer, standby))
    if not ours or not theirs:
        return None
    with _asking(f"reading the peerings of transit gateways in {writer.region}"):
        answer = account.client("ec2", writer.region).describe_transit_gateway_peering_attachments(
            Filters=[{"Name": "state", "Values": ["available"]}]
        )
    for one in answer["TransitGatewayPeeringAttachments"]:
        ends = {one.get(end, {}).get("TransitGatewayId") for end in ("RequesterTgwInfo", "AccepterTgwInfo")}
        if ends & ours and ends & theirs:
            return str(*(ends & ours))
    return None


def _gateways(account: Account, there: FoundVpc) -> set[str]:
    """Returns the transit gateways that the region's VPC is attached to."""
    with _asking(f"reading the transit gateways of {there.vpc['VpcId']} in {there.region}"):
        answer = account.client("ec2", there.region).describe_transit_gateway_vpc_attachments(
            Filters=[{"Name": "vpc-id", "Values": [there.vpc["VpcId"]]}, {"Name": "state", "Values": ["available"]}]
        )
    return {str(one["TransitGatewayId"]) for one in answer["TransitGatewayVpcAttachments"]}


def _zone(account: Account, zone: str, region: str) -> Description:
    with _asking(f"reading the zone {zone}"):
        try:
            return dict(account.client("route53", region).get_hosted_zone(Id=zone))
        except ClientError as error:
            if code_of(error) in ("NoSuchHostedZone", "InvalidInput"):
                said = zone_words(account.settings, zone)
                raise Refused(f"{said}: Route 53 knows no such zone; its console lists them by id") from error
            raise


def zone_words(settings: Settings, zone: str) -> str:
    """Returns how a person has named a zone: by the settings, or by the option of `adopt`."""
    return f"existing.zone_id = {zone}" if settings.existing.zone_id else f"--zone {zone}"


@contextmanager
def _asking(doing: str) -> Iterator[None]:
    try:
        with named_errors(doing):
            yield
    except FailoverError as error:
        if is_denied(error):
            raise CannotTell(
                f"{doing} is not allowed with these credentials: nothing but reads is asked for; use a role that has "
                f"AWS's own policy ReadOnlyAccess. {error.__cause__}"
            ) from error
        raise
