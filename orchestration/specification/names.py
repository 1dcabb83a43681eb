"""Names of everything: ``<thing>-<region short>-<environmentSuffix>``, or without the region where there is only one.

Names are deterministic so that stacks refer to each other by name instead of through each other's state.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.settings import Settings

PARTITION = "aws"
ENGINE = "aurora-postgresql"
FIRST_SUPPORTED_MAJOR = 15  # of a database that exists already
METRIC_NAMESPACE = "FailoverOrchestrator"
# Lambda offers no network cards in these zones (Lambda guide, "Availability Zones" of VPC access).
ZONE_IDS_WITHOUT_LAMBDA = ("use1-az3", "apne1-az3")
INSTANCES = 2  # of each cluster, in different zones, so that Aurora handles the loss of a zone, without a failover
MONITORING_USER = "monitor"  # the database role of handlers/sql/monitoring.sql


def region_short(region: str) -> str:
    """Shortens ``us-east-1`` to ``use1``, ``ap-southeast-2`` to ``apse2``: unique in AWS, 4 to 5 characters."""
    area, direction, number = region.split("-")
    compass = {"north": "n", "south": "s", "east": "e", "west": "w", "central": "c"}
    short = direction
    for word, letter in compass.items():
        short = short.replace(word, letter)
    return f"{area}{short}{number}"


@dataclass(frozen=True)
class Names:
    """Makes the names and ARNs of one deployment; ``account`` is the AWS account id, or a token that becomes it."""

    settings: Settings
    account: str

    def regional(self, thing: str, region: str) -> str:
        """Returns the name of a thing that exists once per region."""
        return f"{thing}-{region_short(region)}-{self.settings.environment_suffix}"

    def unique(self, thing: str) -> str:
        """Returns the name of a thing that exists once per deployment."""
        return f"{thing}-{self.settings.environment_suffix}"

    def arn(self, service: str, region: str, resource: str) -> str:
        """Returns the ARN of ``resource`` in this account; ``region`` is empty for services without regions."""
        return f"arn:{PARTITION}:{service}:{region}:{self.account}:{resource}"

    # --- the database
    @property
    def global_cluster(self) -> str:
        """Identifier of the Aurora global database."""
        return self.settings.existing.global_cluster or self.unique(f"{self.settings.application}-global")

    def cluster(self, region: str) -> str:
        """Returns the identifier of the region's Aurora cluster."""
        return self.settings.existing_in(region).cluster or self.regional(self.settings.application, region)

    def cluster_arn(self, region: str) -> str:
        """Returns the ARN of the region's Aurora cluster."""
        return self.arn("rds", region, f"cluster:{self.cluster(region)}")

    @property
    def global_cluster_arn(self) -> str:
        """ARN of the global database; global clusters have no region in it."""
        return self.arn("rds", "", f"global-cluster:{self.global_cluster}")

    # --- DNS
    @property
    def zone(self) -> str:
        """Name of the private zone; one that exists may hold other deployments' names, too."""
        return self.settings.dns_zone if self.settings.existing.zone_id else self._domain

    @property
    def _domain(self) -> str:
        return f"{self.settings.environment_suffix}.{self.settings.dns_zone}"

    @property
    def writer(self) -> str:
        """The name clients write to."""
        return f"writer.{self._domain}"

    def cluster_dns(self, region: str) -> str:
        """Returns the name that always means the writer endpoint of that region's cluster."""
        return f"{region_short(region)}.{self._domain}"

    def reader_dns(self, region: str) -> str:
        """Returns the name that always means the reader endpoint of that region's cluster."""
        return f"{region_short(region)}-ro.{self._domain}"

    @property
    def master_secret(self) -> str:
        """Name of the secret of the master user: the same in both regions."""
        return self.settings.existing.master_secret or self.unique(f"{self.settings.application}-master")

    def secret_arn(self, secret: str, region: str) -> str:
        """Returns the pattern of a secret's ARN: Secrets Manager adds a hyphen and six characters to every name."""
        return self.arn("secretsmanager", region, f"secret:{secret}-??????")

    # --- what stacks look up by name
    def vpc(self, region: str) -> str:
        """Returns the name of a region's VPC."""
        return self.regional(f"{self.settings.application}-vpc", region)

    @property
    def peering(self) -> str:
        """Name of the peering connection that is made between the two VPCs."""
        return self.unique(f"{self.settings.application}-peering")

    def subnet(self, tier: str, place: str, region: str) -> str:
        """Returns the name of a subnet of one tier; ``place`` counts the zones from 0, or is a pattern of that."""
        return self.regional(f"{self.settings.application}-{tier}-{place}", region)

    def route_table(self, tier: str, region: str) -> str:
        """Returns the name of the route table of one tier of subnets, ``client`` or ``database``."""
        return self.regional(f"{self.settings.application}-{tier}", region)

    def security_group(self, purpose: str, region: str) -> str:
        """Returns the name of a security group of the VPC."""
        return self.regional(f"{self.settings.application}-{purpose}", region)

    def key_alias(self, region: str) -> str:
        """Alias of a region's encryption key; roles are granted the use of the key by this alias."""
        return self.settings.existing_in(region).key_alias or f"alias/{self.regional('failover', region)}"

    def log_group(self, function: str) -> str:
        """Returns the log group of the function named ``function``."""
        return f"/aws/lambda/{function}"

    def flow_log(self, region: str) -> str:
        """Returns what writes the VPC's flow log, and its role."""
        return self.regional(f"{self.settings.application}-flow-log", region)

    def flow_log_group(self, region: str) -> str:
        """Returns the log group of the VPC's flow log."""
        return f"/aws/vpc/{self.flow_log(region)}"

    # --- game days
    def game_day(self, region: str) -> str:
        """Returns the name of the experiment that cuts a region's database off, and of its role."""
        return self.regional("failover-game-day", region)

    def game_day_log_group(self, region: str) -> str:
        """Returns the log group of that experiment; AWS has a prefix of its own for logs that its services deliver."""
        return f"/aws/vendedlogs/fis/{self.game_day(region)}"

    # --- backups
    def backup_vault(self, region: str) -> str:
        """Returns the vault that holds the region's backups and copies of the other region's."""
        return self.regional(f"{self.settings.application}-backup", region)

    def backup_vault_arn(self, region: str) -> str:
        """Returns the ARN of a region's vault."""
        return self.arn("backup", region, f"backup-vault:{self.backup_vault(region)}")

    def backup_reports_bucket(self, region: str) -> str:
        """Returns the bucket of the reports on backups; the account is in its name, as those are global."""
        return f"{self.regional(f'{self.settings.application}-backup-reports', region)}-{self.account}"

    def salvage_bucket(self, region: str) -> str:
        """Returns the bucket of what re-protections keep; the account is in its name, as those are global."""
        return f"{self.regional(f'{self.settings.application}-salvage', region)}-{self.account}"

    def reports_bucket(self, region: str) -> str:
        """Returns the bucket of the reports of a region's runs, which nobody changes."""
        return f"{self.regional(f'{self.settings.application}-reports', region)}-{self.account}"

    # --- identity: a role has the name of what uses it
    def role_arn(self, user: str) -> str:
        """Returns the ARN of the role of the function, workflow or rule named ``user``."""
        return self.arn("iam", "", f"role/{user}")

    def role_for_peer(self, region: str) -> str:
        """Returns the role in which the other region's orchestrator acts on ``region``."""
        return self.regional("failover-peer", region)

    def role_for_reprotection(self, region: str) -> str:
        """Returns the role in which the other region's re-protection reads and keeps the old cluster of ``region``."""
        return self.regional("failover-reprotection", region)

    def role_for_rebuild(self, region: str) -> str:
        """Returns the role in which the other region's re-protection removes and rebuilds the cluster of ``region``."""
        return self.regional("failover-rebuild", region)

    def policy(self, people: str) -> str:
        """Returns the name of the policy that lets such ``people``, as ``readers``, use ``failoverctl``."""
        return self.unique(f"failover-{people}")

    # --- the application's own state
    @property
    def session_table(self) -> str:
        """Global table of the application's sessions."""
        return self.unique(f"{self.settings.application}-sessions")

    # --- the orchestrator
    @property
    def control_table(self) -> str:
        """Table of the control record: the same name in every replica's region, as DynamoDB demands."""
        return self.unique("failover-control")

    def idempotency_table(self, region: str) -> str:
        """Returns the table of Powertools' idempotency tokens in a region."""
        return self.regional("failover-idempotency", region)

    def runs_table(self, region: str) -> str:
        """Returns the table of the records of a region's runs."""
        return self.regional("failover-runs", region)

    def function(self, step: str, region: str) -> str:
        """Returns the name of a step's Lambda function."""
        return self.regional(f"failover-{step.replace('_', '-')}", region)

    def function_arn(self, step: str, region: str) -> str:
        """Returns the ARN of a step's Lambda function."""
        return self.arn("lambda", region, f"function:{self.function(step, region)}")

    def machine_arn(self, name: str, region: str) -> str:
        """Returns the ARN of the state machine of that name, ours or somebody else's."""
        return self.arn("states", region, f"stateMachine:{name}")

    def state_machine(self, region: str) -> str:
        """Returns the name of the failover workflow in a region."""
        return self.regional("failover", region)

    def state_machine_arn(self, region: str) -> str:
        """Returns the ARN of the failover workflow in a region."""
        return self.machine_arn(self.state_machine(region), region)

    def reprotection(self, region: str) -> str:
        """Returns the name of the re-protection workflow in a region."""
        return self.regional("reprotect", region)

    def reprotection_arn(self, region: str) -> str:
        """Returns the ARN of the re-protection workflow in a region."""
        return self.machine_arn(self.reprotection(region), region)

    def instance(self, index: int, region: str) -> str:
        """Returns the identifier of one of the region's database instances."""
        return self.instances(region)[index]

    def instances(self, region: str) -> tuple[str, ...]:
        """Returns the identifiers of all the region's database instances."""
        ours = (self.regional(f"{self.settings.application}-{index}", region) for index in range(INSTANCES))
        return self.settings.existing_in(region).instances or tuple(ours)

    def instance_arns(self, region: str) -> tuple[str, ...]:
        """Returns the ARNs of all the region's database instances."""
        return tuple(self.arn("rds", region, f"db:{instance}") for instance in self.instances(region))

    def subnet_group(self, region: str) -> str:
        """Returns the name of the subnet group of the region's cluster."""
        return self.settings.existing_in(region).subnet_group or self.cluster(region)

    def parameter_group(self, region: str) -> str:
        """Returns the name of the region's cluster parameter group.

        The family is in it, so that a new one can be created beside the old one for a major upgrade.
        """
        major = self.settings.database.engine_version.split(".")[0]
        return self.settings.existing_in(region).parameter_group or f"{self.cluster(region)}-pg{major}"

    def trigger_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that starts a region's workflow when the alarm goes off."""
        return self.regional("failover-trigger", region)

    def end_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that has people told of runs whose end no step announces."""
        return self.regional("failover-ends", region)

    def report_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that has the report of every run kept."""
        return self.regional("failover-reports", region)

    def backup_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that has people told of backups that failed."""
        return self.regional("failover-backups", region)

    def hook_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that has the settings' hooks run."""
        return self.regional("failover-hooks", region)

    def application_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that has the application watched after the writer has moved."""
        return self.regional("failover-application", region)

    def capacity_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that has the new writer's least capacity raised."""
        return self.regional("failover-capacity", region)

    def event_rule(self, region: str) -> str:
        """Returns the name of the EventBridge rule that starts a region's workflow when the monitor says so."""
        return self.regional("failover-event", region)

    def default_bus_arn(self, region: str) -> str:
        """Returns the ARN of the default event bus of a region."""
        return self.arn("events", region, "event-bus/default")

    def topic(self, region: str) -> str:
        """Returns the name of the SNS topic that people subscribe to."""
        return self.settings.existing_in(region).alert_topic or self.regional("failover-notifications", region)

    def topic_arn(self, region: str) -> str:
        """Returns the ARN of the SNS topic of a region."""
        return self.arn("sns", region, self.topic(region))

    def alarm(self, key: str, region: str) -> str:
        """Returns the name of an alarm."""
        return self.regional(key, region)

    def alarm_arn(self, key: str, region: str) -> str:
        """Returns the ARN of an alarm."""
        return self.arn("cloudwatch", region, f"alarm:{self.alarm(key, region)}")
