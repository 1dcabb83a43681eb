"""The prober against real servers, over real TLS: what it makes of their answers, and the session that it keeps."""

from __future__ import annotations

import errno
import importlib.util
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import psycopg
import pytest
import trustme

from drills.world.certificates import create_certificates
from drills.world.clock import Clock
from drills.world.network import Address, Network, NetworkPath, State, address_in, free_port
from drills.world.postgres import APPLICATION, Server
from drills.world.reachability import Reachability
from drills.world.reaper import Reaper
from handlers.core.commands import WARM_UP
from handlers.core.errors import TransientFailure
from handlers.core.health import Probe
from handlers.core.sessions import (
    ENVIRONMENTS_AT_A_DATABASE,
    MOST_SESSIONS,
    PROBES_AT_A_TIME,
    PROBES_OF_THE_STEPS,
)
from handlers.gateways import kept_session, postgres
from handlers.gateways.kept_session import KEPT_SHARE
from handlers.gateways.prober import OWN_PROBE_TIMEOUT_S, PEER_PROBE_TIMEOUT_S
from orchestration.settings import Database, load
from orchestration.specification import describe
from tests.deployment.functions import Context

ACCOUNT = "123456789012"
EAST, WEST = "us-east-1", "us-west-2"
HOST = "payments-use1-test.cluster-c1a2b3.us-east-1.rds.amazonaws.com"
# Only ends a look that would otherwise wait for ever; nothing is measured by it.
TIMEOUT_S = 20.0
# A real deadline is short: where a test is not about its length, it lasts so many times as long.
UNHURRIED = 10


@pytest.fixture(scope="module")
def network(folder: Path, reaper: Reaper) -> Iterator[Network]:
    certificates = create_certificates(folder, [HOST])
    with closing(Network(Clock.started_now(1), certificates, folder, reaper, Reachability([EAST, WEST]))) as network:
        yield network


class Way:
    """The way of the prober to its region's cluster."""

    def __init__(self, network: Network, listen: Address) -> None:
        self._network, self.listen = network, listen
        self._names: list[str] = []

    def leads_to(self, target: Address) -> None:
        if self._names:
            self.set(State.REFUSING)
        self._names.append(f"way {len(self._names)} to {target.port} from {self.listen.port}")
        self._network.add(NetworkPath(self._names[-1], EAST, EAST, self.listen, target, tls=True))

    def set(self, state: State) -> None:
        self._network.set_paths(state, self._names[-1:])


@pytest.fixture
def way(network: Network, server: Server) -> Iterator[Way]:
    host = address_in([EAST, WEST], EAST, 0)
    way = Way(network, Address(host, free_port([host])))
    way.leads_to(server.address)
    yield way
    way.set(State.REFUSING)


NewEnvironment = Callable[[str], ModuleType]


@pytest.fixture
def new_environment(way: Way, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewEnvironment]:
    """Starts an environment of a region's prober, beside those that there are."""
    settings = load(environment_suffix="test", database={"port": way.listen.port})
    monkeypatch.setattr(postgres, "RDS_CA_BUNDLE", folder / "authority.pem")
    monkeypatch.setattr(socket, "gethostbyname_ex", lambda name: (HOST, [name], [way.listen.host]))
    found, real = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", tuple(way.listen))], socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: found if host == HOST else real(host, *rest))
    started: list[ModuleType] = []

    def start(region: str) -> ModuleType:
        function = describe(settings, ACCOUNT).regions[region].functions["prober"]
        for name, value in {**function.environment, "AWS_REGION": region, "AWS_ACCESS_KEY_ID": "x"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        spec = importlib.util.find_spec("handlers.standing.prober")
        assert spec is not None
        assert spec.loader is not None
        started.append(importlib.util.module_from_spec(spec))
        monkeypatch.setitem(sys.modules, spec.name, started[-1])  # where its dataclasses look for their names
        spec.loader.exec_module(started[-1])
        return started[-1]

    yield start
    for module in started:
        for kept in module.KEPT.values():
            kept.close()


@pytest.fixture
def prober(new_environment: NewEnvironment) -> ModuleType:
    """A new environment of the prober in the writer's region."""
    return new_environment(EAST)


def probe(prober: ModuleType, timeout_s: float = TIMEOUT_S, **work: Any) -> Probe:
    answer: Probe = prober.probe(prober.RDS, prober.ENVIRONMENT, "own", timeout_s, prober.Work(**work))
    return answer


def unhurried(prober: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what tells a guardian's deadline from others last `UNHURRIED` times as long, too."""
    for name in ("OWN_PROBE_TIMEOUT_S", "PEER_PROBE_TIMEOUT_S"):
        monkeypatch.setattr(prober, name, getattr(prober, name) * UNHURRIED)


def newest_session(server: Server) -> int:
    """The process of the monitor's newest session; those of the test before may still be about to end."""
    rows = server.query("SELECT pid FROM pg_stat_activity WHERE usename = 'monitor' ORDER BY backend_start DESC")
    return int(rows[0][0])


class Impostor:
    """A server that answers each login with an error of its own choice, as PostgreSQL words it."""

    def __init__(self, sqlstate: str) -> None:
        fields = b"".join(
            kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"C", sqlstate), (b"M", "made by a test"))
        )
        self._answer = b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._listener.getsockname())
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.recv(1_000)
                    connection.sendall(self._answer)

    def close(self) -> None:
        self._listener.close()


