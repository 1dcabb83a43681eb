"""The Aurora global database: the global cluster, and one region's cluster with its instances.

After a failover or a switchover the clusters have exchanged places without Terraform. What Terraform would then
"repair" by detaching, promoting, unfencing or replacing a database is under ``ignore_changes``
(terraform-provider-aws#40921, #42919).
"""

from __future__ import annotations

from cdktf import Fn, ITerraformDependable, TerraformResourceLifecycle, TerraformStack
from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.data_aws_rds_cluster import DataAwsRdsCluster
from cdktf_cdktf_provider_aws.db_subnet_group import DbSubnetGroup
from cdktf_cdktf_provider_aws.rds_cluster import RdsCluster, RdsClusterServerlessv2ScalingConfiguration
from cdktf_cdktf_provider_aws.rds_cluster_instance import RdsClusterInstance
from cdktf_cdktf_provider_aws.rds_cluster_parameter_group import (
    RdsClusterParameterGroup,
    RdsClusterParameterGroupParameter,
)
from cdktf_cdktf_provider_aws.rds_global_cluster import RdsGlobalCluster
from cdktf_cdktf_provider_aws.secretsmanager_secret import SecretsmanagerSecret
from cdktf_cdktf_provider_aws.secretsmanager_secret_version import SecretsmanagerSecretVersion
from constructs import Construct

from orchestration.constructs.keys import RegionKey
from orchestration.constructs.network import Network
from orchestration.specification import INSTANCES, Specification
from orchestration.specification.model import Region
from orchestration.specification.names import ENGINE

# Instances of tier 0 and 1 keep the capacity of the writer, so either takes over at once (Aurora guide,
# "Choosing the promotion tier for an Aurora Serverless v2 reader").
PROMOTION_TIER = 1
CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
# Performance Insights needs memory that a smaller instance does not have (Aurora guide, "Performance and scaling for
# Aurora Serverless v2": a minimum of 2 ACU where it is turned on).
PERFORMANCE_INSIGHTS_MIN_CAPACITY = 2.0
PERFORMANCE_INSIGHTS_DAYS = 7  # the free retention

# UTC, quiet hours on both coasts of the Americas. On different days, so that AWS's maintenance never takes the writer
# and its standby at once; the daily snapshot's window has to lie elsewhere (RDS API, CreateDBCluster).
FIRST_MAINTENANCE, OTHER_MAINTENANCE = "tue:07:00-tue:07:30", "thu:07:00-thu:07:30"
SNAPSHOT_WINDOW = "03:00-03:30"

# What a detach, a switchover, a fence, an upgrade or a rebuilt standby changes outside Terraform.
CHANGED_OUTSIDE_TERRAFORM = [
    "global_cluster_identifier",
    "replication_source_identifier",
    "vpc_security_group_ids",  # an apply must never lift a fence: the old writer would take writes beside the new one
    "engine_version",
    # The first cluster is created with them; rebuilt, it is a secondary, which has none of its own. Neither can be
    # changed in place, so a cluster for which RDS reports no user would be replaced, and its instances with it.
    "master_username",
    "database_name",
]
# What follows the old writer's use after a failover, where the settings say so.
LEAST_CAPACITY = "serverlessv2_scaling_configuration[0].min_capacity"
# What a rebuilt global database takes from its first member (RDS API, CreateGlobalCluster). Upgrades are done
# deliberately, in both regions; encryption cannot be changed, so a difference would have the global database replaced.
TAKEN_FROM_A_MEMBER = ["engine_version", "storage_encrypted"]

PASSWORD_LENGTH = 32


def writer_endpoint(cluster: RdsCluster | DataAwsRdsCluster) -> str:
    """Returns the name of a cluster's writer endpoint, which a standby may not report before it is promoted.

    Its reader endpoint is always there, and differs from it by ``-ro`` (terraform-provider-aws#14219, teleport#16079).
    """
    return str(Fn.replace(cluster.reader_endpoint, ".cluster-ro-", ".cluster-"))


