"""What an old writer has and the new one lacks, read by the salvage's own code from real PostgreSQL servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pg8000.exceptions
import pg8000.native
import psycopg
import pytest

from drills.world import bank
from drills.world.postgres import MONITOR, Server
from handlers.core.salvage import FROM_THE_START, Table
from handlers.gateways import postgres, salvage

MakeServer = Callable[[str], Server]

BEFORE = """
CREATE TABLE notes (area text, number numeric(30, 4), body text, PRIMARY KEY (area, number));
CREATE TABLE journal (line text);
CREATE SCHEMA other; CREATE TABLE other."Odd ""name" (id integer PRIMARY KEY);
INSERT INTO notes VALUES ('a', 1, 'replicated'), ('a', 2, 'to be changed on both'), ('a', 3, 'to be changed here');
INSERT INTO journal VALUES ('replicated');
"""
ON_THE_OLD = """
INSERT INTO notes VALUES ('b', 12345678901234567.8901, 'it''s lost'), ('ü', 2, NULL);
UPDATE notes SET body = 'old' WHERE number = 2 AND area = 'a';
UPDATE notes SET body = 'new' WHERE number = 3;
INSERT INTO journal VALUES ('lost'), ('lost, too');
INSERT INTO other."Odd ""name" VALUES (1);
"""
ON_THE_NEW = """
UPDATE notes SET body = 'new' WHERE number = 2 AND area = 'a';
INSERT INTO notes VALUES ('c', 1, 'of the new writer');
"""


def monitor(server: Server) -> pg8000.native.Connection:
    return pg8000.native.Connection(
        MONITOR, host=server.address.host, port=server.address.port, database="payments", timeout=10
    )


@dataclass
class Split:
    """Two writers with one past; ``horizon`` is what the standby said before it was promoted."""

    old: pg8000.native.Connection
    new: pg8000.native.Connection
    old_server: Server
    horizon: int


@pytest.fixture(scope="module")
def split(make_server: MakeServer, wait_until: Callable[[Callable[[], object]], None]) -> Iterator[Split]:
    old, new = make_server("split-use1"), make_server("split-usw2")
    old.initialise()
    bank.install(old)
    old.run_script(BEFORE)
    new.follow(old.address)
    old.wait_until_streaming()
    wait_until(lambda: (lag := old.standby_lag()) and lag.bytes == 0)
    standby = monitor(new)
    horizon = postgres.standing(standby).oldest_xid
    standby.close()
    assert horizon is not None
    new.stop()  # nothing more arrives, as when the link is cut
    old.run_script(ON_THE_OLD)
    old.kill()
    new.start()
    new.promote()
    new.run_script(ON_THE_NEW)
    old.start()
    with_old, with_new = monitor(old), monitor(new)
    with_old.run("SELECT fence_application('the test')")
    with_new.run("SELECT lift_fence(number, 4e9) FROM fence")
    yield Split(with_old, with_new, old, horizon)
    with_old.close()
    with_new.close()


def table(split: Split, name: str) -> Table:
    return next(table for table in salvage.tables(split.old) if table.name == name)


def export(split: Split, name: str, horizon: int | None = None) -> tuple[dict[str, str], int]:
    """Every row that was found, page by page, and how many could not be compared."""
    found: dict[str, str] = {}
    uncompared = 0
    after: str | None = FROM_THE_START
    while after is not None:
        page = salvage.page(split.old, split.new, table(split, name), after, horizon)
        found |= {row.data: row.finding for row in page.rows}
        uncompared += page.uncompared
        after = page.after
    return found, uncompared


def test_every_table_of_the_application_is_found_and_none_of_ours(split: Split) -> None:
    found = {table.name: table.keyed for table in salvage.tables(split.old)}
    assert found == {
        "public.accounts": True,
        "public.transfers": True,
        "public.movements": False,
        "public.notes": True,
        "public.journal": False,
        'other."Odd ""name"': True,
    }


def test_what_the_new_writer_lacks_or_has_otherwise_is_found_by_key_and_content(split: Split) -> None:
    found, uncompared = export(split, "public.notes", split.horizon)
    assert found == {
        '{"area": "b", "body": "it\'s lost", "number": 12345678901234567.8901}': "missing",
        '{"area": "ü", "body": null, "number": 2.0000}': "missing",
        '{"area": "a", "body": "old", "number": 2.0000}': "different",
        '{"area": "a", "body": "new", "number": 3.0000}': "different",
    }
    assert uncompared == 0
    assert export(split, 'other."Odd ""name"', split.horizon)[0] == {'{"id": 1}': "missing"}


def test_rows_from_before_the_horizon_are_not_read(split: Split) -> None:
    split.new.run("SET ROLE NONE")
    everything, _ = export(split, "public.accounts")
    assert everything == {}  # equal on both
    (read,) = split.old.run(
        "SELECT count(*) FROM salvage_page('public.accounts', :h, '(0,0)', '(9,0)', 500)", h=split.horizon
    )
    (all_read,) = split.old.run("SELECT count(*) FROM salvage_page('public.accounts', NULL, '(0,0)', '(9,0)', 500)")
    assert (read, all_read) == ([0], [500])


def test_without_a_horizon_everything_is_compared_and_the_same_is_found(split: Split) -> None:
    assert export(split, "public.notes") == export(split, "public.notes", split.horizon)


def test_rows_without_a_key_are_counted(split: Split) -> None:
    assert export(split, "public.journal", split.horizon) == ({}, 2)
    assert export(split, "public.journal") == ({}, 3)


@pytest.mark.parametrize("rows", [1, 2])
def test_page_by_page_nothing_is_left_out(rows: int, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = export(split, "public.notes", split.horizon)
    monkeypatch.setattr(salvage, "ROWS_A_PAGE", rows)
    assert export(split, "public.notes", split.horizon) == whole
    monkeypatch.undo()
    monkeypatch.setattr(salvage, "BYTES_A_PAGE", 1)
    assert export(split, "public.notes", split.horizon) == whole
    monkeypatch.undo()
    monkeypatch.setattr(salvage, "BLOCKS_A_PAGE", 1)
    assert export(split, "public.accounts") == ({}, 0)
    monkeypatch.undo()
    monkeypatch.setattr(salvage, "FIRST_LOOK_BLOCKS", 1)
    assert export(split, "public.notes", split.horizon) == whole


class Looks:
    """A session that notes up to which block each page was to look."""

    def __init__(self, session: pg8000.native.Connection) -> None:
        self.session = session
        self.ends: list[str] = []

    def run(self, statement: str, **values: Any) -> Any:
        self.ends.append(values["end"])
        return self.session.run(statement, **values)


def test_a_page_looks_through_no_more_of_a_table_than_it_needs(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page of a large table made all the rest of it into JSON."""
    accounts = table(split, "public.accounts")
    assert accounts.blocks > 3
    monkeypatch.setattr(salvage, "FIRST_LOOK_BLOCKS", 1)
    for rows, horizon, ends in (
        (10, None, ["(1,0)"]),
        (200, None, ["(1,0)", "(3,0)"]),
        (200, split.horizon, ["(1,0)", "(3,0)", f"({min(7, accounts.blocks)},0)"]),
    ):
        looks = Looks(split.old)
        monkeypatch.setattr(salvage, "ROWS_A_PAGE", rows)
        salvage.page(cast("pg8000.native.Connection", looks), split.new, accounts, FROM_THE_START, horizon)
        assert looks.ends[: len(ends)] == ends
        assert len(looks.ends) == len(ends) or horizon is not None


