"""How the salvage's cost grows: the product's own SQL and paging, on two real servers with a common past.

The old writer has committed some rows that the new one lacks. Without the old standby's last horizon every row has to
be compared; with it, the rows that both are known to have are passed over inside the old writer.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pg8000.native

from drills.bench.findings import Findings
from drills.world import bank
from drills.world.network import Address, free_port
from drills.world.postgres import MONITOR, Server, find_binaries
from drills.world.reaper import Reaper
from handlers.core.salvage import FROM_THE_START
from handlers.gateways import postgres, salvage

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTS = ("127.0.10.90", "127.0.11.90")
DATABASE = "payments"
# Tables, and rows in all of them together.
SIZES = ((10, 10_000), (100, 10_000), (1_000, 10_000), (10, 100_000), (10, 1_000_000), (10, 10_000_000))
LOST = 1_000  # rows that only the old writer has
# Comparing every row of more than that takes long, and its growth is seen before.
COMPARED_AT_MOST = 1_000_000
FILLED = """
CREATE TABLE ledger_{number} (id bigint PRIMARY KEY, cents bigint, note text);
INSERT INTO ledger_{number} SELECT id, id * 7, md5(id::text) FROM generate_series(1, {rows}) AS id
"""
STATEMENT_TIMEOUT_S = 600
CATCHES_UP_WITHIN_S = 600.0
ASK_AGAIN_S = 0.2
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Size:
    """One database and what its salvage took; ``whole_s`` is without a horizon, None where that was not measured."""

    tables: int
    rows: int
    bytes: int
    tables_s: float
    pages: int
    found: int
    with_horizon_s: float
    whole_s: float | None


def measure(largest_rows: int, say: Callable[[str], None]) -> Findings:
    """Builds a database of each size with at most that many rows, and exports what its successor lacks."""
    sizes = []
    for tables, rows in SIZES:
        if rows <= largest_rows:
            sizes.append(_measure(tables, rows))
            say(f"salvage: {tables} tables, {rows:,} rows: {sizes[-1].with_horizon_s:.2f} s")
    return findings(sizes)


def findings(sizes: list[Size]) -> Findings:
    """Returns the table."""
    return Findings(
        f"Salvage of {LOST:,} lost rows, s",
        ("tables", "rows", "MB", "list of tables", "pages", "passed over by horizon", "every row compared"),
        tuple(
            (
                f"{size.tables:,}",
                f"{size.rows:,}",
                f"{size.bytes / MEGABYTE:,.0f}",
                f"{size.tables_s:.2f}",
                f"{size.pages:,}",
                f"{size.with_horizon_s:.2f}",
                "-" if size.whole_s is None else f"{size.whole_s:.2f}",
            )
            for size in sizes
        ),
        {"sizes": [asdict(size) for size in sizes]},
        notes=(
            "The servers are on this machine. In a deployment each page is an invocation of a warm function, and the "
            "new writer is a round trip of 64 ms away.",
        ),
        passed=all(size.found == LOST for size in sizes),
    )


def _measure(tables: int, rows: int) -> Size:
    reaper = Reaper()
    try:
        folder = Path(tempfile.mkdtemp(prefix="drill-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        reaper.folder(folder)
        binaries, port = find_binaries(folder), free_port(HOSTS)
        old, new = (
            Server(f"salvage-{number}", DATABASE, binaries, folder, Address(host, port), reaper)
            for number, host in enumerate(HOSTS)
        )
        horizon = _part(old, new, tables, rows)
        with closing(_session(old)) as with_old, closing(_session(new)) as with_new:
            with_old.run("SELECT fence_application('the benchmark')")
            return _export(with_old, with_new, tables, rows, horizon)
    finally:
        reaper.close()


def _part(old: Server, new: Server, tables: int, rows: int) -> int:
    """Makes two writers of one past, the first with rows that the second lacks; returns the second's horizon."""
    old.initialise()
    bank.install(old)
    each = rows // tables
    for number in range(1, tables + 1):
        old.run_script(FILLED.format(number=number, rows=each))
    new.follow(old.address)
    old.wait_until_streaming()
    deadline = time.monotonic() + CATCHES_UP_WITHIN_S
    while (lag := old.standby_lag()) is None or lag.bytes:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the standby is behind by {lag}")
        time.sleep(ASK_AGAIN_S)
    with closing(_session(new)) as standby:
        horizon = postgres.standing(standby).oldest_xid
    assert horizon is not None
    new.stop()  # nothing more arrives, as when the link is cut
    old.run_script(
        f"INSERT INTO ledger_1 SELECT {rows} + id, id, 'lost' FROM generate_series(1, {LOST}) AS id"  # noqa: S608
    )
    old.kill()
    new.start()
    new.promote()
    old.start()
    return horizon


def _session(server: Server) -> pg8000.native.Connection:
    host, port = server.address
    return pg8000.native.Connection(MONITOR, host=host, port=port, database=DATABASE, timeout=STATEMENT_TIMEOUT_S)


def _export(old: pg8000.native.Connection, new: pg8000.native.Connection, tables: int, rows: int, horizon: int) -> Size:
    ((size,),) = old.run("SELECT pg_database_size(current_database())")
    began = time.monotonic()
    salvage.tables(old)
    tables_s = time.monotonic() - began
    with_horizon_s, pages, found = _timed(old, new, horizon)
    whole_s = _timed(old, new, None)[0] if rows <= COMPARED_AT_MOST else None
    return Size(tables, rows, size, tables_s, pages, found, with_horizon_s, whole_s)


def _timed(old: pg8000.native.Connection, new: pg8000.native.Connection, horizon: int | None) -> tuple[float, int, int]:
    """Exports everything; returns the seconds, the pages and the rows that were found."""
    began, pages, found = time.monotonic(), 0, 0
    for table in salvage.tables(old):
        after: str | None = FROM_THE_START
        while after is not None:
            page = salvage.page(old, new, table, after, horizon)
            pages, found, after = pages + 1, found + len(page.rows), page.after
    return time.monotonic() - began, pages, found