class GlobalCluster(Construct):
    """The global database, created before its first cluster: adopting one later can force its replacement."""

    def __init__(self, scope: Construct, specification: Specification) -> None:
        super().__init__(scope, "global-database")
        settings = specification.settings
        self.cluster = RdsGlobalCluster(
            self,
            "global-cluster",
            global_cluster_identifier=specification.global_identifier,
            engine=ENGINE,
            engine_version=settings.database.engine_version,
            storage_encrypted=True,
            deletion_protection=settings.protected,
            lifecycle=TerraformResourceLifecycle(
                ignore_changes=TAKEN_FROM_A_MEMBER, prevent_destroy=settings.protected
            ),
        )


class MasterPassword(Construct):
    """A generated password that is in Secrets Manager of both regions and never in Terraform's state.

    Two ephemeral values, because one would differ from run to run: the first creates a password and stores it, the
    second reads what is stored. An interrupted deployment that is run again thus sets the password that the secret
    holds.
    """

    def __init__(self, scope: Construct, specification: Specification, key: RegionKey) -> None:
        super().__init__(scope, "master-password")
        settings = specification.settings
        self.version = settings.database.password_version
        stack = TerraformStack.of(self)
        # Ephemeral resources are newer than CDKTF, so they are written into the stack as they are.
        stack.add_override(
            "ephemeral.aws_secretsmanager_random_password.master",
            {"password_length": PASSWORD_LENGTH, "exclude_punctuation": True},
        )
        secret = SecretsmanagerSecret(
            self,
            "secret",
            name=specification.names.master_secret,
            description=f"Master user of the database {specification.global_identifier}",
            kms_key_id=key.arn,
            # Outside production the name is free again at once, for the next deployment with the same suffix.
            recovery_window_in_days=30 if settings.protected else 0,
            # Its replica in the peer's region is made by hand, once, when that region's key is there (docs/deploy.md):
            # a replica is not given another key, and one that is removed is not gone at once.
            lifecycle=TerraformResourceLifecycle(ignore_changes=["replica"]),
        )
        stored = SecretsmanagerSecretVersion(
            self,
            "stored",
            secret_id=secret.id,
            secret_string_wo=Fn.jsonencode(
                {
                    "username": settings.database.master_username,
                    "password": "${ephemeral.aws_secretsmanager_random_password.master.random_password}",
                }
            ),
            secret_string_wo_version=self.version,
        )
        stack.add_override(
            "ephemeral.aws_secretsmanager_secret_version.master",
            {"secret_id": secret.id, "version_id": stored.version_id},
        )

    @property
    def value(self) -> str:
        """The stored password, as an ephemeral expression."""
        return '${jsondecode(ephemeral.aws_secretsmanager_secret_version.master.secret_string)["password"]}'


