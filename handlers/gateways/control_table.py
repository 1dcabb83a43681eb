"""The control record in its DynamoDB global table: strongly consistent reads, and conditional writes only.

Every write carries out one row of `handlers.core.transitions`, which says when it may happen, what it does, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from handlers.core.claim import LATE_REQUEST_S, Claim
from handlers.core.conditional_write import Row
from handlers.core.control import (
    ControlRecord,
    Pause,
    PersonsNo,
    ReprotectionLock,
    Told,
    Transition,
    Wanted,
    Word,
    WriterSign,
)
from handlers.core.environment import PeerVariables, Variables
from handlers.core.errors import FailoverError, LockLost, Misconfigured, TransientFailure, WordLives
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S
from handlers.core.transitions import TRANSITIONS
from handlers.gateways import items
from handlers.gateways.aws import ATTEMPTS, READ_TIMEOUT_S, client, code_of, named_errors
from handlers.gateways.expressions import compiled

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = "database"

# The guardian asks two replicas in turn, each once, and has a tick of 2 s: strongly consistent requests take some tens
# of ms, and in the table's slowest pair of regions about 100 ms.
GUARDIAN_READ_TIMEOUT_S = 1.0

# A commit says how many requests were noted. A step that was started twice may note one more in between, hardly two.
COMMIT_ATTEMPTS = 3

Answer = TypeVar("Answer")


class ControlVariables(Variables):
    """Where the control record is."""

    control_table: str
    global_cluster: str  # the record's key


class GuardianControlVariables(ControlVariables, PeerVariables):
    """Where both replicas are."""


class ControlTable:
    """The one item of the global database ``database`` in ``table``.

    ``replicas`` are clients of the regions through which it is reached: the first that answers serves a request. One
    that did not answer is asked last from then on.
    """

    def __init__(self, replicas: Sequence[DynamoDBClient], table: str, database: str) -> None:
        self._replicas = list(replicas)
        self._table = table
        self._key: Any = {KEY: {"S": database}}
        # When the table's region says that it answered the last read (seconds since 1970); None when it did not say.
        self.answered_at: float | None = None

    @classmethod
    def of(
        cls, environment: ControlVariables, *, read_timeout_s: float = READ_TIMEOUT_S, attempts: int = ATTEMPTS
    ) -> ControlTable:
        """Returns the table as a function's environment names it, through this region's endpoint."""
        replicas = [client("dynamodb", environment.aws_region, read_timeout_s=read_timeout_s, attempts=attempts)]
        return cls(replicas, environment.control_table, environment.global_cluster)

    @classmethod
    def through_either(cls, environment: GuardianControlVariables) -> ControlTable:
        """Returns the table through this region's endpoint, else the other region's: for the guardian."""
        replicas = [
            client("dynamodb", region, read_timeout_s=GUARDIAN_READ_TIMEOUT_S, attempts=1)
            for region in (environment.aws_region, environment.peer_region)
        ]
        return cls(replicas, environment.control_table, environment.global_cluster)

    def read(self) -> ControlRecord:
        """Returns the record as it stands now (a strongly consistent read).

        Raises
        ------
        Misconfigured
            there is no record, or it cannot be understood.
        TransientFailure
            the table did not answer.
        """

        def get(replica: DynamoDBClient) -> Any:
            answer = self._get(replica)
            said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
            self.answered_at = parsedate_to_datetime(said).timestamp() if said else None
            return answer.get("Item")

        item = self._ask(get)
        if item is None:
            raise Misconfigured(
                f"table {self._table} has no control record for {self._key[KEY]['S']}; deploy the global stack, which "
                "creates it"
            )
        return ControlRecord.read(items.plain(item))

    def is_nowhere(self) -> bool:
        """Returns whether every replica says for certain that it has no record, or that there is no table.

        One that gives no answer may have it. Nothing can move the writer then: a run begins with a lock in the record.
        """
        return all(map(self._has_none, self._replicas))

    def _has_none(self, replica: DynamoDBClient) -> bool:
        try:
            return "Item" not in self._get(replica)
        except FailoverError as error:
            said = error.__cause__
            return isinstance(said, ClientError) and code_of(said) == "ResourceNotFoundException"

    def _get(self, replica: DynamoDBClient) -> Any:
        with named_errors(f"reading the control record in {self._table}"):
            return replica.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)

    def take(self, lock: Transition, seen: ControlRecord) -> bool:
        """Takes the lock if the record is still what the claim was decided on; False when it has changed since."""
        no = seen.ended_by_person
        taken = {
            "lock": lock.stored(),
            "epoch": seen.epoch,
            "writer_region": seen.writer_region,
            "paused_at": _paused_at(seen),
            "no_at": no.at if no else None,
            "automatic_failover": seen.automatic_failover,
        }
        before = seen.transition
        if before is None:
            return self._change("take", **taken)
        return self._change(
            "take_over",
            **taken,
            seen_run=before.run,
            seen_phase=before.phase,
            seen_dns=before.dns_engaged,
            seen_requests=before.move_requests,
            seen_stopping_until=before.stopping_until,
            seen_moving_since=before.moving_since,
        )

    def ask_run(self, run: str, wanted: Wanted) -> bool:
        """Asks the run that holds the lock to hold or to abort; False when ``run`` does not hold it."""
        return self._change("ask_run", run=run, wanted=wanted)

    def let_run_go_on(self, run: str) -> bool:
        """Takes back what the run was asked for; False when ``run`` does not hold the lock."""
        return self._change("let_run_go_on", run=run)

    def renew(
        self,
        region: str,
        epoch: int,
        expires_at: float,
        beat: Beat,
        word: Word | None = None,
        *,
        renewing_since: float | None = None,
    ) -> bool:
        """Renews the lease of the writer in ``region``; False when it may not.

        It may not when the writer or the epoch has changed, when a run stops or moves the writer, or when the lease, or
        a word to rest by, lasts that long already. With ``word``, which says that the database is not known to live,
        that stands beside the lease; else none does. ``renewing_since``: when renewals have begun anew, else None.
        """
        values: dict[str, Any] = {"region": region, "epoch": epoch, "expires_at": expires_at, "beat": beat.stored()}
        if word is None:
            return self._change("renew", **values, renewing_since=renewing_since)
        return self._change("renew_unknown", **values, word=word.stored())

    def give_word(self, region: str, epoch: int, lease: float | None, word: Word) -> bool:
        """Gives the word to rest by of a guardian that cannot renew; ``lease`` is the lease's end that it read.

        False when it may not: as for `renew`, or when the lease has been renewed since.
        """
        rests_until = word.rests_until
        return self._change(
            "give_word", region=region, epoch=epoch, lease=lease, word=word.stored(), rests_until=rests_until
        )

    def sign_of_life(self, region: str, seen: ControlRecord, sign: WriterSign) -> bool:
        """Signs the lock that stops or moves the writer in ``region``; False when it is not as it was seen."""
        lock = seen.transition
        return lock is not None and self._change(
            "sign_of_life",
            run=lock.run,
            seen_phase=lock.phase,
            seen_moving_since=lock.moving_since,
            region=region,
            epoch=seen.epoch,
            sign=asdict(sign),
        )

    def begin_move(
        self, run: str, epoch: int, lease: float | None, now: float, replicated_xid: int | None = None
    ) -> bool:
        """Commits to move: from then on the old writer cannot renew. False unless ``lease`` is still the last one.

        Nor while a person wants the run to hold or to abort. ``replicated_xid`` is noted in the lock, if it is known.
        """
        return self._change("begin_move", run=run, epoch=epoch, lease=lease, now=now, replicated_xid=replicated_xid)

    def begin_stop(self, run: str, epoch: int, until: float) -> None:
        """Forbids the writer to renew its lease until ``until``, so that a switchover can fence it."""
        self._change_held("begin_stop", run, epoch=epoch, until=until)

    def begin_move_of_stopped(self, run: str, epoch: int, until: float, now: float) -> None:
        """Commits to move a writer that was seen fenced in the stop that lasts ``until``; its lease no longer matters.

        Raises `LockLost` when that stop is over.
        """
        self._change_held("begin_move_of_stopped", run, epoch=epoch, until=until, now=now)

    def end_stop(self, run: str) -> bool:
        """Takes the lock from a switchover that has stopped the writer for too long; False when it has moved on."""
        return self._change("end_stop", run=run)

    def end_move(self, run: str) -> bool:
        """Takes the lock from a run that moves and, for too long, has not asked RDS; False when it has."""
        return self._change("end_move", run=run)

    def end_switchover(self, run: str, requests: int) -> bool:
        """Takes the lock from a switchover of whose ``requests`` RDS shows nothing; False when there is another."""
        return self._change("end_switchover", run=run, requests=requests)

    def unlock_asked(self, run: str, requests: int) -> bool:
        """Takes the lock from a run of whose ``requests`` nothing has come; False when there is another one."""
        return self._change("unlock_asked", run=run, requests=requests)

    def assert_moving(self, run: str) -> None:
        """Raises `LockLost` unless ``run`` holds the lock at this moment and has committed to move."""
        self._change_held("assert_moving", run)

    def begin_request(self, run: str, now: float) -> int:
        """Notes one more request to RDS to move the writer, before it is sent; returns how many that makes.

        Raises
        ------
        WordLives
            the old writer's guardian may rest unfenced for some seconds more.
        LockLost
            the run does not hold the lock, has not committed to move, or a person wants it to hold or to abort.
        """
        rested_by = now - CLOCK_MARGIN_S
        noted = self._carry_out(TRANSITIONS["begin_request"], {"run": run, "rested_by": rested_by, "now": now})
        if noted is not None:
            return int(noted["transition"]["move_requests"])
        record = self.read()
        if record.moving and record.moving.run == run and (record.rests_until or 0) >= rested_by:
            raise WordLives("the old writer's guardian rests by its word; ask again when that is over")
        raise self._lock_lost("begin_request", run)

    def end_request(self, run: str) -> bool:
        """Takes back the note of the only request, which RDS has refused; False when there is another one by now."""
        return self._change("end_request", run=run)

    def give_note_back(self, run: str, lease: float | None) -> bool:
        """Takes back the note of a failover's only request, for which RDS is too busy, and goes back to looking.

        ``lease`` is the lease's end as read: what is renewed after that vetoes. False when there is another request.
        """
        return self._change("give_note_back", run=run, lease=lease)

    def engage_dns(self, run: str) -> None:
        """Lets the writer switch say that clients belong in the lock's target region."""
        self._change_held("engage_dns", run)

    def commit(self, claim: Claim, now: float) -> int:
        """Makes the claim's target region the writer of the next epoch and gives the lock back, in one write.

        The old writer's lease is removed; the new one's guardian takes its own first one. After a failover there is no
        standby. Returns the new epoch. A second call by the same run changes nothing and returns the same.
        """
        switchover = claim.mode == "switchover"
        name = "commit_switchover" if switchover else "commit_failover"
        for _ in range(COMMIT_ATTEMPTS):
            record = self.read()
            if record.last_run == claim.run and record.writer_region == claim.target_region:
                return record.epoch
            held = record.transition
            if held is None or held.run != claim.run:
                break
            requests = held.move_requests
            values = {
                "run": claim.run,
                "epoch": claim.epoch,
                "requests": requests,
                "target_region": claim.target_region,
                "incident": claim.incident,
                "now": now,
                "claims_from": now + LATE_REQUEST_S if requests > 1 else now,
            }
            if self._change(name, **values, **({} if switchover else {"old_region": claim.writer_region})):
                return claim.epoch + 1
        raise self._lock_lost(name, claim.run)

    def say_no(self, epoch: int, no: PersonsNo) -> bool:
        """Ends the automatic attempts of the epoch; False when it is over."""
        return self._change("say_no", epoch=epoch, no=asdict(no))

    def take_no_back(self, epoch: int, said: PersonsNo) -> bool:
        """Takes back the no that was ``said``; False when it is not the last one, or the epoch is over."""
        return self._change("take_no_back", epoch=epoch, said_at=said.at)

    def pause(self, seen: ControlRecord, pause: Pause) -> bool:
        """Pauses automatic failover, or has a maintenance begin, in place of the pause that was ``seen``.

        False when that is not the last one, when the epoch is over, or when a run is at work in a maintenance's way.
        """
        row = "begin_maintenance" if pause.maintenance else "pause"
        return self._change(row, epoch=seen.epoch, paused_at=_paused_at(seen), pause=pause.stored())

    def end_maintenance(self, seen: ControlRecord) -> bool:
        """Ends the maintenance that was ``seen``; False when it is not the last one, or the epoch is over."""
        return self._change("end_maintenance", epoch=seen.epoch, paused_at=_paused_at(seen))

    def resume(self, seen: ControlRecord) -> bool:
        """Lets automatic failover come again; False when somebody has paused it anew since ``seen`` was read."""
        return self._change("resume", epoch=seen.epoch, paused_at=_paused_at(seen))

    def note_told(self, seen: ControlRecord, told: Told) -> bool:
        """Notes what people are about to be told; False when somebody else has told them since ``seen`` was read."""
        return self._change("note_told", seen_told_at=seen.told.at if seen.told else None, told=asdict(told))

    def note_fenced(self, region: str, epoch: int) -> bool:
        """Notes that the old writer in ``region`` is fenced; False when the writer has moved since."""
        return self._change("note_fenced", region=region, epoch=epoch)

    def begin_reprotection(self, lock: ReprotectionLock, seen: ControlRecord) -> bool:
        """Takes the lock of the re-protection; False when the record has changed since the decision."""
        taken = {"lock": asdict(lock), "epoch": seen.epoch}
        if seen.reprotection is None:
            return self._change("begin_reprotection", **taken)
        return self._change("take_over_reprotection", **taken, seen_run=seen.reprotection.run)

    def assert_reprotecting(self, run: str, epoch: int) -> None:
        """Raises `LockLost` unless ``run`` holds the lock of the re-protection at this moment."""
        if not self._change("assert_reprotecting", run=run, epoch=epoch):
            raise self._reprotection_lost("assert_reprotecting", run)

    def begin_retirement(self, run: str, epoch: int, resource_id: str) -> None:
        """Notes that the old cluster is being retired, after which there is no way back; may raise `LockLost`."""
        if not self._change("begin_retirement", run=run, epoch=epoch, resource_id=resource_id):
            raise self._reprotection_lost("begin_retirement", run)

    def arm(self, run: str, epoch: int) -> None:
        """Ends the re-protection: the writer may be moved again. A second call by the same run changes nothing.

        Raises `LockLost` when another run has taken the re-protection over.
        """
        if not self._change("arm", run=run, epoch=epoch) and self.read().last_reprotection != run:
            self.assert_reprotecting(run, epoch)

    def end_reprotection(self, run: str) -> bool:
        """Gives the re-protection's lock back without having armed; False when ``run`` does not hold it."""
        return self._change("end_reprotection", run=run)

    def release(self, run: str) -> bool:
        """Gives the lock back; False when ``run`` does not hold it, or when there is no way back."""
        return self._change("release", run=run)

    def _change(self, name: str, **values: Any) -> bool:
        """Carries out one row of the table of transitions; False when its condition did not hold."""
        return self._carry_out(TRANSITIONS[name], values) is not None

    def _change_held(self, name: str, run: str, **values: Any) -> dict[str, Any]:
        """Does the same for the run that holds the lock; returns what it changed, or raises `LockLost`."""
        changed = self._carry_out(TRANSITIONS[name], {"run": run, **values})
        if changed is None:
            raise self._lock_lost(name, run)
        return changed

    def _carry_out(self, row: Row, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Does one conditional write; returns what it changed, or None when the condition did not hold."""
        request: Any = {
            "TableName": self._table,
            "Key": self._key,
            "ReturnValues": "UPDATED_NEW",
            **compiled(row, values),
        }

        def put(replica: DynamoDBClient) -> dict[str, Any] | None:
            with named_errors(f"changing the control record in {self._table} ({row.name})"):
                try:
                    return items.plain(replica.update_item(**request).get("Attributes", {}))
                except ClientError as error:
                    if code_of(error) == "ConditionalCheckFailedException":
                        return None
                    raise

        return self._ask(put)

    def _ask(self, request: Callable[[DynamoDBClient], Answer]) -> Answer:
        """Sends a request to one replica after another until one answers.

        A write that got no answer from one may have been done; when it is sent to the next, its condition decides.
        """
        for _ in range(len(self._replicas) - 1):
            try:
                return request(self._replicas[0])
            except TransientFailure:
                self._replicas.append(self._replicas.pop(0))
        return request(self._replicas[0])

    def _lock_lost(self, name: str, run: str) -> LockLost:
        held = self.read().transition
        holder = f"run {held.run} holds it" if held else "nobody holds it"
        if held and held.run == run:
            holder = f"it holds the lock, in phase {held.phase}" + (f"; asked to {held.wanted}" if held.wanted else "")
        return LockLost(
            f"run {run} does not hold the lock on the control record ({holder}); it must not change anything ({name})"
        )

    def _reprotection_lost(self, name: str, run: str) -> LockLost:
        held = self.read().reprotection
        holder = f"run {held.run} holds it" if held else "nobody holds it"
        return LockLost(
            f"run {run} does not hold the re-protection's lock ({holder}); it must not change anything ({name})"
        )


def _paused_at(seen: ControlRecord) -> float | None:
    """Returns what tells the pause of a record from every other one."""
    return seen.paused.at if seen.paused else None
