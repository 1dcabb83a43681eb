"""A bucket that nobody outside the account ever reads: private, encrypted, versioned."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from cdktf_cdktf_provider_aws.s3_bucket_lifecycle_configuration import (
    S3BucketLifecycleConfiguration,
    S3BucketLifecycleConfigurationRule,
    S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload,
    S3BucketLifecycleConfigurationRuleExpiration,
    S3BucketLifecycleConfigurationRuleFilter,
)
from cdktf_cdktf_provider_aws.s3_bucket_object_lock_configuration import (
    S3BucketObjectLockConfigurationA,
    S3BucketObjectLockConfigurationRuleA,
    S3BucketObjectLockConfigurationRuleDefaultRetentionA,
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
from constructs import Construct

from orchestration.constructs import policy
from orchestration.constructs.keys import RegionKey
from orchestration.settings import Reports

UPLOADS_ABANDONED_DAYS = 7


class PrivateBucket(Construct):
    """The bucket ``name``; ``protected`` content cannot be destroyed, ``kept_days`` limits how long it is kept.

    It is encrypted with ``key``, without one by S3's own.

    ``locked`` keeps every version of every object from being deleted or changed; where the bucket may be destroyed all
    the same, Terraform deletes what is locked in governance mode (its ``force_destroy`` bypasses that).
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        name: str,
        key: RegionKey | None,
        protected: bool,
        kept_days: int | None = None,
        locked: Reports | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.bucket = S3Bucket(
            self, "bucket", bucket=name, force_destroy=not protected, object_lock_enabled=True if locked else None
        )
        S3BucketPublicAccessBlock(
            self,
            "private",
            bucket=self.bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        )
        versions = S3BucketVersioningA(
            self,
            "versions",
            bucket=self.bucket.id,
            versioning_configuration=S3BucketVersioningVersioningConfiguration(status="Enabled"),
        )
        if locked:
            self._lock(locked, versions)
        S3BucketServerSideEncryptionConfigurationA(
            self,
            "encryption",
            bucket=self.bucket.id,
            rule=[
                S3BucketServerSideEncryptionConfigurationRuleA(
                    apply_server_side_encryption_by_default=(
                        S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA(
                            sse_algorithm="aws:kms" if key else "AES256", kms_master_key_id=key.arn if key else None
                        )
                    ),
                    bucket_key_enabled=True if key else None,
                )
            ],
        )
        S3BucketLifecycleConfiguration(
            self,
            "lifecycle",
            bucket=self.bucket.id,
            rule=[
                S3BucketLifecycleConfigurationRule(
                    id="expire" if kept_days else "tidy",
                    status="Enabled",
                    filter=[S3BucketLifecycleConfigurationRuleFilter(prefix="")],
                    expiration=[S3BucketLifecycleConfigurationRuleExpiration(days=kept_days)] if kept_days else None,
                    abort_incomplete_multipart_upload=[
                        S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload(
                            days_after_initiation=UPLOADS_ABANDONED_DAYS
                        )
                    ],
                )
            ],
        )

    def _lock(self, reports: Reports, versions: S3BucketVersioningA) -> None:
        S3BucketObjectLockConfigurationA(
            self,
            "lock",
            bucket=self.bucket.id,
            rule=S3BucketObjectLockConfigurationRuleA(
                default_retention=S3BucketObjectLockConfigurationRuleDefaultRetentionA(
                    mode=reports.mode.upper(), days=reports.retention_days
                )
            ),
            depends_on=[versions],
        )

    def allow(self, *statements: policy.Statement) -> None:
        """Gives the bucket its policy: these statements, and nothing over an unencrypted connection."""
        over_tls = {
            "Sid": "OnlyOverTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [self.bucket.arn, f"{self.bucket.arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        S3BucketPolicy(self, "policy", bucket=self.bucket.id, policy=policy.document([*statements, over_tls]))
