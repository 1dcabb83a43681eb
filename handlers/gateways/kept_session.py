"""A session that lasts from one invocation of a function to the next, so that a look at a database is one round trip.

A new session costs seven round trips and needs a database that answers each of them; a kept one says after a single
answer that the database lives, however slow it is, and needs neither a free connection nor a login that works.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress

from handlers.core.answers import meaning
from handlers.core.sessions import UNUSED_FOR_S
from handlers.gateways.postgres import FAILURES, Session, Standing, code_of

# How much of the time a kept session gets to answer: the rest has to do for a new one, if it turns out to be dead.
KEPT_SHARE = 0.8
# How often a new session takes the place of a living one, so that a login that is refused, or a certificate that has
# expired, is known while the database can still be asked.
LOG_IN_EVERY_S = 60.0

Connect = Callable[[float], Session]  # within that many seconds
Ask = Callable[[Session], Standing]


class KeptSession:
    """The session with the ``writer`` of a cluster, with a reader of it, or, by None, with an instance, whatever it is.

    ``refused`` is why no new session was let in beside it, None when one would be.
    """

    def __init__(self, *, writer: bool | None) -> None:
        self._writer = writer
        self._session: Session | None = None
        self._logged_in_at = self._used_at = -math.inf
        self.refused: str | None = None

    def ask(self, connect: Connect, ask: Ask, timeout_s: float) -> tuple[Session, Standing]:
        """Returns the kept session, or a new one, and its answer; all within ``timeout_s`` seconds.

        Raises
        ------
        FAILURES
            no session could be opened in that time, or the new one did not answer.
        """
        end = time.monotonic() + timeout_s
        session, found = self._session, self._answer_of_kept(ask, timeout_s * KEPT_SHARE)
        if session is None or found is None:
            session = self._open(connect, end)
            found = _answer(session, ask, end)
        elif time.monotonic() - self._logged_in_at > LOG_IN_EVERY_S:
            session = self._log_in_again(session, connect, end)
        # One with a server of the other role is not asked again: the endpoint's name leads elsewhere by then.
        self._used_at = time.monotonic() if self._is_meant(found) else -math.inf
        return session, found

    def close(self) -> None:
        """Ends the session, if there is one."""
        _close(self._session)
        self._session = None

    def close_unused(self) -> None:
        """Ends a session that would not be asked again, so that it takes no connection."""
        if not self._is_trusted():
            self.close()

    def _answer_of_kept(self, ask: Ask, seconds: float) -> Standing | None:
        """Returns the kept session's answer; None when there is none, and the session is closed."""
        if self._session is not None and self._is_trusted():
            with suppress(*FAILURES):
                found = _answer(self._session, ask, time.monotonic() + seconds)
                if self._is_meant(found):
                    return found
        self.close()
        return None

    def _is_trusted(self) -> bool:
        return time.monotonic() - self._used_at < UNUSED_FOR_S

    def _is_meant(self, found: Standing) -> bool:
        return self._writer is None or found.writer is self._writer

    def _open(self, connect: Connect, end: float) -> Session:
        self._session, self.refused = connect(end - time.monotonic()), None
        self._logged_in_at = time.monotonic()
        return self._session

    def _log_in_again(self, session: Session, connect: Connect, end: float) -> Session:
        """Returns a new session in place of this one, which stays if that one is refused or takes too long."""
        self._logged_in_at = time.monotonic()
        try:
            new = self._open(connect, end)
        except FAILURES as failure:
            said = meaning(code_of(failure))
            self.refused = said.why if said.known == "up" else None
            return session
        _close(session)
        return new


def _answer(session: Session, ask: Ask, end: float) -> Standing:
    session.within(end - time.monotonic())
    return ask(session)


def _close(session: Session | None) -> None:
    if session is not None:
        with suppress(*FAILURES):
            session.close()
