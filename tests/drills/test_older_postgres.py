"""The monitoring schema on PostgreSQL before 17, which an adopted database may have: what still holds, and what not."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from drills.world import bank
from drills.world.network import Address, free_port
from drills.world.postgres import APPLICATION, DEBIAN_VERSIONS, GOOD_MAJOR_VERSION, Server, find_binaries
from drills.world.reaper import Reaper
from handlers.gateways import postgres
from handlers.gateways.catalog import PASSING, RESERVED_CONNECTIONS, SHUT_OUT
from orchestration.settings import Database
from orchestration.specification.names import FIRST_SUPPORTED_MAJOR
from tests.drills.conftest import LOOPBACK
from tests.drills.test_monitoring_sql import application, let_in, monitor


@pytest.fixture(scope="module")
def server(folder: Path, reaper: Reaper) -> Server:
    """A writer of a version before 17."""
    older = [
        each
        for each in DEBIAN_VERSIONS.glob("*")
        if each.name.isdigit() and FIRST_SUPPORTED_MAJOR <= int(each.name) < GOOD_MAJOR_VERSION
    ]
    if not older:
        pytest.skip(f"no PostgreSQL of {FIRST_SUPPORTED_MAJOR} to {GOOD_MAJOR_VERSION - 1} in {DEBIAN_VERSIONS}")
    binaries = find_binaries(folder, older[0] / "bin")
    address = Address(LOOPBACK, free_port([LOOPBACK]))
    server = Server("orders", "payments", binaries, folder, address, reaper, Database().reserved_connections)
    server.initialise()
    bank.install(server)
    return server


def test_the_bootstrap_says_how_many_connections_are_reserved_where_the_version_has_none(server: Server) -> None:
    ((kept,),) = server.query(RESERVED_CONNECTIONS)
    assert kept == (Database().reserved_connections if server.binaries.major >= 16 else 0)
    with monitor(server) as session:
        seen = postgres.installed(session)
    assert (seen.missing, seen.login_trigger, seen.reserved_connections) == ((), None, kept)


def test_p1_a_fence_by_sql_keeps_applications_out_and_outlasts_a_restart(server: Server) -> None:
    let_in(server)
    client = application(server)
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")
    server.stop()
    server.start()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        application(server)
    let_in(server)
    application(server).close()


def test_the_limit_of_p1_before_17_a_server_that_starts_is_open_until_its_guardian_closes_it(server: Server) -> None:
    """What docs/adopt.md and `failoverctl adopt` say; from 17 on the login trigger refuses."""
    let_in(server)
    server.stop()
    server.start()
    application(server).close()
    with monitor(server) as session:
        assert postgres.standing(session).fenced is False


def test_p1_before_17_a_role_with_a_right_of_its_own_passes_a_fence_and_is_named(server: Server) -> None:
    """The bootstrap refuses to go on before it is taken; `failoverctl ready` says so of one that was given since."""
    let_in(server)
    assert server.query(PASSING) == []
    server.run_script(f"CREATE ROLE services ROLE {APPLICATION}; GRANT CONNECT ON DATABASE payments TO services")
    try:
        with monitor(server) as session:
            assert postgres.installed(session).passing == ("services",)
            assert postgres.fence(session, "the test")
            application(server).close()
            server.run_script("REVOKE CONNECT ON DATABASE payments FROM services")
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                application(server)
            assert postgres.installed(session).passing == ()
    finally:
        server.run_script("DROP OWNED BY services; DROP ROLE services")
        let_in(server)


def test_p10_roles_that_the_bootstrap_would_shut_out_are_found_before_it_runs(server: Server) -> None:
    assert server.query(SHUT_OUT) == []  # the application is in its group
    server.run_script("CREATE ROLE batch LOGIN; CREATE ROLE reports LOGIN; GRANT application TO reports;")
    assert server.query(SHUT_OUT) == []  # `CONNECT` was taken from everybody
    server.run_script("GRANT CONNECT ON DATABASE payments TO PUBLIC")
    try:
        assert server.query(SHUT_OUT) == [("batch",), ("replicator",)]  # the second is of the lab
    finally:
        server.run_script("REVOKE CONNECT ON DATABASE payments FROM PUBLIC; DROP ROLE batch; DROP ROLE reports;")
