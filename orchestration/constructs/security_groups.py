"""Who may talk to whom in one region's VPC."""

from __future__ import annotations

import ipaddress

from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from cdktf_cdktf_provider_aws.vpc_security_group_ingress_rule import VpcSecurityGroupIngressRule
from constructs import Construct

from orchestration.settings import Settings
from orchestration.specification import Specification
from orchestration.specification.model import Region

# Security groups: purpose and description.
GROUPS = {
    "database": "Aurora instances: reached by the application and by the probers",
    "fence": "Aurora instances behind a fence: reached by this region's prober only",
    "application": "Application: reaches the databases of both regions",
    "prober": "Prober: reaches the databases of both regions",
}


def tier_range(settings: Settings, region: str, tier: str) -> ipaddress.IPv4Network:
    """Returns the part of a region's VPC that belongs to ``tier``, ``database`` or ``client``.

    The lower half is the databases', the upper half their clients'. A VPC that is not ours knows no halves.
    """
    vpc = settings.cidr(region)
    if settings.existing_in(region).vpc_id:
        return vpc
    lower, upper = vpc.subnets(prefixlen_diff=1)
    return lower if tier == "database" else upper


class SecurityGroups:
    """The region's security groups by their purpose, and the rules between them.

    ``database``: of the database instances; ``fence``: of those behind a fence; ``application`` and ``prober``: of
    those that connect to them. A cluster that exists already keeps its groups, and its applications have theirs.
    """

    def __init__(self, scope: Construct, specification: Specification, region: Region, vpc_id: str) -> None:
        """Makes what is ours inside ``scope``, the region's network."""
        self._scope = scope
        self._names = specification.names
        self._settings = specification.settings
        self._region = region
        self._existing = specification.settings.existing_in(region.name)
        known = {"prober": [self._existing.prober_security_group_id]} if self._existing.prober_security_group_id else {}
        if self._settings.adopts:
            known |= {"database": [*self._existing.security_group_ids], "application": []}
        self.made = {
            purpose: self._group(purpose, text, vpc_id) for purpose, text in GROUPS.items() if purpose not in known
        }
        self._ids = known | {purpose: [group.id] for purpose, group in self.made.items()}
        self._open_database_port()

    def ids(self, purpose: str) -> list[str]:
        """Returns the ids of the groups of ``purpose``; there is one, unless the cluster exists already."""
        return self._ids[purpose]

    def _group(self, purpose: str, description: str, vpc_id: str) -> SecurityGroup:
        name = self._names.security_group(purpose, self._region.name)
        return SecurityGroup(
            self._scope, purpose, name=name, description=description, vpc_id=vpc_id, tags={"Name": name}
        )

    def _open_database_port(self) -> None:
        """Lets this region's application and prober, and the other region's clients, reach the databases.

        Databases behind a fence are reached by this region's prober only: its guardian has to see that the database
        is well before it lifts the fence. Whoever gives the prober a group of his own has let it in already.
        """
        peer = self._region.peer
        peer_databases = str(tier_range(self._settings, peer, "database"))
        clients = [name for name in ("application", "prober") if self._ids[name]]
        for name in clients:
            self._rule_in(f"from-{name}", "database", f"{name} of this region", group=name)
            self._rule_out(f"{name}-to-database", name, "databases of this region", group="database")
            self._rule_out(f"{name}-to-peer", name, f"databases of {peer}", cidr=peer_databases)
        peer_clients = str(tier_range(self._settings, peer, "client"))
        self._rule_in("from-peer", "database", f"application and prober of {peer}", cidr=peer_clients)
        self._rule_in("fence-from-prober", "fence", "prober of this region", group="prober")
        self._rule_out("prober-to-fence", "prober", "databases of this region behind a fence", group="fence")

    def _rule_in(
        self, id_: str, target: str, description: str, group: str | None = None, cidr: str | None = None
    ) -> None:
        if target not in self.made and self._existing.prober_security_group_id:
            return
        port = self._settings.database.port
        VpcSecurityGroupIngressRule(
            self._scope,
            id_,
            security_group_id=self._ids[target][0],
            description=f"PostgreSQL from the {description}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=self._ids[group][0] if group else None,
            cidr_ipv4=cidr,
        )

    def _rule_out(
        self, id_: str, source: str, description: str, group: str | None = None, cidr: str | None = None
    ) -> None:
        if source not in self.made:
            return
        port = self._settings.database.port
        VpcSecurityGroupEgressRule(
            self._scope,
            id_,
            security_group_id=self._ids[source][0],
            description=f"PostgreSQL to the {description}",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=self._ids[group][0] if group else None,
            cidr_ipv4=cidr,
        )
