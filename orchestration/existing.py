"""What exists already and is adopted: the part ``[existing]`` of the settings.

Whatever is named here is read by Terraform and never created, changed or destroyed by it; what is not named is ours.
``failoverctl adopt`` finds these values and writes them; docs/adopt.md says what is added around them.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z](-?[a-z0-9]){0,62}$")]
GroupName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,254}$")]
VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]{8,17}$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]{8,17}$")]
SecurityGroupId = Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]{8,17}$")]
RouteTableId = Annotated[str, StringConstraints(pattern=r"^rtb-[0-9a-f]{8,17}$")]
ZoneId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{1,32}$")]
Link = Annotated[str, StringConstraints(pattern=r"^(pcx|tgw)-[0-9a-f]{8,17}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@!-]{1,512}$")]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,256}$")]
KeyAlias = Annotated[str, StringConstraints(pattern=r"^alias/[A-Za-z0-9/_-]{1,250}$")]
KeyArn = Annotated[str, StringConstraints(pattern=r"^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[a-z0-9-]{1,64}$")]

MOST = 16  # of one kind in a region; a cluster has 16 instances at most
# Lambda places a function's network card in one of them; with one subnet, a zone that fails takes the prober with it.
FEWEST_FUNCTION_SUBNETS = 2
FEWEST_DATABASE_SUBNETS = 2  # of a subnet group, in different zones (Aurora guide, "DB cluster prerequisites")


class Section(BaseModel):
    """A part of the settings: what it does not know is an error, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _together(section: Section, names: tuple[str, ...], remedy: str) -> None:
    missing = [name for name in names if not getattr(section, name)]
    if missing and len(missing) < len(names):
        given = ", ".join(f"{name} {_text(getattr(section, name))}" for name in names if name not in missing)
        raise ValueError(f"{', '.join(missing)} missing beside {given}; {remedy}")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class ExistingRegion(Section):
    """What exists in one region."""

    cluster: Identifier | None = Field(None, description="RDS identifier of the region's Aurora cluster.")
    instances: tuple[Identifier, ...] = Field((), max_length=MOST, description="RDS identifiers of all its instances.")
    security_group_ids: tuple[SecurityGroupId, ...] = Field(
        (),
        max_length=MOST,
        description="All security groups of the cluster: a fence takes them away, and its end gives back these. The "
        "first is given the rules that let the probers in, unless prober_security_group_id is given.",
    )
    subnet_group: GroupName | None = Field(None, description="DB subnet group of the cluster.")
    parameter_group: GroupName | None = Field(None, description="DB cluster parameter group of the cluster.")
    instance_parameter_groups: tuple[GroupName, ...] = Field(
        (), max_length=MOST, description="DB parameter groups of its instances."
    )
    storage_key_arn: KeyArn | None = Field(
        None, description="Customer-managed key that the cluster is encrypted with; none for the key of RDS itself."
    )
    vpc_id: VpcId | None = Field(None, description="VPC of the cluster.")
    vpc_cidr: str | None = Field(None, description="Address range of that VPC.")
    function_subnet_ids: tuple[SubnetId, ...] = Field(
        (), max_length=MOST, description="Private subnets of that VPC for the prober."
    )
    database_subnet_ids: tuple[SubnetId, ...] = Field(
        (),
        max_length=MOST,
        description="Private subnets of that VPC for the database, where the database is made by us.",
    )
    route_table_ids: tuple[RouteTableId, ...] = Field(
        (),
        max_length=MOST,
        description="Route tables that get a route to the other region's VPC, where the peering is made by us.",
    )
    prober_security_group_id: SecurityGroupId | None = Field(
        None,
        description="Security group of that VPC that reaches both clusters, for the prober; no rule is then added to "
        "any group that exists.",
    )
    key_alias: KeyAlias | None = Field(
        None, description="Alias of the key that encrypts what we add; docs/adopt.md says what its policy must allow."
    )
    alert_topic: TopicName | None = Field(None, description="SNS topic of this region that tells people.")

    @field_validator("vpc_cidr")
    @classmethod
    def _a_range(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ipaddress.IPv4Network(value)
            except ValueError as error:
                raise ValueError(f"{error}; give the VPC's range, such as 10.60.0.0/16") from None
        return value

    @field_validator("key_alias")
    @classmethod
    def _no_key_of_aws(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("alias/aws/"):
            raise ValueError("AWS's own keys cannot be shared by services; name a customer-managed key, or none")
        return value

    @model_validator(mode="after")
    def _whole_cluster(self) -> Self:
        parts = ("cluster", "instances", "security_group_ids", "subnet_group", "parameter_group")
        _together(self, parts, "give them all, as `failoverctl adopt` writes them, or none for a database of our own")
        if self.cluster is None and (self.instance_parameter_groups or self.storage_key_arn):
            raise ValueError("instance_parameter_groups and storage_key_arn are of an existing cluster; give it, too")
        if self.cluster is not None and self.vpc_id is None:
            raise ValueError(f"cluster {self.cluster} is given without vpc_id; give the VPC that it is in")
        return self

    @model_validator(mode="after")
    def _whole_network(self) -> Self:
        _together(self, ("vpc_id", "vpc_cidr", "function_subnet_ids"), "give them all, or none for a VPC of our own")
        if self.vpc_id is None:
            for name in ("database_subnet_ids", "route_table_ids", "prober_security_group_id"):
                if value := getattr(self, name):
                    raise ValueError(f"{name} {_text(value)} is of an existing VPC; give vpc_id, or remove it")
            return self
        if len(set(self.function_subnet_ids)) < FEWEST_FUNCTION_SUBNETS:
            raise ValueError(
                f"function_subnet_ids {_text(self.function_subnet_ids)} are fewer than {FEWEST_FUNCTION_SUBNETS}; give "
                "subnets in different zones"
            )
        if self.cluster is not None and self.database_subnet_ids:
            raise ValueError(
                f"database_subnet_ids {_text(self.database_subnet_ids)} are for a database of our own; remove them"
            )
        if self.cluster is None and len(set(self.database_subnet_ids)) < FEWEST_DATABASE_SUBNETS:
            raise ValueError(
                f"database_subnet_ids {_text(self.database_subnet_ids)} are fewer than {FEWEST_DATABASE_SUBNETS}; give "
                "subnets in different zones for the database that is made, or name the cluster that exists"
            )
        return self


class Existing(Section):
    """What exists of the whole deployment, and in the regions that the settings call the writer's and the standby's."""

    global_cluster: Identifier | None = Field(None, description="RDS identifier of the Aurora global database.")
    master_secret: SecretName | None = Field(
        None,
        description="Secret of the master user, of the same name in both regions; else one of the name "
        "<application>-master-<environment_suffix> is looked for.",
    )
    zone_id: ZoneId | None = Field(
        None, description="Private zone named dns_zone, which both VPCs see; the records are made in it."
    )
    link: Link | None = Field(
        None, description="VPC peering connection or transit gateway that joins the two VPCs, with its routes."
    )
    writer: ExistingRegion = ExistingRegion()
    standby: ExistingRegion = ExistingRegion()

    @property
    def both(self) -> dict[str, ExistingRegion]:
        """What exists in the two regions, by the names that they have in the settings."""
        return {"writer": self.writer, "standby": self.standby}

    @model_validator(mode="after")
    def _whole_database(self) -> Self:
        given = {
            "global_cluster": self.global_cluster,
            **{f"{name}.cluster": region.cluster for name, region in self.both.items()},
        }
        missing = [name for name, value in given.items() if value is None]
        if missing and len(missing) < len(given):
            raise ValueError(
                f"{' and '.join(missing)} missing beside {', '.join(name for name in given if name not in missing)}; a "
                "global database is adopted with both its clusters (`failoverctl adopt` finds them), or not at all"
            )
        if self.master_secret and self.global_cluster is None:
            raise ValueError(f"master_secret {self.master_secret} is of an existing database; give global_cluster, too")
        if self.writer.cluster is not None and self.writer.cluster == self.standby.cluster:
            raise ValueError(
                f"writer.cluster and standby.cluster are both {self.writer.cluster}; name each region's own cluster"
            )
        return self

    @model_validator(mode="after")
    def _whole_link(self) -> Self:
        for name, region in self.both.items():
            if self.link and region.vpc_id is None:
                raise ValueError(f"link {self.link} joins VPCs that exist; give {name}.vpc_id, or leave the link to us")
            if self.zone_id and region.vpc_id is None:
                raise ValueError(
                    f"zone_id {self.zone_id} is seen from VPCs that exist; give {name}.vpc_id, or leave the zone to us"
                )
            if self.link and region.route_table_ids:
                raise ValueError(
                    f"{name}.route_table_ids {_text(region.route_table_ids)} are for a peering of our own; remove "
                    f"them, or link {self.link}"
                )
            if not self.link and region.vpc_id and not region.route_table_ids:
                raise ValueError(
                    f"{name}.route_table_ids are missing: they get the routes of the peering that is made between the "
                    "VPCs; give them, or the link that exists"
                )
        return self
