"""The RDS Data API, and Secrets Manager beside it: SQL as the master user, whom no fence keeps out.

Only what ``failoverctl break-glass`` runs: the lift of the fence and the proof of a write, in one transaction. A
statement that writes is refused by a reader, and what a transaction did counts from its commit on (RDS Data API
reference, "BeginTransaction", "ExecuteStatement").

Limits: what the API answers of a cluster that is down is not documented; it answers with one of the errors of its
reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulation.network import Reply
from simulation.stand_ins import Client, refusal

if TYPE_CHECKING:
    from simulation.databases import Database
    from simulation.world import World

ANSWERS_S = 0.05
NEVER_S = 1e9
OF_A_CLUSTER_THAT_IS_DOWN = (("DatabaseUnavailableException", 504), ("BadRequestException", 400))


class DataApi:
    """The Data API of both regions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._begun = 0
        self._open: dict[str, tuple[int, list[Callable[[], object]]]] = {}  # on which server, and what it does

    def serve_secrets(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers ``describe_secret``."""
        del here, operation
        return Reply({"ARN": f"arn:aws:secretsmanager:{client.region}::{request['SecretId']}"}, ANSWERS_S)

    def serve(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers a request."""
        del here
        world, database = self._world, self._world.databases.of[client.region]
        if world.faults.acting("database hangs", client.region):
            return Reply(None, NEVER_S)
        if not database.runs:
            code, status = world.chance.choice(OF_A_CLUSTER_THAT_IS_DOWN)
            raise refusal(code, operation, status=status)
        takes = ANSWERS_S * world.chance.uniform(0.5, 3)
        if operation == "begin_transaction":
            self._begun += 1
            self._open[str(self._begun)] = (database.server, [])
            return Reply({"transactionId": str(self._begun)}, takes)
        server, effects = self._open.get(request["transactionId"], (0, []))
        if server != database.server:
            raise refusal("TransactionNotFoundException", operation, status=404)
        if operation == "execute_statement":
            effects.append(self._statement(database, request["sql"]))
            return Reply({"records": []}, takes)
        del self._open[request["transactionId"]]
        if operation == "commit_transaction":
            for effect in effects:
                effect()
        return Reply({}, takes)

    def _statement(self, database: Database, sql: str) -> Callable[[], object]:
        """Returns what a statement does when it is committed."""
        world = self._world
        if not database.takes_writes or world.faults.acting("database full", database.region):
            raise refusal("DatabaseErrorException", "execute_statement", "cannot execute it in a read-only transaction")
        if sql.startswith("INSERT INTO public.recovery_proof"):
            run = sql.split("'")[1]
            return lambda: world.proofs.append((database.region, run))
        assert sql.startswith("SELECT public.lift_fence"), sql
        number = database.own.number
        return lambda: database.lift(number, world.time.now + 1)
