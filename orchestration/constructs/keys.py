"""The region's encryption key."""

from __future__ import annotations

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_kms_alias import DataAwsKmsAlias
from cdktf_cdktf_provider_aws.kms_alias import KmsAlias
from cdktf_cdktf_provider_aws.kms_key import KmsKey
from constructs import Construct

from orchestration.constructs import policy
from orchestration.specification import Specification
from orchestration.specification.names import PARTITION

# The longest and the shortest that KMS offers: nothing encrypted with a deleted key can ever be read again.
PROTECTED_DELETION_WINDOW_DAYS = 30
DELETION_WINDOW_DAYS = 7


class RegionKey(Construct):
    """One customer-managed key, rotated every year, for the region's databases, tables, topics and logs.

    Or the one that exists, by its alias; then its policy is its owner's business.
    """

    def __init__(self, scope: Construct, specification: Specification, region: str) -> None:
        super().__init__(scope, "key")
        names, protected = specification.names, specification.settings.protected
        self.arn: str
        """ARN of the key."""
        if specification.settings.existing_in(region).key_alias:
            self.arn = DataAwsKmsAlias(self, "alias", name=names.key_alias(region)).target_key_arn
            return
        key = KmsKey(
            self,
            "key",
            description=f"Encrypts what the {specification.settings.application} system keeps in {region}",
            enable_key_rotation=True,
            deletion_window_in_days=PROTECTED_DELETION_WINDOW_DAYS if protected else DELETION_WINDOW_DAYS,
            policy=_key_policy(specification, region),
            tags={"Name": names.regional("failover", region)},
            lifecycle=TerraformResourceLifecycle(prevent_destroy=protected),
        )
        KmsAlias(self, "alias", name=names.key_alias(region), target_key_id=key.key_id)
        self.arn = key.arn


def _key_policy(specification: Specification, region: str) -> str:
    """Returns who may use the key: those whom IAM lets, and the services that use it without a role."""
    account = specification.account
    return policy.document(
        [
            {
                "Sid": "IamDecides",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{PARTITION}:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "LogsOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{region}.amazonaws.com"},
                "Action": ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                "Resource": "*",
                "Condition": {
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": f"arn:{PARTITION}:logs:{region}:{account}:log-group:*"
                    }
                },
            },
            {
                "Sid": "AlarmsThatNotify",
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            },
        ]
    )
