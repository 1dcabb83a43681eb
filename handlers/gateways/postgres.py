"""PostgreSQL as a client inside the VPC sees it: verified TLS, IAM authentication, short time limits."""

from __future__ import annotations

import errno
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pg8000.exceptions
import pg8000.native
from pg8000.native import literal

from handlers.core.answers import Trouble
from handlers.core.environment import RDS_CA_BUNDLE, Variables
from handlers.core.errors import Misconfigured
from handlers.core.health import Installed
from handlers.core.heartbeat import Beat
from handlers.core.sessions import UNUSED_FOR_S
from handlers.gateways.catalog import NOT_CLOSED, OTHER_DATABASES, PASSING, RESERVED_CONNECTIONS

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

APPLICATION_NAME = "failover-prober"

# SQLSTATEs of a missing table or function: handlers/sql/monitoring.sql has not been run, or was not replicated yet.
NOT_SET_UP = frozenset({"42P01", "42883"})

# A database or a role may have defaults for every session (ALTER DATABASE … SET): the schema that names are looked up
# in, a maintenance that only reads, time limits for applications. They are not for the monitor, whose waits end here.
ITS_OWN_DEFAULTS = {
    "search_path": "public",
    "default_transaction_read_only": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
}

# What a session and its network raise; `code_of` tells them apart.
FAILURES = (OSError, pg8000.exceptions.Error)

# Of an operating system that has nothing left for this function: says nothing of the database.
OWN_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})

# PostgreSQL frontend/backend protocol, "Message Formats": a length and a code; the server answers with one byte.
SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
WILLING = b"S"
# A wait that is over already still has to be a wait: 0 would mean "do not block".
SHORTEST_WAIT_S = 0.001

# What the guardian and the steps call in a database; handlers/sql/monitoring.sql makes them.
FUNCTIONS = (
    "heartbeat(double precision)",
    "fence_application(text)",
    "end_application_sessions()",
    "lift_fence(bigint, double precision)",
    "is_fenced()",
    "refuse_while_fenced()",
    "replicated_until(text)",
)

# Sessions that are told to end are gone within milliseconds. One that was being opened when the right to connect was
# taken away shows up a moment later, so two looks in a row must find none.
QUIET_LOOKS = 2
LOOK_AGAIN_S = 0.05
SESSIONS_END_WITHIN_S = 1.5


class UnexpectedEndpoint(Misconfigured):
    """A name leads to something that is not an endpoint of either cluster: nothing is known of the database."""


class DatabaseVariables(Variables):
    """The application's database, and the monitoring user who logs in to it."""

    database_name: str
    database_port: int
    database_user: str


@dataclass(frozen=True)
class Endpoint:
    """Where a name leads: the endpoint's own host name, and the region of the cluster behind it."""

    host: str
    region: str


def endpoint_behind(name: str, clusters: Mapping[str, str]) -> Endpoint:
    """Follows ``name`` (a CNAME of our zone) to the cluster endpoint that it means.

    RDS certificates and IAM tokens carry the endpoint's own name, so that is what has to be verified; it is accepted
    only if it is an endpoint of one of ``clusters`` (region → cluster identifier), whoever answered the DNS query.
    A cluster endpoint is itself a CNAME of the instance behind it, so it stands in the middle of the chain.

    Raises
    ------
    UnexpectedEndpoint
        the name leads elsewhere.
    OSError
        the name cannot be resolved.
    """
    last, chain, _ = socket.gethostbyname_ex(name)  # getaddrinfo returns the last name only
    hosts = [host.rstrip(".").lower() for host in (*chain, last)]
    for region, cluster in clusters.items():
        # RDS guide, "Amazon Aurora endpoint connections": <cluster>.cluster-[ro-]<account hash>.<region>.rds…
        ours = re.compile(rf"{re.escape(cluster)}\.cluster-(ro-)?[a-z0-9]+\.{region}\.rds\.amazonaws\.com")
        for host in hosts:
            if ours.fullmatch(host):
                return Endpoint(host, region)
    raise UnexpectedEndpoint(
        f"{name} leads to {hosts[-1] or 'no name'}, not through an endpoint of {', '.join(clusters.values())}; "
        "check its record in the private zone"
    )


def instance_endpoint(of_cluster: Endpoint, instance: str) -> Endpoint:
    """Returns the endpoint of an instance of a cluster, of which one endpoint is known.

    What follows an endpoint's first name is one for all of an account in a region, but for ``cluster-`` or
    ``cluster-ro-`` before it (RDS guide, "Amazon Aurora endpoint connections").
    """
    shared = re.sub(r"^cluster-(ro-)?", "", of_cluster.host.split(".", 1)[1])
    return Endpoint(f"{instance}.{shared}", of_cluster.region)


