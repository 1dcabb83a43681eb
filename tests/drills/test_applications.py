"""The example applications: their table, how the lab runs and judges them, and that their document says so."""

from __future__ import annotations

import re
import tomllib
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from drills.bench import applications
from drills.bench.applications import WITHOUT, Measured, Played, findings, measured
from drills.world.applications import EXAMPLES, PROGRAMS, SCHEMA, Attempt, Chosen, Hosts, LackingError, command_of
from drills.world.clock import Clock
from drills.world.dns import DnsServer, RecordSet, Zone
from drills.world.network import Address, free_port
from drills.world.postgres import APPLICATION, Server
from orchestration.settings import PROJECT_ROOT, load
from tests.drills.sample_result import sample_result

WaitUntil = Callable[[Callable[[], object]], None]

DOCUMENT = PROJECT_ROOT / "docs" / "applications.md"
# Where the settings of each section of the document have to be found.
SECTIONS = {
    "psycopg, its pool, and SQLAlchemy": "python",
    "node-postgres": "node",
    "JDBC with HikariCP": "java",
    "pgx": "go",
}
AT = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
WRITER = "writer.payments.internal"
EAST, WEST = "payments-production-use1.cluster-example", "payments-usw2.cluster-example"


# ------------------------------------------------------------------------------------------ the payments


@pytest.fixture(scope="module")
def payments(server: Server) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    server.run_script(SCHEMA.read_text(encoding="utf-8"))
    host, port = server.address
    with psycopg.connect(host=host, port=port, user=APPLICATION, dbname="payments", autocommit=True) as session:
        yield session


def pay(session: psycopg.Connection[tuple[object, ...]], key: uuid.UUID, cents: int = 1250) -> object:
    row = session.execute("SELECT pay(%s, %s, %s, %s)", (key, 42, cents, AT)).fetchone()
    assert row is not None
    return row[0]


def test_a_payment_is_made_once_however_often_it_is_asked_for(
    payments: psycopg.Connection[tuple[object, ...]],
) -> None:
    key = uuid.uuid4()
    assert [pay(payments, key) for _ in range(3)] == ["paid", "known", "known"]
    assert payments.execute("SELECT made_at FROM payments WHERE key = %s", (key,)).fetchall() == [(AT,)]


def test_the_key_of_another_payment_is_refused(payments: psycopg.Connection[tuple[object, ...]]) -> None:
    key = uuid.uuid4()
    pay(payments, key)
    with pytest.raises(psycopg.errors.UniqueViolation):
        pay(payments, key, cents=1)


def test_the_documents_salvage_setting_calls_the_function_with_the_tables_columns(
    payments: psycopg.Connection[tuple[object, ...]],
) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    replay = load(salvage=tomllib.loads(block)["salvage"]).salvage.replay
    key = uuid.uuid4()
    pay(payments, key)
    row = payments.execute(f"SELECT {replay['payments']} FROM payments WHERE key = '{key}'").fetchone()
    assert row == ("known",)


def test_p1_libpq_stops_at_a_fenced_host_unless_hosts_are_shuffled(
    server: Server, make_server: Callable[[str], Server]
) -> None:
    """What the document says of clients by hosts: a fenced region's refusal is the end of libpq's list."""
    fenced = make_server("payments-usw2")
    fenced.initialise()
    fenced.run_script(f"REVOKE CONNECT ON DATABASE payments FROM PUBLIC, {APPLICATION}")
    both = f"host=127.0.0.1,127.0.0.1 port={fenced.address.port},{server.address.port}"
    conninfo = f"{both} user={APPLICATION} dbname=payments target_session_attrs=read-write"

    def reaches(more: str = "") -> bool:
        return psycopg.pq.PGconn.connect((conninfo + more).encode()).status == psycopg.pq.ConnStatus.OK

    try:
        assert not any(reaches() for _ in range(5))
        assert any(reaches(" load_balance_hosts=random") for _ in range(30))
        psycopg.connect(conninfo).close()  # psycopg 3 tries the hosts itself
    finally:
        fenced.stop()


# ------------------------------------------------------------------------------------------ the lab's part


def test_a_program_has_its_regions_names_for_their_time_to_live(tmp_path: Path, wait_until: WaitUntil) -> None:
    healthy = {"switch", "other"}
    records = [
        RecordSet(WRITER, "CNAME", EAST, 5, "PRIMARY", "switch"),
        RecordSet(WRITER, "CNAME", WEST, 5, "SECONDARY", "other"),
        RecordSet(EAST, "A", "127.0.10.10", 5),
        RecordSet(WEST, "A", "127.0.10.11", 5),
    ]
    address = Address("127.0.0.1", free_port(["127.0.0.1"]))
    dns = DnsServer(Zone(records, healthy.__contains__), address)
    clock = Clock.started_now(20)
    hosts = Hosts(tmp_path / "hosts", address, clock, [WRITER, EAST, WEST])
    try:
        size = hosts.file.stat().st_size
        wait_until(lambda: f"127.0.10.10 {EAST} {WRITER}" in hosts.file.read_text().split("\n"))
        healthy.discard("switch")
        moved = [
            "127.0.0.1 localhost",
            f"127.0.10.11 {WEST} {WRITER}",
            f"127.0.10.10 {EAST} {EAST}",
            f"127.0.10.11 {WEST} {WEST}",
        ]
        wait_until(lambda: [line for line in hosts.file.read_text().split("\n") if line] == moved)
        assert hosts.file.stat().st_size == size
    finally:
        hosts.close()
        dns.close()


