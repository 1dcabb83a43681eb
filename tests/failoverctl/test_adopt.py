"""``failoverctl adopt``: what it finds, says and writes, and what it refuses, on an account that is not ours."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from failoverctl import adoption, command, found, preflight
from failoverctl.account import Account
from failoverctl.assumption import ask_all
from failoverctl.deployment import Deployment
from failoverctl.found import CALLS
from failoverctl.program import app
from handlers.core.sessions import MOST_SESSIONS
from orchestration.settings import SETTINGS_FILE_VARIABLE, load

EAST, WEST = "us-east-1", "us-west-2"
SETTINGS = 'environment_suffix = "prod"\nenvironment = "production"\ndns_zone = "orders.internal"\n'


@dataclass
class Owner:
    """Whoever made the database, and the account's own view of it."""

    vpcs: dict[str, str]
    groups: dict[str, list[str]]
    subnets: dict[str, list[str]]
    file: Path

    def client(self, service: str, region: str) -> Any:
        return boto3.client(service, region_name=region)  # type: ignore[call-overload]

    def cluster(self, region: str) -> Any:
        """The cluster as moto keeps it."""
        return rds_backends[DEFAULT_ACCOUNT_ID][region].clusters[NAMES[region]]

    def zone(
        self, name: str = "orders.internal.", *, private: bool = True, seen_from: tuple[str, ...] = (EAST, WEST)
    ) -> str:
        """Makes a zone; returns its id."""
        route53 = self.client("route53", EAST)
        where = {"VPC": {"VPCRegion": EAST, "VPCId": self.vpcs[EAST]}} if private else {}
        made = route53.create_hosted_zone(
            Name=name, CallerReference=name, HostedZoneConfig={"PrivateZone": private, "Comment": ""}, **where
        )["HostedZone"]["Id"]
        for region in seen_from[1:] if private else ():
            route53.associate_vpc_with_hosted_zone(
                HostedZoneId=made, VPC={"VPCRegion": region, "VPCId": self.vpcs[region]}
            )
        return str(made.rsplit("/", 1)[-1])

    def attach(self, region: str) -> str:
        """Attaches the region's VPC to a transit gateway of its own; returns the gateway's id."""
        ec2 = self.client("ec2", region)
        gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
        ec2.create_transit_gateway_vpc_attachment(
            TransitGatewayId=gateway, VpcId=self.vpcs[region], SubnetIds=self.subnets[region]
        )
        return str(gateway)

    def peer(self, *, accepted: bool = True) -> str:
        """Joins the two VPCs; returns the connection's id."""
        asked = self.client("ec2", EAST).create_vpc_peering_connection(
            VpcId=self.vpcs[EAST], PeerVpcId=self.vpcs[WEST], PeerRegion=WEST
        )["VpcPeeringConnection"]["VpcPeeringConnectionId"]
        if accepted:
            self.client("ec2", WEST).accept_vpc_peering_connection(VpcPeeringConnectionId=asked)
        return str(asked)


NAMES = {EAST: "orders-east", WEST: "orders-west"}
RANGES = {EAST: "10.60.0.0/16", WEST: "10.61.0.0/16"}
Call = Callable[..., tuple[int, str]]


