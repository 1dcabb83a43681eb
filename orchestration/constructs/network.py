"""One region's network: a VPC with private subnets only, and who may talk to whom.

There is no internet gateway, no NAT and no public subnet; DynamoDB and S3 are reached through gateway endpoints, which
cost nothing. The lower half of the VPC's range belongs to the databases, the upper half to their clients, so that the
other region can let in clients and nothing else.
"""

from __future__ import annotations

from typing import Protocol

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
from cdktf_cdktf_provider_aws.subnet import Subnet
from cdktf_cdktf_provider_aws.vpc import Vpc
from cdktf_cdktf_provider_aws.vpc_endpoint import VpcEndpoint
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from constructs import Construct

from orchestration.constructs import policy
from orchestration.constructs.keys import RegionKey
from orchestration.constructs.security_groups import SecurityGroups, tier_range
from orchestration.specification import Specification
from orchestration.specification.model import Region
from orchestration.specification.names import ZONE_IDS_WITHOUT_LAMBDA

ZONES = 3
SUBNETS_PER_TIER = 4  # a range splits into powers of two; the fourth quarter of each half stays free
# The services that have gateway endpoints.
GATEWAY_SERVICES = ("dynamodb", "s3")
HTTPS_PORT = 443
# The longest that VPC flow logs offer: the cheapest, and the logs serve inquiries, not alarms.
FLOW_LOG_SECONDS = 600


class Network(Protocol):
    """The VPC of one region, whoever made it: its subnets by tier, and who may talk to whom in it."""

    vpc_id: str
    database_subnet_ids: list[str]
    client_subnet_ids: list[str]
    groups: SecurityGroups

    def zone(self, index: int) -> str | None:
        """Returns the name of one of the region's zones; None where RDS chooses, among those of the subnets."""


class OwnNetwork(Construct):
    """VPC, subnets in three zones, gateway endpoints, security groups and flow log of ``region``."""

    def __init__(self, scope: Construct, specification: Specification, region: Region, key: RegionKey) -> None:
        super().__init__(scope, "network")
        self._specification = specification
        self._names = specification.names
        self._region = region
        self._zones = DataAwsAvailabilityZones(
            self,
            "zones",
            exclude_zone_ids=list(ZONE_IDS_WITHOUT_LAMBDA),
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
        self.vpc_id: str = self.vpc.id
        # AWS creates it with every VPC, open inside it; without rules, nothing that lacks a group of its own is
        # reachable.
        DefaultSecurityGroup(self, "default-group", vpc_id=self.vpc.id, tags={"Name": f"{self._name('default')}"})
        self._route_tables = {tier: self._route_table(tier) for tier in ("database", "client")}
        self.database_subnet_ids = self._subnets("database")
        self.client_subnet_ids = self._subnets("client")
        self.groups = SecurityGroups(self, specification, region, self.vpc.id)
        for service in GATEWAY_SERVICES:
            self._gateway_endpoint(service)
        self._flow_log(key)

    def zone(self, index: int) -> str:
        """Returns the name of one of the region's zones."""
        return str(Fn.element(self._zones.names, index))

    def _name(self, thing: str) -> str:
        return self._names.regional(f"{self._specification.settings.application}-{thing}", self._region.name)

    def _route_table(self, tier: str) -> RouteTable:
        name = self._names.route_table(tier, self._region.name)
        return RouteTable(self, f"{tier}-routes", vpc_id=self.vpc.id, tags={"Name": name})

    def _subnets(self, tier: str) -> list[str]:
        """Creates the subnets of one tier, one in each zone; returns their ids."""
        table = self._route_tables[tier]
        half = tier_range(self._specification.settings, self._region.name, tier)
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
                tags={"Name": self._names.subnet(tier, str(index), self._region.name)},
                # A zone that joins or leaves the account's list must not move a subnet that is in use.
                lifecycle=TerraformResourceLifecycle(ignore_changes=["availability_zone"]),
            )
            RouteTableAssociation(self, f"{tier}-{index}-routes", subnet_id=subnet.id, route_table_id=table.id)
            ids.append(subnet.id)
        return ids

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
            security_group_id=self.groups.ids("application")[0],
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
