"""What the orchestrator keeps in the database (handlers/sql/monitoring.sql), on real PostgreSQL and by its own code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pg8000.native
import psycopg
import pytest

from drills.world import bank
from drills.world.clock import Clock
from drills.world.network import free_port
from drills.world.postgres import APPLICATION, MONITOR, Server
from failoverctl.errors import CannotTell, Refused
from failoverctl.fencing import knock
from handlers.core.health import Installed
from handlers.core.heartbeat import Beat
from handlers.gateways import postgres
from orchestration.settings import Database

MakeServer = Callable[[str], Server]

FAR = 4_000_000_000.0  # seconds since 1970: a lift that counts at any time
LATE = 1.0


@pytest.fixture(scope="module")
def standby(server: Server, make_server: MakeServer) -> Server:
    standby = make_server("payments-usw2")
    standby.follow(server.address)
    server.wait_until_streaming()
    return standby


def monitor(server: Server) -> pg8000.native.Connection:
    """A session of the prober's own user and driver."""
    return pg8000.native.Connection(
        MONITOR, host=server.address.host, port=server.address.port, database="payments", timeout=10
    )


def application(server: Server) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.address.host,
        port=server.address.port,
        user=APPLICATION,
        dbname="payments",
        autocommit=True,
        connect_timeout=10,
    )


def beat(session: pg8000.native.Connection, lease: float | None) -> Beat:
    """As a writer's guardian does with each look."""
    seen = postgres.standing(session, beat=True, lease=lease)
    assert seen.heartbeat is not None
    return seen.heartbeat


def let_in(server: Server) -> None:
    """As a guardian does that has renewed the lease: lifts whichever fence it sees."""
    with monitor(server) as session:
        seen = postgres.standing(session)
        if seen.fenced:
            assert postgres.lift_fence(session, seen.fence_number or 0, FAR)


@pytest.fixture(autouse=True)
def open_again(server: Server) -> Iterator[None]:
    let_in(server)
    yield
    let_in(server)


def test_p1_a_fence_ends_every_session_of_the_applications_and_lets_nobody_in(server: Server) -> None:
    client = application(server)
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
        assert postgres.standing(session).fenced is True
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match=r"fenced|permission denied"):
            application(server)
        assert session.run("SELECT 1") == [[1]]
    assert server.query("SELECT 1") == [(1,)]


def test_p1_whoever_is_granted_the_right_to_connect_is_refused_behind_a_fence_all_the_same(server: Server) -> None:
    with monitor(server) as session:
        postgres.fence(session, "the test")
        server.run_script("GRANT CONNECT ON DATABASE payments TO PUBLIC")
        try:
            with pytest.raises(psycopg.OperationalError, match="this server is fenced from applications"):
                application(server)
        finally:
            server.run_script("REVOKE CONNECT ON DATABASE payments FROM PUBLIC")


def test_p1_a_fence_is_complete_when_no_session_is_left(server: Server) -> None:
    with monitor(server) as session, application(server):
        session.run("SELECT fence_application('the test')")
        seen = postgres.standing(session)
        assert (seen.fenced, seen.open_sessions) == (True, 1)
        assert postgres.fence(session, "the test")
        assert postgres.standing(session).open_sessions == 0


