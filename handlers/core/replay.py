"""The rows of a salvage file, read back: which can be written again and by what, and which are for people. Pure.

The conflict rule of a table is that of its function: the settings name one that may be called again for a row that is
there (``salvage.replay``). What differs on the new writer, and tables without a function, are never written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

# As `handlers.core.salvage` writes them: a statement a line, everything else in comments.
STATEMENT = re.compile(r"SELECT (?P<call>.+?) FROM jsonb_populate_record\(NULL::(?P<table>.+?), (?P<row>'.*')\);")
COMMENT = re.compile(r"-- (?P<finding>missing in|different in|NOT READ) (?P<table>.+?)[:.] ")

Left = Literal["no function", "different", "not read"]
LEFT: dict[str, Left] = {"missing in": "no function", "different in": "different", "NOT READ": "not read"}
RULES: dict[Left, str] = {
    "no function": "not written: salvage.replay names no function for the table",
    "different": "not written: both writers have written the row, and a person decides",
    "not read": "not written: nobody knows what of the table is lost",
}


@dataclass(frozen=True)
class Kept:
    """A row of a salvage file; ``call`` writes ``row`` (a literal of JSON) again, or ``left`` says why nothing does."""

    table: str
    call: str | None = None
    row: str = ""
    left: Left | None = None

    @property
    def rule(self) -> str:
        """What is done with the row, in words."""
        if self.left:
            return RULES[self.left]
        return f"written by {self.call}, whose own rule decides about a row that is there already"

    @property
    def sql(self) -> str:
        """The statement that writes the row again: it answers what the function said, and whether anything was written.

        A transaction has an id once it has written something (PostgreSQL, "System Information Functions"); the list
        of a SELECT is evaluated from left to right.
        """
        return (
            f"SELECT {self.call}, pg_current_xact_id_if_assigned() IS NOT NULL "  # noqa: S608  # as it was kept
            f"FROM jsonb_populate_record(NULL::{self.table}, {self.row})"
        )


def rows(texts: Iterable[str]) -> Iterator[Kept]:
    """Yields the rows of salvage files, in order."""
    for text in texts:
        for line in text.split("\n"):
            if found := STATEMENT.fullmatch(line):
                yield Kept(found["table"], found["call"], found["row"])
            elif found := COMMENT.match(line):
                yield Kept(found["table"], left=LEFT[found["finding"]])