def made(
    file: Path, *, engine: str = "aurora-postgresql", version: str = "16.8", ranges: dict[str, str] = RANGES
) -> Owner:
    """A global database with a provisioned cluster of two instances in each region, as somebody else made it."""
    owner = Owner({}, {}, {}, file)
    owner.client("rds", EAST).create_global_cluster(
        GlobalClusterIdentifier="orders-global", Engine=engine, EngineVersion=version
    )
    for region in (EAST, WEST):
        ec2, rds = owner.client("ec2", region), owner.client("rds", region)
        vpc = owner.vpcs[region] = ec2.create_vpc(CidrBlock=ranges[region])["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        prefix = ranges[region].split(".0.")[0]
        owner.subnets[region] = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"{prefix}.{n}.0/24", AvailabilityZone=f"{region}{zone}")["Subnet"][
                "SubnetId"
            ]
            for n, zone in enumerate("ab")
        ]
        owner.groups[region] = sorted(
            ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("db", "dba")
        )
        rds.create_db_subnet_group(
            DBSubnetGroupName="orders", DBSubnetGroupDescription="of the orders", SubnetIds=owner.subnets[region]
        )
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName="orders-pg",
            DBParameterGroupFamily=f"{engine}{version.split('.')[0]}",
            Description="x",
        )
        rds.create_db_cluster(
            DBClusterIdentifier=NAMES[region],
            GlobalClusterIdentifier="orders-global",
            Engine=engine,
            EngineVersion=version,
            **(
                {"MasterUsername": "orders_admin", "MasterUserPassword": "of-no-matter", "DatabaseName": "orders"}
                if region == EAST
                else {}
            ),
            Port=6432,
            DBSubnetGroupName="orders",
            DBClusterParameterGroupName="orders-pg",
            VpcSecurityGroupIds=owner.groups[region],
            EnableIAMDatabaseAuthentication=True,
            EnableHttpEndpoint=True,
        )
        for n in (1, 2):
            rds.create_db_instance(
                DBInstanceIdentifier=f"{NAMES[region]}-{n}",
                DBClusterIdentifier=NAMES[region],
                DBInstanceClass="db.r6g.large",
                Engine=engine,
            )
    return owner


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a deployment that is to be."""
    found = tmp_path / "settings.toml"
    found.write_text(SETTINGS)
    monkeypatch.setenv(SETTINGS_FILE_VARIABLE, str(found))
    return found


@pytest.fixture
def owner(file: Path) -> Iterator[Owner]:
    with mock_aws():
        yield made(file)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call failoverctl: its exit code, and what it printed."""

    def called(*words: str) -> tuple[int, str]:
        out, nobody = io.StringIO(), SimpleNamespace(isatty=lambda: False)
        monkeypatch.setattr(command, "sys", SimpleNamespace(stdout=out, stderr=out, stdin=nobody))
        with pytest.raises(SystemExit) as ended:
            app([*words])
        return int(ended.value.code or 0), out.getvalue()

    return called


def test_what_is_written_are_settings_with_what_was_found(owner: Owner, call: Call) -> None:
    code, said = call("adopt", "orders-global")
    assert code == 0, said
    settings = load()
    assert settings.adopts
    assert settings.existing.global_cluster == "orders-global"
    assert (settings.database.name, settings.database.port, settings.database.engine_version) == (
        "orders",
        6432,
        "16.8",
    )
    for region, there in zip((EAST, WEST), settings.existing.both.values(), strict=True):
        assert there.cluster == NAMES[region]
        assert there.instances == (f"{NAMES[region]}-1", f"{NAMES[region]}-2")
        assert sorted(there.security_group_ids) == owner.groups[region]
        assert (there.subnet_group, there.parameter_group) == ("orders", "orders-pg")
        assert (there.vpc_id, there.vpc_cidr) == (owner.vpcs[region], RANGES[region])
        assert list(there.function_subnet_ids) == sorted(owner.subnets[region])
        assert len(there.route_table_ids) == 1  # the main one: no subnet has one of its own
    assert str(owner.file) in said


def test_a_dry_run_says_the_same_and_writes_nothing(owner: Owner, call: Call) -> None:
    code, said = call("adopt", "orders-global", "--dry-run")
    assert code == 0, said
    assert owner.file.read_text() == SETTINGS
    _, _, text = said.partition("would get:\n\n")
    printed = tomllib.loads(text.removesuffix("Nothing was changed.\n"))
    code, _ = call("adopt", "orders-global")
    assert code == 0
    assert tomllib.loads(owner.file.read_text()) == tomllib.loads(SETTINGS) | printed


