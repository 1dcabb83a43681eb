"""The control record in its DynamoDB global table: strongly consistent reads, and conditional writes only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from handlers.core.claim import Claim
from handlers.core.control import ControlRecord, ReprotectionLock, Transition
from handlers.core.environment import Environment
from handlers.core.errors import LockLost, Misconfigured, TransientFailure
from handlers.core.heartbeat import Beat
from handlers.gateways import items
from handlers.gateways.aws import client, code_of, named_errors

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = "database"

# The guardian asks two replicas in turn, each once, and has a tick of 2 s: strongly consistent requests take some tens
# of ms, and in the table's slowest pair of regions about 100 ms.
GUARDIAN_READ_TIMEOUT_S = 1.0

# A placeholder is safe whatever DynamoDB's reserved words become.
PLACEHOLDERS = {"#run": "run", "#phase": "phase"}

HELD_AND_MOVING = "transition.#run = :run AND transition.#phase = :moving"

Answer = TypeVar("Answer")


class ControlTable:
    """The one item of the global database ``database`` in ``table``.

    ``replicas`` are clients of the regions through which it is reached: the first that answers serves a request. One
    that did not answer is asked last from then on.
    """

    def __init__(self, replicas: Sequence[DynamoDBClient], table: str, database: str) -> None:
        self._replicas = list(replicas)
        self._table = table
        self._key: Any = {KEY: {"S": database}}

    @classmethod
    def of(cls, environment: Environment) -> ControlTable:
        """The table as a function's environment names it, through this region's endpoint."""
        replicas = [client("dynamodb", environment.aws_region)]
        return cls(replicas, environment.control_table, environment.global_cluster)

    @classmethod
    def through_either(cls, environment: Environment) -> ControlTable:
        """The table through this region's endpoint, else the other region's: for the guardian."""
        replicas = [
            client("dynamodb", region, read_timeout_s=GUARDIAN_READ_TIMEOUT_S, attempts=1)
            for region in (environment.aws_region, environment.peer_region)
        ]
        return cls(replicas, environment.control_table, environment.global_cluster)

    def read(self) -> ControlRecord:
        """The record as it stands now (a strongly consistent read).

        Raises
        ------
        Misconfigured
            there is no record, or it cannot be understood.
        TransientFailure
            the table did not answer.
        """

        def get(replica: DynamoDBClient) -> Any:
            with named_errors(f"reading the control record in {self._table}"):
                return replica.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item")

        item = self._ask(get)
        if item is None:
            raise Misconfigured(
                f"table {self._table} has no control record for {self._key[KEY]['S']}; deploy the global stack, which "
                "creates it"
            )
        return ControlRecord.read(items.plain(item))

    def take(self, lock: Transition, seen: ControlRecord) -> bool:
        """Takes the lock if the record still is what the claim was decided on; False when it has changed since."""
        # The run that holds the lock may have gone on since; a lock that forgets how far would let its work be undone.
        held = (
            "transition.#run = :seen_run AND transition.#phase = :seen_phase "
            "AND transition.dns_engaged = :seen_dns AND transition.move_requests = :seen_requests"
        )
        before = seen.transition
        return self._update(
            "SET transition = :lock",
            f"epoch = :epoch AND writer_region = :writer AND {held if before else 'attribute_not_exists(transition)'}",
            {
                ":lock": {name: value for name, value in asdict(lock).items() if value is not None},
                ":epoch": seen.epoch,
                ":writer": seen.writer_region,
                **(
                    {
                        ":seen_run": before.run,
                        ":seen_phase": before.phase,
                        ":seen_dns": before.dns_engaged,
                        ":seen_requests": before.move_requests,
                    }
                    if before
                    else {}
                ),
            },
        )

    def renew(self, region: str, epoch: int, expires_at: float, beat: Beat) -> bool:
        """Renews the lease of the writer in ``region``; False when it may not.

        It may not when the writer or the epoch has changed, when a run has committed to move the writer, or when the
        lease lasts longer already: a late request must not shorten a lease on which another guardian relies.
        """
        return self._update(
            "SET lease_expires_at = :expires, heartbeat = :beat",
            "writer_region = :region AND epoch = :epoch "
            "AND (attribute_not_exists(transition) OR transition.#phase = :checking) "
            "AND (attribute_not_exists(lease_expires_at) OR lease_expires_at < :expires)",
            {
                ":expires": expires_at,
                ":beat": asdict(beat),
                ":region": region,
                ":epoch": epoch,
                ":checking": "checking",
            },
        )

    def begin_move(self, run: str, epoch: int, lease: float | None, replicated_xid: int | None = None) -> bool:
        """Commits to move: from now on the old writer cannot renew. False unless ``lease`` still is the last one.

        ``replicated_xid`` is noted in the lock, if it is known.
        """
        unchanged = "attribute_not_exists(lease_expires_at)" if lease is None else "lease_expires_at = :lease"
        noted = "" if replicated_xid is None else ", transition.replicated_xid = :xid"
        return self._update(
            f"SET transition.#phase = :moving{noted}",
            f"transition.#run = :run AND epoch = :epoch AND {unchanged}",
            {
                ":moving": "moving",
                ":run": run,
                ":epoch": epoch,
                **({} if lease is None else {":lease": lease}),
                **({} if replicated_xid is None else {":xid": replicated_xid}),
            },
        )

    def begin_stop(self, run: str, epoch: int, until: float) -> None:
        """Forbids the writer to renew its lease until ``until``, so that a switchover can fence it."""
        if not self._update(
            "SET transition.#phase = :stopping, transition.stopping_until = :until",
            "transition.#run = :run AND epoch = :epoch AND transition.#phase <> :moving",
            {":stopping": "stopping", ":until": until, ":run": run, ":epoch": epoch, ":moving": "moving"},
        ):
            raise self._lock_lost(run)

    def begin_move_of_stopped(self, run: str, epoch: int) -> None:
        """Commits to move a writer that is stopped and fenced; its lease does not matter any more."""
        if not self._update(
            "SET transition.#phase = :moving",
            "transition.#run = :run AND epoch = :epoch AND transition.#phase IN (:stopping, :moving)",
            {":moving": "moving", ":stopping": "stopping", ":run": run, ":epoch": epoch},
        ):
            raise self._lock_lost(run)

    def end_stop(self, run: str) -> bool:
        """Takes the lock from a switchover that has stopped the writer for too long; False when it has moved on."""
        return self._update(
            "REMOVE transition",
            "transition.#run = :run AND transition.#phase = :stopping",
            {":run": run, ":stopping": "stopping"},
        )

    def assert_moving(self, run: str) -> None:
        """Raises `LockLost` unless ``run`` holds the lock at this moment and has committed to move."""
        moving = {":run": run, ":moving": "moving"}
        if not self._update(
            "SET transition.#run = :run", "transition.#run = :run AND transition.#phase = :moving", moving
        ):
            raise self._lock_lost(run)

    def begin_request(self, run: str) -> int:
        """Notes one more request to RDS to move the writer, before it is sent; returns how many that makes.

        Raises `LockLost` unless the run holds the lock and has committed to move.
        """
        changed = self._change(
            "SET transition.move_requests = transition.move_requests + :one",
            HELD_AND_MOVING,
            {":run": run, ":moving": "moving", ":one": 1},
        )
        if changed is None:
            raise self._lock_lost(run)
        return int(changed["transition"]["move_requests"])

    def end_request(self, run: str) -> bool:
        """Takes the note of the only request back, which RDS has refused; False when there is another by now."""
        return self._update(
            "SET transition.move_requests = :none",
            f"{HELD_AND_MOVING} AND transition.move_requests = :one",
            {":run": run, ":moving": "moving", ":one": 1, ":none": 0},
        )

    def engage_dns(self, run: str) -> None:
        """Lets the writer switch say that clients belong in the lock's target region."""
        if not self._update(
            "SET transition.dns_engaged = :yes",
            HELD_AND_MOVING,
            {":run": run, ":moving": "moving", ":yes": True},
        ):
            raise self._lock_lost(run)

    def commit(self, claim: Claim, now: float) -> int:
        """Makes the claim's target region the writer of the next epoch and gives the lock back, in one write.

        The old writer's lease goes; the new one's guardian takes the first of its own. After a failover there is no
        standby. Returns the new epoch. A second call of the same run changes nothing and returns the same.
        """
        unfenced = (
            ""
            if claim.mode == "switchover"
            else ", unfenced_region = :old, protected = :no, "
            "replicated_xid = if_not_exists(transition.replicated_xid, :unknown)"
        )
        if self._update(
            "SET writer_region = :target, epoch = :next, last_run = :run, last_incident = :incident, "
            f"last_transition_at = :now{unfenced} REMOVE transition, lease_expires_at",
            f"{HELD_AND_MOVING} AND epoch = :epoch",
            {
                ":target": claim.target_region,
                ":next": claim.epoch + 1,
                ":moving": "moving",
                ":epoch": claim.epoch,
                ":run": claim.run,
                ":incident": claim.incident,
                ":now": now,
                **({":old": claim.writer_region, ":no": False, ":unknown": None} if unfenced else {}),
            },
        ):
            return claim.epoch + 1
        record = self.read()
        if record.last_run == claim.run and record.writer_region == claim.target_region:
            return record.epoch
        raise self._lock_lost(claim.run)

    def note_fenced(self, region: str, epoch: int) -> bool:
        """Notes that the old writer in ``region`` is fenced; False when the writer has moved since."""
        return self._update(
            "REMOVE unfenced_region",
            "epoch = :epoch AND unfenced_region = :region",
            {":epoch": epoch, ":region": region},
        )

    def begin_reprotection(self, lock: ReprotectionLock, seen: ControlRecord) -> bool:
        """Takes the lock of the re-protection; False when the record is no more what was decided on."""
        before = seen.reprotection
        held = "reprotection.#run = :seen" if before else "attribute_not_exists(reprotection)"
        return self._update(
            "SET reprotection = :lock",
            f"epoch = :epoch AND protected = :no AND attribute_not_exists(transition) AND {held}",
            {
                ":lock": asdict(lock),
                ":epoch": seen.epoch,
                ":no": False,
                **({":seen": before.run} if before else {}),
            },
        )

    def assert_reprotecting(self, run: str, epoch: int) -> None:
        """Raises `LockLost` unless ``run`` holds the lock of the re-protection at this moment."""
        self._reprotecting("SET reprotection.#run = :run", run, epoch, {})

    def begin_retirement(self, run: str, epoch: int, resource_id: str) -> None:
        """Notes that the old cluster is being retired, from where there is only the way forward; raises `LockLost`."""
        self._reprotecting("SET retiring = :resource", run, epoch, {":resource": resource_id})

    def _reprotecting(self, update: str, run: str, epoch: int, values: dict[str, Any]) -> None:
        condition = "reprotection.#run = :run AND epoch = :epoch"
        if not self._update(update, condition, {":run": run, ":epoch": epoch, **values}):
            held = self.read().reprotection
            holder = f"run {held.run} holds it" if held else "nobody holds it"
            raise LockLost(f"run {run} does not hold the re-protection's lock ({holder}); it must change nothing more")

    def arm(self, run: str, epoch: int) -> None:
        """Ends the re-protection: the writer may be moved again. A second call of the same run changes nothing.

        Raises `LockLost` when another run has taken the re-protection over.
        """
        if not self._update(
            "SET protected = :yes, last_reprotection = :run "
            "REMOVE reprotection, retiring, replicated_xid, unfenced_region",
            "reprotection.#run = :run AND epoch = :epoch",
            {":yes": True, ":run": run, ":epoch": epoch},
        ) and (self.read().last_reprotection != run):
            self.assert_reprotecting(run, epoch)

    def end_reprotection(self, run: str) -> bool:
        """Gives the re-protection's lock back without having armed; False when ``run`` does not hold it."""
        return self._update("REMOVE reprotection", "reprotection.#run = :run", {":run": run})

    def release(self, run: str) -> bool:
        """Gives the lock back; False when ``run`` does not hold it, or there is only the way forward.

        One condition decides both: a request to RDS that is still on its way would promote the standby beside a writer
        that has been let go on.
        """
        may_go_back = "transition.#run = :run AND transition.move_requests = :none"
        return self._update("REMOVE transition", may_go_back, {":run": run, ":none": 0})

    def _update(self, update: str, condition: str, values: dict[str, Any]) -> bool:
        """One conditional write; False when the condition did not hold."""
        return self._change(update, condition, values) is not None

    def _change(self, update: str, condition: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """One conditional write; what it changed, or None when the condition did not hold."""
        request: Any = {
            "TableName": self._table,
            "Key": self._key,
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {name: items.typed(value) for name, value in values.items()},
            "ReturnValues": "UPDATED_NEW",
        }
        used = {name: word for name, word in PLACEHOLDERS.items() if name in update + condition}
        if used:
            request["ExpressionAttributeNames"] = used

        def put(replica: DynamoDBClient) -> dict[str, Any] | None:
            with named_errors(f"changing the control record in {self._table}"):
                try:
                    return items.plain(replica.update_item(**request).get("Attributes", {}))
                except ClientError as error:
                    if code_of(error) == "ConditionalCheckFailedException":
                        return None
                    raise

        return self._ask(put)

    def _ask(self, request: Callable[[DynamoDBClient], Answer]) -> Answer:
        """Sends a request to one replica after the other until one answers.

        A write that got no answer from one may have been done; sent to the next, its condition decides.
        """
        for _ in range(len(self._replicas) - 1):
            try:
                return request(self._replicas[0])
            except TransientFailure:
                self._replicas.append(self._replicas.pop(0))
        return request(self._replicas[0])

    def _lock_lost(self, run: str) -> LockLost:
        held = self.read().transition
        holder = f"run {held.run} holds it" if held else "nobody holds it"
        if held and held.run == run:
            holder = f"it has it, in phase {held.phase}"
        return LockLost(
            f"run {run} does not hold the lock on the control record ({holder}); it must change nothing more"
        )
