"""PostgreSQL as a client inside the VPC sees it: verified TLS, IAM authentication, short time limits."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pg8000.exceptions
import pg8000.native

from handlers.core.environment import RDS_CA_BUNDLE, Variables
from handlers.core.errors import Misconfigured
from handlers.core.heartbeat import Beat

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

APPLICATION_NAME = "failover-prober"

# SQLSTATEs of a missing table or function: handlers/sql/monitoring.sql has not been run, or was not replicated yet.
NOT_SET_UP = frozenset({"42P01", "42883"})

TOO_MANY_CONNECTIONS = "53300"

# Sessions that are told to end are gone within milliseconds. One that was being opened when the right to connect was
# taken away shows up a moment later, so two looks in a row must find none.
QUIET_LOOKS = 2
LOOK_AGAIN_S = 0.05
SESSIONS_END_WITHIN_S = 1.5


class UnexpectedEndpoint(Misconfigured):
    """A name leads to something that is not an endpoint of either cluster: nothing is known of the database."""


@dataclass(frozen=True)
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


def connect(
    endpoint: Endpoint, environment: DatabaseVariables, timeout_s: float, rds: RDSClient
) -> pg8000.native.Connection:
    """Opens a session of the monitoring user over verified TLS, with an IAM token as the password.

    ``timeout_s`` limits every wait for the server. ``rds`` signs the token; it makes no call.
    """
    port, user = environment.database_port, environment.database_user
    tls = ssl.create_default_context(cafile=str(RDS_CA_BUNDLE))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2  # RDS offers 1.2 and 1.3
    token = rds.generate_db_auth_token(DBHostname=endpoint.host, Port=port, DBUsername=user, Region=endpoint.region)
    return pg8000.native.Connection(
        user,
        host=endpoint.host,
        port=port,
        database=environment.database_name,
        password=token,
        ssl_context=tls,
        timeout=timeout_s,
        application_name=APPLICATION_NAME,
    )


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


def standing(session: pg8000.native.Connection) -> Standing:
    """Asks the server behind the session, in one round trip."""
    try:
        ((recovering, seq, at, lease, fenced, number, sessions, oldest),) = session.run(
            "SELECT pg_is_in_recovery(), seq, extract(epoch FROM heartbeat.at)::float8, lease, is_fenced(), number, "
            "(SELECT count(*) FROM application_sessions()), pg_snapshot_xmin(pg_current_snapshot())::text::bigint "
            "FROM (SELECT) AS one LEFT JOIN heartbeat ON true LEFT JOIN fence ON true"
        )
    except pg8000.exceptions.DatabaseError as error:
        if error.args[0].get("C") not in NOT_SET_UP:
            raise
        return Standing(not session.run("SELECT pg_is_in_recovery()")[0][0])
    return Standing(not recovering, None if seq is None else Beat(seq, at), lease, fenced, number, sessions, oldest)


def replicated_until(session: pg8000.native.Connection, region: str) -> float | None:
    """Returns up to when a standby in ``region`` has the writer's commits (seconds since 1970); None: it cannot say."""
    try:
        ((until,),) = session.run("SELECT replicated_until(:region)", region=region)
    except (OSError, pg8000.exceptions.Error):
        return None  # what else is known of the server stands without it
    return None if until is None else float(until)


def beat(session: pg8000.native.Connection, known_lease: float | None) -> Beat:
    """Commits the next heartbeat row, and the end of the lease beside it."""
    return Beat(*session.run("SELECT seq, at FROM heartbeat(:lease)", lease=known_lease)[0])


def is_full(failure: Exception) -> bool:
    """Returns whether a server refused a session because it has no connection left."""
    report = failure.args[0] if failure.args else None
    return isinstance(report, dict) and report.get("C") == TOO_MANY_CONNECTIONS


def fence(session: pg8000.native.Connection, reason: str) -> bool:
    """Takes away the applications' right to connect and ends their sessions; returns whether all have ended.

    The right is taken away in a transaction of its own, so that no session is opened after the first look.
    """
    session.run("SELECT fence_application(:reason)", reason=reason)
    end = time.monotonic() + SESSIONS_END_WITHIN_S
    quiet_looks = 0
    while quiet_looks < QUIET_LOOKS:
        if time.monotonic() > end:
            return False
        ((sessions,),) = session.run("SELECT end_application_sessions()")
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
