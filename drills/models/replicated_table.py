"""DynamoDB: a global table with multi-region strong consistency.

A successful write is seen by every strongly consistent read in every replica's region, and conditions are evaluated
on the newest version (DynamoDB developer guide, "Multi-Region strong consistency"). That is one table, reached from
several regions; here it is literally so. A region that is down takes only its own endpoint along.

Limits: every read is strongly consistent; writes cost no round trip between regions and never end in
``ReplicatedWriteConflictException``; the loss of the quorum (two of three regions) is not modelled; the witness has
no endpoint, as on AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import dynamodb_backends

if TYPE_CHECKING:
    from orchestration.specification.model import Table


def create(dynamodb: Any, account: str, region: str, table: Table) -> None:
    """Create a table in ``region`` and show it in its other replica regions; ``dynamodb`` is a client of ``region``."""
    dynamodb.create_table(
        TableName=table.name,
        KeySchema=[{"AttributeName": table.hash_key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": table.hash_key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made = dynamodb_backends[account][region].tables[table.name]
    for replica in table.replica_regions:
        dynamodb_backends[account][replica].tables[table.name] = made
