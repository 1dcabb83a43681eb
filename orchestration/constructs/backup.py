"""Backups of one region beside Aurora's own: daily snapshots that AWS Backup keeps, with a copy in the other region.

Aurora's point-in-time recovery lives and dies with its cluster. These are kept in a vault, also when the cluster is
deleted, and in both regions. Reports on every backup and copy job are the evidence for an audit.
"""

from __future__ import annotations

from cdktf_cdktf_provider_aws.backup_plan import (
    BackupPlan,
    BackupPlanRule,
    BackupPlanRuleCopyAction,
    BackupPlanRuleCopyActionLifecycle,
    BackupPlanRuleLifecycle,
)
from cdktf_cdktf_provider_aws.backup_report_plan import (
    BackupReportPlan,
    BackupReportPlanReportDeliveryChannel,
    BackupReportPlanReportSetting,
)
from cdktf_cdktf_provider_aws.backup_selection import BackupSelection
from cdktf_cdktf_provider_aws.backup_vault import BackupVault
from cdktf_cdktf_provider_aws.backup_vault_lock_configuration import BackupVaultLockConfiguration
from cdktf_cdktf_provider_aws.backup_vault_notifications import BackupVaultNotifications
from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from cdktf_cdktf_provider_aws.s3_bucket_lifecycle_configuration import (
    S3BucketLifecycleConfiguration,
    S3BucketLifecycleConfigurationRule,
    S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload,
    S3BucketLifecycleConfigurationRuleExpiration,
    S3BucketLifecycleConfigurationRuleFilter,
)
from cdktf_cdktf_provider_aws.s3_bucket_policy import S3BucketPolicy
from cdktf_cdktf_provider_aws.s3_bucket_public_access_block import S3BucketPublicAccessBlock
from cdktf_cdktf_provider_aws.s3_bucket_server_side_encryption_configuration import (
    S3BucketServerSideEncryptionConfigurationA,
    S3BucketServerSideEncryptionConfigurationRuleA,
    S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA,
)
from cdktf_cdktf_provider_aws.s3_bucket_versioning import (
    S3BucketVersioningA,
    S3BucketVersioningVersioningConfiguration,
)
from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
from constructs import Construct

from orchestration.constructs import policy
from orchestration.constructs.keys import RegionKey
from orchestration.specification import Specification
from orchestration.specification.model import Region
from orchestration.specification.names import PARTITION

KEPT_DAYS = 7  # as the point-in-time recovery, by requirement
SCHEDULE = "cron(0 5 * * ? *)"  # UTC; a quiet hour on both coasts of the Americas
START_WINDOW_MINUTES = 60  # the shortest that AWS Backup allows
COMPLETION_WINDOW_MINUTES = 480
REPORTS_KEPT_DAYS = 400  # a yearly audit still finds the whole year
REPORTS = ("BACKUP_JOB_REPORT", "COPY_JOB_REPORT")
FAILURES = ["BACKUP_JOB_FAILED", "COPY_JOB_FAILED", "RESTORE_JOB_FAILED"]