def test_rows_are_given_by_a_fenced_server_only(split: Split) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError, match="from a fenced server only"):
        salvage.page(split.new, split.old, table(split, "public.notes"), FROM_THE_START, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM notes",
        "SELECT * FROM salvage_page('pg_authid', NULL, '(0,0)', '(9,0)', 9)",
        "SELECT salvage_rows('notes', NULL, '(0,0)', '(9,0)')",
        "SELECT * FROM salvage_compare('notes; DROP TABLE notes', '[]')",
    ],
)
def test_the_monitor_reads_nothing_else(statement: str, split: Split) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError):
        split.old.run(statement)


NAMES = ("notes", "Notes", "a.b", "a;b", 'q"uote', "it's", "select", "ü\n--", "$1 %I :x", "l" * 63)
SCHEMAS = ("shadow", "Odd.schema")


@pytest.fixture
def odd(split: Split) -> Iterator[list[str]]:
    """Tables of every name in two schemas; what is given are the schemas' tables as the database lists them."""
    quoted = ['"{}"'.format(name.replace('"', '""')) for name in NAMES]
    for schema in SCHEMAS:
        made = "".join(f'CREATE TABLE "{schema}".{name} (id integer PRIMARY KEY);' for name in quoted)
        split.old_server.run_script(f'CREATE SCHEMA "{schema}"; {made}')
    yield [table.name for table in salvage.tables(split.old) if table.name.startswith(("shadow.", '"Odd.schema".'))]
    for schema in SCHEMAS:
        split.old_server.run_script(f'DROP SCHEMA "{schema}" CASCADE')


