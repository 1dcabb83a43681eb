"""What is kept of the old cluster, so that a new one can be created with its names and settings. Pure.

Terraform knows the cluster by its identifier and settings. They are read from the cluster itself before it is retired,
so they need not be written down in a second place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from handlers.core.errors import Misconfigured
from handlers.core.heartbeat import END_OF_TIME_S
from handlers.core.reading import Fields

# RDS API reference: name in CreateDBCluster → name in the answer of DescribeDBClusters. A secondary has no user,
# password or database name of its own, and its engine's version is that of the primary.
CLUSTER_SETTINGS = {
    "DBClusterIdentifier": "DBClusterIdentifier",
    "Engine": "Engine",
    "EngineMode": "EngineMode",
    "Port": "Port",
    "DBSubnetGroupName": "DBSubnetGroup",
    "DBClusterParameterGroupName": "DBClusterParameterGroup",
    "ServerlessV2ScalingConfiguration": "ServerlessV2ScalingConfiguration",
    "StorageEncrypted": "StorageEncrypted",
    "KmsKeyId": "KmsKeyId",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
    "EnableHttpEndpoint": "HttpEndpointEnabled",
    "BackupRetentionPeriod": "BackupRetentionPeriod",
    "PreferredBackupWindow": "PreferredBackupWindow",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "DeletionProtection": "DeletionProtection",
    "Tags": "TagList",
}
# RDS tells the storage of a cluster only where it is this one, which is not the default (RDS API, DBCluster).
IO_OPTIMIZED = "aurora-iopt1"
# The same for CreateDBInstance and DescribeDBInstances.
INSTANCE_SETTINGS = {
    "DBInstanceIdentifier": "DBInstanceIdentifier",
    "DBClusterIdentifier": "DBClusterIdentifier",
    "DBInstanceClass": "DBInstanceClass",
    "Engine": "Engine",
    "AvailabilityZone": "AvailabilityZone",
    "PromotionTier": "PromotionTier",
    "PubliclyAccessible": "PubliclyAccessible",
    "CACertificateIdentifier": "CACertificateIdentifier",
    "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "PerformanceInsightsKMSKeyId": "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "Tags": "TagList",
}
# The same for CreateGlobalCluster and DescribeGlobalClusters; engine, version and encryption come from its source.
GLOBAL_SETTINGS = {
    "GlobalClusterIdentifier": "GlobalClusterIdentifier",
    "DeletionProtection": "DeletionProtection",
    "Tags": "TagList",
}
RESERVED_TAGS = "aws:"  # AWS's own tags cannot be set


@dataclass(frozen=True)
class OldCluster:
    """The old cluster as it was when it was fenced for the re-protection.

    ``resource_id`` is RDS's own, which no other cluster ever has; ``fenced_at`` in seconds since 1970; ``mark`` is what
    its database was like then (see `handlers.gateways.salvage.SalvageFunction.mark`). ``cluster``, ``instances`` and
    ``global_database`` are the requests that recreate them.
    """

    resource_id: str
    fenced_at: float
    mark: str
    cluster: dict[str, Any]
    instances: list[dict[str, Any]]
    global_database: dict[str, Any]

    @classmethod
    def described(
        cls,
        cluster: Mapping[str, Any],
        instances: Sequence[Mapping[str, Any]],
        global_database: Mapping[str, Any],
        fenced_at: float,
        mark: str,
    ) -> OldCluster:
        """Builds it from RDS's descriptions; raises `Misconfigured` when there is no instance to recreate."""
        if not instances:
            raise Misconfigured(
                f"the cluster {cluster['DBClusterIdentifier']} has no instance, so it cannot be recreated as it "
                "was; apply its region's stack, then start the workflow again"
            )
        groups = [group["VpcSecurityGroupId"] for group in cluster["VpcSecurityGroups"]]
        storage = {"StorageType": IO_OPTIMIZED} if cluster.get("StorageType") == IO_OPTIMIZED else {}
        return cls(
            resource_id=cluster["DbClusterResourceId"],
            fenced_at=fenced_at,
            mark=mark,
            cluster=_request(cluster, CLUSTER_SETTINGS) | {"VpcSecurityGroupIds": groups} | storage,
            instances=[_request(instance, INSTANCE_SETTINGS) | _groups_of(instance) for instance in instances],
            global_database=_request(global_database, GLOBAL_SETTINGS),
        )

    @classmethod
    def read(cls, data: object) -> OldCluster:
        """Reads what `kept` wrote; `Misconfigured` names what is wrong with it."""
        fields = Fields(data, "what is kept of the old cluster", Misconfigured)
        instances = fields.data.get("instances")
        if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
            raise Misconfigured("what is kept of the old cluster: field 'instances' is not a list of objects")
        return cls(
            resource_id=fields.text("resource_id"),
            fenced_at=fields.number("fenced_at", at_least=0, at_most=END_OF_TIME_S),
            mark=fields.text("mark", default="none"),
            cluster=dict(fields.section("cluster").data),
            instances=instances,
            global_database=dict(fields.section("global_database").data),
        )

    def kept(self) -> dict[str, Any]:
        """Returns it as plain JSON data."""
        return asdict(self)

    def snapshot_name(self, epoch: int) -> str:
        """Returns the name of the snapshot that belongs to this fence; a later fence has another."""
        return f"{self.cluster['DBClusterIdentifier']}-epoch-{epoch}-{int(self.fenced_at)}"


def _groups_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """Returns the subnet group of an instance and its parameter group, which an instance has had for good reasons."""
    groups = {"DBSubnetGroupName": str(instance["DBSubnetGroup"]["DBSubnetGroupName"])}
    for one in instance.get("DBParameterGroups", []):  # there is one
        groups["DBParameterGroupName"] = str(one["DBParameterGroupName"])
    return groups


def _request(description: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Returns the settings of a request as the description has them; what AWS does not report keeps its default."""
    found = {
        asked: description[told] for asked, told in settings.items() if description.get(told) not in (None, [], "")
    }
    if "Tags" in found:
        found["Tags"] = [tag for tag in found["Tags"] if not tag["Key"].startswith(RESERVED_TAGS)]
    return found
