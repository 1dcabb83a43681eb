"""The RDS Data API on the lab's databases: SQL over HTTPS, without a network path into the VPC.

A layer in front of moto, which has canned answers only. Models (Aurora guide, "Using RDS Data API", and the API
reference): a statement commits by itself, or belongs to a transaction; a cluster that has no writer answers no query;
what PostgreSQL refuses is a `DatabaseErrorException` with its words. Neither the security group nor the login trigger
keeps it out.

Limits: every secret is the master user's, who is PostgreSQL's superuser here; statements take no parameters; a
transaction that nobody goes on with stays open until the lab ends; values other than booleans, numbers and texts come
as PostgreSQL's driver writes them. Which error a cluster without a writer gives is not documented; here it is
`DatabaseUnavailableException`, "the writer instance in the DB cluster isn't available".
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from drills.aws.faults import CREDENTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drills.aws.faults import Application

SERVICE = "rds-data"
UNAVAILABLE = "504 Gateway Timeout", "DatabaseUnavailableException"
REJECTED = "400 Bad Request", "DatabaseErrorException"
NO_TRANSACTION = "404 Not Found", "TransactionNotFoundException"


class Sessions(Protocol):
    """What the API stands on."""

    def connect(self, region: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Returns the master user's session with a region's server, which commits every statement.

        Raises
        ------
        psycopg.OperationalError
            When the server does not answer.
        """


class _AnswerError(Exception):
    """An error as the API gives it: HTTP status, code and message."""

    def __init__(self, kind: tuple[str, str], message: str) -> None:
        super().__init__(message)
        self.status, self.code = kind


class DataApi:
    """Wraps a WSGI application; it gets everything but the requests to this service."""

    def __init__(self, application: Application, servers: Sessions) -> None:
        self._application = application
        self._servers = servers
        self._transactions: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}
        self._lock = threading.Lock()
        self._operations: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
            "/BeginTransaction": self._begin,
            "/CommitTransaction": self._commit,
            "/RollbackTransaction": self._roll_back,
            "/Execute": self._execute,
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request as WSGI wants it."""
        signed = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        operation = self._operations.get(environ.get("PATH_INFO", ""))
        if signed is None or signed["service"] != SERVICE or operation is None:
            return self._application(environ, start_response)
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        headers = [("Content-Type", "application/json")]
        try:
            status, answer = "200 OK", operation(signed["region"], asked)
        except _AnswerError as error:
            status, answer = error.status, {"message": str(error)}
            headers.append(("x-amzn-ErrorType", error.code))
        body = json.dumps(answer).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def close(self) -> None:
        """Ends every transaction that is still open; nothing of it is kept."""
        with self._lock:
            while self._transactions:
                self._transactions.popitem()[1].close()

    # --- its operations

    def _begin(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        session = self._session(region, asked)
        session.autocommit = False
        name = uuid.uuid4().hex
        with self._lock:
            self._transactions[name] = session
        return {"transactionId": name}

    def _commit(self, _region: str, asked: dict[str, Any]) -> dict[str, Any]:
        with self._taken(asked) as session:
            _said(session.commit)
        return {"transactionStatus": "Transaction Committed"}

    def _roll_back(self, _region: str, asked: dict[str, Any]) -> dict[str, Any]:
        with self._taken(asked) as session:
            _said(session.rollback)
        return {"transactionStatus": "Rollback Complete"}

    def _execute(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:
        if "transactionId" in asked:
            return _run(self._open(asked), asked["sql"])
        with self._session(region, asked) as session:
            return _run(session, asked["sql"])

    # --- details

    def _session(self, region: str, asked: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
        """Returns a session with the region's writer."""
        try:
            session = self._servers.connect(region, asked["database"])
            if session.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,):
                return session
            session.close()
            why = "the cluster is a secondary one and has no writer instance"
        except psycopg.OperationalError as error:
            why = str(error)
        raise _AnswerError(UNAVAILABLE, f"the writer instance of the cluster in {region} is not available: {why}")

    def _open(self, asked: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
        with self._lock:
            session = self._transactions.get(asked["transactionId"])
        if session is None:
            raise _AnswerError(NO_TRANSACTION, f"Transaction {asked['transactionId']} is not found")
        return session

    def _taken(self, asked: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
        session = self._open(asked)
        with self._lock:
            self._transactions.pop(asked["transactionId"], None)
        return session


def _run(session: psycopg.Connection[tuple[Any, ...]], sql: str) -> dict[str, Any]:
    cursor = _said(lambda: session.execute(sql.encode()))
    if cursor.description is None:
        return {"numberOfRecordsUpdated": cursor.rowcount}
    return {"records": [[_field(value) for value in row] for row in cursor.fetchall()], "numberOfRecordsUpdated": 0}


def _said(do: Callable[[], Any]) -> Any:
    """Does it, and gives what PostgreSQL says against it as the API does."""
    try:
        return do()
    except psycopg.OperationalError as error:  # its session is gone
        raise _AnswerError(UNAVAILABLE, str(error)) from error
    except psycopg.Error as error:
        raise _AnswerError(
            REJECTED, f"ERROR: {error.diag.message_primary or error}; SQLState: {error.sqlstate}"
        ) from error


def _field(value: object) -> dict[str, object]:
    """Returns a value as the API's type `Field`."""
    match value:
        case None:
            return {"isNull": True}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"longValue": value}
        case float():
            return {"doubleValue": value}
    return {"stringValue": str(value)}