def test_every_name_that_is_listed_is_one_table_and_its_own(odd: list[str], split: Split) -> None:
    assert len(odd) == len(NAMES) * len(SCHEMAS)
    found = {
        split.old_server.query(
            "SELECT nspname, relname FROM pg_class JOIN pg_namespace AS s ON s.oid = relnamespace"
            " WHERE pg_class.oid = salvage_table(%s)",
            (name,),
        )[0]
        for name in odd
    }
    assert found == {(schema, name) for schema in SCHEMAS for name in NAMES}


@pytest.mark.parametrize(
    "name",
    [
        "notes",
        "PUBLIC.notes",
        '"public"."notes"',
        " public.notes",
        "payments.public.notes",
        "public.nothing",
        "nowhere.notes",
        "public.fence",
        "public.notes_pkey",
        "public.salvage_source",
        "pg_catalog.pg_authid",
        "",
        None,
    ],
)
def test_security_a_name_that_is_not_listed_is_no_table(name: str | None, split: Split) -> None:
    with pytest.raises(psycopg.Error):
        split.old_server.query("SELECT salvage_table(%s)", (name,))


def blocks_of_a_look_up(server: Server) -> int:
    """How many blocks of the catalogue it reads: unlike its time, the same whatever else the machine does."""
    with server.connect() as session:
        for _ in range(2):  # a session's first look fills its caches
            row = session.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT salvage_table('public.notes')"
            ).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_a_page_looks_up_its_own_table_and_not_all(split: Split) -> None:
    few = blocks_of_a_look_up(split.old_server)
    made = "".join(f"CREATE TABLE many.t{number} (id integer PRIMARY KEY);" for number in range(300))
    split.old_server.run_script(f"CREATE SCHEMA many; {made}")
    try:
        assert blocks_of_a_look_up(split.old_server) <= few + 3  # an index may be deeper; the list is 20 more
    finally:
        split.old_server.run_script("DROP SCHEMA many CASCADE")


# --- what may not be read, and what was done since

HIDDEN = """
CREATE ROLE stranger; CREATE ROLE poor NOLOGIN;
CREATE SCHEMA closed AUTHORIZATION stranger;
CREATE TABLE closed.keyed (id integer PRIMARY KEY); CREATE TABLE closed.heap (line text);
CREATE TABLE closed.filtered (id integer PRIMARY KEY); ALTER TABLE closed.filtered ENABLE ROW LEVEL SECURITY;
INSERT INTO closed.keyed VALUES (1); INSERT INTO closed.heap VALUES ('x'); INSERT INTO closed.filtered VALUES (1);
"""
# On RDS the master user owns the functions, and may read what he was granted only; in the lab a superuser owns them.
POOR = ("salvage_page(text, bigint, text, text, integer)", "salvage_count(text, bigint, text, text)")


