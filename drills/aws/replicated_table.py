"""DynamoDB: a global table with multi-region strong consistency.

A successful write is seen by every strongly consistent read in every replica's region, and conditions are evaluated
on the newest version (DynamoDB developer guide, "Multi-Region strong consistency"). That is one table, reached from
several regions; here it is literally so. A request is served by the endpoint of a replica's region as long as that
region reaches a majority of the table's three regions, itself and the witness included, and fails otherwise.

Limits: every read is strongly consistent (DynamoDB serves eventually consistent ones without a quorum too); writes
cost no round trip between regions and never end in ``ReplicatedWriteConflictException``; the witness has no endpoint,
as on AWS. How a replica without a quorum fails is not documented: here it keeps its callers waiting, which is the
worst for them, and then answers ``InternalServerError``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from orchestration.specification.model import Table

# Longer than the callers' patience (3 s), so that they see a timeout, as from a request that never finds a quorum.
WAIT_WITHOUT_QUORUM_SECONDS = 5.0


@dataclass
class Condition:
    """How the table is. ``failing_until`` (virtual seconds since 1970): until then it answers 500, whoever asks."""

    failing_until: float = 0.0


class NoQuorumError(JsonRESTError):
    """The answer of a replica that does not reach a majority, or that fails."""

    code = 500

    def __init__(self) -> None:
        super().__init__("InternalServerError", "The request could not reach a quorum of the table's regions")


def has_quorum(reachability: Reachability, table: Table, region: str) -> bool:
    """Returns whether ``region`` reaches a majority of the table's regions."""
    members = [*table.replica_regions, *([table.witness_region] if table.witness_region else [])]
    return 2 * sum(reachability.reaches(region, member) for member in members) > len(members)


def install(
    stack: ExitStack,
    table: Table,
    reachability: Reachability,
    clock: Clock,
    condition: Condition,
    changed: Callable[[str, dict[str, Any]], None],
) -> None:
    """Refuses requests for ``table`` in regions without a quorum and while it fails, until ``stack`` is closed.

    ``changed`` is told the region in which an item was written, and the item as it is then (typed JSON).
    """
    answer = DynamoHandler.call_action

    def call(handler: DynamoHandler) -> Any:
        if handler.params.get("TableName") != table.name:
            return answer(handler)
        if clock.now() < condition.failing_until:
            return _failure()
        wait = clock.to_real(WAIT_WITHOUT_QUORUM_SECONDS)
        reachability.wait_for(lambda: has_quorum(reachability, table, handler.region), wait)
        if not has_quorum(reachability, table, handler.region):
            return _failure()
        return answer(handler)

    def watched(write: Callable[[DynamoHandler], Any]) -> Callable[[DynamoHandler], Any]:
        def written(handler: DynamoHandler) -> Any:
            answered = write(handler)
            if handler.body["TableName"] == table.name:
                items: Any = dynamodb_backends[handler.current_account][handler.region].tables[table.name].items
                changed(handler.region, next(iter(items.values())).to_json()["Attributes"])
            return answered

        return written

    stack.enter_context(mock.patch.object(DynamoHandler, "call_action", call))
    for name in ("put_item", "update_item"):
        stack.enter_context(mock.patch.object(DynamoHandler, name, watched(getattr(DynamoHandler, name))))


def _failure() -> Any:
    error = NoQuorumError()
    return error.code, dict(error.get_headers()), error.get_body()


def create(dynamodb: Any, account: str, region: str, table: Table) -> None:
    """Creates a table in ``region`` and makes it visible in its other replica regions; ``dynamodb`` is its client."""
    dynamodb.create_table(
        TableName=table.name,
        KeySchema=[{"AttributeName": table.hash_key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": table.hash_key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made = dynamodb_backends[account][region].tables[table.name]
    for replica in table.replica_regions:
        dynamodb_backends[account][replica].tables[table.name] = made
