"""``verify --with-fence``: fences a healthy writer twice, and sees from outside whether that keeps an application out.

Nothing has to be undone: the writer's own guardian lifts a fence that it finds on a healthy writer, with its next tick.
How long that takes is seen, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psycopg

from failoverctl.account import Account
from failoverctl.command import Session
from failoverctl.deployment import changing
from failoverctl.errors import CannotTell, Refused
from handlers.core.errors import FailoverError
from handlers.core.fence import FenceState
from handlers.core.readiness import Finding
from handlers.gateways import fence
from handlers.gateways.fence import FenceFunction

Door = Literal["open", "trigger", "right", "no answer"]

LOGIN_S = 2  # libpq's shortest limit; a connection that a security group drops ends by it
LOOK_EVERY_S = 0.2
# A guardian may open a group with its next run only, a minute later, and that may take another minute to work.
OPEN_WITHIN_S = 150.0
TRIES = 3  # a guardian may lift a fence before anybody has tried to log in
REASON = "failoverctl verify: does a fence keep applications out?"
SAID_BY_TRIGGER = "is fenced from applications"  # handlers/sql/monitoring.sql
SAID_BY_RIGHT = "permission denied for database"  # PostgreSQL, of a role without CONNECT


@dataclass(frozen=True)
class Watched:
    """What an application's logins met from the order of a fence on, in seconds since then.

    ``shut`` is when the first of them was kept out, and ``by`` what kept them out; ``open_again`` is when one got in
    behind that. ``fence`` is the fence as the order found it.
    """

    fence: FenceState
    shut: float | None
    by: frozenset[Door]
    open_again: float | None


def fence_and_log_in(session: Session, account: Account, url: str, *, yes: bool) -> list[Finding]:
    """Fences the writer by SQL, then by its security group as well, and logs in meanwhile; returns what was seen.

    Raises `Refused` where the role of ``url`` cannot log in before anything is fenced.
    """
    if (door := knock(url)) != "open":
        raise Refused(f"--with-fence: no login by this URL even without a fence ({door}). Nothing was changed.")
    region = account.writer
    session.say(
        f"The writer in {region} is fenced twice, until its guardian opens it again: applications lose their sessions "
        "and cannot log in for some seconds, the second time for up to a minute."
    )
    session.confirm("Do that now?", yes=yes)
    site = FenceFunction(
        account.deployment.client("lambda", region, read_timeout_s=fence.INVOCATION_TIMEOUT_S),
        account.names.function("fence", region),
    )
    by_sql = _tried(lambda: _watched(account, site, url, group=False), lambda seen: seen.shut is not None)
    by_group = _tried(lambda: _watched(account, site, url, group=True), lambda seen: "no answer" in seen.by)
    return [_of_sql(region, by_sql), _of_group(region, by_group)]


def _tried(once: Callable[[], Watched], enough: Callable[[Watched], bool]) -> Watched:
    """Returns the first of `TRIES` fences that shows ``enough``, else the last."""
    seen = once()
    for _ in range(TRIES - 1):
        if enough(seen) or seen.open_again is None:
            break
        seen = once()
    return seen


def _watched(account: Account, site: FenceFunction, url: str, *, group: bool) -> Watched:
    """Puts up a fence, and logs in again and again until that succeeds and the fence is gone."""
    began = time.monotonic()
    with changing(account.deployment, f"fencing the writer in {account.writer}"):
        state = site.fence(REASON, group=group)
    shut, doors = None, set[Door]()
    while time.monotonic() < began + OPEN_WITHIN_S:
        tried = time.monotonic() - began
        if (door := knock(url)) != "open":
            shut = tried if shut is None else shut
            doors.add(door)
        elif not _stands(site):
            return Watched(state, shut, frozenset(doors), time.monotonic() - began)
        time.sleep(LOOK_EVERY_S)
    return Watched(state, shut, frozenset(doors), None)


def _stands(site: FenceFunction) -> bool:
    """Returns whether any fence is still seen; one that cannot be looked at may stand."""
    try:
        found = site.look()
    except FailoverError:
        return True
    return found.by_sql is not False or found.by_group is not False


def knock(url: str) -> Door:
    """Logs in once, and returns what came of it.

    Raises `CannotTell` where the server refuses for a reason that is no fence's.
    """
    try:
        psycopg.connect(url, connect_timeout=LOGIN_S, application_name="failoverctl").close()
    except psycopg.OperationalError as error:
        said = str(error)
        if SAID_BY_TRIGGER in said:
            return "trigger"
        if SAID_BY_RIGHT in said:
            return "right"
        if "FATAL" in said:
            raise CannotTell(f"--with-fence: this login is refused, and not by a fence: {said.strip()}") from None
        return "no answer"
    except psycopg.Error as error:
        raise Refused(f"--with-fence URL cannot be used: {error}") from None
    return "open"


def _of_sql(region: str, seen: Watched) -> Finding:
    otherwise = "the fence rests on the security group alone"
    if not seen.fence.by_sql:
        return Finding("fence", region, "failing", f"there is no fence by SQL ({seen.fence.error})", otherwise)
    if seen.open_again is None:
        return _stays_shut("fence", region)
    if seen.shut is None:
        fact = f"no login was kept out in the {seen.open_again:.1f} s that the fence stood"
        return Finding("fence", region, "failing", fact, otherwise)
    times = f"from {seen.shut:.1f} s on, and let it in again after {seen.open_again:.1f} s"
    if "trigger" in seen.by:
        return Finding("fence", region, "ok", f"the login trigger kept the role out {times}", "")
    return Finding(
        "fence",
        region,
        "warning",
        f"the right to connect, which the role had not, kept it out {times}; the login trigger was not reached",
        "grant CONNECT on the database to this role itself: then only the trigger keeps it out. Before PostgreSQL 17 "
        "there is none",
    )


def _of_group(region: str, seen: Watched) -> Finding:
    otherwise = "the fence rests on SQL alone for that long: reckon with a minute"
    if not seen.fence.by_group:
        fact = f"RDS did not take the fence's group ({seen.fence.error})"
        return Finding("security-group", region, "failing", fact, otherwise)
    if seen.open_again is None:
        return _stays_shut("security-group", region)
    if "no answer" in seen.by:
        fact = f"connections met no answer, and got in again after {seen.open_again:.1f} s"
        return Finding("security-group", region, "ok", fact, "")
    fact = f"RDS took the group, and it kept no connection out in the {seen.open_again:.1f} s until it was opened again"
    return Finding("security-group", region, "cannot tell", fact, otherwise)


def _stays_shut(check: str, region: str) -> Finding:
    fact = f"no login for {OPEN_WITHIN_S:.0f} s after the fence"
    return Finding(check, region, "failing", fact, f"its guardian does not open it: `failoverctl let-in {region}`")