class Backup(Construct):
    """Vault, plan and reports of ``region``."""

    def __init__(
        self, scope: Construct, specification: Specification, region: Region, key: RegionKey, topic: SnsTopic
    ) -> None:
        super().__init__(scope, "backup")
        self._specification = specification
        self._names = specification.names
        self._region = region
        self._key = key
        vault = self._vault(topic)
        plan = self._plan(vault)
        BackupSelection(
            self,
            "selection",
            name=region.cluster.identifier,
            plan_id=plan.id,
            iam_role_arn=self._names.role_arn(self._names.backup_vault(region.name)),
            resources=[self._names.cluster_arn(region.name)],
        )
        bucket = self._reports_bucket()
        for template in REPORTS:
            self._report(template, bucket)

    def _vault(self, topic: SnsTopic) -> BackupVault:
        settings = self._specification.settings
        vault = BackupVault(
            self,
            "vault",
            name=self._names.backup_vault(self._region.name),
            kms_key_arn=self._key.arn,
            # Outside production a destroy takes the backups along.
            force_destroy=not settings.protected,
        )
        if settings.protected:
            # Without a grace time the lock is in "governance mode": it holds until someone who may lifts it.
            BackupVaultLockConfiguration(
                self, "lock", backup_vault_name=vault.name, min_retention_days=KEPT_DAYS, max_retention_days=KEPT_DAYS
            )
        BackupVaultNotifications(
            self,
            "failures",
            backup_vault_name=vault.name,
            sns_topic_arn=topic.arn,
            backup_vault_events=FAILURES,
        )
        return vault

    def _plan(self, vault: BackupVault) -> BackupPlan:
        return BackupPlan(
            self,
            "plan",
            name=self._names.backup_vault(self._region.name),
            rule=[
                BackupPlanRule(
                    rule_name="daily",
                    target_vault_name=vault.name,
                    schedule=SCHEDULE,
                    start_window=START_WINDOW_MINUTES,
                    completion_window=COMPLETION_WINDOW_MINUTES,
                    lifecycle=BackupPlanRuleLifecycle(delete_after=KEPT_DAYS),
                    copy_action=[
                        BackupPlanRuleCopyAction(
                            destination_vault_arn=self._names.backup_vault_arn(self._region.peer),
                            lifecycle=BackupPlanRuleCopyActionLifecycle(delete_after=KEPT_DAYS),
                        )
                    ],
                )
            ],
        )

    def _report(self, template: str, bucket: S3Bucket) -> None:
        BackupReportPlan(
            self,
            template.lower().replace("_", "-"),
            # AWS Backup allows letters, digits and underscores here.
            name=f"{self._names.backup_vault(self._region.name)}_{template}".lower().replace("-", "_"),
            description=f"Daily evidence of the backups of {self._region.cluster.identifier}",
            report_delivery_channel=BackupReportPlanReportDeliveryChannel(
                s3_bucket_name=bucket.bucket, formats=["CSV", "JSON"]
            ),
            report_setting=BackupReportPlanReportSetting(
                report_template=template, accounts=[self._names.account], regions=[self._region.name]
            ),
        )

    def _reports_bucket(self) -> S3Bucket:
        """A private, encrypted bucket with versions, to which AWS Backup delivers and nobody else writes."""
        bucket = S3Bucket(
            self,
            "reports",
            bucket=self._names.backup_reports_bucket(self._region.name),
            force_destroy=not self._specification.settings.protected,
        )
        S3BucketPublicAccessBlock(
            self,
            "reports-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        )
        S3BucketVersioningA(
            self,
            "reports-versions",
            bucket=bucket.id,
            versioning_configuration=S3BucketVersioningVersioningConfiguration(status="Enabled"),
        )
        S3BucketServerSideEncryptionConfigurationA(
            self,
            "reports-encryption",
            bucket=bucket.id,
            rule=[
                S3BucketServerSideEncryptionConfigurationRuleA(
                    apply_server_side_encryption_by_default=(
                        S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA(
                            sse_algorithm="aws:kms", kms_master_key_id=self._key.arn
                        )
                    ),
                    bucket_key_enabled=True,
                )
            ],
        )
        S3BucketLifecycleConfiguration(
            self,
            "reports-lifecycle",
            bucket=bucket.id,
            rule=[
                S3BucketLifecycleConfigurationRule(
                    id="expire",
                    status="Enabled",
                    filter=[S3BucketLifecycleConfigurationRuleFilter(prefix="")],
                    expiration=[S3BucketLifecycleConfigurationRuleExpiration(days=REPORTS_KEPT_DAYS)],
                    abort_incomplete_multipart_upload=[
                        S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload(days_after_initiation=7)
                    ],
                )
            ],
        )
        S3BucketPolicy(self, "reports-policy", bucket=bucket.id, policy=self._reports_policy(bucket))
        return bucket

    def _reports_policy(self, bucket: S3Bucket) -> str:
        """Over TLS only; only Backup's service-linked role writes (AWS Backup guide, "Working with reports")."""
        role = "aws-service-role/reports.backup.amazonaws.com/AWSServiceRoleForBackupReports"
        return policy.document(
            [
                {
                    "Sid": "BackupDelivers",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:{PARTITION}:iam::{self._names.account}:role/{role}"},
                    "Action": ["s3:PutObject"],
                    "Resource": f"{bucket.arn}/*",
                    "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
                },
                {
                    "Sid": "OnlyOverTls",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [bucket.arn, f"{bucket.arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ]
        )
