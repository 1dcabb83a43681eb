"""The control record in its DynamoDB global table: strongly consistent reads, and conditional writes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from handlers.core.control import Claim, ControlRecord, Transition
from handlers.core.environment import Environment
from handlers.core.errors import LockLost, Misconfigured
from handlers.gateways.aws import client, code_of, named_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = "database"


class ControlTable:
    """The one item of the global database ``database`` in ``table``."""

    def __init__(self, client: DynamoDBClient, table: str, database: str) -> None:
        self._client = client
        self._table = table
        self._key: Any = {KEY: {"S": database}}

    @classmethod
    def of(cls, environment: Environment) -> ControlTable:
        """The table as a function's environment names it, through this region's endpoint."""
        return cls(client("dynamodb", environment.aws_region), environment.control_table, environment.global_cluster)

    def read(self) -> ControlRecord:
        """The record as it stands now (a strongly consistent read).

        Raises
        ------
        Misconfigured
            there is no record, or it cannot be understood.
        TransientFailure
            the table did not answer.
        """
        with named_errors(f"reading the control record in {self._table}"):
            item = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item")
        if item is None:
            raise Misconfigured(
                f"table {self._table} has no control record for {self._key[KEY]['S']}; deploy the global stack, which "
                "creates it"
            )
        return ControlRecord.read({name: TypeDeserializer().deserialize(value) for name, value in item.items()})

    def take(self, lock: Transition, seen: ControlRecord) -> bool:
        """Takes the lock if the record still is what the claim was decided on; False when it has changed since."""
        held = "transition.#run = :seen_run" if seen.transition else "attribute_not_exists(transition)"
        return self._update(
            "SET transition = :lock",
            f"epoch = :epoch AND writer_region = :writer AND {held}",
            {
                ":lock": vars(lock),
                ":epoch": seen.epoch,
                ":writer": seen.writer_region,
                **({":seen_run": seen.transition.run} if seen.transition else {}),
            },
        )

    def begin_detach(self, run: str) -> bool:
        """Notes that ``run`` is about to ask for the detach; returns whether that had been noted before.

        Raises
        ------
        LockLost
            ``run`` does not hold the lock at this moment and must not detach anything.
        """
        before = self.read().transition
        change, condition = "SET transition.detach_requested = :yes", "transition.#run = :run"
        if not self._update(change, condition, {":run": run, ":yes": True}):
            raise self._lock_lost(run)
        return before is not None and before.detach_requested

    def engage_dns(self, run: str) -> None:
        """Lets the writer switch say that clients belong in the lock's target region."""
        if not self._update("SET transition.dns_engaged = :yes", "transition.#run = :run", {":run": run, ":yes": True}):
            raise self._lock_lost(run)

    def commit(self, claim: Claim, now: float) -> int:
        """Makes the claim's target region the writer of the next epoch and gives the lock back, in one write.

        Returns the new epoch. A second call of the same run changes nothing and returns the same.
        """
        if self._update(
            "SET writer_region = :target, epoch = :next, last_run = :run, last_incident = :incident, "
            "last_transition_at = :now REMOVE transition",
            "transition.#run = :run AND epoch = :epoch",
            {
                ":target": claim.target_region,
                ":next": claim.epoch + 1,
                ":epoch": claim.epoch,
                ":run": claim.run,
                ":incident": claim.incident,
                ":now": now,
            },
        ):
            return claim.epoch + 1
        record = self.read()
        if record.last_run == claim.run and record.writer_region == claim.target_region:
            return record.epoch
        raise self._lock_lost(claim.run)

    def release(self, run: str) -> bool:
        """Gives the lock back; False when ``run`` does not hold it, which is as good."""
        return self._update("REMOVE transition", "transition.#run = :run", {":run": run})

    def _update(self, update: str, condition: str, values: dict[str, Any]) -> bool:
        """One conditional write; False when the condition did not hold."""
        request: Any = {
            "TableName": self._table,
            "Key": self._key,
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {name: _serialized(value) for name, value in values.items()},
        }
        if "#run" in update + condition:  # a placeholder is safe whatever DynamoDB's reserved words become
            request["ExpressionAttributeNames"] = {"#run": "run"}
        with named_errors(f"changing the control record in {self._table}"):
            try:
                self._client.update_item(**request)
            except ClientError as error:
                if code_of(error) == "ConditionalCheckFailedException":
                    return False
                raise
        return True

    def _lock_lost(self, run: str) -> LockLost:
        held = self.read().transition
        holder = f"run {held.run} holds it" if held else "nobody holds it"
        return LockLost(
            f"run {run} does not hold the lock on the control record ({holder}); it must change nothing more"
        )


def _serialized(value: Any) -> Any:
    if isinstance(value, dict):
        return {"M": {name: _serialized(inner) for name, inner in value.items()}}
    if isinstance(value, float):  # DynamoDB numbers are decimal; the serializer refuses binary floats
        return {"N": repr(value)}
    return TypeSerializer().serialize(value)
