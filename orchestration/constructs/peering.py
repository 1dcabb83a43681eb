"""The link between the two regions' networks."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf import TerraformProvider
from cdktf_cdktf_provider_aws.data_aws_route_table import DataAwsRouteTable
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from cdktf_cdktf_provider_aws.route import Route
from cdktf_cdktf_provider_aws.vpc_peering_connection import VpcPeeringConnection
from cdktf_cdktf_provider_aws.vpc_peering_connection_accepter import VpcPeeringConnectionAccepterA
from constructs import Construct

from orchestration.constructs.network import tier_range
from orchestration.specification import Specification


class Peering(Construct):
    """Peering of the two VPCs, with routes from clients to the other region's databases and back."""

    def __init__(
        self, scope: Construct, specification: Specification, providers: Mapping[str, TerraformProvider]
    ) -> None:
        super().__init__(scope, "peering")
        self._specification = specification
        self._providers = providers
        writer, standby = specification.settings.regions
        self.vpcs = {region: self._vpc(region) for region in (writer, standby)}
        name = specification.names.unique(f"{specification.settings.application}-peering")
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
        self._accepted = VpcPeeringConnectionAccepterA(
            self,
            "accepted",
            provider=providers[standby],
            vpc_peering_connection_id=request.id,
            auto_accept=True,
            tags={"Name": name},
        )
        for region, peer in ((writer, standby), (standby, writer)):
            self._route(region, "client", peer, "database")
            self._route(region, "database", peer, "client")

    def _vpc(self, region: str) -> DataAwsVpc:
        return DataAwsVpc(
            self,
            f"vpc-{region}",
            provider=self._providers[region],
            tags={"Name": self._specification.names.vpc(region)},
        )

    def _route(self, region: str, tier: str, peer: str, peer_tier: str) -> None:
        """Creates a route from one tier in ``region`` to the other tier in ``peer``: clients to databases and back."""
        table = DataAwsRouteTable(
            self,
            f"{tier}-table-{region}",
            provider=self._providers[region],
            tags={"Name": self._specification.names.route_table(tier, region)},
        )
        Route(
            self,
            f"{tier}-route-{region}",
            provider=self._providers[region],
            route_table_id=table.id,
            destination_cidr_block=str(tier_range(self._specification.settings.cidr(peer), peer_tier)),
            vpc_peering_connection_id=self._accepted.id,
        )
