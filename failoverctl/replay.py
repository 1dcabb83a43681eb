"""``failoverctl salvage replay``: writes what a failover lost again, row by row, after a dry run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import psycopg
import typer
from rich.table import Table

from failoverctl.care import Epoch, archive_of
from failoverctl.command import REFUSED, Session
from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, Refused
from failoverctl.start import Yes
from handlers.core.errors import FailoverError
from handlers.core.replay import Kept, rows
from handlers.gateways.archive import SALVAGE_SUMMARY
from handlers.gateways.data_api import STATEMENT_TIMEOUT_S, DataApi, StatementRejected

ConnectionUrl = Annotated[
    str | None,
    typer.Option(
        "--connection",
        metavar="URL",
        help="The writer, as libpq takes it: postgresql://user@host/database; PGPASSWORD and the like count too.",
    ),
]
Secret = Annotated[
    str | None,
    typer.Option(
        "--secret",
        metavar="ARN",
        help="Over the RDS Data API instead, as the user whose secret in Secrets Manager it is.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only try: every row is rolled back.")]

FILE = re.compile(r"salvage-\d+\.sql")
CONFLICTS_SHOWN = 20
CONNECT_S = 10


class Conflict(Exception):
    """The writer did not take a row; its words."""


class Writer(Protocol):
    """A way to the writer's database."""

    def is_writer(self) -> bool:
        """Returns whether it takes writes."""

    def write(self, sql: str, *, undone: bool) -> tuple[str, bool]:
        """Runs one statement in a transaction of its own, which is rolled back where it is to be ``undone``.

        Returns what it answered, and whether it wrote anything; raises `Conflict`, and `CannotTell`.
        """


class Connection:
    """The writer by a connection of the person's own."""

    def __init__(self, url: str) -> None:
        try:
            self._session = psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_S, application_name="failoverctl"
            )
        except psycopg.Error as error:
            raise CannotTell(f"the connection is not to be had: {error}") from None

    def is_writer(self) -> bool:
        """See `Writer`."""
        answer = self._session.execute("SELECT pg_is_in_recovery()").fetchone()
        return answer == (False,)

    def write(self, sql: str, *, undone: bool) -> tuple[str, bool]:
        """See `Writer`."""
        try:
            with self._session.transaction(force_rollback=undone):
                answer = self._session.execute(sql.encode()).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise CannotTell(f"the connection broke ({error}); replay again, which does no harm") from None
        except psycopg.Error as error:
            raise Conflict(str(error).splitlines()[0]) from None
        return ("nothing", False) if answer is None else (str(answer[0]), bool(answer[1]))


class OverDataApi:
    """The writer over HTTPS, without a path into the VPC."""

    def __init__(self, database: DataApi) -> None:
        self._database = database

    def is_writer(self) -> bool:
        """See `Writer`."""
        return self._database.is_writer()

    def write(self, sql: str, *, undone: bool) -> tuple[str, bool]:
        """See `Writer`."""
        try:
            answer = self._database.run_one(sql, undone=undone)
        except StatementRejected as error:
            raise Conflict(str(error.__cause__)) from None
        except FailoverError as error:
            raise CannotTell(f"{error}; replay again, which does no harm") from error
        said, wrote = answer
        return str(next(iter(said.values()), "nothing")), bool(wrote.get("booleanValue"))


@dataclass
class Tally:
    """What became of the rows of one table under one rule."""

    table: str
    rule: str
    rows: int = 0
    written: int = 0
    skipped: int = 0
    conflicts: int = 0


@dataclass
class Outcome:
    """What became of all rows: by table, what the functions answered, and the conflicts in the writer's words."""

    tables: dict[tuple[str, str], Tally] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        """Everything together."""
        total = Tally("together", "")
        for each in self.tables.values():
            for name in ("rows", "written", "skipped", "conflicts"):
                setattr(total, name, getattr(total, name) + getattr(each, name))
        return total


def replayed(kept: Iterable[Kept], writer: Writer, *, undone: bool) -> Outcome:
    """Writes rows again, each in a transaction of its own: one that the writer does not take keeps no other back."""
    outcome = Outcome()
    for row in kept:
        tally = outcome.tables.setdefault((row.table, row.rule), Tally(row.table, row.rule))
        tally.rows += 1
        if row.left:
            continue
        try:
            said, wrote = writer.write(row.sql, undone=undone)
        except Conflict as error:
            tally.conflicts += 1
            outcome.conflicts.append(f"{row.table}: {error}")
            continue
        outcome.answers[said] += 1
        tally.written += wrote
        tally.skipped += not wrote
    return outcome


def replay_salvage(
    session: Session,
    epoch: Epoch,
    *,
    connection: ConnectionUrl = None,
    secret: Secret = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int | None:
    """Write what a failover lost again: a dry run first, then the question, then each row by its table's function."""
    deployment = session.deployment
    archive, names = archive_of(deployment, epoch)
    if SALVAGE_SUMMARY not in names:
        raise Refused(f"the export of epoch {epoch} is not complete; `failoverctl status` says what the run waits for")
    kept = list(rows(archive.read(name) or "" for name in sorted(names) if FILE.fullmatch(name)))
    region = deployment.read().record.writer_region
    writer = _writer(deployment, region, connection, secret)
    if not writer.is_writer():
        raise Refused(f"that database is no writer: the writer is in {region}. Nothing was changed.")
    tried = replayed(kept, writer, undone=True)
    session.say(f"Dry run of epoch {epoch} on the writer in {region}; every row was rolled back.")
    _show(session, tried)
    done = None
    if not dry_run and tried.total.written:
        session.confirm(f"Write {tried.total.written} rows?", yes=yes)
        done = replayed(kept, writer, undone=False)
        session.say("", f"Written by {deployment.identity.arn}; again, it would write nothing:")
        _show(session, done)
    last = done or tried
    session.tell(
        {
            "epoch": epoch,
            "writer_region": region,
            "by": deployment.identity.arn,
            "dry_run": done is None,
            "tables": list(last.tables.values()),
            "answers": last.answers,
            "conflicts": last.conflicts,
        }
    )
    return REFUSED if last.conflicts else None


def _writer(deployment: Deployment, region: str, connection: str | None, secret: str | None) -> Writer:
    if (connection is None) == (secret is None):
        raise Refused(
            "name one way to the writer: --connection URL, or --secret ARN of a user who may call the tables' functions"
        )
    if connection is not None:
        return Connection(connection)
    client = deployment.client("rds-data", region, read_timeout_s=STATEMENT_TIMEOUT_S)
    return OverDataApi(
        DataApi(client, deployment.names.cluster_arn(region), str(secret), deployment.settings.database.name)
    )


def _show(session: Session, outcome: Outcome) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("Table", "Rows", "Written", "Skipped", "Conflicts", "Rule"):
        table.add_column(title, justify="left" if title in ("Table", "Rule") else "right", no_wrap=title != "Rule")
    for each in outcome.tables.values():
        table.add_row(each.table, str(each.rows), str(each.written), str(each.skipped), str(each.conflicts), each.rule)
    if outcome.tables:
        session.show(table)
    else:
        session.say("Nothing was lost that anybody knows of.")
    _show_conflicts(session, outcome.conflicts)


def _show_conflicts(session: Session, conflicts: Sequence[str]) -> None:
    for conflict in conflicts[:CONFLICTS_SHOWN]:
        session.say(f"  in conflict: {conflict}", style="yellow")
    if len(conflicts) > CONFLICTS_SHOWN:
        session.say(f"  and {len(conflicts) - CONFLICTS_SHOWN} more; --json has them all")
