"""The records of a region's runs, one item each, kept for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handlers.core.environment import Variables
from handlers.core.errors import FailoverError
from handlers.core.noted import HOOKS, SUFFIX, Noted
from handlers.gateways import items
from handlers.gateways.aws import client, named_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class RunTableVariables(Variables):
    """The table of this region."""

    runs_table: str


class RunTable:
    """The table ``table``, whose key is ``run``."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    @classmethod
    def of(cls, environment: RunTableVariables) -> RunTable:
        """Returns the table of this region."""
        return cls(client("dynamodb", environment.aws_region), environment.runs_table)

    def keep(self, record: dict[str, Any]) -> None:
        """Writes a record; written again, it replaces the first."""
        with named_errors(f"keeping the record of run {record['run']} in {self._table}"):
            self._client.put_item(TableName=self._table, Item=items.typed(record)["M"])

    def note_application(self, run: str, health: str) -> None:
        """Notes, beside the record of a run, how the application is after it."""
        self._note(run, "application", health)

    def note_hooks(self, run: str, event: str, failed: Sequence[Mapping[str, Any]]) -> None:
        """Notes, beside the record of a run, which hooks of an event have failed; the same event again replaces it."""
        self._note(run, HOOKS + event, failed)

    def _note(self, run: str, name: str, value: Any) -> None:
        with named_errors(f"noting {name} beside the record of run {run} in {self._table}"):
            self._client.update_item(
                TableName=self._table,
                Key={"run": {"S": run + SUFFIX}},
                UpdateExpression="SET #name = :value",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":value": items.typed(value)},
            )

    def read(self, run: str) -> Mapping[str, Any] | None:
        """Returns the record of a run; None where none is kept."""
        with named_errors(f"looking for run {run} in {self._table}"):
            found = self._client.get_item(TableName=self._table, Key={"run": {"S": run}})
        return items.plain(found["Item"]) if "Item" in found else None

    def noted(self, run: str) -> Noted | None:
        """Returns what was noted beside the record of a run, which may be nothing; None where nobody can read it.

        What is shown of a run is shown without it then.
        """
        try:
            return Noted.read(self.read(run + SUFFIX) or {})
        except FailoverError:
            return None
