"""One region's network: a VPC with private subnets only, and who may talk to whom.

There is no internet gateway, no NAT and no public subnet; DynamoDB and S3 are reached through gateway endpoints, which
cost nothing. The lower half of the VPC's range belongs to the databases, the upper half to their clients, so that the
other region can let in clients and nothing else.
"""

from __future__ import annotations

import ipaddress

from cdktf import Fn, Precondition, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.data_aws_availability_zones import (
    DataAwsAvailabilityZones,
    DataAwsAvailabilityZonesFilter,
)
from cdktf_cdktf_provider_aws.default_security_group import DefaultSecurityGroup
from cdktf_cdktf_provider_aws.flow_log import FlowLog
from cdktf_cdktf_provider_aws.route_table import RouteTable
from cdktf_cdktf_provider_aws.route_table_association import RouteTableAssociation
from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.subnet import Subnet
from cdktf_cdktf_provider_aws.vpc import Vpc
from cdktf_cdktf_provider_aws.vpc_endpoint import VpcEndpoint
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from cdktf_cdktf_provider_aws.vpc_security_group_ingress_rule import VpcSecurityGroupIngressRule
from constructs import Construct

from orchestration.constructs import policy
from orchestration.constructs.keys import RegionKey
from orchestration.specification import Specification
from orchestration.specification.model import Region

ZONES = 3
SUBNETS_PER_TIER = 4  # a range splits into powers of two; the fourth quarter of each half stays free
# Lambda offers no network cards in these zones (Lambda guide, "Availability Zones" of VPC access).
ZONE_IDS_WITHOUT_LAMBDA = ["use1-az3", "apne1-az3"]
# The services that have gateway endpoints.
GATEWAY_SERVICES = ("dynamodb", "s3")
HTTPS_PORT = 443
# Security groups: purpose and description.
GROUPS = {
    "database": "Aurora instances: reached by the application and by the probers",
    "fence": "Aurora instances behind a fence: reached by this region's prober only",
    "application": "Application: reaches the databases of both regions",
    "prober": "Prober: reaches the databases of both regions",
}
# The longest that VPC flow logs offer: the cheapest, and the logs serve inquiries, not alarms.
FLOW_LOG_SECONDS = 600


def tier_range(vpc: ipaddress.IPv4Network, tier: str) -> ipaddress.IPv4Network:
    """Returns the half of a VPC's range that belongs to ``tier``, ``database`` or ``client``."""
    lower, upper = vpc.subnets(prefixlen_diff=1)
    return lower if tier == "database" else upper


