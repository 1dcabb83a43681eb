"""The fence: keeps applications out of the region's own database, by SQL and by security group, or lets them in.

Where SQL cannot end the sessions of those who are in, it has RDS restart the instances: a server starts fenced.

It is called by the region's guardian, and by a run in the other region that moves the writer away from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.fence import FenceState, Lift
from handlers.core.health import Probe
from handlers.core.heartbeat import END_OF_TIME_S, LARGEST_SEQUENCE
from handlers.core.lease import is_renewed
from handlers.core.reading import Fields
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.fence import ORDERS
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.prober import OWN_PROBE_TIMEOUT_S, Prober, ProberVariables
from handlers.telemetry import instrumented, logger


class Environment(ProberVariables, GlobalDatabaseVariables, ControlVariables):
    """What the function reads."""

    cluster_security_groups: str  # admit clients; by commas
    fence_security_group: str  # admits this region's prober and nobody else


ENVIRONMENT = Environment.read()
PROBER = Prober.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)

# The database is in this region; one that does not answer within a second is fenced by its security group.
PROBE_TIMEOUT_S = 1.0
# How long a restart waits for the fence by SQL, which is rarely there later than this: together with three calls to RDS
# it is within what a guardian keeps for its fence (`handlers.core.lease.FENCE_BEFORE_S`).
SQL_FIRST_S = 2.0
# The last part of that wait, kept for a look at the record.
LOOK_S = 0.5

Found = TypeVar("Found")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Takes ``order`` (fence, lift, look, open) and ``reason``, a sentence for people.

    With ``fence``: ``group``, whether by security group as well and, where SQL cannot, by a restart; ``lease``, whose
    end is the reason, if it is; and ``lifted_at``, when the fence was last lifted, if that is known (seconds since
    1970). With ``lift``: ``number`` and ``until``, see `handlers.core.fence.Lift`.
    """
    fields = Fields(event, "the fence's event", InvalidRequest)
    order = fields.choice("order", ORDERS)
    reason = fields.text("reason")
    site = Site(PROBER, DATABASE, ENVIRONMENT, RESTART)
    if order == "fence":
        lease = fields.optional_number("lease", at_least=0, at_most=END_OF_TIME_S)
        lifted_at = fields.optional_number("lifted_at", at_least=0, at_most=END_OF_TIME_S)
        state = site.fence(reason, with_group=fields.flag("group", True), lease=lease, lifted_at=lifted_at)
    elif order == "lift":
        number = fields.whole("number", at_most=LARGEST_SEQUENCE)
        state = site.lift(Lift(number, fields.number("until", at_least=0, at_most=END_OF_TIME_S)))
    elif order == "open":
        state = site.open_secondary()
    else:
        state = site.look()
    found = asdict(state)
    logger.info("carried out", order=order, reason=reason, state=found)
    return found


@dataclass
class Restart:
    """What this environment knows of the restart that takes the place of a fence by SQL.

    ``accepted``: RDS has accepted it, or has refused so far; None when none was asked for. ``at``: when it did, in
    seconds since 1970. The group is closed after that (``closed``: it was), so that a run that finds it closed need not
    ask, and no database is restarted again and again.
    """

    accepted: bool | None = None
    at: float | None = None
    closed: bool = False


RESTART = Restart()