class RegionCluster(Construct):
    """The region's cluster of the global database and its two Serverless v2 instances.

    With ``global_cluster`` and ``password`` it is the first cluster, which holds the writer; without them it is the
    secondary, which takes its users and data from the first.
    """

    def __init__(
        self,
        scope: Construct,
        specification: Specification,
        region: Region,
        network: Network,
        key: RegionKey,
        global_cluster: GlobalCluster | None = None,
        password: MasterPassword | None = None,
    ) -> None:
        super().__init__(scope, "database")
        self._specification = specification
        self._region = region
        self._subnets = self._subnet_group(network)
        self.cluster = self._cluster(network, key, global_cluster, password)
        self.instances = [self._instance(index, network, key) for index in range(INSTANCES)]

    @property
    def _maintenance(self) -> str:
        is_first = self._region.name == self._specification.settings.writer_region
        return FIRST_MAINTENANCE if is_first else OTHER_MAINTENANCE

    def _subnet_group(self, network: Network) -> DbSubnetGroup:
        return DbSubnetGroup(
            self,
            "subnets",
            name=self._specification.names.subnet_group(self._region.name),
            description="Private subnets in three zones",
            subnet_ids=network.database_subnet_ids,
        )

    def _cluster(
        self, network: Network, key: RegionKey, global_cluster: GlobalCluster | None, password: MasterPassword | None
    ) -> RdsCluster:
        specification, region, settings = self._specification, self._region, self._specification.settings
        is_first = password is not None
        return RdsCluster(
            self,
            "cluster",
            cluster_identifier=region.cluster.identifier,
            global_cluster_identifier=(
                global_cluster.cluster.id if global_cluster else specification.global_identifier
            ),
            engine=ENGINE,
            engine_mode="provisioned",  # what Serverless v2 is called here
            engine_version=settings.database.engine_version,
            port=settings.database.port,
            database_name=settings.database.name if is_first else None,
            master_username=settings.database.master_username if is_first else None,
            master_password_wo=password.value if password else None,
            master_password_wo_version=password.version if password else None,
            source_region=None if is_first else region.peer,
            serverlessv2_scaling_configuration=RdsClusterServerlessv2ScalingConfiguration(
                min_capacity=settings.min_capacity(region.name), max_capacity=settings.database.max_capacity
            ),
            db_subnet_group_name=self._subnets.name,
            vpc_security_group_ids=network.groups.ids("database"),
            db_cluster_parameter_group_name=self._parameters().name,
            storage_encrypted=True,
            kms_key_id=key.arn,
            iam_database_authentication_enabled=True,
            enabled_cloudwatch_logs_exports=["postgresql"],
            enable_http_endpoint=True,  # for the bootstrap of the monitoring user, in whichever region writes
            backup_retention_period=settings.database.backup_retention_days,
            preferred_backup_window=SNAPSHOT_WINDOW,
            preferred_maintenance_window=self._maintenance,
            copy_tags_to_snapshot=True,
            deletion_protection=settings.protected,
            skip_final_snapshot=settings.environment != "production",
            final_snapshot_identifier=f"{region.cluster.identifier}-final",
            # Lifting the protection has to take effect at once, or the destroy that follows fails.
            apply_immediately=not settings.protected,
            lifecycle=TerraformResourceLifecycle(
                ignore_changes=[
                    *CHANGED_OUTSIDE_TERRAFORM,
                    *([LEAST_CAPACITY] if settings.database.capacity_follows else []),
                ],
                prevent_destroy=settings.protected,
            ),
            # A fenced cluster is in the fence group, so a destroy removes the cluster first.
            depends_on=[self._log_group(key), network.groups.made["fence"]],
        )

    def _parameters(self) -> RdsClusterParameterGroup:
        settings = self._specification.settings.database
        major = settings.engine_version.split(".")[0]
        parameters = [RdsClusterParameterGroupParameter(name="rds.force_ssl", value="1")]
        if settings.reserved_connections:
            parameters.append(
                RdsClusterParameterGroupParameter(
                    name="reserved_connections",
                    value=str(settings.reserved_connections),
                    apply_method="pending-reboot",  # it is read when an instance starts
                )
            )
        return RdsClusterParameterGroup(
            self,
            "parameters",
            name=self._specification.names.parameter_group(self._region.name),
            family=f"{ENGINE}{major}",
            description="Every connection over TLS",  # a new one would have the group replaced
            parameter=parameters,
        )

    def _log_group(self, key: RegionKey) -> ITerraformDependable:
        """Creates the log that the cluster would otherwise create itself, without a key and kept for ever."""
        return CloudwatchLogGroup(
            self,
            "log",
            name=f"/aws/rds/cluster/{self._region.cluster.identifier}/postgresql",
            retention_in_days=self._specification.settings.log_retention_days,
            kms_key_id=key.arn,
        )

    def _instance(self, index: int, network: Network, key: RegionKey) -> RdsClusterInstance:
        settings = self._specification.settings
        insights = settings.min_capacity(self._region.name) >= PERFORMANCE_INSIGHTS_MIN_CAPACITY
        return RdsClusterInstance(
            self,
            f"instance-{index}",
            identifier=self._specification.names.instance(index, self._region.name),
            cluster_identifier=self.cluster.id,
            instance_class="db.serverless",
            engine=ENGINE,
            availability_zone=network.zone(index),
            promotion_tier=PROMOTION_TIER,
            preferred_maintenance_window=self._maintenance,
            publicly_accessible=False,
            ca_cert_identifier=CERTIFICATE_AUTHORITY,
            db_subnet_group_name=self._subnets.name,
            auto_minor_version_upgrade=False,  # both regions are upgraded together, deliberately
            performance_insights_enabled=insights,
            performance_insights_kms_key_id=key.arn if insights else None,
            performance_insights_retention_period=PERFORMANCE_INSIGHTS_DAYS if insights else None,
            copy_tags_to_snapshot=True,
            apply_immediately=not settings.protected,
            lifecycle=TerraformResourceLifecycle(ignore_changes=["availability_zone", "engine_version"]),
        )
