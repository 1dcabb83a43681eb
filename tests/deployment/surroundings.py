"""What stands around the deployment and moto lacks, or has none of: reservations, backups, DNS, metrics, hooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from moto.rds.models import rds_backends
from moto.sns.models import sns_backends

from handlers.core.readiness import DAY_S
from tests.deployment.clock import CLOCK
from tests.deployment.regions import ACCOUNT, STANDBY, WRITER

if TYPE_CHECKING:
    from tests.deployment.deployment import Deployment


class Surroundings:
    """Answers the requests for what moto lacks; a test changes what they say, by region."""

    def __init__(self) -> None:
        self.quota = {WRITER: 1000, STANDBY: 1000}
        self.reserved: dict[str, int] = {}  # by function
        self.backup_ago_s: dict[str, float | None] = {WRITER: DAY_S / 2, STANDBY: DAY_S / 2}
        self.functions: set[str] = set()  # of somebody else, by name: each takes its event and returns nothing
        self.automation = "Success"  # the status of every execution of an SSM document, of which moto has none

    def answer(self, region: str, operation: str, url: str) -> dict[str, Any] | None:
        """The answer to a request; None to leave it to moto."""
        if operation == "lambda.GetAccountSettings":
            return {"AccountLimit": {"ConcurrentExecutions": self.quota[region]}}
        if operation == "lambda.GetFunctionConcurrency":
            found = self.reserved.get(unquote(urlsplit(url).path).split("/")[3])
            return {} if found is None else {"ReservedConcurrentExecutions": found}
        if operation == "backup.ListRecoveryPointsByBackupVault":
            ago = self.backup_ago_s[region]
            made = {"Status": "COMPLETED", "CreationDate": CLOCK.now() - (ago or 0)}
            return {"RecoveryPoints": [] if ago is None else [made]}
        if (
            operation == "lambda.Invoke"
            and unquote(urlsplit(url).path).split("/")[3].rsplit(":", 1)[-1] in self.functions
        ):
            return {}
        if operation == "ssm.StartAutomationExecution":
            return {"AutomationExecutionId": "0" * 36}
        if operation == "ssm.GetAutomationExecution":
            return {"AutomationExecution": {"AutomationExecutionStatus": self.automation}}
        return None


def surround(deployment: Deployment, *, drilled: bool = True) -> None:
    """Make everything that readiness looks at as it is where a failover would work."""
    with deployment.gate.wide_open():
        for region, peer in ((WRITER, STANDBY), (STANDBY, WRITER)):
            functions = deployment.specification.regions[region].functions.values()
            deployment.gate.surroundings.reserved |= {one.name: one.concurrency for one in functions if one.concurrency}
            somebody_listens(deployment, region)
            heartbeat_arrives(deployment, region, peer)
            certificates_end(deployment, region, CLOCK.now() + 400 * DAY_S)
        writer_used(deployment, 2.0)
        make_dns(deployment)
    if drilled:
        assert deployment.run({"mode": "rehearsal", "started_by": "ada"}, "last-drill").end == "Rehearsed"
    deployment.guardian_was_here()


def somebody_listens(deployment: Deployment, region: str, confirmed: int = 1, pending: int = 0) -> None:
    """moto counts no confirmations by itself."""
    topic = sns_backends[ACCOUNT][region].topics[deployment.specification.names.topic_arn(region)]
    topic.subscriptions_confimed, topic.subscriptions_pending = confirmed, pending  # spelt as moto does


def heartbeat_arrives(deployment: Deployment, region: str, peer: str, value: float = 1.0) -> None:
    dimensions = {"GlobalCluster": deployment.specification.global_identifier, "FromRegion": peer}
    put(deployment, region, "FailoverOrchestrator", "Heartbeat", dimensions, value)


def writer_used(deployment: Deployment, acu: float) -> None:
    cluster = {"DBClusterIdentifier": deployment.specification.names.cluster(WRITER)}
    put(deployment, WRITER, "AWS/RDS", "ServerlessDatabaseCapacity", cluster, acu)


def put(
    deployment: Deployment, region: str, namespace: str, name: str, dimensions: dict[str, str], value: float
) -> None:
    deployment.client("cloudwatch", region).put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Value": value,
                "Timestamp": datetime.fromtimestamp(CLOCK.now(), UTC) - timedelta(seconds=30),
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            }
        ],
    )


def certificates_end(deployment: Deployment, region: str, at: float) -> None:
    for index in range(2):
        name = deployment.specification.names.instance(index, region)
        details = {"CAIdentifier": "rds-ca-rsa2048-g1", "ValidTill": datetime.fromtimestamp(at, UTC)}
        rds_backends[ACCOUNT][region].databases[name].certificate_details = details  # type: ignore[attr-defined]


def make_dns(deployment: Deployment) -> None:
    """The zone, the checks and the records, as the specification says."""
    route53, zone = deployment.client("route53", WRITER), deployment.specification.zone

    def check(**config: Any) -> str:
        made = route53.create_health_check(CallerReference=str(config), HealthCheckConfig=config)
        return str(made["HealthCheck"]["Id"])

    switches = [
        check(Type="HTTPS", FullyQualifiedDomainName=f"{one.key}.example", Port=443, RequestInterval=10)
        for one in zone.health_checks
    ]
    primary = check(
        Type="CALCULATED",
        ChildHealthChecks=switches,
        HealthThreshold=zone.writer_check.threshold,
        Inverted=zone.writer_check.inverted,
    )
    made = route53.create_hosted_zone(Name=zone.name, CallerReference="zone")["HostedZone"]["Id"]
    changes = [
        {
            "Action": "UPSERT",
            "ResourceRecordSet": {
                "Name": record.name,
                "Type": "CNAME",
                "TTL": record.ttl_seconds,
                "SetIdentifier": record.cluster_region,
                "Failover": record.failover,
                "ResourceRecords": [{"Value": endpoint(deployment, record.cluster_region)}],
                **({"HealthCheckId": primary} if record.health_check else {}),
            },
        }
        for record in zone.records
        if record.failover
    ]
    route53.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": changes})


def endpoint(deployment: Deployment, region: str) -> str:
    found = deployment.client("rds", region).describe_db_clusters(
        DBClusterIdentifier=deployment.specification.names.cluster(region)
    )
    return str(found["DBClusters"][0]["ReaderEndpoint"]).replace(".cluster-ro-", ".cluster-")
