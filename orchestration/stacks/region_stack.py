"""Everything that lives and dies with one region."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import Construct

from orchestration.constructs.backup import Backup
from orchestration.constructs.database import GlobalCluster, MasterPassword, RegionCluster
from orchestration.constructs.keys import RegionKey
from orchestration.constructs.monitoring import Monitoring
from orchestration.constructs.network import Network
from orchestration.constructs.orchestrator import Orchestrator
from orchestration.packaging import Package
from orchestration.settings import Settings
from orchestration.stacks.base import DeploymentStack


class RegionStack(DeploymentStack):
    """Network, key, database cluster, orchestrator, monitoring and backups of ``region``.

    Both regions have the same, with one difference: the region that is the writer at deployment also makes the
    global database and the master password, because an Aurora secondary joins what exists already. It is therefore
    deployed before the standby and destroyed after it.
    """

    def __init__(self, scope: Construct, settings: Settings, region_name: str, packages: Mapping[str, Package]) -> None:
        super().__init__(scope, region_name, settings, region=region_name)
        region = self.specification.regions[region_name]
        key = RegionKey(self, self.specification, region_name)
        network = Network(self, self.specification, region, key)
        is_first = region_name == settings.writer_region
        RegionCluster(
            self,
            self.specification,
            region,
            network,
            key,
            global_cluster=GlobalCluster(self, self.specification) if is_first else None,
            password=MasterPassword(self, self.specification, region, key) if is_first else None,
        )
        orchestrator = Orchestrator(self, self.specification, region, network, key, packages)
        Monitoring(self, self.specification, region, orchestrator)
        Backup(self, self.specification, region, key, orchestrator.topic)