def test_what_a_machine_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drills.world.applications.shutil.which", lambda program: None)
    monkeypatch.setattr("drills.world.applications.find_spec", lambda package: None)
    for program in PROGRAMS.values():
        with pytest.raises(LackingError):
            command_of(Chosen(program, "name"), tmp_path)
    assert applications.lacking().keys() == PROGRAMS.keys()


@pytest.mark.parametrize(("name", "find", "without"), WITHOUT, ids=[row[2].setting for row in WITHOUT])
def test_each_change_finds_the_setting_that_it_takes_away(name: str, find: str, without, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = EXAMPLES / PROGRAMS[name].folder / without.file
    (tmp_path / without.file).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    without.apply(tmp_path)
    assert (tmp_path / without.file).read_text(encoding="utf-8") != file.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="should have it once"):
        without.apply(tmp_path)


def attempts(*moments: float, payer: int = 0, error: str | None = None) -> list[Attempt]:
    return [Attempt(at, payer, f"{payer}/{at}", None if error else "paid", error) for at in moments]


def judged(found: list[Attempt], open_at: float | None = 40.0, after: set[str] | None = None) -> Measured:
    keys = {each.key for each in found} if after is None else after
    return measured("psycopg by name", found, lambda t: t, open_at, keys)


def test_a_program_is_back_when_its_last_payer_is() -> None:
    found = judged(attempts(-2, -1, 41, 42) + attempts(-1.5, 43.5, payer=1) + attempts(3, 10, error="timeout"))
    assert (found.reconnect_s, found.silence_s, found.answered, found.failed) == (3.5, 45.0, 6, 2)
    assert found.recovered


@pytest.mark.parametrize(
    ("found", "open_at"),
    [
        (attempts(-2, -1, 41) + attempts(-1, payer=1), 40.0),
        (attempts(-2, -1), 40.0),
        (attempts(-2, -1, 41), None),
        ([], 40.0),
    ],
    ids=["one payer hangs", "all hang", "no new writer", "it never wrote"],
)
def test_a_program_that_hangs_is_not_back(found: list[Attempt], open_at: float | None) -> None:
    assert not judged(found, open_at).recovered


def test_a_program_that_wrote_nothing_before_the_outage_has_not_come_back() -> None:
    found = judged(attempts(-1, error="no connection") + attempts(41, 42))
    assert not found.recovered
    assert found.last_error == "no connection"
    assert findings([Played(sample_result(), [found])], {}, 30).rows[0][1] == "never began"


def test_an_answered_payment_that_is_not_there_is_no_recovery() -> None:
    assert not judged(attempts(-1, 41), after={"0/-1"}).recovered


def test_the_part_fails_when_a_program_as_recommended_does_not_come_back() -> None:
    back, gone = judged(attempts(-1, 41)), judged(attempts(-1))
    assert findings([Played(sample_result(), [back])], {}, 30).passed
    failed = findings([Played(sample_result(), [back]), Played(sample_result(), [gone])], {"pgx": "no Go"}, 30)
    assert not failed.passed
    assert failed.rows == (("psycopg by name", "never in 1 of 2", "never in 1 of 2"),)
    assert any("pgx: no Go" in note for note in failed.notes)


# ------------------------------------------------------------------------------------------ the document


def sections() -> dict[str, str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in text.split("\n## ")[1:]}


def settings_of(section: str) -> set[str]:
    """The settings that a section's tables name in their first column, without values."""
    rows = re.findall(r"^\| (.*?) \|", sections()[section], re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    return {match.group() for name in named if (match := re.match(r"[\w.-]+(?:\.[\w]+)*", name))}


@pytest.mark.parametrize(("section", "folder"), SECTIONS.items())
def test_the_settings_that_the_document_names_are_in_the_programs(section: str, folder: str) -> None:
    sources = [path for path in (EXAMPLES / folder).iterdir() if path.suffix in (".py", ".mjs", ".java", ".go")]
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    # Hikari's properties are set by methods.
    present = {each for each in settings_of(section) if each in source or f"set{each[:1].upper()}{each[1:]}" in source}
    assert settings_of(section) == present
    assert len(present) >= 5


def test_the_document_gives_the_values_of_the_programs() -> None:
    connection = (EXAMPLES / "python" / "connection.py").read_text(encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, value in re.findall(r'"(\w+timeout)": (\d+)', connection):
        assert f"`{name}={value}`" in text
    java = (EXAMPLES / "java" / "Payments.java").read_text(encoding="utf-8")
    for name, value in re.findall(r'addDataSourceProperty\("(\w+)", "(\w+)"\)', java):
        assert f"`{name}={value}`" in text or name == "sslmode"


def test_the_python_packages_are_those_of_the_tests() -> None:
    required = (PROJECT_ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert {"psycopg-pool", "sqlalchemy"} <= set(re.findall(r"^[\w-]+", required, re.MULTILINE))