def test_it_only_reads_in_the_account(owner: Owner, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    import botocore.client

    before = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def noting(self: Any, operation: str, arguments: Any) -> Any:
        asked.add(operation)
        return before(self, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noting)
    assert call("adopt", "orders-global", "--zone", owner.zone())[0] == 0
    asked -= {"CreateHostedZone", "AssociateVPCWithHostedZone"}  # the owner's own
    assert "DescribeGlobalClusters" in asked
    assert {one for one in asked if not one.startswith(("Describe", "Get", "List"))} == set()


def test_a_link_and_a_zone_that_exist_are_found_and_nothing_is_made_in_their_place(owner: Owner, call: Call) -> None:
    link, zone = owner.peer(), owner.zone()
    code, said = call("adopt", "orders-global", "--zone", zone)
    assert code == 0, said
    existing = load().existing
    assert (existing.link, existing.zone_id) == (link, zone)
    assert not existing.writer.route_table_ids
    assert "VPC peering connection" not in said
    assert f"zone {zone}" in said


def test_a_link_that_exists_has_routes_that_nobody_has_looked_at(owner: Owner, call: Call) -> None:
    def said() -> list[str]:
        told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
        return [one["why"] for one in told["weaker"] if one["promise"] == "detection"]

    assert not said()  # the routes of a peering of ours are ours
    link = owner.peer()
    assert [
        why.startswith(f"{link} joins the two VPCs, and whether their routes lead through it") for why in said()
    ] == [True]


def test_a_peering_that_waits_to_be_accepted_joins_nothing_and_is_told_of(owner: Owner, call: Call) -> None:
    waiting = owner.peer(accepted=False)
    said = refused(call, "orders-global")
    assert (
        f"{waiting} between {owner.vpcs[EAST]} and {owner.vpcs[WEST]} has Status = pending-acceptance: accept" in said
    )
    assert owner.file.read_text() == SETTINGS
    owner.client("ec2", WEST).reject_vpc_peering_connection(VpcPeeringConnectionId=waiting)
    assert "VPC peering connection" in call("adopt", "orders-global")[1]  # one is made
    assert load().existing.link is None


def test_two_transit_gateways_join_two_regions_only_where_they_are_peered(owner: Owner, call: Call) -> None:
    ours, theirs = owner.attach(EAST), owner.attach(WEST)
    assert "VPC peering connection" in call("adopt", "orders-global", "--dry-run")[1]
    ec2 = owner.client("ec2", EAST)
    asked = ec2.create_transit_gateway_peering_attachment(
        TransitGatewayId=ours, PeerTransitGatewayId=theirs, PeerRegion=WEST, PeerAccountId=DEFAULT_ACCOUNT_ID
    )["TransitGatewayPeeringAttachment"]["TransitGatewayAttachmentId"]
    assert "VPC peering connection" in call("adopt", "orders-global", "--dry-run")[1]  # not accepted yet
    owner.client("ec2", WEST).accept_transit_gateway_peering_attachment(TransitGatewayAttachmentId=asked)
    code, said = call("adopt", "orders-global")
    assert code == 0, said
    assert load().existing.link == ours
    assert not load().existing.writer.route_table_ids
    assert f"{ours} joins the two VPCs" in said


def test_transit_gateways_that_are_peered_with_others_join_nothing(owner: Owner, call: Call) -> None:
    ours, _ = owner.attach(EAST), owner.attach(WEST)
    other = owner.client("ec2", WEST).create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    asked = owner.client("ec2", EAST).create_transit_gateway_peering_attachment(
        TransitGatewayId=ours, PeerTransitGatewayId=other, PeerRegion=WEST, PeerAccountId=DEFAULT_ACCOUNT_ID
    )["TransitGatewayPeeringAttachment"]["TransitGatewayAttachmentId"]
    owner.client("ec2", WEST).accept_transit_gateway_peering_attachment(TransitGatewayAttachmentId=asked)
    assert call("adopt", "orders-global")[0] == 0
    assert load().existing.link is None


def test_it_says_what_is_added_and_to_what_that_exists(owner: Owner, call: Call) -> None:
    told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
    added = {(one["what"], one["to"]) for one in told["added"]}
    for region in (EAST, WEST):
        assert (
            "ingress rules, TCP",
            f"security group {owner.cluster(region).vpc_security_group_ids[0]} ({region})",
        ) in added
    assert {what for what, to in added if to} == {"ingress rules, TCP", "route"}
    assert ("VPC peering connection", None) in added
    assert not told["written"]


WEAKER = {
    "before 17": ({"version": "16.8"}, "P1", "no login trigger"),
    "before 17, after a restart": ({"version": "16.8"}, "P10", "leaves none whose lift opens the security group"),
    "before 16": ({"version": "15.10"}, "P10", "reserves no connections"),
}


@pytest.mark.parametrize("of", WEAKER)
def test_what_is_weaker_with_an_older_version_is_said(of: str, file: Path, call: Call) -> None:
    more, promise, why = WEAKER[of]
    with mock_aws():
        made(file, **more)  # type: ignore[arg-type]
        told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
    assert any(one["promise"] == promise and why in one["why"] for one in told["weaker"]), told["weaker"]


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (None, f"reserves no connections for the monitors, which may hold {MOST_SESSIONS}"),
        (MOST_SESSIONS - 1, f"reserves {MOST_SESSIONS - 1} connections"),
        (MOST_SESSIONS, None),
    ],
)
def test_p10_fewer_connections_than_the_monitors_may_hold_are_said(
    kept: int | None, said: str | None, file: Path, call: Call
) -> None:
    with mock_aws():
        made(file, version="17.5")
        if kept is not None:
            for region in (EAST, WEST):
                boto3.client("rds", region).modify_db_cluster_parameter_group(
                    DBClusterParameterGroupName="orders-pg",
                    Parameters=[
                        {
                            "ParameterName": "reserved_connections",
                            "ParameterValue": str(kept),
                            "Source": "user",
                            "ApplyMethod": "pending-reboot",
                        }
                    ],
                )
        told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
    weaker = [one["why"] for one in told["weaker"] if "for the monitors" in one["why"]]
    assert len(weaker) == (2 if said else 0)  # one of each region
    assert all(said is not None and said in why for why in weaker)


