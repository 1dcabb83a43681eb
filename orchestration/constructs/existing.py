"""What exists already, as Terraform reads it: data sources only, each with what has to be true of it.

A condition that does not hold ends the plan with one error, before anything is changed. Conditions hold whichever
region has the writer; what changes with a failover, such as membership, is looked at by ``failoverctl adopt``.
"""

from __future__ import annotations

from cdktf import Postcondition, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_rds_cluster import DataAwsRdsCluster
from cdktf_cdktf_provider_aws.data_aws_security_group import DataAwsSecurityGroup
from cdktf_cdktf_provider_aws.data_aws_subnet import DataAwsSubnet
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from constructs import Construct

from orchestration.constructs.security_groups import SecurityGroups
from orchestration.specification import Specification
from orchestration.specification.model import Region
from orchestration.specification.names import ENGINE, FIRST_SUPPORTED_MAJOR


def existing_zone(name: str, zone_id: str) -> TerraformResourceLifecycle:
    """Returns what has to be true of the zone: a public one would tell the world, and serves no private address."""
    return _must(
        (
            "self.private_zone",
            f"existing.zone_id {zone_id} is a public zone. Name a private zone that both VPCs are associated with.",
        ),
        (
            f'trimsuffix(self.name, ".") == "{name}"',
            f"existing.zone_id {zone_id} is the zone ${{self.name}}, and dns_zone is {name}. Give dns_zone its name.",
        ),
    )


class ExistingNetwork(Construct):
    """The VPC that exists in ``region``, with the security groups that we need in it."""

    def __init__(self, scope: Construct, specification: Specification, region: Region) -> None:
        super().__init__(scope, "network")
        settings = specification.settings
        existing = settings.existing_in(region.name)
        assert existing.vpc_id is not None, "the VPC exists"
        field = "existing.writer" if region.name == settings.writer_region else "existing.standby"
        vpc = DataAwsVpc(
            self,
            "vpc",
            id=existing.vpc_id,
            lifecycle=_must(
                (
                    f'self.cidr_block == "{existing.vpc_cidr}"',
                    f"{field}.vpc_cidr is {existing.vpc_cidr}, and the VPC {existing.vpc_id} has "
                    "${self.cidr_block}. Give that.",
                ),
                (
                    "self.enable_dns_support && self.enable_dns_hostnames",
                    f"The VPC {existing.vpc_id} does not resolve private names. Turn on its DNS support and DNS host "
                    "names.",
                ),
            ),
        )
        self.vpc_id: str = vpc.id
        self.client_subnet_ids = self._subnets("function", field, existing.function_subnet_ids, existing.vpc_id)
        self.database_subnet_ids = self._subnets("database", field, existing.database_subnet_ids, existing.vpc_id)
        for index, group in enumerate(filter(None, (*existing.security_group_ids, existing.prober_security_group_id))):
            DataAwsSecurityGroup(
                self, f"group-{index}", id=group, lifecycle=_in_vpc("Security group", group, existing.vpc_id, field)
            )
        self.groups = SecurityGroups(self, specification, region, self.vpc_id)

    def zone(self, index: int) -> str | None:  # noqa: ARG002  # as every network has it
        """Returns None: RDS chooses among the zones of the subnets."""
        return None

    def _subnets(self, tier: str, field: str, ids: tuple[str, ...], vpc_id: str) -> list[str]:
        return [
            DataAwsSubnet(
                self,
                f"{tier}-{index}",
                id=subnet,
                lifecycle=_in_vpc(f"{tier.capitalize()} subnet", subnet, vpc_id, field),
            ).id
            for index, subnet in enumerate(ids)
        ]


class ExistingCluster(Construct):
    """The cluster that exists in ``region``."""

    def __init__(self, scope: Construct, specification: Specification, region: Region) -> None:
        super().__init__(scope, "database")
        name, settings = region.cluster.identifier, specification.settings
        remedy = "Name a cluster of it, as `failoverctl adopt` does."
        self.cluster = DataAwsRdsCluster(
            self,
            "cluster",
            cluster_identifier=name,
            lifecycle=_must(
                (
                    f'self.engine == "{ENGINE}"',
                    f"The cluster {name} is of the engine ${{self.engine}}, not {ENGINE}. {remedy}",
                ),
                (
                    f'tonumber(split(".", self.engine_version)[0]) >= {FIRST_SUPPORTED_MAJOR}',
                    f"The cluster {name} has version ${{self.engine_version}}. "
                    f"Upgrade it to {FIRST_SUPPORTED_MAJOR} or later.",
                ),
                (
                    f"self.port == {settings.database.port}",
                    f"database.port is {settings.database.port}, and the cluster {name} listens on ${{self.port}}. "
                    "Give that.",
                ),
                (
                    "self.iam_database_authentication_enabled",
                    f"The cluster {name} takes no IAM logins, with which the monitors log in. Turn IAM database "
                    "authentication on.",
                ),
            ),
        )


def _in_vpc(what: str, id_: str, vpc_id: str, field: str) -> TerraformResourceLifecycle:
    return _must(
        (
            f'self.vpc_id == "{vpc_id}"',
            f"{what} {id_} is in the VPC ${{self.vpc_id}}, and {field}.vpc_id is {vpc_id}. Name one of that VPC.",
        )
    )


def _must(*conditions: tuple[str, str]) -> TerraformResourceLifecycle:
    """Returns what has to be true of a data source, each with what is said where it is not."""
    return TerraformResourceLifecycle(
        postcondition=[Postcondition(condition=f"${{{holds}}}", error_message=text) for holds, text in conditions]
    )
