"""The control table, which says who may write, and its first record."""

from __future__ import annotations

import json

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.dynamodb_table import (
    DynamodbTable,
    DynamodbTableAttribute,
    DynamodbTableGlobalTableWitness,
    DynamodbTablePointInTimeRecovery,
    DynamodbTableReplica,
    DynamodbTableServerSideEncryption,
)
from cdktf_cdktf_provider_aws.dynamodb_table_item import DynamodbTableItem
from constructs import Construct

from orchestration.specification import Specification


class Control(Construct):
    """A strongly consistent table in both regions with a witness in a third, and the record of this database.

    It is encrypted with DynamoDB's own key: no failover may depend on a key of a region that has failed.
    """

    def __init__(self, scope: Construct, specification: Specification, home: str) -> None:
        """Creates it; ``home`` is the region through which the table is managed; the other one holds a replica."""
        super().__init__(scope, "control")
        table = specification.control_table
        protected = specification.settings.protected
        assert table.witness_region is not None, "strong consistency needs a third region"
        self.table = DynamodbTable(
            self,
            "table",
            name=table.name,
            billing_mode="PAY_PER_REQUEST",
            hash_key=table.hash_key,
            attribute=[DynamodbTableAttribute(name=table.hash_key, type="S")],
            point_in_time_recovery=DynamodbTablePointInTimeRecovery(enabled=True),
            server_side_encryption=DynamodbTableServerSideEncryption(enabled=False),
            deletion_protection_enabled=protected,
            replica=[
                DynamodbTableReplica(
                    region_name=region,
                    consistency_mode="STRONG",
                    point_in_time_recovery=True,
                    deletion_protection_enabled=protected,
                    propagate_tags=True,
                )
                for region in table.replica_regions
                if region != home
            ],
            global_table_witness=DynamodbTableGlobalTableWitness(region_name=table.witness_region),
            lifecycle=TerraformResourceLifecycle(prevent_destroy=protected),
        )
        self.record = DynamodbTableItem(
            self,
            "record",
            table_name=self.table.name,
            hash_key=self.table.hash_key,
            item=json.dumps(specification.first_control_record),
            # From here on, the record belongs to the orchestrators.
            lifecycle=TerraformResourceLifecycle(ignore_changes=["item"]),
        )
