"""The private zone: the writer's failover records and the health check that decides between them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cdktf import Fn, TerraformProvider
from cdktf_cdktf_provider_aws.data_aws_lambda_function_url import DataAwsLambdaFunctionUrl
from cdktf_cdktf_provider_aws.data_aws_rds_cluster import DataAwsRdsCluster
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from cdktf_cdktf_provider_aws.route53_health_check import Route53HealthCheck
from cdktf_cdktf_provider_aws.route53_record import Route53Record, Route53RecordFailoverRoutingPolicy
from cdktf_cdktf_provider_aws.route53_zone import Route53Zone, Route53ZoneVpc
from constructs import Construct

from orchestration.specification import Specification
from orchestration.specification.model import AlarmHealthCheck, CombinedHealthCheck, HealthCheck, Record
from orchestration.specification.names import region_short

HTTPS_PORT = 443


class Dns(Construct):
    """The zone in both VPCs, as the specification describes it."""

    def __init__(
        self,
        scope: Construct,
        specification: Specification,
        providers: Mapping[str, TerraformProvider],
        vpcs: Mapping[str, DataAwsVpc],
    ) -> None:
        super().__init__(scope, "dns")
        self._specification = specification
        self._providers = providers
        zone = specification.zone
        self.zone = Route53Zone(
            self,
            "zone",
            name=zone.name,
            comment=f"Where the writer of {specification.global_identifier} is",
            vpc=[Route53ZoneVpc(vpc_id=vpc.id, vpc_region=region) for region, vpc in vpcs.items()],
        )
        self._clusters = {region: self._cluster(region) for region in specification.regions}
        self._checks = {check.key: self._health_check(check) for check in zone.health_checks}
        for record in zone.records:
            self._record(record)
        shown = {check.key: self._alarm_check(check) for check in zone.alarm_checks}
        self._combined_check(zone.database_check, shown)

    def _cluster(self, region: str) -> DataAwsRdsCluster:
        return DataAwsRdsCluster(
            self,
            f"cluster-{region}",
            provider=self._providers[region],
            cluster_identifier=self._specification.regions[region].cluster.identifier,
        )

    def _health_check(self, check: HealthCheck) -> Route53HealthCheck:
        url = DataAwsLambdaFunctionUrl(
            self,
            f"{check.key}-url",
            provider=self._providers[check.function_region],
            function_name=check.function.name,
        )
        return Route53HealthCheck(
            self,
            check.key,
            type="HTTPS",
            fqdn=str(Fn.trimsuffix(Fn.trimprefix(url.function_url, "https://"), "/")),
            port=HTTPS_PORT,
            resource_path=check.path,
            request_interval=check.interval_seconds,
            failure_threshold=check.failure_threshold,
            invert_healthcheck=check.inverted,
            enable_sni=True,
            tags={"Name": check.name},
        )

    def _alarm_check(self, check: AlarmHealthCheck) -> Route53HealthCheck:
        return Route53HealthCheck(
            self,
            check.key,
            type="CLOUDWATCH_METRIC",
            cloudwatch_alarm_name=check.alarm.name,
            cloudwatch_alarm_region=check.alarm_region,
            insufficient_data_health_status="Healthy",  # a writer has no lag, and none is published
            # The check copies the alarm's definition once; a hash of it makes Terraform copy it again.
            triggers={"alarm": hashlib.sha256(repr(check.alarm).encode()).hexdigest()},
            tags={"Name": check.name},
        )

    def _combined_check(self, check: CombinedHealthCheck, shown: Mapping[str, Route53HealthCheck]) -> None:
        Route53HealthCheck(
            self,
            "database",
            type="CALCULATED",
            child_healthchecks=[shown[key].id for key in check.parts],
            child_health_threshold=len(check.parts),
            tags={"Name": check.name},
        )

    def _record(self, record: Record) -> None:
        """Creates the record of one endpoint, whose name is the same again when re-protection rebuilds the cluster."""
        cluster = self._clusters[record.cluster_region]
        routing = record.failover
        kind = routing.lower() if routing else record.endpoint
        Route53Record(
            self,
            f"{kind}-{region_short(record.cluster_region)}",
            zone_id=self.zone.zone_id,
            name=record.name,
            type="CNAME",
            ttl=record.ttl_seconds,
            records=[cluster.endpoint if record.endpoint == "writer" else cluster.reader_endpoint],
            set_identifier=record.cluster_region if routing else None,
            failover_routing_policy=Route53RecordFailoverRoutingPolicy(type=routing) if routing else None,
            health_check_id=self._checks[record.health_check].id if record.health_check else None,
        )