class Site:
    """This region's database, where a fence can be put up. What fails is reported, and does not stop the rest."""

    def __init__(self, prober: Prober, database: GlobalDatabase, environment: Environment, restart: Restart) -> None:
        self._prober = prober
        self._database = database
        self._environment = environment
        self._restart = restart
        self._errors: list[str] = []

    def fence(
        self, reason: str, *, with_group: bool, lease: float | None, lifted_at: float | None = None
    ) -> FenceState:
        """Keeps applications out by both ways at once; the group waits for SQL only to know whether to restart.

        A fence by SQL alone has the time of a look of the guardian: nothing else closes a database that is only slow,
        and before its security group is opened one has to stand.

        ``lease``, ``lifted_at``: as the handler takes them.
        """
        timeout_s = PROBE_TIMEOUT_S if with_group else OWN_PROBE_TIMEOUT_S
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(self._attempt, lambda: self._reach(timeout_s, fence=reason))
            closed = (lambda: self._close(pool, asked, lease, lifted_at)) if with_group else self._by_group
            group = pool.submit(self._attempt, closed)
            return self._state(_closed_by_sql(asked.result()), group.result())

    def look(self) -> FenceState:
        """Changes nothing."""
        with ThreadPoolExecutor() as pool:
            by_sql, group = pool.submit(self._attempt, self._by_sql), pool.submit(self._attempt, self._by_group)
            return self._state(by_sql.result(), group.result())

    def open_secondary(self) -> FenceState:
        """Opens the security group of a secondary, which was created in the fence's group.

        Leaves any other cluster's alone.
        """
        seen = group = self._attempt(self._by_group)
        if seen is not None and seen[1]:
            group = self._attempt(lambda: self._open(*seen))
        return self._state(None, group)

    def lift(self, lift: Lift) -> FenceState:
        """Lets applications in again.

        Opens the security group first, where it is closed. Only the SQL fence can tell whether the lift still counts,
        so it must still stand then, whoever has a session behind it. An RDS API that does not answer keeps nobody
        out: a group that is closed is seen later, and opened behind a fence by SQL of its own.

        A database that is only slow is a healthy one, which has to be opened again: a lift has the time of a look of
        the guardian. What comes too late, the database refuses by itself.
        """
        seen = group = self._attempt(self._by_group)
        if seen is not None and seen[0]:
            reached = self._attempt(lambda: self._reach(OWN_PROBE_TIMEOUT_S))
            if reached is None or reached.role != "writer" or not reached.fenced:
                return self._state(_closed_by_sql(reached), group)
            group = self._attempt(lambda: self._open(*seen))
        work = {"lift_fence": {"number": lift.number, "until": lift.until}}
        return self._state(self._attempt(lambda: _closed_by_sql(self._reach(OWN_PROBE_TIMEOUT_S, **work))), group)

    def _state(self, by_sql: bool | None, group: tuple[bool, bool] | None) -> FenceState:
        by_group, secondary = group or (None, None)
        known = self._restart
        at = known.at if known.accepted else None
        return FenceState(by_sql, by_group, secondary, "; ".join(self._errors) or None, known.accepted, at)

    def _attempt(self, work: Callable[[], Found]) -> Found | None:
        try:
            return work()
        except FailoverError as error:
            self._errors.append(f"{type(error).__name__}: {error}")
            return None

    def _reach(self, timeout_s: float = PROBE_TIMEOUT_S, **work: Any) -> Probe:
        reached = self._prober.probe("own", timeout_s, **work)
        if reached.error:
            self._errors.append(f"SQL: {reached.error}")
        return reached

    def _by_sql(self) -> bool | None:
        return _closed_by_sql(self._reach())

    def _close(
        self, pool: Executor, asked: Future[Probe | None], lease: float | None, lifted_at: float | None
    ) -> tuple[bool, bool]:
        """Closes the security group, after a restart of the instances if there is no fence by SQL; see `_by_group`."""
        closed, secondary = self._by_group()
        if secondary:
            return closed, secondary  # it takes no writes; its readers keep their sessions
        known = self._restart
        reached, renewed = self._first(pool, asked, lease)
        if renewed or (reached is not None and reached.writes):
            # A guardian has renewed the lease meanwhile: it lifts what comes of this fence by SQL, or has done so.
            known.accepted = None
            return closed, secondary
        lifted = lifted_at is not None and known.at is not None and known.at <= lifted_at
        if lifted or (not closed and known.closed):  # it was opened since: this is another fence
            known.accepted = None
        # A group that is closed tells a run of a restart. A guardian, which knows of a lift, is not told by it: RDS may
        # have got to the group after that, with sessions behind it.
        told = closed and lifted_at is None and known.accepted is None
        if _closed_by_sql(reached):
            known.accepted = None
        elif not known.accepted and not told:
            known.accepted = self._attempt(self._restarted) or False
            known.at = time.time()
        if not closed:
            self._database.set_security_groups([self._environment.fence_security_group])
        known.closed = True
        return True, secondary

    def _first(self, pool: Executor, asked: Future[Probe | None], lease: float | None) -> tuple[Probe | None, bool]:
        """Waits for what comes of the fence by SQL, and looks at the record before it is to be done without.

        Returns what is there in time, and whether the ``lease`` that ended is known to have been renewed.
        """
        ends = time.monotonic() + SQL_FIRST_S
        reached = _within(asked, SQL_FIRST_S - LOOK_S)
        if reached is not None and (_closed_by_sql(reached) or reached.writes):
            return reached, False
        looked = None if lease is None else pool.submit(self._attempt, lambda: self._is_renewed(lease))
        if looked is not None and _within(looked, LOOK_S):
            return reached, True
        return _within(asked, max(0.0, ends - time.monotonic())), False

    def _is_renewed(self, lease: float) -> bool:
        control = ControlTable.of(self._environment, read_timeout_s=LOOK_S, attempts=1)
        return is_renewed(control.read(), self._environment.aws_region, lease, time.time(), SQL_FIRST_S)

    def _restarted(self) -> bool:
        logger.warning("there is no fence by SQL; RDS is asked to restart the instances")
        self._database.restart()
        return True

    def _open(self, closed: bool, secondary: bool) -> tuple[bool, bool]:
        """Opens the security group that was seen to be so; see `_by_group`."""
        if closed:
            self._database.set_security_groups(self._environment.cluster_security_groups.split(","))
        return False, secondary

    def _by_group(self) -> tuple[bool, bool]:
        """Returns whether the security group keeps applications out now, and whether the cluster is a secondary."""
        secondary = self._database.membership() == "secondary"
        closed = self._environment.fence_security_group in self._database.security_groups()
        return closed, secondary


def _closed_by_sql(reached: Probe | None) -> bool | None:
    """Returns whether applications are kept out by SQL; None when the database does not answer as a writer."""
    return reached.closed if reached is not None and reached.role == "writer" else None


def _within(future: Future[Found | None], seconds: float) -> Found | None:
    """Returns the result, None when it is not there in time."""
    with suppress(TimeoutError):
        return future.result(seconds)
    return None