class Network(Construct):
    """VPC, subnets in three zones, gateway endpoints, security groups and flow log of ``region``."""

    def __init__(self, scope: Construct, specification: Specification, region: Region, key: RegionKey) -> None:
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
        self.vpc = Vpc(
            self,
            "vpc",
            cidr_block=str(specification.settings.cidr(region.name)),
            enable_dns_support=True,  # both are needed for the private zone
            enable_dns_hostnames=True,
            tags={"Name": self._names.vpc(region.name)},
            lifecycle=TerraformResourceLifecycle(
                precondition=[
                    Precondition(
                        # With fewer, `zone` would start over and put two subnets of a tier into one zone.
                        condition=f"${{length({self._zones.fqn}.names) >= {ZONES}}}",
                        error_message=f"The account sees fewer than {ZONES} usable zones in {region.name}; "
                        "choose other regions in the settings.",
                    )
                ]
            ),
        )
        # AWS creates it with every VPC, open inside it; without rules, nothing that lacks a group of its own is
        # reachable.
        DefaultSecurityGroup(self, "default-group", vpc_id=self.vpc.id, tags={"Name": f"{self._name('default')}"})
        self._route_tables = {tier: self._route_table(tier) for tier in ("database", "client")}
        self.database_subnet_ids = self._subnets("database")
        self.client_subnet_ids = self._subnets("client")
        self._groups = {purpose: self._group(purpose, description) for purpose, description in GROUPS.items()}
        self._open_database_port()
        for service in GATEWAY_SERVICES:
            self._gateway_endpoint(service)
        self._flow_log(key)

    def zone(self, index: int) -> str:
        """Returns the name of one of the region's zones."""
        return str(Fn.element(self._zones.names, index))

    def security_group(self, purpose: str) -> SecurityGroup:
        """Returns the security group of ``purpose``.

        ``database``: of the database instances; ``fence``: of those behind a fence; ``application`` and ``prober``: of
        those that connect to them.
        """
        return self._groups[purpose]

    def _name(self, thing: str) -> str:
        return self._names.regional(f"{self._specification.settings.application}-{thing}", self._region.name)

    def _route_table(self, tier: str) -> RouteTable:
        name = self._names.route_table(tier, self._region.name)
        return RouteTable(self, f"{tier}-routes", vpc_id=self.vpc.id, tags={"Name": name})

    def _subnets(self, tier: str) -> list[str]:
        """Creates the subnets of one tier, one in each zone; returns their ids."""
        table = self._route_tables[tier]
        half = tier_range(self._specification.settings.cidr(self._region.name), tier)
        blocks = list(half.subnets(new_prefix=half.prefixlen + SUBNETS_PER_TIER.bit_length() - 1))
        ids = []
        for index in range(ZONES):
            subnet = Subnet(
                self,
                f"{tier}-{index}",
                vpc_id=self.vpc.id,
                cidr_block=str(blocks[index]),
                availability_zone=self.zone(index),
                map_public_ip_on_launch=False,
                tags={"Name": self._name(f"{tier}-{index}")},
                # A zone that joins or leaves the account's list must not move a subnet that is in use.
                lifecycle=TerraformResourceLifecycle(ignore_changes=["availability_zone"]),
            )
            RouteTableAssociation(self, f"{tier}-{index}-routes", subnet_id=subnet.id, route_table_id=table.id)
            ids.append(subnet.id)
        return ids

    def _open_database_port(self) -> None:
        """Lets this region's application and prober, and the other region's clients, reach the databases.

        Databases behind a fence are reached by this region's prober only: its guardian has to see that the database
        is well before it lifts the fence.
        """
        peer = self._region.peer
        settings = self._specification.settings
        database, fence = self._groups["database"], self._groups["fence"]
        peer_databases = str(tier_range(settings.cidr(peer), "database"))
        for name in ("application", "prober"):
            group = self._groups[name]
            self._rule_in(f"from-{name}", database, f"{name} of this region", group=group)
            self._rule_out(f"{name}-to-database", group, "databases of this region", group=database)
            self._rule_out(f"{name}-to-peer", group, f"databases of {peer}", cidr=peer_databases)
        peer_clients = str(tier_range(settings.cidr(peer), "client"))
        self._rule_in("from-peer", database, f"application and prober of {peer}", cidr=peer_clients)
        prober = self._groups["prober"]
        self._rule_in("fence-from-prober", fence, "prober of this region", group=prober)
        self._rule_out("prober-to-fence", prober, "databases of this region behind a fence", group=fence)

    def _gateway_endpoint(self, service: str) -> None:
        """Creates a private path to the region's ``service``, for the application, to this account's resources only."""
        endpoint = VpcEndpoint(
            self,
            service,
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{self._region.name}.{service}",
            vpc_endpoint_type="Gateway",
            route_table_ids=[self._route_tables["client"].id],
            policy=policy.document(
                [
                    {
                        "Sid": "OwnAccountOnly",
                        "Effect": "Allow",
                        "Principal": "*",
                        "Action": f"{service}:*",
                        "Resource": "*",
                        "Condition": {
                            "StringEquals": {
                                "aws:PrincipalAccount": self._names.account,
                                "aws:ResourceAccount": self._names.account,
                            }
                        },
                    }
                ]
            ),
            tags={"Name": self._name(service)},
        )
        VpcSecurityGroupEgressRule(
            self,
            f"application-to-{service}",
            security_group_id=self._groups["application"].id,
            description=f"HTTPS to {service} of this region",
            ip_protocol="tcp",
            from_port=HTTPS_PORT,
            to_port=HTTPS_PORT,
            prefix_list_id=endpoint.prefix_list_id,
        )

    def _flow_log(self, key: RegionKey) -> None:
        """Logs who talked to whom, accepted and rejected, for inquiries after an incident."""
        name = self._names.flow_log(self._region.name)
        log = CloudwatchLogGroup(
            self,
            "flow-log-group",
            name=self._names.flow_log_group(self._region.name),
            retention_in_days=self._specification.settings.log_retention_days,
            kms_key_id=key.arn,
        )
        FlowLog(
            self,
            "flow-log",
            vpc_id=self.vpc.id,
            traffic_type="ALL",
            max_aggregation_interval=FLOW_LOG_SECONDS,
            log_destination_type="cloud-watch-logs",
            log_destination=log.arn,
            iam_role_arn=self._names.role_arn(name),
            tags={"Name": name},
        )

    def _group(self, purpose: str, description: str) -> SecurityGroup:
        name = self._names.security_group(purpose, self._region.name)
        return SecurityGroup(self, purpose, name=name, description=description, vpc_id=self.vpc.id, tags={"Name": name})

    def _rule_in(
        self,
        id_: str,
        target: SecurityGroup,
        description: str,
        group: SecurityGroup | None = None,
        cidr: str | None = None,
    ) -> None:
        port = self._specification.settings.database.port
        VpcSecurityGroupIngressRule(
            self,
            id_,
            security_group_id=target.id,
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
