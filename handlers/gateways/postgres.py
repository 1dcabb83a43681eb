"""PostgreSQL as a client inside the VPC sees it: verified TLS, IAM authentication, short time limits."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pg8000.native

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

APPLICATION_NAME = "failover-prober"


class UnexpectedEndpoint(Exception):
    """A name led to something that is not an endpoint of one of the two clusters."""


@dataclass(frozen=True)
class Endpoint:
    """Where a name leads: the endpoint's own host name, and the region of the cluster behind it."""

    host: str
    region: str


def endpoint_behind(name: str, port: int, clusters: Mapping[str, str]) -> Endpoint:
    """Follows ``name`` (a CNAME of our zone) to the cluster endpoint that it means.

    RDS certificates and IAM tokens carry the endpoint's own name, so that is what has to be verified; it is accepted
    only if it is an endpoint of one of ``clusters`` (region → cluster identifier), whoever answered the DNS query.

    Raises
    ------
    UnexpectedEndpoint
        the name leads elsewhere.
    OSError
        the name cannot be resolved.
    """
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    host = found[0][3].rstrip(".").lower()
    for region, cluster in clusters.items():
        # RDS guide, "Amazon Aurora endpoint connections": <cluster>.cluster-[ro-]<account hash>.<region>.rds…
        if re.fullmatch(rf"{re.escape(cluster)}\.cluster-(ro-)?[a-z0-9]+\.{region}\.rds\.amazonaws\.com", host):
            return Endpoint(host, region)
    raise UnexpectedEndpoint(
        f"{name} leads to {host or 'no name'}, which is no endpoint of {', '.join(clusters.values())}"
    )


def connect(
    endpoint: Endpoint, port: int, database: str, user: str, ca_bundle: Path, timeout_s: float, rds: RDSClient
) -> pg8000.native.Connection:
    """Opens a session over verified TLS with an IAM token as the password.

    ``timeout_s`` limits every wait for the server. ``rds`` signs the token; it makes no call.
    """
    tls = ssl.create_default_context(cafile=str(ca_bundle))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2  # RDS offers 1.2 and 1.3
    token = rds.generate_db_auth_token(DBHostname=endpoint.host, Port=port, DBUsername=user, Region=endpoint.region)
    return pg8000.native.Connection(
        user,
        host=endpoint.host,
        port=port,
        database=database,
        password=token,
        ssl_context=tls,
        timeout=timeout_s,
        application_name=APPLICATION_NAME,
    )


def is_writer(session: pg8000.native.Connection) -> bool:
    """Whether the server behind the session takes writes now."""
    return not session.run("SELECT pg_is_in_recovery()")[0][0]


def prove_recovery(session: pg8000.native.Connection, run: str, epoch: int) -> None:
    """Commits a row that says that ``run`` wrote through this name; once for each run."""
    session.run(
        "INSERT INTO recovery_proof (run, epoch) VALUES (:run, :epoch) ON CONFLICT (run) DO NOTHING",
        run=run,
        epoch=epoch,
    )
