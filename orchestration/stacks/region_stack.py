"""Everything that lives and dies with one region."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import Construct

from orchestration.constructs.backup import Backup
from orchestration.constructs.database import GlobalCluster, MasterPassword, RegionCluster, writer_endpoint
from orchestration.constructs.existing import ExistingCluster, ExistingNetwork
from orchestration.constructs.game_day import GameDay
from orchestration.constructs.keys import RegionKey
from orchestration.constructs.monitoring import Monitoring
from orchestration.constructs.network import Network, OwnNetwork
from orchestration.constructs.orchestrator import Orchestrator
from orchestration.packaging import Package
from orchestration.settings import Settings
from orchestration.specification.model import Region
from orchestration.stacks.base import DeploymentStack


class RegionStack(DeploymentStack):
    """Network, key, database cluster, orchestrator, monitoring, backups and game day of ``region``.

    Both regions have the same, with one difference: the region that is the writer at deployment also creates the global
    database and the master password, because an Aurora secondary joins what already exists. It is therefore deployed
    before the standby and destroyed after it.
    """

    def __init__(self, scope: Construct, settings: Settings, region_name: str, packages: Mapping[str, Package]) -> None:
        super().__init__(scope, region_name, settings, region=region_name)
        self._region_name = region_name
        region = self.specification.regions[region_name]
        key = RegionKey(self, self.specification, region_name)
        network: Network = (
            ExistingNetwork(self, self.specification, region)
            if settings.existing_in(region_name).vpc_id
            else OwnNetwork(self, self.specification, region, key)
        )
        database = self._database(region, network, key)
        orchestrator = Orchestrator(self, self.specification, region, network, key, packages)
        monitoring = Monitoring(self, self.specification, region, orchestrator)
        Backup(self, self.specification, region, key)
        if region.game_day:
            GameDay(self, self.specification, region.name, region.game_day, network, key)
        self._describe_connections(database, network)
        self._describe_operations(orchestrator, monitoring)

    def _database(self, region: Region, network: Network, key: RegionKey) -> RegionCluster | ExistingCluster:
        if self._settings.adopts:
            return ExistingCluster(self, self.specification, region)
        is_first = region.name == self._settings.writer_region
        return RegionCluster(
            self,
            self.specification,
            region,
            network,
            key,
            global_cluster=GlobalCluster(self, self.specification) if is_first else None,
            password=MasterPassword(self, self.specification, key) if is_first else None,
        )

    def _describe_connections(self, database: RegionCluster | ExistingCluster, network: Network) -> None:
        """Adds the outputs for an application that connects."""
        names, region = self.specification.names, self._region_name
        cluster = database.cluster
        self._output(
            "cluster_endpoint",
            writer_endpoint(cluster),
            "Writer endpoint of this region's cluster; it takes writes only while the writer is in this region.",
        )
        self._output("cluster_reader_endpoint", cluster.reader_endpoint, "Reader endpoint of this region's cluster.")
        self._output(
            "cluster_dns_name", names.cluster_dns(region), "This region's writer endpoint by a name that outlives it."
        )
        self._output(
            "reader_dns_name", names.reader_dns(region), "This region's reader endpoint by a name that outlives it."
        )
        self._output("cluster_identifier", cluster.cluster_identifier, "RDS identifier of this region's cluster.")
        self._output("global_cluster_identifier", names.global_cluster, "RDS identifier of the global database.")
        self._output("database_name", self._settings.database.name, "Name of the database.")
        self._output("vpc_id", network.vpc_id, "The VPC of the databases and their clients.")
        self._output("client_subnet_ids", network.client_subnet_ids, "Private subnets for the application, by zone.")
        if application := network.groups.made.get("application"):
            self._output(
                "application_security_group_id",
                application.id,
                "Security group that the application joins in order to reach the databases of both regions.",
            )

    def _describe_operations(self, orchestrator: Orchestrator, monitoring: Monitoring) -> None:
        """Adds the outputs for whoever watches and operates it."""
        region, dashboard = self._region_name, monitoring.dashboard.dashboard_name
        self._output("notifications_topic_arn", orchestrator.topic.arn, "SNS topic that tells people; subscribe to it.")
        self._output("failover_state_machine_arn", orchestrator.workflow.arn, "Workflow that moves the writer here.")
        self._output(
            "reprotection_state_machine_arn",
            orchestrator.reprotection.arn,
            "Workflow that makes the other region the standby of this one.",
        )
        self._output("dashboard_name", dashboard, "CloudWatch dashboard of this region.")
        self._output(
            "dashboard_url",
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{dashboard}",
            "The dashboard in the console.",
        )
        self._output(
            "salvage_bucket_name",
            orchestrator.salvage_bucket.bucket,
            "Bucket of what re-protections keep: writes that a failover lost, and the old cluster's settings.",
        )
        self._output(
            "reports_bucket_name",
            orchestrator.reports_bucket.bucket,
            "Bucket of the reports of runs, as pages and as JSON, under Object Lock.",
        )