class Listener:
    """A server that is asked for TLS: refuses it, or has the certificate given; keeps what it is told after that."""

    def __init__(self, certificate: trustme.LeafCert | None) -> None:
        self._certificate = certificate
        self._heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._listener.getsockname())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):
            connection.recv(len(postgres.SSL_REQUEST))
            if self._certificate is None:
                connection.sendall(b"N")
            else:
                connection.sendall(postgres.WILLING)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._certificate.configure_cert(context)
                connection = context.wrap_socket(connection, server_side=True)
            self._heard = connection.recv(1_000)

    def heard(self) -> bytes:
        """Returns what it was told once TLS was settled."""
        self._thread.join()
        self._listener.close()
        return self._heard


class SlowServer:
    """Stands before a server and keeps each of its answers back for some time; a silenced connection's for ever."""

    def __init__(self, server: Server, seconds: float = 0.0) -> None:
        self._server, self.seconds = server, seconds
        self._connections, self._silent = 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._server.address)
                self._connections += 1
                threading.Thread(target=self._carry, args=(here, there, 0), daemon=True).start()
                threading.Thread(target=self._carry, args=(there, here, self._connections), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, answers_of: int) -> None:
        with suppress(OSError), closing(sink):
            while data := source.recv(65_536):
                if answers_of:
                    time.sleep(self.seconds)
                if not 0 < answers_of <= self._silent:
                    sink.sendall(data)

    def silence(self) -> None:
        """Lets every connection there is fall silent; new ones are served."""
        self._silent = self._connections

    def close(self) -> None:
        self._listener.close()


# --- what is known of a database


@pytest.mark.parametrize(
    ("sqlstate", "known"),
    [("28000", "up"), ("28P01", "up"), ("53300", "up"), ("57P03", "down"), ("53100", "down"), ("XX000", "down")],
)
def test_p10_an_answer_about_the_monitor_says_that_the_database_lives(
    sqlstate: str, known: str, way: Way, prober: ModuleType
) -> None:
    with closing(Impostor(sqlstate)) as impostor:
        way.leads_to(impostor.address)
        found = probe(prober)
    assert (found.role, found.known, found.refused is not None) == (None, known, known == "up")
    assert sqlstate in (found.error or "")


def test_p10_a_login_that_is_refused_says_that_the_database_lives(server: Server, prober: ModuleType) -> None:
    server.run_script("ALTER ROLE monitor NOLOGIN")
    try:
        found = probe(prober)
    finally:
        server.run_script("ALTER ROLE monitor LOGIN")
    assert (found.known, found.refused) == ("up", "refuses the monitor's login")


