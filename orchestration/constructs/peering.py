"""The link between the two regions' networks."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf import Postcondition, TerraformProvider, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_ec2_transit_gateway import DataAwsEc2TransitGateway
from cdktf_cdktf_provider_aws.data_aws_route_table import DataAwsRouteTable
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from cdktf_cdktf_provider_aws.data_aws_vpc_peering_connection import DataAwsVpcPeeringConnection
from cdktf_cdktf_provider_aws.route import Route
from cdktf_cdktf_provider_aws.vpc_peering_connection import VpcPeeringConnection
from cdktf_cdktf_provider_aws.vpc_peering_connection_accepter import VpcPeeringConnectionAccepterA
from constructs import Construct

from orchestration.constructs.security_groups import tier_range
from orchestration.specification import Specification


class Peering(Construct):
    """Peering of the two VPCs, with routes from clients to the other region's databases and back.

    Where the VPCs are joined already, it only looks at that.
    """

    def __init__(
        self, scope: Construct, specification: Specification, providers: Mapping[str, TerraformProvider]
    ) -> None:
        super().__init__(scope, "peering")
        self._specification = specification
        self._providers = providers
        writer, standby = specification.settings.regions
        self.vpcs = {region: self._vpc(region) for region in (writer, standby)}
        if link := specification.settings.existing.link:
            self._look_at(link, providers[writer])
            return
        name = specification.names.peering
        request = VpcPeeringConnection(
            self,
            "request",
            provider=providers[writer],
            vpc_id=self.vpcs[writer].id,
            peer_vpc_id=self.vpcs[standby].id,
            peer_region=standby,
            auto_accept=False,
            tags={"Name": name},
        )
        accepted = VpcPeeringConnectionAccepterA(
            self,
            "accepted",
            provider=providers[standby],
            vpc_peering_connection_id=request.id,
            auto_accept=True,
            tags={"Name": name},
        )
        for region, peer in ((writer, standby), (standby, writer)):
            for id_, table, destination in self._routes(region, peer):
                Route(
                    self,
                    id_,
                    provider=providers[region],
                    route_table_id=table,
                    destination_cidr_block=destination,
                    vpc_peering_connection_id=accepted.id,
                )

    def _vpc(self, region: str) -> DataAwsVpc:
        vpc_id = self._specification.settings.existing_in(region).vpc_id
        return DataAwsVpc(
            self,
            f"vpc-{region}",
            provider=self._providers[region],
            id=vpc_id,
            tags=None if vpc_id else {"Name": self._specification.names.vpc(region)},
        )

    def _look_at(self, link: str, provider: TerraformProvider) -> None:
        """Reads a link that exists; a transit gateway's attachments and routes are its owner's."""
        if link.startswith("tgw-"):
            DataAwsEc2TransitGateway(self, "link", provider=provider, id=link)
            return
        DataAwsVpcPeeringConnection(
            self,
            "link",
            provider=provider,
            id=link,
            lifecycle=TerraformResourceLifecycle(
                postcondition=[
                    Postcondition(
                        condition='${self.status == "active"}',
                        error_message=f"existing.link {link} is ${{self.status}}. Accept it, or name one that is "
                        "active.",
                    )
                ]
            ),
        )

    def _routes(self, region: str, peer: str) -> list[tuple[str, str, str]]:
        """Returns the routes of ``region``: name, route table and destination.

        In a VPC of ours from one tier to the other tier in ``peer``: clients to databases and back. In a VPC that
        exists from the tables that the settings name to the whole of the other one.
        """
        settings = self._specification.settings
        existing = settings.existing_in(region)
        if existing.vpc_id:
            destination = str(settings.cidr(peer))
            return [(f"route-{region}-{n}", table, destination) for n, table in enumerate(existing.route_table_ids)]
        return [
            (f"{tier}-route-{region}", self._table(region, tier), str(tier_range(settings, peer, peer_tier)))
            for tier, peer_tier in (("client", "database"), ("database", "client"))
        ]

    def _table(self, region: str, tier: str) -> str:
        return DataAwsRouteTable(
            self,
            f"{tier}-table-{region}",
            provider=self._providers[region],
            tags={"Name": self._specification.names.route_table(tier, region)},
        ).id
