"""The orchestrator of one region: functions, workflows, tables, topic, and the bucket of what is kept for good."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf import AssetType, TerraformAsset, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.data_aws_sns_topic import DataAwsSnsTopic
from cdktf_cdktf_provider_aws.dynamodb_table import (
    DynamodbTable,
    DynamodbTableAttribute,
    DynamodbTablePointInTimeRecovery,
    DynamodbTableServerSideEncryption,
    DynamodbTableTtl,
)
from cdktf_cdktf_provider_aws.lambda_function import (
    LambdaFunction,
    LambdaFunctionEnvironment,
    LambdaFunctionLoggingConfig,
    LambdaFunctionVpcConfig,
)
from cdktf_cdktf_provider_aws.lambda_function_event_invoke_config import LambdaFunctionEventInvokeConfig
from cdktf_cdktf_provider_aws.lambda_function_url import LambdaFunctionUrl
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from cdktf_cdktf_provider_aws.sfn_state_machine import SfnStateMachine, SfnStateMachineLoggingConfiguration
from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
from cdktf_cdktf_provider_aws.sns_topic_policy import SnsTopicPolicy
from cdktf_cdktf_provider_aws.sns_topic_subscription import SnsTopicSubscription
from constructs import Construct

from orchestration.constructs import policy
from orchestration.constructs.bucket import PrivateBucket
from orchestration.constructs.keys import RegionKey
from orchestration.constructs.network import Network
from orchestration.packaging import Package
from orchestration.specification import Specification
from orchestration.specification.model import Function, Region, StateMachine, Table

RUNTIME = "python3.12"
ARCHITECTURE = "arm64"
# An invocation that could not start within a minute is stale: by then, the next one of its kind has started.
ASYNCHRONOUS_EVENT_AGE_SECONDS = 60


class Orchestrator(Construct):
    """What detects an outage and moves the writer to ``region``; idle while the writer is here."""

    def __init__(
        self,
        scope: Construct,
        specification: Specification,
        region: Region,
        network: Network,
        key: RegionKey,
        packages: Mapping[str, Package],
    ) -> None:
        super().__init__(scope, "orchestrator")
        self._specification = specification
        self._names = specification.names
        self._region = region
        self._network = network
        self._key = key
        self._packages = packages
        self._assets = {
            name: TerraformAsset(self, f"package-{name}", path=str(package.path), type=AssetType.FILE)
            for name, package in packages.items()
        }
        self._table("idempotency", region.idempotency_table)
        self._table("runs", region.runs_table)
        self.topic = self._topic()
        self.functions = {step: self._function(function) for step, function in region.functions.items()}
        self.workflow = self._workflow("workflow", region.state_machine)
        self.reprotection = self._workflow("reprotection", region.reprotection)
        self.salvage_bucket = self._salvage_bucket()
        self.reports_bucket = self._reports_bucket()

    def _function(self, function: Function) -> LambdaFunction:
        log = self._log_group(f"{function.step}-log", self._names.log_group(function.name))
        built = LambdaFunction(
            self,
            function.step,
            function_name=function.name,
            description=function.description,
            role=self._names.role_arn(function.name),
            handler=function.handler,
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            filename=self._assets[function.package].path,
            source_code_hash=self._packages[function.package].sha256_base64,
            timeout=function.timeout_seconds,
            memory_size=function.memory_mb,
            reserved_concurrent_executions=function.concurrency,
            environment=LambdaFunctionEnvironment(variables=self._variables(function)),
            kms_key_arn=self._key.arn,
            logging_config=LambdaFunctionLoggingConfig(
                log_format="JSON", log_group=log.name, system_log_level="WARN" if function.quiet else "INFO"
            ),
            vpc_config=self._vpc_config() if function.in_vpc else None,
        )
        # Steps of the workflow are retried by the workflow and the monitor by its next run; Lambda's own retries of
        # asynchronous events would run a stale request minutes later.
        LambdaFunctionEventInvokeConfig(
            self,
            f"{function.step}-events",
            function_name=built.function_name,
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=ASYNCHRONOUS_EVENT_AGE_SECONDS,
        )
        if function.public_url:
            self._public_url(function.step, built)
        return built

    def _variables(self, function: Function) -> dict[str, str]:
        """Returns what the function is told, including the ids of the security groups between which it chooses."""
        groups = {name: ",".join(self._network.groups.ids(purpose)) for name, purpose in function.security_groups}
        return function.environment | groups

    def _vpc_config(self) -> LambdaFunctionVpcConfig:
        return LambdaFunctionVpcConfig(
            subnet_ids=self._network.client_subnet_ids,
            security_group_ids=self._network.groups.ids("prober"),
        )

    def _public_url(self, step: str, function: LambdaFunction) -> None:
        """Creates a URL for Route 53's health checkers, which cannot sign their requests.

        It needs both grants (Lambda guide, "Control access to Lambda function URLs"), and lets nobody invoke the
        function but through it.
        """
        LambdaFunctionUrl(self, f"{step}-url", function_name=function.function_name, authorization_type="NONE")
        LambdaPermission(
            self,
            f"{step}-url-public",
            statement_id="health-checkers-call-the-url",
            action="lambda:InvokeFunctionUrl",
            function_name=function.function_name,
            principal="*",
            function_url_auth_type="NONE",
        )
        invoke = LambdaPermission(
            self,
            f"{step}-public",
            statement_id="health-checkers-invoke",
            action="lambda:InvokeFunction",
            function_name=function.function_name,
            principal="*",
        )
        invoke.add_override("invoked_via_function_url", True)  # newer than the bindings

    def _workflow(self, id_: str, machine: StateMachine) -> SfnStateMachine:
        log = self._log_group(f"{id_}-log", f"/aws/vendedlogs/states/{machine.name}")
        return SfnStateMachine(
            self,
            id_,
            name=machine.name,
            type="STANDARD",
            definition=machine.definition,
            role_arn=self._names.role_arn(machine.name),
            logging_configuration=SfnStateMachineLoggingConfiguration(
                level="ALL", include_execution_data=True, log_destination=f"{log.arn}:*"
            ),
            # A workflow that names functions which do not exist yet would fail in its first seconds.
            depends_on=list(self.functions.values()),
        )

    def _salvage_bucket(self) -> S3Bucket:
        """Creates the bucket of what re-protections keep: the old cluster's settings and its unreplicated writes."""
        private = PrivateBucket(
            self, "salvage-bucket", self._region.salvage_bucket, self._key, self._specification.settings.protected
        )
        private.allow()
        return private.bucket

    def _reports_bucket(self) -> S3Bucket:
        """Creates the bucket of the reports of runs, which nobody changes before their time is over."""
        settings = self._specification.settings
        private = PrivateBucket(
            self,
            "reports-bucket",
            self._region.reports_bucket,
            self._key,
            settings.protected,
            locked=settings.reports,
        )
        private.allow()
        return private.bucket

    def _table(self, id_: str, table: Table) -> None:
        """Creates a table of this region only; without a time to live, its items are kept for good."""
        protected = self._specification.settings.protected
        DynamodbTable(
            self,
            id_,
            name=table.name,
            billing_mode="PAY_PER_REQUEST",
            hash_key=table.hash_key,
            attribute=[DynamodbTableAttribute(name=table.hash_key, type="S")],
            ttl=DynamodbTableTtl(attribute_name=table.ttl_attribute, enabled=True) if table.ttl_attribute else None,
            point_in_time_recovery=DynamodbTablePointInTimeRecovery(enabled=True),
            server_side_encryption=DynamodbTableServerSideEncryption(enabled=True, kms_key_arn=self._key.arn),
            deletion_protection_enabled=protected,
            lifecycle=TerraformResourceLifecycle(prevent_destroy=protected),
        )

    def _topic(self) -> SnsTopic | DataAwsSnsTopic:
        if self._specification.settings.existing_in(self._region.name).alert_topic:
            return DataAwsSnsTopic(self, "topic", name=self._region.topic)
        topic = SnsTopic(self, "topic", name=self._region.topic, kms_master_key_id=self._key.arn)
        for index, address in enumerate(self._specification.settings.alert_emails):
            SnsTopicSubscription(self, f"email-{index}", topic_arn=topic.arn, protocol="email", endpoint=address)
        # Functions publish by their roles; CloudWatch has none.
        SnsTopicPolicy(
            self,
            "topic-policy",
            arn=topic.arn,
            policy=policy.document(
                [
                    {
                        "Sid": "AlarmsOfThisAccount",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": topic.arn,
                        "Condition": {"StringEquals": {"aws:SourceAccount": self._specification.account}},
                    }
                ]
            ),
        )
        return topic

    def _log_group(self, id_: str, name: str) -> CloudwatchLogGroup:
        return CloudwatchLogGroup(
            self,
            id_,
            name=name,
            retention_in_days=self._specification.settings.log_retention_days,
            kms_key_id=self._key.arn,
        )