class TlsRefused(OSError):
    """A server does not speak TLS."""


class _Deadline:
    """The moment at which an answer has to be there, however many waits it takes; without one, each wait has a limit.

    ``limit_s`` is that limit.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._end: float | None = None

    def set(self, seconds: float | None) -> None:
        """Starts anew: everything that follows has to be there within ``seconds``; None lifts the deadline."""
        self._end = None if seconds is None else time.monotonic() + seconds

    def left_s(self) -> float:
        """Returns how long the next wait may last, in seconds."""
        return self._limit_s if self._end is None else max(self._end - time.monotonic(), SHORTEST_WAIT_S)

    def sockets(self) -> type[ssl.SSLSocket]:
        """Returns a class of TLS connections whose reads keep the deadline."""
        deadline = self

        class Socket(ssl.SSLSocket):
            def recv_into(self, *args: Any, **kwargs: Any) -> int:
                self.settimeout(deadline.left_s())
                return super().recv_into(*args, **kwargs)

        return Socket


class Session(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A session of the monitoring user with the server behind ``endpoint``."""

    def __init__(self, endpoint: Endpoint, deadline: _Deadline, **login: Any) -> None:
        self.endpoint = endpoint
        self._deadline = deadline
        super().__init__(
            host=endpoint.host,
            ssl_context=False,
            application_name=APPLICATION_NAME,
            startup_params={
                **ITS_OWN_DEFAULTS,
                # The server's part: Lambda freezes an environment that has no work, and ends it without a word.
                "idle_session_timeout": f"{UNUSED_FOR_S * 1000:.0f}",  # in ms
            },
            **login,
        )

    def within(self, seconds: float | None) -> None:
        """Gives everything that follows one deadline; None: as much time for each wait as `connect` was given."""
        self._deadline.set(seconds)


def connect(endpoint: Endpoint, environment: DatabaseVariables, timeout_s: float, rds: RDSClient) -> Session:
    """Opens a session of the monitoring user over verified TLS, with an IAM token as the password.

    It is there after ``timeout_s`` seconds at most; each wait for the server after that lasts as long at most, see
    `Session.within`. ``rds`` signs the token; it makes no call.
    """
    port, user = environment.database_port, environment.database_user
    token = rds.generate_db_auth_token(DBHostname=endpoint.host, Port=port, DBUsername=user, Region=endpoint.region)
    deadline = _Deadline(timeout_s)
    deadline.set(timeout_s)
    connection = socket.create_connection((endpoint.host, port), deadline.left_s())
    try:
        connection = _secured(connection, endpoint, deadline)
        session = Session(
            endpoint, deadline, user=user, password=token, database=environment.database_name, sock=connection
        )
    except BaseException:
        connection.close()
        raise
    session.within(None)
    return session


def _secured(connection: socket.socket, endpoint: Endpoint, deadline: _Deadline) -> ssl.SSLSocket:
    """Returns the connection over verified TLS, which the server is asked for first."""
    connection.settimeout(deadline.left_s())
    connection.sendall(SSL_REQUEST)
    answer = connection.recv(1)
    if not answer:
        raise ConnectionResetError("the server closed the connection")
    if answer != WILLING:
        raise TlsRefused("the server does not speak TLS")
    tls = ssl.create_default_context(cafile=str(RDS_CA_BUNDLE))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2  # RDS offers 1.2 and 1.3
    tls.sslsocket_class = deadline.sockets()
    connection.settimeout(deadline.left_s())
    return tls.wrap_socket(connection, server_hostname=endpoint.host)


def code_of(failure: Exception) -> str | Trouble:
    """Returns a failure's SQLSTATE, or what went wrong before a server could give one; see `handlers.core.answers`."""
    report = failure.args[0] if failure.args else None
    if isinstance(report, dict) and "C" in report:
        return str(report["C"])
    match failure.__cause__ if isinstance(failure.__cause__, OSError) else failure:
        case ssl.SSLCertVerificationError():
            return "certificate"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "ended"
        case ssl.SSLError() | TlsRefused():
            return "tls"
        case TimeoutError():
            return "deadline"
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return "resolver"
        case socket.gaierror():
            return "no name"
        case OSError(errno=number) if number in OWN_SHORTAGES:
            return "prober"
        case ConnectionRefusedError():
            return "refused"
    return "ended"


@dataclass(frozen=True)
class Standing:
    """What a server is and holds: whether it takes writes now, its newest heartbeat row, its fence.

    ``noted_lease`` is the end of the lease that stands beside the heartbeat; ``open_sessions`` counts those of
    applications; every transaction with an id below ``oldest_xid`` has ended there. All None when not known.
    """

    writer: bool
    heartbeat: Beat | None = None
    noted_lease: float | None = None
    fenced: bool | None = None
    fence_number: int | None = None
    open_sessions: int | None = None
    oldest_xid: int | None = None


