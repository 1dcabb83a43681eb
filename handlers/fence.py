"""The fence: keeps a region's own database from its applications, by SQL and by security group, or lets them in again.

Called by the region's guardian, and by a run of the other region that moves the writer away from here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import Environment, SecurityGroups
from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.reading import Fields
from handlers.gateways.fence import FenceState, Order
from handlers.gateways.global_database import GlobalDatabase
from handlers.gateways.prober import Prober
from handlers.telemetry import instrumented, logger

ENVIRONMENT = Environment.read()
GROUPS = SecurityGroups.read()
PROBER = Prober.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)

ORDERS: tuple[Order, ...] = ("fence", "lift", "look")
# The database is in this region; one that does not answer within a second is fenced by its security group.
PROBE_TIMEOUT_S = 1.0

Found = TypeVar("Found")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """``order`` (fence, lift, look), ``reason`` (a sentence for people) and ``group`` (security group as well)."""
    fields = Fields(event, "the fence's event", InvalidRequest)
    order = fields.choice("order", ORDERS)
    reason = fields.text("reason")
    state = carry_out(PROBER, DATABASE, GROUPS, order, reason, with_group=fields.flag("group", True))
    logger.info("carried out", order=order, reason=reason, state=asdict(state))
    return asdict(state)


def carry_out(
    prober: Prober, database: GlobalDatabase, groups: SecurityGroups, order: Order, reason: str, *, with_group: bool
) -> FenceState:
    """Does both at once, so that neither waits for the other; what fails is reported and does not stop the rest."""
    errors: list[str] = []

    def attempt(work: Callable[[], Found]) -> Found | None:
        try:
            return work()
        except FailoverError as error:
            errors.append(f"{type(error).__name__}: {error}")
            return None

    with ThreadPoolExecutor() as pool:
        by_sql = pool.submit(attempt, lambda: _by_sql(prober, order, reason, errors))
        by_group = pool.submit(attempt, lambda: _by_group(database, groups, order, with_group=with_group))
        fenced, secondary = by_group.result() or (None, None)
        return FenceState(by_sql.result(), fenced, secondary, "; ".join(errors) or None)


def _by_sql(prober: Prober, order: Order, reason: str, errors: list[str]) -> bool | None:
    """Whether applications are kept out by SQL now; None when the database does not answer."""
    work: dict[Order, dict[str, Any]] = {"fence": {"fence": reason}, "lift": {"lift_fence": True}, "look": {}}
    reached = prober.probe("own", PROBE_TIMEOUT_S, **work[order])
    if reached.error:
        errors.append(f"SQL: {reached.error}")
    return reached.fenced if reached.role == "writer" else None


def _by_group(database: GlobalDatabase, groups: SecurityGroups, order: Order, *, with_group: bool) -> tuple[bool, bool]:
    """Whether the security group keeps applications out now, and whether the cluster is a secondary."""
    secondary = database.is_secondary()
    fenced = groups.fence in database.security_groups()
    wanted = {"fence": True, "lift": False, "look": fenced}[order]
    # A secondary takes no writes; its readers keep their sessions.
    if with_group and wanted != fenced and not (order == "fence" and secondary):
        database.set_security_group(groups.fence if wanted else groups.cluster)
        fenced = wanted
    return fenced, secondary
