"""One region's network: a VPC with private subnets only, and who may talk to whom.

There is no internet gateway, no NAT and no public subnet. The lower half of the VPC's range belongs to the databases,
the upper half to their clients, so that the other region can let clients in and nothing else.
"""

from __future__ import annotations

import ipaddress

from cdktf import Fn, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_availability_zones import (
    DataAwsAvailabilityZones,
    DataAwsAvailabilityZonesFilter,
)
from cdktf_cdktf_provider_aws.route_table import RouteTable
from cdktf_cdktf_provider_aws.route_table_association import RouteTableAssociation
from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.subnet import Subnet
from cdktf_cdktf_provider_aws.vpc import Vpc
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from cdktf_cdktf_provider_aws.vpc_security_group_ingress_rule import VpcSecurityGroupIngressRule
from constructs import Construct

from orchestration.specification import Specification
from orchestration.specification.model import Region

ZONES = 3
SUBNETS_PER_TIER = 4  # a range splits into powers of two; the fourth quarter of each half stays free
# Lambda offers no network cards in these zones (Lambda guide, "Availability Zones" of VPC access).
ZONE_IDS_WITHOUT_LAMBDA = ["use1-az3", "apne1-az3"]


def tier_range(vpc: ipaddress.IPv4Network, tier: str) -> ipaddress.IPv4Network:
    """The half of a VPC's range that belongs to ``tier``, ``database`` or ``client``."""
    lower, upper = vpc.subnets(prefixlen_diff=1)
    return lower if tier == "database" else upper


class Network(Construct):
    """VPC, subnets in three zones and security groups of ``region``."""

    def __init__(self, scope: Construct, specification: Specification, region: Region) -> None:
        super().__init__(scope, "network")
        self._specification = specification
        self._names = specification.names
        self._region = region
        self._zones = DataAwsAvailabilityZones(
            self,
            "zones",
            exclude_zone_ids=ZONE_IDS_WITHOUT_LAMBDA,
            # Without this, local zones of the account would count as well.
            filter=[DataAwsAvailabilityZonesFilter(name="opt-in-status", values=["opt-in-not-required"])],
        )
        self._vpc = Vpc(
            self,
            "vpc",
            cidr_block=str(specification.settings.cidr(region.name)),
            enable_dns_support=True,  # both are needed for the private zone
            enable_dns_hostnames=True,
            tags={"Name": self._names.vpc(region.name)},
        )
        self.database_subnet_ids = self._tier("database")
        self.client_subnet_ids = self._tier("client")
        self._open_database_port()

    def zone(self, index: int) -> str:
        """Name of one of the region's zones."""
        return str(Fn.element(self._zones.names, index))

    @property
    def database_group_id(self) -> str:
        """Security group of the database instances."""
        return self._database.id

    @property
    def prober_group_id(self) -> str:
        """Security group of the functions that connect to the databases."""
        return self._prober.id

    def _tier(self, tier: str) -> list[str]:
        """The subnets of one tier, one in each zone; returns their ids."""
        table = RouteTable(
            self, f"{tier}-routes", vpc_id=self._vpc.id, tags={"Name": self._names.route_table(tier, self._region.name)}
        )
        half = tier_range(self._specification.settings.cidr(self._region.name), tier)
        blocks = list(half.subnets(new_prefix=half.prefixlen + SUBNETS_PER_TIER.bit_length() - 1))
        ids = []
        for index in range(ZONES):
            subnet = Subnet(
                self,
                f"{tier}-{index}",
                vpc_id=self._vpc.id,
                cidr_block=str(blocks[index]),
                availability_zone=self.zone(index),
                map_public_ip_on_launch=False,
                tags={
                    "Name": self._names.regional(
                        f"{self._specification.settings.application}-{tier}-{index}", self._region.name
                    )
                },
                # A zone that joins or leaves the account's list must not move a subnet that is in use.
                lifecycle=TerraformResourceLifecycle(ignore_changes=["availability_zone"]),
            )
            RouteTableAssociation(self, f"{tier}-{index}-routes", subnet_id=subnet.id, route_table_id=table.id)
            ids.append(subnet.id)
        return ids

    def _open_database_port(self) -> None:
        """Lets this region's application and prober, and the other region's clients, reach the databases."""
        peer = self._region.peer
        settings = self._specification.settings
        self._database = self._group("database", "Aurora instances: reached by the application and by the probers")
        self._application = self._group("application", "Application: reaches the databases of both regions")
        self._prober = self._group("prober", "Prober: reaches the databases of both regions")
        peer_databases = str(tier_range(settings.cidr(peer), "database"))
        for name, group in (("application", self._application), ("prober", self._prober)):
            self._rule_in(f"from-{name}", f"{name} of this region", group=group)
            self._rule_out(f"{name}-to-database", group, "databases of this region", group=self._database)
            self._rule_out(f"{name}-to-peer", group, f"databases of {peer}", cidr=peer_databases)
        peer_clients = str(tier_range(settings.cidr(peer), "client"))
        self._rule_in("from-peer", f"application and prober of {peer}", cidr=peer_clients)

    def _group(self, purpose: str, description: str) -> SecurityGroup:
        name = self._names.regional(f"{self._specification.settings.application}-{purpose}", self._region.name)
        return SecurityGroup(
            self, purpose, name=name, description=description, vpc_id=self._vpc.id, tags={"Name": name}
        )

    def _rule_in(self, id_: str, description: str, group: SecurityGroup | None = None, cidr: str | None = None) -> None:
        port = self._specification.settings.database.port
        VpcSecurityGroupIngressRule(
            self,
            id_,
            security_group_id=self._database.id,
            description=f"PostgreSQL from the {description}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=group.id if group else None,
            cidr_ipv4=cidr,
        )

    def _rule_out(
        self,
        id_: str,
        source: SecurityGroup,
        description: str,
        group: SecurityGroup | None = None,
        cidr: str | None = None,
    ) -> None:
        port = self._specification.settings.database.port
        VpcSecurityGroupEgressRule(
            self,
            id_,
            security_group_id=source.id,
            description=f"PostgreSQL to the {description}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=group.id if group else None,
            cidr_ipv4=cidr,
        )