def test_with_17_a_server_starts_fenced_as_around_a_database_of_our_own(file: Path, call: Call) -> None:
    with mock_aws():
        made(file, version="17.5")
        told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
    assert not any("login trigger" in one["why"] for one in told["weaker"])


def test_a_single_instance_is_said_to_be_weaker(owner: Owner, call: Call) -> None:
    owner.client("rds", WEST).delete_db_instance(DBInstanceIdentifier="orders-west-2")
    told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
    (single,) = [one for one in told["weaker"] if one["promise"] == "99.99%"]
    assert "orders-west (us-west-2) has a single instance" in single["why"]


def test_a_standby_of_another_size_is_said_to_be_weaker(owner: Owner, call: Call) -> None:
    rds_backends[DEFAULT_ACCOUNT_ID][WEST].databases["orders-west-1"].db_instance_class = "db.t4g.medium"
    told = json.loads(call("adopt", "orders-global", "--dry-run", "--json")[1])
    (size,) = [one for one in told["weaker"] if "another size" in one["why"]]
    assert "orders-west are db.r6g.large, db.t4g.medium, and those of orders-east db.r6g.large" in size["why"]


NOT_REBUILT: dict[str, tuple[dict[str, Any], str, str]] = {
    "IAM roles": (
        {"AssociatedRoles": [{"RoleArn": "arn:aws:iam::1:role/import", "Status": "ACTIVE", "FeatureName": "s3Import"}]},
        "has the IAM roles arn:aws:iam::1:role/import (s3Import), which a rebuilt cluster has not",
        "add-role-to-db-cluster",
    ),
    "custom endpoints": (
        {"CustomEndpoints": ["reports.cluster-custom-x.us-west-2.rds.amazonaws.com"]},
        "has the custom endpoints reports.cluster-custom-x.us-west-2.rds.amazonaws.com, which go with the old cluster",
        "create-db-cluster-endpoint",
    ),
    "global write forwarding": (
        {"GlobalWriteForwardingStatus": "enabled"},
        "has global write forwarding on, which a rebuilt cluster has not",
        "modify-db-cluster",
    ),
    "local write forwarding": (
        {"GlobalWriteForwardingStatus": "disabled", "LocalWriteForwardingStatus": "enabled"},
        "has local write forwarding on",
        "modify-db-cluster",
    ),
}


def test_what_a_re_protection_does_not_carry_over_is_said_with_what_to_do_after_one(owner: Owner) -> None:
    account = Account(Deployment(load()))
    seen = found.look(account, found.global_database(account, "orders-global"), None)
    assert not [each for each in adoption.weaker(seen) if each.promise == "re-protection"]
    for has, why, remedy in NOT_REBUILT.values():
        there = replace(seen, standby=replace(seen.standby, cluster={**seen.standby.cluster, **has}))
        (told,) = [each for each in adoption.weaker(there) if each.promise == "re-protection"]
        assert told.why.startswith(f"orders-west (us-west-2) {why}")
        assert remedy in told.remedy


def refused(call: Call, *words: str) -> str:
    code, said = call("adopt", *words)
    assert code == 1, said
    return said


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["", "dry run"])
def test_a_database_of_another_engine_is_refused(file: Path, call: Call, dry: tuple[str, ...]) -> None:
    with mock_aws():
        made(file, engine="aurora-mysql", version="8.0.mysql_aurora.3.05.2")
        said = refused(call, "orders-global", *dry)
    assert "orders-global is of the engine aurora-mysql; name a global database of aurora-postgresql" in said
    assert file.read_text() == SETTINGS