def test_p10_a_certificate_that_does_not_verify_says_that_the_database_lives(
    prober: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As one does that has expired, or that another authority has signed."""
    monkeypatch.setattr(postgres, "RDS_CA_BUNDLE", create_certificates(tmp_path, [HOST]).authority)
    found = probe(prober)
    assert (found.known, found.refused) == ("up", "shows a certificate that does not verify")


@pytest.mark.parametrize(
    ("who", "logs_in"),
    [
        ("our endpoint", True),
        ("another host of RDS", False),
        ("our name, by another authority", False),
        ("our name, by an authority that the machine trusts", False),
        ("nobody: it refuses TLS", False),
    ],
)
def test_security_only_our_endpoint_proved_by_the_authorities_of_rds_is_told_who_logs_in(
    who: str, logs_in: bool, prober: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rds, other = trustme.CA(), trustme.CA()
    rds.cert_pem.write_to_path(tmp_path / "rds.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    if "machine trusts" in who:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    shown = (rds if who in ("our endpoint", "another host of RDS") else other).issue_cert(
        "payments-use1-test.cluster-someoneelse.us-east-1.rds.amazonaws.com" if "another host" in who else HOST
    )
    listener = Listener(None if "refuses" in who else shown)
    monkeypatch.setattr(postgres, "RDS_CA_BUNDLE", tmp_path / "rds.pem")
    there = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", tuple(listener.address))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: there)
    found = probe(prober)
    assert (b"monitor" in listener.heard(), found.refused is None) == (logs_in, logs_in)


@pytest.mark.parametrize("state", [State.REFUSING, State.HANGING])
def test_a_server_that_refuses_or_hangs_is_down(state: State, way: Way, prober: ModuleType) -> None:
    way.set(state)
    found = probe(prober, 0.3)
    assert (found.known, found.refused) == ("down", None)


def test_p6_a_prober_that_dns_does_not_answer_knows_nothing(
    prober: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: str) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "no DNS server answers")

    monkeypatch.setattr(socket, "gethostbyname_ex", silent)
    with pytest.raises(TransientFailure, match="could not be asked: DNS does not answer the prober"):
        probe(prober)


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL])
def test_p6_a_prober_that_has_no_socket_left_knows_nothing(
    shortage: int, prober: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", mock.Mock(side_effect=OSError(shortage, "nothing is left")))
    with pytest.raises(TransientFailure, match="could not be asked: the prober has no memory or socket left"):
        probe(prober)


# --- the kept session


def test_p10_a_look_keeps_its_session(server: Server, prober: ModuleType) -> None:
    assert probe(prober, heartbeat=True).role == "writer"
    first = newest_session(server)
    before = probe(prober, heartbeat=True).heartbeat
    after = probe(prober, heartbeat=True, lease=2e9).heartbeat
    assert before is not None
    assert after is not None
    assert after.seq == before.seq + 1
    assert probe(prober).noted_lease == 2e9
    assert newest_session(server) == first


def test_p10_a_database_that_answers_slowly_is_known_to_live(server: Server, way: Way, prober: ModuleType) -> None:
    """One round trip, whoever has asked with less patience: one who looks at the fence waits for 1 s.

    A new session, which needs two answers, would be there too late.
    """
    patient_s, hasty_s, answer_s = OWN_PROBE_TIMEOUT_S, 1.0, 2.4
    assert answer_s < KEPT_SHARE * patient_s < patient_s < 2 * answer_s
    with closing(SlowServer(server)) as slow:
        way.leads_to(slow.address)
        assert [probe(prober, timeout_s).role for timeout_s in (patient_s, hasty_s)] == ["writer", "writer"]
        slow.seconds = answer_s
        assert probe(prober, hasty_s).known == "down"
        found = probe(prober, patient_s, heartbeat=True)
        assert (found.role, found.error) == ("writer", None)
        assert found.elapsed_ms >= answer_s * 1000


@pytest.mark.parametrize(
    ("target", "guardian_s", "others_s"),
    [("own", OWN_PROBE_TIMEOUT_S, (1.0, 4.0)), ("peer", PEER_PROBE_TIMEOUT_S, (0.75, 0.9, 1.0))],
)
def test_p10_a_guardian_shares_its_session_with_nobody_who_waits_less_and_they_share_one(
    target: str, guardian_s: float, others_s: tuple[float, ...], prober: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    unhurried(prober, monkeypatch)

    def session(timeout_s: float) -> int:
        """The process behind the session by which this is asked."""
        with mock.patch.object(postgres, "standing", side_effect=postgres.standing) as asked:
            found = prober.probe(prober.RDS, prober.ENVIRONMENT, target, timeout_s * UNHURRIED, prober.Work())
        assert found.role == "writer"
        ((pid,),) = asked.call_args.args[0].run("SELECT pg_backend_pid()")
        return int(pid)

    guardians = session(guardian_s)
    shared = {session(timeout_s) for timeout_s in others_s * 2}
    assert len(shared) == 1
    assert guardians not in shared
    assert session(guardian_s) == guardians == session(guardian_s + 0.5)


@pytest.mark.parametrize("how", ["ended by an administrator", "reset", "silent"])
def test_p10_a_session_that_is_dead_is_replaced_within_the_same_deadline(
    how: str, server: Server, way: Way, prober: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_session, "KEPT_SHARE", 0.05)  # of a deadline that is longer here
    with closing(SlowServer(server)) as middle:
        way.leads_to(middle.address)
        probe(prober)
        old = newest_session(server)
        if how == "ended by an administrator":
            server.query("SELECT pg_terminate_backend(%s)", (old,))
        elif how == "reset":
            way.set(State.REFUSING)
            way.set(State.OPEN)
        else:
            middle.silence()
        found = probe(prober)
    assert (found.role, found.error) == ("writer", None)
    assert found.elapsed_ms < TIMEOUT_S * 1000
    assert newest_session(server) != old


def test_p10_a_look_has_one_deadline_however_many_answers_it_needs(
    server: Server, way: Way, prober: ModuleType
) -> None:
    with closing(SlowServer(server, 0.2)) as slow:
        way.leads_to(slow.address)
        found = probe(prober, 0.3)
    assert found.known == "down"  # each of them would have been there in time


def test_p10_a_kept_session_goes_on_behind_a_fence(server: Server, way: Way, prober: ModuleType) -> None:
    probe(prober)
    kept = newest_session(server)
    fenced = probe(prober, fence="the test")
    assert (fenced.fenced, fenced.open_sessions) == (True, 0)
    way.set(State.FENCED)  # by security group, too
    seen = probe(prober)
    assert (seen.role, seen.fenced, newest_session(server)) == ("writer", True, kept)
    assert probe(prober, lift_fence=(seen.fence_number or 0, 4e9)).fenced is False


def test_p10_a_login_that_is_refused_is_told_of_while_the_kept_session_answers(
    server: Server, prober: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe(prober)
    monkeypatch.setattr(kept_session, "LOG_IN_EVERY_S", 0.0)
    server.run_script("ALTER ROLE monitor NOLOGIN")
    try:
        found = probe(prober)
    finally:
        server.run_script("ALTER ROLE monitor LOGIN")
    assert (found.role, found.known, found.refused) == ("writer", "up", "refuses the monitor's login")
    healed = probe(prober)
    assert (healed.role, probe(prober).refused) == ("writer", None)


def test_a_session_that_nobody_used_for_long_is_not_trusted(
    server: Server, prober: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe(prober)
    old = newest_session(server)
    monkeypatch.setattr(kept_session, "UNUSED_FOR_S", 0.0)
    probe(prober)
    assert newest_session(server) != old


@pytest.fixture
def with_defaults_of_its_own(server: Server) -> Iterator[None]:
    """A database whose defaults are made for its applications, and its schema `public` closed to everybody.

    Here they are set for the monitor alone, which counts more than for the database.
    """
    defaults = {
        "search_path": "books",
        "default_transaction_read_only": "on",
        "statement_timeout": "1",
        "lock_timeout": "1",
    }
    server.run_script("; ".join(f"ALTER ROLE monitor SET {name} = {value}" for name, value in defaults.items()))
    server.run_script("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    yield
    server.run_script("ALTER ROLE monitor RESET ALL; GRANT USAGE ON SCHEMA public TO PUBLIC")


def test_p10_defaults_of_the_database_are_not_for_the_monitor(
    server: Server, prober: ModuleType, with_defaults_of_its_own: None
) -> None:
    seen = probe(prober, heartbeat=True, lease=None)
    assert (seen.role, seen.error, seen.heartbeat is not None) == ("writer", None, True)
    holder = server.connect()
    holder.execute("BEGIN; LOCK TABLE fence")
    threading.Timer(0.2, holder.close).start()  # for longer than any limit that is set there
    probe(prober, fence="the test")
    fenced = probe(prober)
    assert (fenced.fenced, fenced.open_sessions) == (True, 0)
    assert probe(prober, lift_fence=(fenced.fence_number or 0, 4e9)).fenced is False


def monitors_sessions(server: Server) -> set[int]:
    """The processes of all the monitor's sessions."""
    return {pid for (pid,) in server.query("SELECT pid FROM pg_stat_activity WHERE usename = 'monitor'")}


@pytest.mark.parametrize("event", [{"target": "peer", "timeout_s": 2.0}, WARM_UP], ids=["another look", "a warm-up"])
def test_p10_whatever_the_prober_is_asked_ends_sessions_that_nobody_uses(
    event: dict[str, Any],
    server: Server,
    prober: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], object]], None],
) -> None:
    """They would take a connection until the same is asked of the same environment, which may be never."""
    monkeypatch.setattr(prober, "WARM_UP_S", 0.0)
    context = Context("prober", 8)
    prober.handler({"target": "own", "timeout_s": OWN_PROBE_TIMEOUT_S}, context)
    unused = newest_session(server)
    prober.handler(event, context)
    assert unused in monitors_sessions(server)
    monkeypatch.setattr(kept_session, "UNUSED_FOR_S", 0.0)
    prober.handler(event, context)
    wait_until(lambda: unused not in monitors_sessions(server))


