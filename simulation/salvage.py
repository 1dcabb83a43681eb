"""The salvage function, as its callers see it: what an old writer has and the new one lacks, page by page.

``handlers/standing/salvage.py`` speaks PostgreSQL's protocol, and has tests of its own with real servers. A session of
an application writes a row every half second, in two tables by turns; a row's transaction has an id that grows with
time.

Limits: no table is without a key, and none may not be read; rows are not changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from handlers.core.errors import TransientFailure
from simulation.databases import Database

if TYPE_CHECKING:
    from simulation.world import World

TABLES = ("public.transfers", "public.notes")
ROWS_A_PAGE = 40
ROW_EVERY_S = 0.5
TRANSACTIONS_A_SECOND = 10
TAKES_S = (0.1, 1.0)
GIVES_UP_S = 10.0


def transaction_id(moment: float, began: float) -> int:
    """Returns the id below which every transaction has ended at a moment, in a history that ``began`` then."""
    return 700 + max(0, int((moment - began) * TRANSACTIONS_A_SECOND))


def salvage(world: World, region: str, event: dict[str, Any]) -> dict[str, Any]:
    """Answers as the salvage function of ``region``, the old writer's."""
    old = _session(world, region, region)
    world.time.sleep(world.chance.uniform(*TAKES_S))
    if not old.runs:
        raise TransientFailure("the connection is gone")
    if event["order"] == "tables":
        return {"tables": [{"name": name, "keyed": True, "blocks": 1} for name in TABLES]}
    if event["order"] == "mark":
        rows = sum(1 for _ in _rows(world, old))
        return {"mark": f"lifted {old.lifts} times, {rows}" if old.is_fenced else None}
    new = _session(world, region, world.databases.other(region).region)
    have = set(_rows(world, new))
    horizon, number = event["horizon"] or 0, TABLES.index(event["table"]["name"])
    missing = [
        f"{session}.{row}"
        for session, row, moment in sorted(set(_rows(world, old)) - have)
        if row % len(TABLES) == number and transaction_id(moment, world.began) >= horizon
    ]
    first = int(event["after"].strip("()").split(",")[1])
    page, more = missing[first : first + ROWS_A_PAGE], first + ROWS_A_PAGE < len(missing)
    return {
        "rows": [{"finding": "missing", "data": json.dumps({"id": one})} for one in page],
        "uncompared": 0,
        "after": f"(0,{first + ROWS_A_PAGE})" if more else None,
        "unread": None,
    }


def _session(world: World, here: str, there: str) -> Database:
    """Returns the writer there, once there is a session with it."""
    database = world.databases.of[there]
    hangs = world.faults.acting("database hangs", there) is not None
    way = world.network.reaches(here, there)
    if hangs or way == "hangs":
        world.time.sleep(GIVES_UP_S)
    if hangs or way != "open" or not database.runs or database.role != "writer":
        raise TransientFailure(f"no session with the writer of {there}")
    return database


def _rows(world: World, database: Database) -> Iterator[tuple[int, int, float]]:
    """Yields the rows that a database has: the session, the row's number in it, and when it was written."""
    for session, (start, end) in database.written.items():
        for row in range(math.floor((min(end, world.time.now) - start) / ROW_EVERY_S) + 1):
            yield session, row, start + row * ROW_EVERY_S