def standing(session: pg8000.native.Connection, *, beat: bool = False, lease: float | None = None) -> Standing:
    """Asks the server behind the session, in one statement and one round trip.

    With ``beat`` a writer commits its next heartbeat row with it, and ``lease``, the end of the lease as far as it is
    known.
    """
    # No parameter, with which the driver makes three round trips. CASE alone is promised to leave a branch undone.
    write = f"WHEN NOT pg_is_in_recovery() THEN (SELECT ARRAY[beat.seq, at] FROM heartbeat({literal(lease)}) AS beat)"  # noqa: S608
    try:
        ((recovering, seq, at, lease, fenced, number, sessions, oldest),) = session.run(
            f"WITH now AS MATERIALIZED (SELECT CASE {write if beat else 'WHEN false THEN NULL::float8[]'} END AS beat) "  # noqa: S608
            "SELECT pg_is_in_recovery(), coalesce(beat[1]::bigint, seq), "
            "coalesce(beat[2], extract(epoch FROM heartbeat.at)::float8), lease, is_fenced(), number, "
            "(SELECT count(*) FROM application_sessions()), pg_snapshot_xmin(pg_current_snapshot())::text::bigint "
            "FROM now LEFT JOIN heartbeat ON true LEFT JOIN fence ON true"
        )
    except pg8000.exceptions.DatabaseError as error:
        if code_of(error) not in NOT_SET_UP:
            raise
        return Standing(not session.run("SELECT pg_is_in_recovery()")[0][0])
    return Standing(not recovering, None if seq is None else Beat(seq, at), lease, fenced, number, sessions, oldest)


def replicated_until(session: pg8000.native.Connection, region: str) -> float | None:
    """Returns up to when a standby in ``region`` has the writer's commits (seconds since 1970); None: it cannot say."""
    try:
        ((until,),) = session.run("SELECT replicated_until(:region)", region=region)
    except pg8000.exceptions.DatabaseError:  # the server's own no; what else is known of it stands without this
        return None
    return None if until is None else float(until)


def installed(session: pg8000.native.Connection) -> Installed:
    """Returns what the bootstrap has left in this database; a standby has the writer's by replication."""
    functions = ", ".join(f"({literal(one)})" for one in FUNCTIONS)
    ((missing, trigger, kept, others, not_closed, passing),) = session.run(
        # No text of anybody else's is in here.
        "SELECT (SELECT coalesce(array_agg(name), '{}') FROM (VALUES "  # noqa: S608
        f"{functions}) AS wanted (name) WHERE to_regprocedure(name) IS NULL), "
        "CASE WHEN current_setting('server_version_num')::int >= 170000 THEN EXISTS (SELECT FROM pg_event_trigger"
        " WHERE evtname = 'refuse_while_fenced' AND evtenabled IN ('O', 'A')) END, "
        f"({RESERVED_CONNECTIONS}), ARRAY({OTHER_DATABASES}), ARRAY({NOT_CLOSED}), ARRAY({PASSING})"
    )
    return Installed(tuple(missing), trigger, kept or 0, tuple(others), tuple(not_closed), tuple(passing))


def fence(session: pg8000.native.Connection, reason: str) -> bool | None:
    """Takes away the applications' right to connect and ends their sessions; returns whether all have ended.

    None when it was lifted meanwhile, which only a renewed lease earns: those who come then have a right to.

    The right is taken away in a transaction of its own, so that no session is opened after the first look.
    """
    session.run("SELECT fence_application(:reason)", reason=reason)
    end = time.monotonic() + SESSIONS_END_WITHIN_S
    quiet_looks = 0
    while quiet_looks < QUIET_LOOKS:
        if time.monotonic() > end:
            return False
        ((stands, sessions),) = session.run(
            "SELECT stands, CASE WHEN stands THEN end_application_sessions() END FROM is_fenced() AS stands"
        )
        if not stands:
            return None
        quiet_looks = 0 if sessions else quiet_looks + 1
        time.sleep(LOOK_AGAIN_S)
    return True


def lift_fence(session: pg8000.native.Connection, number: int, until: float) -> bool:
    """Gives the applications back their right to connect, if that fence stands and it is not later than ``until``."""
    return bool(session.run("SELECT lift_fence(:number, :until)", number=number, until=until)[0][0])


def prove_recovery(session: pg8000.native.Connection, run: str, epoch: int) -> None:
    """Commits a row that says that ``run`` wrote through this name; once for each run."""
    session.run(
        "INSERT INTO recovery_proof (run, epoch) VALUES (:run, :epoch) ON CONFLICT (run) DO NOTHING",
        run=run,
        epoch=epoch,
    )
