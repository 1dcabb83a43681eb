"""How the Python examples reach the writer: one dictionary of libpq's settings, for psycopg, its pool and SQLAlchemy.

docs/applications.md says of each setting what breaks without it.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

# For the whole of one attempt; longer than the server's own limit for a statement, which thus comes first.
ATTEMPT_TIMEOUT_S = 3.0


def settings() -> dict[str, Any]:
    """Returns the settings of a new session; asked for each one, so that the name is looked up each time."""
    return {
        "port": os.environ["PAYMENTS_PORT"],
        "dbname": os.environ["PAYMENTS_DATABASE"],
        "user": os.environ["PAYMENTS_USER"],
        "sslmode": "verify-full",
        "sslrootcert": os.environ["PAYMENTS_CA"],
        "target_session_attrs": "read-write",
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "options": "-c statement_timeout=2000",
        "autocommit": True,
        **(by_hosts() if os.environ["PAYMENTS_FIND"] == "hosts" else by_name()),
    }


def by_hosts() -> dict[str, str]:
    """Returns both clusters' endpoints, the own region's first; psycopg tries them in this order."""
    return {"host": os.environ["PAYMENTS_HOSTS"]}


def by_name() -> dict[str, str]:
    """Returns where the writer's name leads now: the name at the end of its CNAME chain, and that name's address.

    The certificate carries RDS's name and not ours, so RDS's is what libpq has to be told to verify.
    """
    found = socket.getaddrinfo(
        os.environ["PAYMENTS_NAME"], None, socket.AF_INET, socket.SOCK_STREAM, flags=socket.AI_CANONNAME
    )
    _, _, _, canonical_name, (address, *_) = found[0]
    return {"host": canonical_name, "hostaddr": str(address)}


@contextmanager
def deadline(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Ends what is done within when it takes too long, by shutting the socket down.

    libpq waits without limit for a server that has frozen while its machine still acknowledges what it is sent.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as same_socket:
        watchdog = threading.Timer(ATTEMPT_TIMEOUT_S, _shut_down, [same_socket])
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