@pytest.fixture
def hidden(split: Split) -> Iterator[None]:
    split.old_server.run_script(HIDDEN)
    helpers = "salvage_tables(), salvage_table(text), salvage_key(text), salvage_rows(text, bigint, text, text)"
    script = f"GRANT EXECUTE ON FUNCTION {helpers}, is_fenced() TO poor; GRANT CREATE ON SCHEMA public TO poor;"
    script += "GRANT USAGE ON SCHEMA closed TO poor; GRANT SELECT ON closed.filtered TO poor;"
    script += "".join(f"ALTER FUNCTION {name} OWNER TO poor;" for name in POOR)
    split.old_server.run_script(script)
    yield
    back = "".join(f"ALTER FUNCTION {name} OWNER TO CURRENT_USER;" for name in POOR)
    split.old_server.run_script(f"{back} DROP SCHEMA closed CASCADE; DROP OWNED BY poor; DROP ROLE poor, stranger;")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("closed.keyed", "permission denied for table keyed (42501)"),
        ("closed.heap", "permission denied for table heap (42501)"),
        ("closed.filtered", 'query would be affected by row-level security policy for table "filtered" (42501)'),
    ],
)
@pytest.mark.usefixtures("hidden")
def test_p7_a_table_that_may_not_be_read_is_an_answer_and_not_an_error_for_ever(
    name: str, says: str, split: Split
) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError) as refused:
        salvage.page(split.old, split.new, table(split, name), FROM_THE_START, None)
    assert salvage.why_unread(refused.value) == says


def test_p7_a_table_that_the_new_writer_lacks_is_said_so(split: Split) -> None:
    split.old_server.run_script("CREATE TABLE since (id integer PRIMARY KEY); INSERT INTO since VALUES (1)")
    with pytest.raises(pg8000.exceptions.DatabaseError) as refused:
        salvage.page(split.old, split.new, table(split, "public.since"), FROM_THE_START, None)
    assert salvage.why_unread(refused.value) == "public.since is no table of the application (42P01)"
    split.old_server.run_script("DROP TABLE since")


def test_what_may_pass_is_no_reason_to_leave_a_table_out(split: Split) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError) as refused:
        salvage.page(split.new, split.old, table(split, "public.notes"), FROM_THE_START, None)
    assert salvage.why_unread(refused.value) is None
    assert salvage.why_unread(pg8000.exceptions.DatabaseError("network error")) is None


@pytest.fixture(scope="module")
def written(make_server: MakeServer) -> Iterator[tuple[Server, pg8000.native.Connection]]:
    """A fenced server for those who write, because the other tests compare all that they find; a monitor's session."""
    server = make_server("written-use1")
    server.initialise()
    bank.install(server)
    server.run_script(BEFORE)
    with monitor(server) as session:
        session.run("SELECT fence_application('the test')")
        yield server, session
    server.stop()


def nobody_writes(server: Server) -> bool:
    """Whether every session that has written is gone: a server counts a session's writes at its end, if not before."""
    sessions = "SELECT usename FROM pg_stat_activity WHERE client_port IS NOT NULL AND pid <> pg_backend_pid()"
    return server.query(sessions) == [(MONITOR,)]


WRITES = {
    "a row": "INSERT INTO journal VALUES ('since')",
    "a change": "UPDATE notes SET body = 'since' WHERE number = 1",
    "a deletion": "DELETE FROM notes WHERE number = 2",
    "an emptied table": 'TRUNCATE other."Odd ""name"',
    "a new table": "CREATE TABLE late ()",
    "a lift": "SELECT lift_fence(number, extract(epoch FROM now()) + 60) FROM fence; SELECT fence_application('')",
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_p7_a_mark_changes_with_every_write_and_every_lift(
    write: str,
    written: tuple[Server, pg8000.native.Connection],
    wait_until: Callable[[Callable[[], object]], None],
) -> None:
    server, session = written
    wait_until(lambda: nobody_writes(server))
    before = salvage.mark(session)
    assert before is not None
    assert salvage.mark(session) == before
    server.run_script(write)
    wait_until(lambda: salvage.mark(session) != before)


def test_p7_an_idle_server_keeps_its_mark_and_an_open_one_has_none(split: Split) -> None:
    before = salvage.mark(split.old)
    # A guardian's next run may put the fence up again, which stands.
    for upkeep in ("VACUUM", "ANALYZE", "CHECKPOINT", "SELECT fence_application('again')"):
        split.old_server.run_script(upkeep)
    assert salvage.mark(split.old) == before
    assert salvage.mark(split.new) is None
