"""The private zone: the writer's failover records and the health checks that decide between them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cdktf import Fn, ITerraformDependable, LocalExecProvisioner, TerraformProvider, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_lambda_function_url import DataAwsLambdaFunctionUrl
from cdktf_cdktf_provider_aws.data_aws_rds_cluster import DataAwsRdsCluster
from cdktf_cdktf_provider_aws.data_aws_route53_zone import DataAwsRoute53Zone
from cdktf_cdktf_provider_aws.data_aws_vpc import DataAwsVpc
from cdktf_cdktf_provider_aws.route53_health_check import Route53HealthCheck
from cdktf_cdktf_provider_aws.route53_record import Route53Record, Route53RecordFailoverRoutingPolicy
from cdktf_cdktf_provider_aws.route53_zone import Route53Zone, Route53ZoneVpc
from constructs import Construct

from orchestration.constructs.database import writer_endpoint
from orchestration.constructs.existing import existing_zone
from orchestration.specification import Specification
from orchestration.specification.model import AlarmHealthCheck, CalculatedHealthCheck, HealthCheck, Record
from orchestration.specification.names import region_short

HTTPS_PORT = 443

# Route 53 takes a new check for healthy until it has data (Route 53 guide, "How Amazon Route 53 determines whether a
# health check is healthy"): a new inverted one points the writer's name at SECONDARY. A record that is given the check
# waits for this: both switches have answered from the control record, and then a minute, in which every checker asks
# six times. How long a calculated check takes to follow is not documented.
AWAIT_SWITCHES = """
for switch in $SWITCHES; do
  left=60
  until curl --silent --max-time 6 "$switch" | grep -q '^{"engaged": [a-z]*}$'; do
    left=$((left - 1))
    if [ "$left" -eq 0 ]; then
      echo "The writer switch at $switch does not answer from the control record. See its log, then apply again." >&2
      exit 1
    fi
    sleep 5
  done
done
sleep 60
"""


class Dns(Construct):
    """The zone in both VPCs, as the specification describes it."""

    def __init__(
        self,
        scope: Construct,
        specification: Specification,
        providers: Mapping[str, TerraformProvider],
        vpcs: Mapping[str, DataAwsVpc],
        control_record: ITerraformDependable,
    ) -> None:
        """Creates it; the switches answer from ``control_record``."""
        super().__init__(scope, "dns")
        self._specification = specification
        self._providers = providers
        zone = specification.zone
        self.zone = self._zone(vpcs)
        self._clusters = {region: self._cluster(region) for region in specification.regions}
        self._urls = {check.key: self._url(check) for check in zone.health_checks}
        switches = {check.key: self._health_check(check) for check in zone.health_checks}
        self._writer_check = self._primary_check(zone.writer_check, switches, control_record)
        if isinstance(self.zone, Route53Zone):  # an existing one is left as it is
            self._authority(self.zone)
        for record in zone.records:
            self._record(record)
        shown = {check.key: self._alarm_check(check) for check in zone.alarm_checks}
        self._calculated_check(zone.database_check, shown)

    def _authority(self, zone: Route53Zone) -> None:
        """Changes the SOA record that Route 53 has made with the zone: how long it is kept that a name is not there.

        Resolvers keep that for the record's time to live or its last number, whichever is less (RFC 2308). The provider
        takes Route 53's refusal to delete the record for its deletion (terraform-provider-aws#37863, mended in 5.53);
        Route 53 deletes a zone that has no others.
        """
        seconds = self._specification.zone.negative_ttl_seconds
        server = Fn.trimsuffix(zone.primary_name_server, ".")  # with or without the dot
        Route53Record(
            self,
            "authority",
            zone_id=zone.zone_id,
            name=self._specification.zone.name,
            type="SOA",
            ttl=seconds,
            records=[f"{server}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 {seconds}"],
            allow_overwrite=True,
        )

    def _zone(self, vpcs: Mapping[str, DataAwsVpc]) -> Route53Zone | DataAwsRoute53Zone:
        name, existing = self._specification.zone.name, self._specification.settings.existing.zone_id
        if existing:
            return DataAwsRoute53Zone(self, "zone", zone_id=existing, lifecycle=existing_zone(name, existing))
        return Route53Zone(
            self,
            "zone",
            name=name,
            comment=f"Where the writer of {self._specification.global_identifier} is",
            vpc=[Route53ZoneVpc(vpc_id=vpc.id, vpc_region=region) for region, vpc in vpcs.items()],
        )

    def _cluster(self, region: str) -> DataAwsRdsCluster:
        return DataAwsRdsCluster(
            self,
            f"cluster-{region}",
            provider=self._providers[region],
            cluster_identifier=self._specification.regions[region].cluster.identifier,
        )

    def _url(self, check: HealthCheck) -> str:
        url = DataAwsLambdaFunctionUrl(
            self,
            f"{check.key}-url",
            provider=self._providers[check.function_region],
            function_name=check.function.name,
        )
        return url.function_url

    def _health_check(self, check: HealthCheck) -> Route53HealthCheck:
        return Route53HealthCheck(
            self,
            check.key,
            type="HTTPS",
            fqdn=str(Fn.trimsuffix(Fn.trimprefix(self._urls[check.key], "https://"), "/")),
            port=HTTPS_PORT,
            resource_path=check.path,
            request_interval=check.interval_seconds,
            failure_threshold=check.failure_threshold,
            enable_sni=True,
            tags={"Name": check.name},
        )

    def _primary_check(
        self,
        check: CalculatedHealthCheck,
        switches: Mapping[str, Route53HealthCheck],
        control_record: ITerraformDependable,
    ) -> Route53HealthCheck:
        """Creates the check of the PRIMARY record, which that record is given when the check knows what it says.

        A part that is replaced begins as healthy, too, and counts as engaged. So the whole check is replaced with it,
        and the record keeps the old one until the new one is ready.
        """
        return self._calculated_check(
            check,
            switches,
            depends_on=[control_record],
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    command=AWAIT_SWITCHES,
                    environment={"SWITCHES": " ".join(self._urls[key] for key in check.parts)},
                )
            ],
            lifecycle=TerraformResourceLifecycle(
                create_before_destroy=True,
                replace_triggered_by=[
                    f"{switch.terraform_resource_type}.{switch.friendly_unique_id}.id" for switch in switches.values()
                ],
            ),
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

    def _calculated_check(
        self, check: CalculatedHealthCheck, parts: Mapping[str, Route53HealthCheck], **more: Any
    ) -> Route53HealthCheck:
        return Route53HealthCheck(
            self,
            check.key,
            type="CALCULATED",
            child_healthchecks=[parts[key].id for key in check.parts],
            child_health_threshold=check.threshold,
            invert_healthcheck=check.inverted,
            tags={"Name": check.name},
            **more,
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
            records=[writer_endpoint(cluster) if record.endpoint == "writer" else cluster.reader_endpoint],
            set_identifier=record.cluster_region if routing else None,
            failover_routing_policy=Route53RecordFailoverRoutingPolicy(type=routing) if routing else None,
            health_check_id=self._writer_check.id if record.health_check else None,
        )