def test_a_cluster_that_is_no_member_is_refused(owner: Owner, call: Call) -> None:
    with owner.file.open("a") as settings:
        settings.write('[database]\nname = "orders"\n')
    owner.client("rds", WEST).create_db_cluster(
        DBClusterIdentifier="orders-alone", Engine="aurora-postgresql", MasterUsername="x", MasterUserPassword="y" * 10
    )
    assert call("adopt", "orders-global", "--dry-run")[0] == 1  # of [database]
    owner.file.write_text(SETTINGS)
    assert call("adopt", "orders-global")[0] == 0
    text = owner.file.read_text()
    owner.file.write_text(text.replace('cluster = "orders-west"', 'cluster = "orders-alone"'))
    said = refused(call, "orders-global")
    assert "existing.standby.cluster = orders-alone is not the member of orders-global in us-west-2" in said
    assert "that is orders-west; name it" in said


def test_regions_that_are_swapped_are_refused(owner: Owner, call: Call) -> None:
    owner.file.write_text(SETTINGS + f'writer_region = "{WEST}"\nstandby_region = "{EAST}"\n')
    said = refused(call, "orders-global")
    assert "writer_region = us-west-2, but the writer of orders-global is orders-east in us-east-1" in said
    assert 'exchange the two, writer_region = "us-east-1" and standby_region = "us-west-2"' in said


@pytest.mark.parametrize(
    ("zone", "says"),
    [
        ({"private": False}, "is a public zone: name a private one"),
        (
            {"name": "other.internal."},
            'dns_zone = orders.internal, and --zone ZONE is other.internal: set dns_zone = "ot',
        ),
        ({"seen_from": (EAST,)}, "is not associated with VPC (us-west-2), so nobody there resolves the writer's name"),
    ],
    ids=["public", "another name", "not associated"],
)
def test_a_zone_that_does_not_fit_is_refused(owner: Owner, call: Call, zone: dict[str, Any], says: str) -> None:
    zone_id = owner.zone(**zone)
    said = refused(call, "orders-global", "--zone", zone_id)
    assert says.replace("ZONE", zone_id).replace("VPC", owner.vpcs[WEST]) in said
    assert owner.file.read_text() == SETTINGS


def test_a_zone_that_is_not_there_is_refused(owner: Owner, call: Call) -> None:
    assert "--zone ZNONE: Route 53 knows no such zone" in refused(call, "orders-global", "--zone", "ZNONE")


def test_ranges_that_overlap_are_refused(file: Path, call: Call) -> None:
    with mock_aws():
        made(file, ranges={EAST: "10.60.0.0/16", WEST: "10.60.0.0/16"})
        said = refused(call, "orders-global")
    assert "CidrBlock = 10.60.0.0/16 of vpc-" in said
    assert "overlaps with 10.60.0.0/16" in said
    assert "into a VPC with a range of its own" in said


def test_a_further_range_of_a_vpc_that_overlaps_is_refused(owner: Owner, call: Call) -> None:
    owner.client("ec2", WEST).associate_vpc_cidr_block(VpcId=owner.vpcs[WEST], CidrBlock="10.60.128.0/17")
    said = refused(call, "orders-global")
    assert "CidrBlock = 10.60.0.0/16 of vpc-" in said
    assert "overlaps with 10.60.128.0/17" in said
    assert owner.file.read_text() == SETTINGS


def test_a_subnet_in_a_further_range_of_its_vpc_is_refused(owner: Owner, call: Call) -> None:
    ec2 = owner.client("ec2", WEST)
    ec2.associate_vpc_cidr_block(VpcId=owner.vpcs[WEST], CidrBlock="10.99.0.0/16")
    subnet = ec2.create_subnet(VpcId=owner.vpcs[WEST], CidrBlock="10.99.1.0/24", AvailabilityZone=f"{WEST}c")
    found = subnet["Subnet"]["SubnetId"]
    owner.client("rds", WEST).create_db_subnet_group(
        DBSubnetGroupName="wider", DBSubnetGroupDescription="x", SubnetIds=[*owner.subnets[WEST], found]
    )
    groups = rds_backends[DEFAULT_ACCOUNT_ID][WEST].subnet_groups
    groups["orders"] = groups["wider"]  # moto loses a group that is modified
    said = refused(call, "orders-global")
    assert f"{found} of DBSubnetGroup = orders (us-west-2) has CidrBlock = 10.99.1.0/24, outside 10.61.0.0/16" in said
    assert "use subnets inside it" in said
    assert owner.file.read_text() == SETTINGS


