"""Backups of one region beside Aurora's own: daily snapshots that AWS Backup keeps; the first region's are copied.

Aurora's point-in-time recovery lives and dies with its cluster. These are kept in a vault, even when the cluster is
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
from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from constructs import Construct

from orchestration.constructs.bucket import PrivateBucket
from orchestration.constructs.keys import RegionKey
from orchestration.specification import Specification
from orchestration.specification.model import Region
from orchestration.specification.names import PARTITION

KEPT_DAYS = 7  # as for point-in-time recovery, by requirement
SCHEDULE = "cron(0 5 * * ? *)"  # UTC; a quiet hour on both coasts of the Americas
START_WINDOW_MINUTES = 60  # the shortest that AWS Backup allows
COMPLETION_WINDOW_MINUTES = 480
REPORTS_KEPT_DAYS = 400  # a yearly audit still finds the whole year
REPORTS = ("BACKUP_JOB_REPORT", "COPY_JOB_REPORT")


class Backup(Construct):
    """Vault, plan and reports of ``region``."""

    def __init__(self, scope: Construct, specification: Specification, region: Region, key: RegionKey) -> None:
        super().__init__(scope, "backup")
        self._specification = specification
        self._names = specification.names
        self._region = region
        self._key = key
        vault = self._vault()
        plan = self._plan(vault)
        BackupSelection(
            self,
            "selection",
            name=self._names.backup_vault(region.name),
            plan_id=plan.id,
            iam_role_arn=self._names.role_arn(self._names.backup_vault(region.name)),
            resources=[self._names.cluster_arn(region.name)],
        )
        bucket = self._reports_bucket()
        for template in REPORTS:
            self._report(template, bucket)

    def _vault(self) -> BackupVault:
        settings = self._specification.settings
        vault = BackupVault(
            self,
            "vault",
            name=self._names.backup_vault(self._region.name),
            kms_key_arn=self._key.arn,
            # Outside production, destroying the stack deletes the backups too.
            force_destroy=not settings.protected,
        )
        if settings.protected:
            # Without a grace period the lock is in "governance mode": it holds until somebody with the permission lifts
            # it.
            BackupVaultLockConfiguration(
                self, "lock", backup_vault_name=vault.name, min_retention_days=KEPT_DAYS, max_retention_days=KEPT_DAYS
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
                    copy_action=self._copies(),
                )
            ],
        )

    def _copies(self) -> list[BackupPlanRuleCopyAction] | None:
        """Returns the copies of a backup: of those of one region, for both clusters hold the same.

        A copy of an Aurora snapshot to another region is a full one, every day (AWS Backup guide, "Creating backup
        copies across AWS Regions").
        """
        if self._region.name != self._specification.settings.writer_region:
            return None
        return [
            BackupPlanRuleCopyAction(
                destination_vault_arn=self._names.backup_vault_arn(self._region.peer),
                lifecycle=BackupPlanRuleCopyActionLifecycle(delete_after=KEPT_DAYS),
            )
        ]

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
        """Creates a bucket to which AWS Backup delivers and nobody else writes.

        Only AWS Backup's service-linked role does (AWS Backup guide, "Working with reports"). A policy of our key
        would have to name that role; the reports hold nothing of the database, so that S3's own key does.
        """
        role = "aws-service-role/reports.backup.amazonaws.com/AWSServiceRoleForBackupReports"
        private = PrivateBucket(
            self,
            "reports",
            self._names.backup_reports_bucket(self._region.name),
            None,
            self._specification.settings.protected,
            kept_days=REPORTS_KEPT_DAYS,
        )
        private.allow(
            {
                "Sid": "BackupDelivers",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{PARTITION}:iam::{self._names.account}:role/{role}"},
                "Action": ["s3:PutObject"],
                "Resource": f"{private.bucket.arn}/*",
                "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            }
        )
        return private.bucket
