"""People and programs that only hold sessions on a database: its owner at work, or a pool that takes every connection.

A visitor whose session ends opens another one at once. They come through the network like clients, over TLS.
"""

from __future__ import annotations

import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from drills.world.network import Address

# As many as a crowd may hold: more than any server of the lab admits.
CROWD = 200
# How soon an ended session is noticed and opened again, and how long opening one may take (real seconds; the least that
# libpq takes is 2).
LOOK_AGAIN_SECONDS = 0.2
CONNECT_TIMEOUT_SECONDS = 2
# How many sessions at least have to stand before a drill goes on, and for how long it waits for them (real seconds).
SETTLED_SECONDS, SETTLING_LIMIT_SECONDS = 1.0, 30.0


class Visitors:
    """Holds sessions of one role until it is closed: as many as are wanted, or as the server admits."""

    def __init__(self, address: Address, database: str, role: str, wanted: int) -> None:
        """Starts to open sessions."""
        self._address = address
        self._database = database
        self._role = role
        self._wanted = wanted
        self._sessions: list[psycopg.Connection[Any]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"visitors as {role}", daemon=True)
        self._thread.start()

    @property
    def sessions(self) -> int:
        """How many sessions stand."""
        return len(self._sessions)

    def settle(self) -> None:
        """Waits until no more sessions come."""
        waited, before = 0.0, -1
        while (before != self.sessions or not before) and waited < SETTLING_LIMIT_SECONDS:
            before = self.sessions
            self._closing.wait(SETTLED_SECONDS)
            waited += SETTLED_SECONDS

    def close(self) -> None:
        """Ends every session."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            for ended in [each for each in self._sessions if _has_ended(each)]:
                self._sessions.remove(ended)
                ended.close()
            if self.sessions >= self._wanted or not self._open():
                self._closing.wait(LOOK_AGAIN_SECONDS)
        for session in self._sessions:
            session.close()

    def _open(self) -> bool:
        with suppress(psycopg.Error):
            session = psycopg.connect(
                host=self._address.host,
                port=self._address.port,
                user=self._role,
                dbname=self._database,
                sslmode="require",
                gssencmode="disable",
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                autocommit=True,
            )
            self._sessions.append(session)
            return True
        return False


def _has_ended(session: psycopg.Connection[Any]) -> bool:
    """Returns whether the server has said something: to an idle session it says only that it has ended."""
    if session.closed:
        return True
    readable, _, _ = select.select([session.fileno()], [], [], 0)
    return bool(readable)