def test_p10_a_fence_that_is_lifted_before_it_is_complete_ends_nobodys_session(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients come back at once after a lift; they must not count as sessions that do not end."""
    clients: list[psycopg.Connection[tuple[object, ...]]] = []

    def lifted_meanwhile(_: float) -> None:
        if not clients:
            let_in(server)
            clients.append(application(server))

    monkeypatch.setattr("handlers.gateways.postgres.time.sleep", lifted_meanwhile)
    with monitor(server) as session:
        assert postgres.fence(session, "the test") is None
    assert clients[0].execute("SELECT 1").fetchone() == (1,)


def session_in(server: Server, database: str, user: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.address.host, port=server.address.port, user=user, dbname=database, autocommit=True
    )


@pytest.fixture
def second_database(server: Server) -> Iterator[str]:
    server.run_script("CREATE DATABASE ledger CONNECTION LIMIT 50")
    yield "ledger"
    with monitor(server) as session:
        postgres.fence(session, "the end of the test")
    server.run_script("DROP DATABASE ledger")


def test_p1_the_fence_covers_every_database_of_the_cluster(server: Server, second_database: str) -> None:
    clients = [session_in(server, name, APPLICATION) for name in (second_database, "postgres", "template1")]
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
        for client in clients:
            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
        for name in (second_database, "postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match="too many connections for database"):
                session_in(server, name, APPLICATION)
        let_in(server)
    limits = "SELECT datconnlimit FROM pg_database WHERE datname IN ('ledger', 'postgres') ORDER BY datname"
    assert server.query(limits) == [(50,), (-1,)]
    session_in(server, second_database, APPLICATION).close()


def test_p1_a_session_in_any_database_leaves_a_fence_incomplete(server: Server, second_database: str) -> None:
    with monitor(server) as session:
        postgres.fence(session, "the test")
        server.run_script(f"ALTER DATABASE {second_database} CONNECTION LIMIT -1")
        with session_in(server, second_database, APPLICATION):
            assert postgres.standing(session).open_sessions == 1
            assert postgres.fence(session, "the test")
            assert postgres.standing(session).open_sessions == 0
        let_in(server)


@pytest.fixture
def of_somebody_else(server: Server, second_database: str) -> Iterator[str]:
    """The second database belongs to another role than the one that has run the script, who is no superuser."""
    function = "ALTER FUNCTION close_other_databases() OWNER TO"
    server.run_script(f"CREATE ROLE master; GRANT ALL ON closed_database TO master; {function} master")
    yield second_database
    server.run_script(f"{function} postgres; DROP OWNED BY master; DROP ROLE master")


def test_the_limit_of_p1_a_fence_ends_the_sessions_in_somebody_elses_database_and_keeps_nobody_out(
    server: Server, of_somebody_else: str
) -> None:
    before = session_in(server, of_somebody_else, APPLICATION)
    with monitor(server) as session:
        seen = postgres.installed(session)
        assert (seen.other_databases, seen.not_closed) == (("ledger",), ("ledger", "postgres", "template1"))
        assert postgres.fence(session, "the test")
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
        with session_in(server, of_somebody_else, APPLICATION):
            assert postgres.standing(session).open_sessions == 1, "the fence is complete no more"
            assert postgres.fence(session, "the guardian's next look")
            assert postgres.standing(session).open_sessions == 0


def test_p1_a_role_with_a_right_of_its_own_does_not_pass_a_fence(server: Server) -> None:
    """From PostgreSQL 17 on, by the login trigger; before, `tests/drills/test_older_postgres.py`."""
    server.run_script(f"CREATE ROLE services ROLE {APPLICATION}; GRANT CONNECT ON DATABASE payments TO services")
    try:
        with monitor(server) as session:
            assert postgres.installed(session).passing == ()
            assert postgres.fence(session, "the test")
            with pytest.raises(psycopg.OperationalError, match="this server is fenced from applications"):
                application(server)
            let_in(server)
        application(server).close()
    finally:
        server.run_script("DROP OWNED BY services; DROP ROLE services")


def half_drop(server: Server, database: str) -> None:
    """What a DROP DATABASE leaves that was broken off (PostgreSQL manual, "pg_database")."""
    server.run_script(f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{database}'")


def test_p1_a_database_whose_drop_was_broken_off_does_not_keep_a_fence_from_going_up(
    server: Server, second_database: str
) -> None:
    half_drop(server, second_database)
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
        let_in(server)
        assert postgres.standing(session).fenced is False


def test_p10_a_database_whose_drop_was_broken_off_meanwhile_does_not_keep_the_writer_closed(
    server: Server, second_database: str
) -> None:
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
        half_drop(server, second_database)
        let_in(server)
        assert postgres.standing(session).fenced is False


def test_p10_a_database_that_was_given_to_somebody_else_meanwhile_does_not_keep_the_writer_closed(
    server: Server, second_database: str
) -> None:
    server.run_script("CREATE ROLE master")
    functions = ("close_other_databases()", "open_other_databases()")
    try:
        server.run_script(f"GRANT ALL ON closed_database TO master; ALTER DATABASE {second_database} OWNER TO master")
        for function in functions:
            server.run_script(f"ALTER FUNCTION {function} OWNER TO master")
        with monitor(server) as session:
            assert postgres.fence(session, "the test")
            server.run_script(f"ALTER DATABASE {second_database} OWNER TO postgres")
            let_in(server)
            assert postgres.standing(session).fenced is False
        limit = f"SELECT datconnlimit FROM pg_database WHERE datname = '{second_database}'"
        assert server.query(limit) == [(0,)], "its owner has to open it"
    finally:
        for function in functions:
            server.run_script(f"ALTER FUNCTION {function} OWNER TO postgres")
        server.run_script("DROP OWNED BY master; DROP ROLE master")


def test_the_limit_of_p1_a_server_that_has_started_keeps_nobody_out_of_a_second_database(
    server: Server, second_database: str
) -> None:
    server.stop()
    server.start()
    with session_in(server, second_database, APPLICATION), monitor(server) as session:
        seen = postgres.standing(session)
        assert (seen.fenced, seen.open_sessions) == (True, 1), "it is not taken for complete"


@pytest.fixture
def owner(server: Server) -> Iterator[str]:
    """The database belongs to a user who is no superuser, as on Aurora; the lab lets the application log in as him."""
    server.run_script(f"ALTER DATABASE payments OWNER TO {APPLICATION}")
    yield APPLICATION
    server.run_script(f"ALTER DATABASE payments OWNER TO postgres; GRANT CONNECT ON DATABASE payments TO {APPLICATION}")


def test_p1_the_owners_sessions_are_ended_and_he_may_log_in_again(server: Server, owner: str) -> None:
    before = session_in(server, "payments", owner)
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
        server.run_script(f"GRANT CONNECT ON DATABASE payments TO {owner}")  # which a fence takes from this role
        with session_in(server, "payments", owner) as again:
            again.execute("SELECT 1")
            seen = postgres.standing(session)
            assert (seen.fenced, seen.open_sessions) == (True, 0), "the fence is complete"


@pytest.mark.parametrize("put_up", [False, True])
def test_p10_a_writer_that_restarts_with_its_owner_logged_in_is_fenced_and_lifted(
    put_up: bool, server: Server, owner: str
) -> None:
    if put_up:
        with monitor(server) as session:
            postgres.fence(session, "the test")
    server.run_script(f"GRANT CONNECT ON DATABASE payments TO {owner}")
    server.stop()
    server.start()
    with session_in(server, "payments", owner), monitor(server) as session:
        seen = postgres.standing(session)
        assert (seen.fenced, seen.open_sessions) == (True, 0)
        let_in(server)
        assert postgres.standing(session).fenced is False


def all_connections(server: Server) -> list[psycopg.Connection[tuple[object, ...]]]:
    """The sessions of an application that takes as many as it gets."""
    crowd = []
    while True:
        try:
            crowd.append(application(server))
        except psycopg.OperationalError:  # the remaining connection slots are reserved
            return crowd


def test_p10_the_monitor_can_ask_and_fence_a_server_without_a_free_connection(server: Server) -> None:
    crowd = all_connections(server)
    try:
        with monitor(server) as session:
            assert postgres.standing(session).open_sessions == len(crowd)
            assert postgres.fence(session, "the test")
    finally:
        for client in crowd:
            client.close()


def test_p1_a_lift_opens_the_fence_that_it_names_while_it_counts_and_no_other(server: Server) -> None:
    with monitor(server) as session:
        postgres.fence(session, "the first")
        first = postgres.standing(session).fence_number or 0
        postgres.fence(session, "the second, while the first one stands")
        assert postgres.standing(session).fence_number == first + 1
        assert not postgres.lift_fence(session, first, FAR)
        assert not postgres.lift_fence(session, first + 1, LATE)
        assert not postgres.lift_fence(session, first + 1, time.time() - 1)
        assert postgres.standing(session).fenced is True
        assert postgres.lift_fence(session, first + 1, time.time() + 60)
        assert postgres.standing(session).fenced is False
    application(server).close()


@pytest.mark.parametrize("how", ["stopped", "crashed"])
def test_p1_a_server_that_has_started_is_fenced_until_a_guardian_lets_applications_in(server: Server, how: str) -> None:
    application(server).close()
    if how == "stopped":
        server.stop()
    else:
        server.kill()
    server.start()
    with pytest.raises(psycopg.OperationalError, match="this server is fenced from applications"):
        application(server)
    with monitor(server) as session:
        seen = postgres.standing(session)
        assert seen.fenced is True
        assert not postgres.lift_fence(session, seen.fence_number or 0, LATE)
        assert postgres.lift_fence(session, seen.fence_number or 0, FAR)
        assert postgres.standing(session).fenced is False
    application(server).close()


def test_p1_a_fence_outlives_a_restart(server: Server) -> None:
    with monitor(server) as session:
        postgres.fence(session, "the test")
        number = postgres.standing(session).fence_number
    server.stop()
    server.start()
    with monitor(server) as session:
        assert (postgres.standing(session).fenced, postgres.standing(session).fence_number) == (True, number)


def test_p1_what_is_not_known_of_the_fence_counts_as_fenced(server: Server) -> None:
    server.run_script("DELETE FROM fence")
    try:
        with pytest.raises(psycopg.OperationalError, match="this server is fenced from applications"):
            application(server)
        with monitor(server) as session:
            assert postgres.standing(session).fenced is True
    finally:  # as the bootstrap does that is run again
        server.run_script(bank.MONITORING_SQL.read_text())
    application(server).close()


def test_readers_are_let_into_a_standby_that_has_started(server: Server, standby: Server) -> None:
    standby.stop()
    standby.start()
    with application(standby) as client:
        assert client.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    with monitor(standby) as session:
        seen = postgres.standing(session)
        assert (seen.writer, seen.fenced) == (False, False)


def test_heartbeats_are_numbered_replicated_and_keep_the_longest_lease(server: Server, standby: Server) -> None:
    with monitor(server) as session:
        first = beat(session, 2_000_000_000.0)
        second = beat(session, 1_900_000_000.0)
        assert second.seq == first.seq + 1
        assert first.at < second.at <= time.time() + 1
    give_up = time.monotonic() + 30
    with monitor(standby) as session:
        while (seen := postgres.standing(session)).heartbeat != second and time.monotonic() < give_up:
            time.sleep(0.02)
    assert (seen.heartbeat, seen.noted_lease) == (second, 2_000_000_000.0)


def test_where_the_functions_live_faster_the_database_does_too(make_server: MakeServer) -> None:
    """Otherwise a lift would count for longer, or never, in a drill that is not at production cadence."""
    scaled = make_server("payments-fast")
    scaled.initialise()
    clock = Clock(speed=10, epoch=time.time() - 1000)
    bank.install(scaled, clock)
    with monitor(scaled) as session:
        before = clock.now()
        at = beat(session, None).at
        assert before - 1 <= at <= clock.now() + 1
    scaled.stop()


def test_a_proof_of_recovery_is_one_row_for_each_run(server: Server) -> None:
    with monitor(server) as session:
        for _ in range(2):
            postgres.prove_recovery(session, "run-1", 2)
    assert server.query("SELECT run, epoch FROM recovery_proof") == [("run-1", 2)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM accounts",
        "UPDATE fence SET fenced = false",
        "INSERT INTO heartbeat VALUES (2, 1, now(), 0)",
        "DELETE FROM recovery_proof",
        "SELECT * FROM salvage_source",
        "CREATE TABLE mine (id integer)",
        "DROP EVENT TRIGGER refuse_while_fenced",
    ],
)
def test_the_monitoring_user_may_do_nothing_else(server: Server, statement: str) -> None:
    with monitor(server) as session, pytest.raises(pg8000.exceptions.DatabaseError) as refused:
        session.run(statement)
    assert refused.value.args[0]["C"] == "42501", "insufficient_privilege"


@pytest.mark.parametrize("call", ["is_fenced()", "lift_fence(0, 4e9)", "fence_application('x')", "heartbeat(0)"])
def test_an_application_has_no_say_in_the_fence(server: Server, call: str) -> None:
    with application(server) as client, pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.execute(f"SELECT {call}")


# What the script makes.
FUNCTIONS = sorted({*re.findall(r"^CREATE OR REPLACE FUNCTION (\w+)", bank.MONITORING_SQL.read_text(), re.MULTILINE)})


def test_security_no_login_but_the_monitors_may_call_any_of_our_functions(server: Server) -> None:
    """Those that run with the owner's rights could close the database, or give out its rows."""
    found = server.query(
        "SELECT proname, has_function_privilege('application', oid, 'EXECUTE') FROM pg_proc WHERE proname = ANY (%s)",
        (FUNCTIONS,),
    )
    assert len(FUNCTIONS) > 15
    assert sorted(found) == [(name, False) for name in FUNCTIONS]


def test_security_whose_tables_our_functions_use_is_not_up_to_the_caller(server: Server) -> None:
    found = server.query(
        "SELECT proname, proconfig @> ARRAY['search_path=public, pg_temp'] FROM pg_proc WHERE proname = ANY (%s)",
        (FUNCTIONS,),
    )
    assert sorted(found) == [(name, True) for name in FUNCTIONS]
    with monitor(server) as session:
        session.run("CREATE TEMPORARY TABLE fence AS SELECT * FROM public.fence")
        session.run("SELECT fence_application('the test')")
        assert session.run("SELECT fenced FROM public.fence") == [[True]]


def test_the_script_may_be_run_again_and_keeps_what_stands(server: Server) -> None:
    with monitor(server) as session:
        postgres.fence(session, "the test")
        before = postgres.standing(session)
    server.run_script(bank.MONITORING_SQL.read_text())
    with monitor(server) as session:
        assert replace(postgres.standing(session), oldest_xid=before.oldest_xid) == before
    with pytest.raises(psycopg.OperationalError):
        application(server)


def test_the_script_goes_where_its_functions_look_whatever_the_databases_search_path_is(server: Server) -> None:
    server.run_script("CREATE SCHEMA books; ALTER DATABASE payments SET search_path = books")
    try:
        server.run_script("DROP FUNCTION public.end_application_sessions()")
        server.run_script(bank.MONITORING_SQL.read_text())
        assert server.query("SELECT count(*) FROM pg_class WHERE relnamespace = 'books'::regnamespace") == [(0,)]
        assert server.query("SELECT public.end_application_sessions()") == [(0,)]
    finally:
        server.run_script("ALTER DATABASE payments RESET search_path; DROP SCHEMA books CASCADE")


def test_a_database_that_was_not_set_up_is_a_writer_of_which_nothing_is_known(server: Server) -> None:
    with pg8000.native.Connection(
        MONITOR, host=server.address.host, port=server.address.port, database="postgres", timeout=10
    ) as session:
        assert postgres.standing(session) == postgres.Standing(writer=True)


def test_p1_verify_tells_what_keeps_an_application_out(server: Server) -> None:
    url = f"postgresql://{APPLICATION}@{server.address.host}:{server.address.port}/payments"
    assert knock(url) == "open"
    with monitor(server) as session:
        assert postgres.fence(session, "the test")
    assert knock(url) == "right"
    server.run_script(f"GRANT CONNECT ON DATABASE payments TO {APPLICATION}")
    try:
        assert knock(url) == "trigger"
    finally:
        server.run_script(f"REVOKE CONNECT ON DATABASE payments FROM {APPLICATION}")
    let_in(server)
    assert knock(url) == "open"
    with pytest.raises(CannotTell, match="not by a fence"):
        knock(url.replace(APPLICATION, "nobody"))
    nobody_listens = server.address.host, free_port([server.address.host])
    assert knock("postgresql://{}:{}/payments".format(*nobody_listens)) == "no answer"
    with pytest.raises(Refused, match="cannot be used"):
        knock("not a URL")


# --- what the bootstrap has left, for `failoverctl ready`

RESERVED = Database().reserved_connections


def test_what_the_bootstrap_has_left_is_seen_in_either_database(server: Server, standby: Server) -> None:
    for one in (server, standby):
        with monitor(one) as session:
            assert postgres.installed(session) == Installed((), True, RESERVED)


@pytest.mark.parametrize(
    ("break_it", "mend_it", "seen"),
    [
        (
            "ALTER FUNCTION end_application_sessions() RENAME TO mislaid",
            "ALTER FUNCTION mislaid() RENAME TO end_application_sessions",
            Installed(("end_application_sessions()",), True, RESERVED),
        ),
        (
            "ALTER EVENT TRIGGER refuse_while_fenced DISABLE",
            "ALTER EVENT TRIGGER refuse_while_fenced ENABLE",
            Installed((), False, RESERVED),
        ),
        (
            "ALTER EVENT TRIGGER refuse_while_fenced ENABLE REPLICA",  # acts in no session of an application
            "ALTER EVENT TRIGGER refuse_while_fenced ENABLE",
            Installed((), False, RESERVED),
        ),
        (
            "REVOKE pg_use_reserved_connections FROM monitor",
            "GRANT pg_use_reserved_connections TO monitor",
            Installed((), True, 0),
        ),
    ],
)
def test_what_has_become_of_it_since_is_seen(server: Server, break_it: str, mend_it: str, seen: Installed) -> None:
    server.run_script(break_it)
    try:
        with monitor(server) as session:
            assert postgres.installed(session) == seen
    finally:
        server.run_script(mend_it)


def test_the_bootstrap_enables_a_login_trigger_that_somebody_has_disabled(server: Server) -> None:
    server.run_script("ALTER EVENT TRIGGER refuse_while_fenced DISABLE")
    server.run_script(bank.MONITORING_SQL.read_text())
    with monitor(server) as session:
        assert postgres.installed(session).login_trigger is True


def test_p1_a_server_that_starts_refuses_roles_whose_sessions_begin_as_those_of_replication(server: Server) -> None:
    """Event triggers do not fire in them unless they always do."""
    let_in(server)
    server.run_script(f"ALTER ROLE {APPLICATION} SET session_replication_role = replica")
    try:
        application(server).close()
        server.stop()
        server.start()
        with pytest.raises(psycopg.OperationalError, match="this server is fenced from applications"):
            application(server)
    finally:
        server.run_script(f"ALTER ROLE {APPLICATION} RESET session_replication_role")
        let_in(server)


def test_a_database_without_the_bootstrap_lacks_all_of_it(server: Server) -> None:
    with pg8000.native.Connection(
        MONITOR, host=server.address.host, port=server.address.port, database="postgres", timeout=10
    ) as session:
        assert postgres.installed(session) == Installed(postgres.FUNCTIONS, False, RESERVED, ("payments",))


# --- up to when a standby has the writer's commits


def test_p5_a_standby_says_up_to_when_it_has_the_writers_commits(server: Server, standby: Server) -> None:
    with monitor(server) as session:
        last = postgres.standing(session, beat=True).heartbeat
    assert last is not None
    with monitor(standby) as session:
        end = time.monotonic() + 10
        while (until := postgres.replicated_until(session, "us-west-2")) is None or until < last.at - 0.001:
            assert time.monotonic() < end, until
            time.sleep(0.01)
    # The commit comes a moment after the row's own time; and nothing is later than that.
    assert last.at - 0.001 <= until <= time.time()


AURORA = """
CREATE FUNCTION aurora_global_db_status(
    OUT aws_region text, OUT durability_lag_in_msec real, OUT rpo_lag_in_msec real,
    OUT last_lag_calculation_time timestamptz
) RETURNS SETOF record LANGUAGE sql AS $$
    VALUES ('us-east-1', -1::real, -1::real, '1970-01-01 00:00:00+00'::timestamptz),
           ('us-west-2', 40, 250, '2027-01-15 12:00:00+00'), ('eu-west-1', 40, -1, '2027-01-15 12:00:00+00')
$$
"""


@pytest.mark.parametrize(
    ("region", "until"), [("us-west-2", 1_800_014_400 - 0.25), ("us-east-1", None), ("eu-west-1", None), ("x", None)]
)
def test_p5_on_aurora_its_storage_says_it(region: str, until: float | None, server: Server) -> None:
    """By a stand-in for Aurora's function, with the columns that its guide names."""
    server.run_script(AURORA)
    try:
        with monitor(server) as session:
            assert postgres.replicated_until(session, region) == until
    finally:
        server.run_script("DROP FUNCTION aurora_global_db_status()")


def test_p5_where_the_function_is_missing_nothing_is_known(server: Server) -> None:
    server.run_script("ALTER FUNCTION replicated_until(text) RENAME TO mislaid")
    try:
        with monitor(server) as session:
            assert postgres.replicated_until(session, "us-west-2") is None
    finally:
        server.run_script("ALTER FUNCTION mislaid(text) RENAME TO replicated_until")
