"""What a writer committed and its successor never received, read from the old writer's own log.

The new writer's timeline history names the log position at which it left the old writer's log (PostgreSQL
documentation, "Timelines"). Transactions whose commit record lies beyond it in the old writer's log were never
replicated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.world.postgres import PostgresError

if TYPE_CHECKING:
    from drills.world.postgres import Server

CURRENT_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


@dataclass(frozen=True)
class Divergence:
    """Where the new writer left the old one's log, and the transfers that the old one committed beyond."""

    timeline: int
    position: str
    unreplicated: frozenset[str]


def find_divergence(before: Server, after: Server) -> Divergence:
    """Reads the old writer's log and tables, and returns what it committed and never replicated.

    Kills the old writer if it still runs, starts it privately (no client can reach it) to read its tables,
    and stops it.

    Raises
    ------
    PostgresError
        When the two servers' histories do not fit together, or a log cannot be read.
    """
    timeline, position = _left_at(after)
    before.kill()
    committed_beyond = _committed_transactions(before.dump_log_records(timeline, position))
    before.start(private=True)
    try:
        old_timeline = int(before.query(CURRENT_TIMELINE)[0][0], 16)
        if old_timeline != timeline:
            raise PostgresError(f"{after.name} left timeline {timeline}, but {before.name} is on {old_timeline}")
        rows = before.query("SELECT id::text, xmin::text FROM transfers")
    finally:
        before.stop()
    return Divergence(timeline, position, frozenset(row[0] for row in rows if row[1] in committed_beyond))


def _left_at(after: Server) -> tuple[int, str]:
    """Returns the timeline that a promoted server left, and the log position where it left it."""
    timeline = after.query(CURRENT_TIMELINE)[0][0]
    history = after.data / "pg_wal" / f"{timeline}.history"
    if not history.exists():
        raise PostgresError(f"{after.name} was never promoted: it has no {history.name}")
    last = [line for line in history.read_text().splitlines() if line.strip()][-1]
    parent, position, _ = last.split("\t", 2)
    return int(parent), position


def _committed_transactions(records: str) -> set[str]:
    """Returns the ids of the transactions with a commit record in ``pg_waldump``'s output."""
    return set(re.findall(r"tx:\s+(\d+),.*desc: COMMIT ", records))
