"""The application's session state: a global table, so that nobody has to log in again after a failover."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf import TerraformProvider, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.data_aws_kms_alias import DataAwsKmsAlias
from cdktf_cdktf_provider_aws.dynamodb_table import (
    DynamodbTable,
    DynamodbTableAttribute,
    DynamodbTablePointInTimeRecovery,
    DynamodbTableReplica,
    DynamodbTableServerSideEncryption,
    DynamodbTableTtl,
)
from constructs import Construct

from orchestration.specification import Specification


class Sessions(Construct):
    """A table in both regions that replicates in about a second, each side encrypted with its own region's key.

    Eventual consistency is enough for a session, and unlike the control table's it allows a time to live.
    """

    def __init__(
        self, scope: Construct, specification: Specification, providers: Mapping[str, TerraformProvider], home: str
    ) -> None:
        """Creates it; ``home`` is the region through which the table is managed; the other one holds a replica."""
        super().__init__(scope, "sessions")
        table, protected = specification.session_table, specification.settings.protected
        assert table.ttl_attribute is not None, "sessions expire"
        keys = {
            region: DataAwsKmsAlias(
                self, f"key-{region}", provider=providers[region], name=specification.names.key_alias(region)
            ).target_key_arn
            for region in table.replica_regions
        }
        self.table = DynamodbTable(
            self,
            "table",
            name=table.name,
            billing_mode="PAY_PER_REQUEST",
            hash_key=table.hash_key,
            attribute=[DynamodbTableAttribute(name=table.hash_key, type="S")],
            ttl=DynamodbTableTtl(attribute_name=table.ttl_attribute, enabled=True),
            stream_enabled=True,  # a global table replicates from it
            stream_view_type="NEW_AND_OLD_IMAGES",
            point_in_time_recovery=DynamodbTablePointInTimeRecovery(enabled=True),
            server_side_encryption=DynamodbTableServerSideEncryption(enabled=True, kms_key_arn=keys[home]),
            deletion_protection_enabled=protected,
            replica=[
                DynamodbTableReplica(
                    region_name=region,
                    kms_key_arn=keys[region],
                    point_in_time_recovery=True,
                    deletion_protection_enabled=protected,
                    propagate_tags=True,
                )
                for region in table.replica_regions
                if region != home
            ],
            lifecycle=TerraformResourceLifecycle(prevent_destroy=protected),
        )
