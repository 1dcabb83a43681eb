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
# PostgreSQL's and RDS's own. No application has a reason to be there, and a fence closes them all the same.
OF_EVERY_CLUSTER = frozenset({"postgres", "template0", "template1", "rdsadmin"})
SCRIPT = Path(__file__).resolve().parent.parent / "sql" / "monitoring.sql"


class NotTheWriter(FailoverError):
    """This region's cluster takes no writes; the other region's function has to be invoked."""


class UnknownDatabase(FailoverError):
    """The cluster has a database of applications beside the one that the orchestrator looks after."""


class ShutsOut(FailoverError):
    """Applications log in as roles that are not in `application`; the bootstrap would keep them out."""


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
    StatementRejected
        PostgreSQL refused a statement.
    """
    if not database.is_writer():
        raise NotTheWriter(
            f"{environment.cluster} in {environment.aws_region} is the standby; invoke the function of "
            f"{environment.peer_region} instead"
        )
    others = database.databases() - OF_EVERY_CLUSTER - {environment.database_name}
    if others:
        raise UnknownDatabase(
            f"{environment.cluster} has the databases {', '.join(sorted(others))} beside {environment.database_name}, "
            "the one that is guarded; move what they hold into schemas of it, or into a cluster of their own, drop "
            "them, and invoke this function again"
        )
    if roles := database.shut_out():
        named = ", ".join(f'"{role}"' for role in roles)
        raise ShutsOut(
            f"{named} log in to {environment.database_name} and are not in the group application, which alone may "
            f"connect from now on: run `CREATE ROLE application NOLOGIN` if there is none, then `GRANT application TO "
            f"{named}` as the master user, and invoke this function again"
        )
    parts = statements(script)
    database.run_all(parts)
    done = Bootstrapped(environment.cluster, len(parts), database.reserved_connections())
    logger.info("the database is prepared", **asdict(done))
    return done
