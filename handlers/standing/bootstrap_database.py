"""Bootstrap: creates what the orchestrator needs in the database. Not a step of the workflow: a person runs it once.

It may be run again at any time, and is run again when a new version brings more statements.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import PeerVariables
from handlers.core.errors import FailoverError
from handlers.core.sql import statements
from handlers.gateways.data_api import DataApi, DataApiVariables
from handlers.telemetry import instrumented, logger


class Environment(DataApiVariables, PeerVariables):
    """What the function reads."""

    cluster: str


ENVIRONMENT = Environment.read()
SCRIPT = Path(__file__).resolve().parent.parent / "sql" / "monitoring.sql"


class NotTheWriter(FailoverError):
    """This region's cluster takes no writes; the other region's function has to be invoked."""


class UnknownDatabase(FailoverError):
    """The cluster has a database of applications beside the one that the orchestrator looks after."""


class ShutsOut(FailoverError):
    """Applications log in as roles that are not in `application`; the bootstrap would keep them out."""


class PassesFence(FailoverError):
    """Applications may connect by a right that a fence would not take from them."""


@dataclass(frozen=True)
class Bootstrapped:
    """The cluster that was prepared, by how many statements, and how many connections are kept for the monitors.

    Without any, a database whose connections are all in use cannot be asked, nor fenced by SQL.
    """

    cluster: str
    statements: int
    reserved_connections: int


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for a person, after the deployment; nothing in the event is read."""
    return asdict(bootstrap(DataApi.of(ENVIRONMENT), ENVIRONMENT, SCRIPT.read_text()))


def bootstrap(database: DataApi, environment: Environment, script: str) -> Bootstrapped:
    """Runs ``script`` in this region's cluster, whole or not at all.

    Raises
    ------
    NotTheWriter
        the writer is in the other region; replication carries what is created there to this one.
    UnknownDatabase
        there is another database: a server that starts would let its applications in, and salvage would not look there.
    ShutsOut
        roles log in that are not in the group `application`, which alone may connect after this.
    PassesFence
        roles may connect by a grant of their own.
    StatementRejected
        PostgreSQL refused a statement.
    """
    if not database.is_writer():
        raise NotTheWriter(
            f"{environment.cluster} in {environment.aws_region} is the standby; invoke the function of "
            f"{environment.peer_region} instead"
        )
    if others := database.other_databases():
        raise UnknownDatabase(
            f"{environment.cluster} has the databases {', '.join(others)} beside {environment.database_name}, "
            "the one that is guarded; move what they hold into schemas of it, or into a cluster of their own, drop "
            "them, and invoke this function again"
        )
    if roles := database.shut_out():
        named = _quoted(roles)
        raise ShutsOut(
            f"{named} log in to {environment.database_name} and are not in the group application, which alone may "
            f"connect from now on: run `CREATE ROLE application NOLOGIN` if there is none, then `GRANT application TO "
            f"{named}` as the master user, and invoke this function again"
        )
    if roles := database.passing():
        named = _quoted(roles)
        raise PassesFence(
            f"{named} may connect to {environment.database_name} by a grant of their own, which a fence does not take "
            "away before PostgreSQL 17: see that those who need it are in the group application, run "
            f'`REVOKE CONNECT ON DATABASE "{environment.database_name}" FROM {named}` as the master user, and invoke '
            "this function again"
        )
    parts = statements(script)
    database.run_all(parts)
    done = Bootstrapped(environment.cluster, len(parts), database.reserved_connections())
    logger.info("the database is prepared", **asdict(done))
    return done


def _quoted(roles: list[str]) -> str:
    return ", ".join(f'"{role}"' for role in roles)
