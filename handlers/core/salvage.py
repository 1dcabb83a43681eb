"""The writes of an old writer that never reached the new one, as a file that people can read and replay. Pure.

The file is SQL. Each missing row of a table for which the settings know a way to replay is one statement; everything
else is in comments, for people to read. What a statement does with a row that is already there is up to the
application: the settings name its own idempotent function, so a file may be replayed twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from handlers.core.errors import Misconfigured
from handlers.core.plain import plain
from handlers.core.reading import LARGEST_WHOLE, Fields

Finding = Literal["missing", "different"]
FINDINGS: tuple[Finding, ...] = ("missing", "different")

DEFAULT_SCHEMA = "public"
FROM_THE_START = "(0,0)"  # PostgreSQL's tuple ids begin at (0,1)
TUPLE_ID = r"\(\d{1,10},\d{1,5}\)"
# Two names of 63 bytes, each quoted, and everything in it may be a quote, which is doubled.
TABLE = "(?s).{3,257}"
LONGEST_ROW = 6_000_000  # characters; no answer of Lambda is longer
MOST_BLOCKS = 2**32  # PostgreSQL's own limit of a table
LONGEST_UNREAD = 20_000  # characters; Step Functions passes 256 KB from state to state
UNREAD = rf"(?s).{{0,{LONGEST_UNREAD}}}"
HOW_TO_READ = (
    "To have them read, GRANT pg_read_all_data TO the user who ran monitoring.sql, on both clusters (by the RDS Data "
    "API, which the fence lets through); then start the workflow again."
)


@dataclass(frozen=True)
class Table:
    """A table of the old writer: its quoted name with the schema, whether rows have a key, its size in blocks."""

    name: str
    keyed: bool
    blocks: int

    @classmethod
    def read(cls, fields: Fields) -> Table:
        """Reads it from the salvage function's answer or event."""
        return cls(
            fields.text("name", pattern=TABLE),
            fields.flag("keyed", False),
            fields.whole("blocks", at_most=MOST_BLOCKS),
        )


@dataclass(frozen=True)
class Row:
    """A row that the old writer committed and that is missing or different on the new one; ``data`` is JSON text."""

    finding: Finding
    data: str

    @classmethod
    def read(cls, fields: Fields) -> Row:
        """Reads it from the salvage function's answer."""
        return cls(fields.choice("finding", FINDINGS), fields.text("data", pattern=rf"(?s).{{1,{LONGEST_ROW}}}"))


@dataclass(frozen=True)
class Place:
    """How far an export has come: the table, and the tuple after which to continue."""

    table: int = 0
    after: str = FROM_THE_START

    @classmethod
    def read(cls, fields: Fields) -> Place:
        """Reads it from a step's event."""
        return cls(
            fields.whole("table", at_most=LARGEST_WHOLE, default=0),
            fields.text("after", pattern=TUPLE_ID, default=FROM_THE_START),
        )


@dataclass(frozen=True)
class Salvage:
    """How far the export has come, and what it has found so far.

    ``missing`` counts rows that the new writer lacks, ``different`` those that differ there, ``uncompared`` rows of
    tables without a primary key. ``unread`` names the tables that the salvage may not read, each with the reason;
    ``everything_read`` says that there are none. ``place`` is where to continue. ``part`` counts the files, ``kept_at``
    is their folder.
    """

    done: bool
    place: Place
    part: int = 0
    missing: int = 0
    different: int = 0
    uncompared: int = 0
    kept_at: str = ""
    unread: str = ""
    everything_read: bool = True

    @classmethod
    def read(cls, fields: Fields) -> Salvage:
        """Reads what the previous invocation returned."""

        def count(name: str) -> int:
            return fields.whole(name, at_most=LARGEST_WHOLE, default=0)

        return cls(
            done=fields.flag("done", False),
            place=Place.read(fields.section("place")),
            part=count("part"),
            missing=count("missing"),
            different=count("different"),
            uncompared=count("uncompared"),
            unread=fields.text("unread", pattern=UNREAD, default=""),
            everything_read=fields.flag("everything_read", True),
        )

    @property
    def words(self) -> list[str]:
        """What a complete export found, in lines for people."""
        if not self.done:
            return []
        lines = [
            f"Salvage: {self.missing} rows are missing on the new writer, {self.different} are different there "
            f"({self.part} {'file' if self.part == 1 else 'files'} in {self.kept_at})"
        ]
        if self.uncompared:
            lines.append(f"Not compared, because their tables have no primary key: {self.uncompared} rows")
        if self.unread:
            lines.append(f"NOT READ, so nobody knows what of them is lost: {self.unread}")
            lines.append(HOW_TO_READ)
        return lines

    def without(self, table: str, why: str) -> Salvage:
        """Notes that a table cannot be read."""
        unread = "; ".join(filter(None, (self.unread, f"{table} ({why})")))
        return replace(self, unread=unread[:LONGEST_UNREAD], everything_read=False)


class Replay:
    """How rows are written again: table → SQL expression of its columns, a call of an idempotent function."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        self._expressions = {_qualified(table): expression for table, expression in expressions.items()}

    @classmethod
    def read(cls, text: str) -> Replay:
        """Reads it from a function's environment (JSON); `Misconfigured` names what is wrong."""
        name = "the variable SALVAGE_REPLAY"
        try:
            data = json.loads(text)
        except ValueError as error:
            raise Misconfigured(f"{name} is not JSON ({error}); deploy it from the specification again") from error
        fields = Fields(data, name, Misconfigured)
        return cls({table: fields.text(table, pattern=".{1,1000}") for table in fields.data})

    def line(self, table: str, row: Row) -> str:
        """Returns the row as a line of the file: a statement, or a comment."""
        expression = self._expressions.get(_qualified(table))
        if row.finding == "missing" and expression is not None:
            literal = row.data.replace("'", "''")  # JSON, whose line breaks are escaped
            return f"SELECT {expression} FROM jsonb_populate_record(NULL::{table}, '{literal}');"  # noqa: S608  # quoted
        words = {"missing": "missing in", "different": "different in"}[row.finding]
        return plain(f"-- {words} {table}: {row.data}")  # a name may hold a line break, which would end the comment


def _qualified(table: str) -> str:
    """Returns the table's name with its schema."""
    return table if "." in table else f"{DEFAULT_SCHEMA}.{table}"


def not_read(table: str, why: str) -> str:
    """Returns the line of the file that stands for a table that cannot be read."""
    return plain(f"-- NOT READ {table}: {' '.join(why.split())}. Nobody knows what of it is lost.")


def file_text(epoch: int, old_region: str, part: int, lines: Iterable[str]) -> str:
    """Returns a part of the file."""
    head = (
        f"-- Salvage of epoch {epoch}, part {part}: what the old writer in {old_region} has, and the new one lacks.",
        "-- Read it; then replay it on the writer:  psql --set ON_ERROR_STOP=1 --file <this file>",
        "-- Rows in comments are those whose table the settings do not say how to replay, and those that differ on the "
        "new writer.",
    )
    return "\n".join((*head, *lines, ""))