def test_a_global_database_that_is_not_there_is_refused(owner: Owner, call: Call) -> None:
    said = refused(call, "payments-global")
    assert "GLOBAL_CLUSTER payments-global: RDS knows no such global database in us-east-1 or us-west-2" in said


def test_a_third_member_and_a_missing_one_are_refused(owner: Owner, call: Call) -> None:
    west = owner.cluster(WEST)
    rds_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].global_clusters["orders-global"].members.remove(west)
    assert "a writer and one standby are looked after" in refused(call, "orders-global")


FAULTS: dict[str, tuple[Callable[[Owner], object], str]] = {
    "no IAM login": (
        lambda owner: setattr(owner.cluster(WEST), "iam_auth", False),
        "orders-west (us-west-2) has IAMDatabaseAuthenticationEnabled = false",
    ),
    "not available": (
        lambda owner: setattr(owner.cluster(EAST), "status", "modifying"),
        "orders-east (us-east-1) has Status = modifying: wait until it is available",
    ),
    "another port": (
        lambda owner: setattr(owner.cluster(WEST), "port", 5432),
        "orders-east listens on 6432 and orders-west listens on 5432: give both clusters one port",
    ),
    "no instance": (
        lambda owner: [
            owner.client("rds", WEST).delete_db_instance(DBInstanceIdentifier=f"orders-west-{n}") for n in (1, 2)
        ],
        "orders-west (us-west-2) has no instance",
    ),
    "no private names": (
        lambda owner: setattr(
            ec2_backends[DEFAULT_ACCOUNT_ID][WEST].vpcs[owner.vpcs[WEST]], "enable_dns_hostnames", "false"
        ),
        "does not resolve private names: turn on its DNS support",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_has_to_be_changed_first_is_said_with_its_remedy(owner: Owner, call: Call, fault: str) -> None:
    bring_about, says = FAULTS[fault]
    bring_about(owner)
    said = refused(call, "orders-global")
    assert says in said
    assert said.rstrip().endswith("Nothing was changed.")
    assert owner.file.read_text() == SETTINGS


def test_what_the_settings_say_already_is_not_written_twice(owner: Owner, call: Call) -> None:
    owner.file.write_text(SETTINGS + '[database]\nname = "payments"\n')
    said = refused(call, "orders-global")
    assert "has another [database] than the clusters: set" in said
    assert 'name = "orders"' in said
    owner.file.write_text(SETTINGS)
    assert call("adopt", "orders-global")[0] == 0
    assert "has [existing] already; remove it" in refused(call, "orders-global")


def test_whoever_may_not_look_is_told_which_policy_he_needs(
    owner: Owner, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "Describe")

    monkeypatch.setattr(Account, "client", lambda *_: SimpleNamespace(describe_global_clusters=denied))
    code, said = call("adopt", "orders-global")
    assert code == 2, said
    assert "ReadOnlyAccess" in said


# --- `preflight` of what is adopted


def adopt(owner: Owner, zone: str | None = None) -> None:
    """Writes what `adopt` writes, without working out what would be added."""
    account = Account(Deployment(load()))
    seen = found.look(account, found.global_database(account, "orders-global"), zone)
    sections = {"database": adoption.database(seen), "existing": adoption.section(seen, load())}
    owner.file.write_text(f"{SETTINGS}\n{adoption.toml(sections)}")


def before() -> tuple[str, str]:
    """Asks what `preflight` asks of the database that is adopted: level and fact."""
    rows = [each for each in preflight.needed(load()) if each.name == "existing"]
    (one,) = ask_all(Account(Deployment(load())), rows)
    return one.level, one.fact


def edit(owner: Owner, old: str, new: str) -> None:
    """Writes something else into the settings."""
    text = owner.file.read_text()
    assert old in text
    owner.file.write_text(text.replace(old, new))


def test_preflight_finds_what_was_adopted_as_the_settings_say(owner: Owner) -> None:
    adopt(owner, owner.zone())
    level, fact = before()
    assert level == "ok", fact
    assert "orders-east (us-east-1) and orders-west (us-west-2), as the settings say" in fact


def test_preflight_asks_no_room_for_a_database_that_exists(owner: Owner) -> None:
    new = {each.name for each in preflight.needed(load())}
    adopt(owner)
    adopted = {each.name for each in preflight.needed(load())}
    assert new - adopted == {"rds-quotas", "instance-class"}
    assert adopted - new == {"existing", "instance-classes"}
    assert len(adopted) == len(preflight.needed(load()))


@pytest.mark.parametrize("fault", FAULTS)
def test_preflight_says_what_adopt_would_say(owner: Owner, fault: str) -> None:
    adopt(owner)
    bring_about, says = FAULTS[fault]
    bring_about(owner)
    level, fact = before()
    assert level == "failing"
    assert says in fact


WRONG: dict[str, tuple[str, str, str]] = {
    "regions swapped": (
        'environment_suffix = "prod"',
        f'environment_suffix = "prod"\nwriter_region = "{WEST}"\nstandby_region = "{EAST}"',
        "writer_region = us-west-2, but the writer of orders-global is orders-east in us-east-1: exchange the two",
    ),
    "no member": (
        'cluster = "orders-west"',
        'cluster = "orders-alone"',
        "existing.standby.cluster = orders-alone is not the member of orders-global in us-west-2",
    ),
    "no such global database": (
        'global_cluster = "orders-global"',
        'global_cluster = "payments-global"',
        "existing.global_cluster = payments-global: RDS knows no such global database",
    ),
    "no such zone": ("[existing.writer]", 'zone_id = "ZNONE"\n[existing.writer]', "existing.zone_id = ZNONE: Route 53"),
    "an instance is not named": (
        '"orders-east-1", "orders-east-2"',
        '"orders-east-1"',
        'existing.writer.instances = ["orders-east-1"], but orders-east (us-east-1) has ["orders-east-1", "orders-east',
    ),
    "another parameter group": (
        'parameter_group = "orders-pg"',
        'parameter_group = "other"',
        'existing.writer.parameter_group = "other", but orders-east (us-east-1) has "orders-pg": write that',
    ),
    "another range": (
        'vpc_cidr = "10.61.0.0/16"',
        'vpc_cidr = "10.62.0.0/16"',
        'existing.standby.vpc_cidr = "10.62.0.0/16", but orders-west (us-west-2) has "10.61.0.0/16": write that',
    ),
    "another port": ("port = 6432", "port = 5432", "database.port = 5432, but orders-east has 6432: write that"),
    "another major version": (
        'engine_version = "16.8"',
        'engine_version = "17.5"',
        'database.engine_version = "17", but orders-east has "16": write that',
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_preflight_names_field_value_and_remedy_of_what_is_wrong(owner: Owner, wrong: str) -> None:
    adopt(owner)
    old, new, says = WRONG[wrong]
    edit(owner, old, new)
    level, fact = before()
    assert level == "failing"
    assert says in fact


def test_preflight_sees_a_zone_that_is_public_or_not_seen_from_both(owner: Owner) -> None:
    adopt(owner)
    for zone, says in ((owner.zone(private=False), "is a public zone"), (owner.zone(seen_from=(EAST,)), "associated")):
        text = owner.file.read_text()
        edit(owner, "[existing.writer]", f'zone_id = "{zone}"\n[existing.writer]')
        level, fact = before()
        assert level == "failing"
        assert f"existing.zone_id = {zone} (orders.internal)" in fact
        assert says in fact
        owner.file.write_text(text)


def test_preflight_sees_a_peering_that_was_made_since(owner: Owner) -> None:
    adopt(owner)
    link = owner.peer()
    level, fact = before()
    assert level == "failing"
    assert f"existing.link is not given, but {link} joins the two VPCs" in fact
    assert f'write link = "{link}"' in fact


def test_preflight_takes_the_peering_that_our_own_stack_has_made_for_ours(owner: Owner) -> None:
    """`deploy` asks again after it has stopped behind the peering: to name that would have Terraform destroy it."""
    adopt(owner)
    owner.client("ec2", EAST).create_tags(
        Resources=[owner.peer()], Tags=[{"Key": "Name", "Value": "payments-peering-prod"}]
    )
    assert before()[0] == "ok"


def test_preflight_sees_another_engine(owner: Owner) -> None:
    adopt(owner)
    rds_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].global_clusters["orders-global"].engine = "aurora-mysql"
    level, fact = before()
    assert level == "failing"
    assert "orders-global is of the engine aurora-mysql" in fact


# --- `preflight` of VPCs and a zone that exist, around a database that is to be ours


def use(owner: Owner, zone: str | None = None, **more: Any) -> None:
    """Writes settings of a database of our own in the owner's VPCs, with his zone."""
    tables = {
        region: owner.client("ec2", region).describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [owner.vpcs[region]]}]
        )["RouteTables"]
        for region in (EAST, WEST)
    }
    regions = {
        name: {
            "vpc_id": owner.vpcs[region],
            "vpc_cidr": RANGES[region],
            "function_subnet_ids": owner.subnets[region],
            "database_subnet_ids": owner.subnets[region],
            "route_table_ids": [table["RouteTableId"] for table in tables[region]],
        }
        for name, region in (("writer", EAST), ("standby", WEST))
    }
    existing = {**({"zone_id": zone} if zone else {}), **regions, **more}
    owner.file.write_text(f"{SETTINGS}\n{adoption.toml({'existing': existing})}")