def test_p10_a_session_whose_environment_is_frozen_or_gone_is_ended_by_the_server(
    server: Server,
    prober: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], object]], None],
) -> None:
    monkeypatch.setattr(postgres, "UNUSED_FOR_S", 2.0)  # long enough to see the session before it ends
    probe(prober)
    forgotten = newest_session(server)
    wait_until(lambda: forgotten not in monitors_sessions(server))
    found = probe(prober)
    assert (found.role, found.error) == ("writer", None)


@pytest.fixture
def full(server: Server, wait_until: Callable[[Callable[[], object]], None]) -> Iterator[None]:
    """The server, with no session of the monitor, when applications have taken all connections that they can get."""
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor'")
    wait_until(lambda: not monitors_sessions(server))
    host, port = server.address
    with ExitStack() as crowd:
        with suppress(psycopg.OperationalError):  # the remaining connection slots are reserved
            while True:
                crowd.enter_context(psycopg.connect(host=host, port=port, user=APPLICATION, dbname=server.database))
        yield


@pytest.mark.usefixtures("full")
def test_p10_a_full_database_has_a_connection_for_every_session_of_the_monitor(
    server: Server, new_environment: NewEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every environment of both regions that may ask one, after each was asked by everybody; and the salvage."""
    in_a_region = (ENVIRONMENTS_AT_A_DATABASE - PROBES_OF_THE_STEPS) // 2
    asked = {
        EAST: (in_a_region, "own", (1.0, 4.0, OWN_PROBE_TIMEOUT_S)),
        WEST: (in_a_region + PROBES_OF_THE_STEPS, "peer", (0.75, 0.9, 1.0, PEER_PROBE_TIMEOUT_S, 4.0)),
    }
    environments = []
    for region, (environments_there, target, timeouts_s) in asked.items():
        for _ in range(environments_there):
            environments.append(prober := new_environment(region))
            unhurried(prober, monkeypatch)
            for timeout_s in timeouts_s:
                found = prober.probe(prober.RDS, prober.ENVIRONMENT, target, timeout_s * UNHURRIED, prober.Work())
                assert (found.role, found.error, found.refused) == ("writer", None, None)
    one = environments[0]
    with closing(postgres.connect(postgres.Endpoint(HOST, EAST), one.ENVIRONMENT, TIMEOUT_S, one.RDS)):
        assert len(monitors_sessions(server)) == MOST_SESSIONS
    assert Database().reserved_connections == MOST_SESSIONS
    assert len(environments) <= 2 * PROBES_AT_A_TIME