def test_preflight_looks_at_what_exists_around_a_database_of_our_own(owner: Owner) -> None:
    new = {each.name for each in preflight.needed(load())}
    zone = owner.zone()
    use(owner, zone)
    assert {each.name for each in preflight.needed(load())} - new == {"existing"}
    level, fact = before()
    assert (level, fact) == (
        "ok",
        f"{owner.vpcs[EAST]} (us-east-1) and {owner.vpcs[WEST]} (us-west-2) and {zone}, as the settings say",
    )


def test_preflight_sees_what_does_not_fit_around_a_database_of_our_own(owner: Owner) -> None:
    other = owner.client("ec2", EAST).create_vpc(CidrBlock="10.70.0.0/16")["Vpc"]["VpcId"]
    public, unseen = owner.zone(private=False), owner.zone(seen_from=(EAST,))
    use(owner)
    text = owner.file.read_text()
    subnet = owner.subnets[EAST][0]
    wrong: tuple[tuple[str, str, str], ...] = (
        (
            "[existing.writer]",
            f'zone_id = "{public}"\n[existing.writer]',
            f"{public} (orders.internal) is a public zone",
        ),
        ("[existing.writer]", f'zone_id = "{unseen}"\n[existing.writer]', f"is not associated with {owner.vpcs[WEST]}"),
        (
            "[existing.writer]",
            'zone_id = "ZNONE"\n[existing.writer]',
            "existing.zone_id = ZNONE: Route 53 knows no such",
        ),
        (
            owner.vpcs[EAST],
            other,
            f'existing.writer.vpc_cidr = "10.60.0.0/16", but {other} (us-east-1) has "10.70.0.0/16": write that; '
            f"existing.writer.function_subnet_ids: {', '.join(owner.subnets[EAST])} are not of {other}",
        ),
        (owner.vpcs[EAST], "vpc-00000000", "existing.writer.vpc_id = vpc-00000000: EC2 knows no such VPC in us-east-1"),
        (subnet, "subnet-00000000", "existing.writer.function_subnet_ids: subnet-00000000 is not of"),
    )
    for old, new, says in wrong:
        owner.file.write_text(text)
        edit(owner, old, new)
        level, fact = before()
        assert level == "failing", says
        assert says in fact


def test_preflight_sees_a_peering_beside_one_that_would_be_made_for_a_database_of_our_own(owner: Owner) -> None:
    waiting = owner.peer(accepted=False)
    use(owner)
    level, fact = before()
    assert level == "failing"
    assert f"{waiting} between" in fact
    owner.client("ec2", WEST).accept_vpc_peering_connection(VpcPeeringConnectionId=waiting)
    level, fact = before()
    assert level == "failing"
    assert f'write link = "{waiting}"' in fact


def test_preflight_asks_for_the_rights_that_it_names(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = owner.zone()
    adopt(owner, zone)
    for region in (EAST, WEST):
        owner.attach(region)
    import botocore.client

    asked: set[str] = set()
    made = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def noting(self: Any, operation: str, arguments: Any) -> Any:
        asked.add(f"{self.meta.service_model.service_name}:{operation}")
        return made(self, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noting)
    before()
    # The key is looked at where the cluster has one of a customer's.
    assert asked == set(CALLS) - {"kms:DescribeKey"}
