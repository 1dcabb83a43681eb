"""Salvage: reads, in the old writer's region, what its database committed and the new writer lacks.

It runs inside the VPC, as the prober does: it connects to its own fenced cluster and, across the peering, to the new
writer. It is not a step of a workflow; `handlers/reprotect/export_salvage.py` asks it page by page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pg8000.exceptions
import pg8000.native
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import PeerVariables
from handlers.core.errors import InvalidRequest, TransientFailure
from handlers.core.reading import LARGEST_WHOLE, Fields
from handlers.core.salvage import TUPLE_ID, Table
from handlers.gateways import postgres, salvage
from handlers.gateways.aws import client
from handlers.gateways.salvage import Page
from handlers.telemetry import instrumented, logger

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient


class Environment(postgres.DatabaseVariables, PeerVariables):
    """What the function reads."""

    cluster: str
    peer_cluster: str
    cluster_dns_name: str
    peer_cluster_dns_name: str


ENVIRONMENT = Environment.read()
RDS = client("rds", ENVIRONMENT.aws_region)  # signs IAM tokens only

CLUSTERS = {
    ENVIRONMENT.aws_region: ENVIRONMENT.cluster,
    ENVIRONMENT.peer_region: ENVIRONMENT.peer_cluster,
}
# A page may take some seconds to be read from cold storage; the function's own limit is 60 s.
STATEMENT_TIMEOUT_S = 25.0


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Takes ``order``: ``tables``, ``mark``, or ``page`` with ``table``, ``after`` and ``horizon``.

    See `handlers.gateways.salvage`.
    """
    fields = Fields(event, "the salvage's event", InvalidRequest)
    order = fields.text("order", choices=("tables", "mark", "page"))
    with connected(ENVIRONMENT, ENVIRONMENT.cluster_dns_name, RDS) as old:
        if order == "tables":
            return {"tables": [asdict(table) for table in salvage.tables(old)]}
        if order == "mark":
            return {"mark": salvage.mark(old)}
        table = Table.read(fields.section("table"))
        after = fields.text("after", pattern=TUPLE_ID)
        horizon = fields.optional_whole("horizon", at_most=LARGEST_WHOLE)
        with connected(ENVIRONMENT, ENVIRONMENT.peer_cluster_dns_name, RDS) as new:
            page = read_page(old, new, table, after, horizon)
    logger.info("compared", table=table.name, after=after, rows=len(page.rows), unread=page.unread)
    return asdict(page)


def read_page(
    old: pg8000.native.Connection, new: pg8000.native.Connection, table: Table, after: str, horizon: int | None
) -> Page:
    """Does what `salvage.page` does; a table that may not be read is an answer, because the others can be."""
    try:
        return salvage.page(old, new, table, after, horizon)
    except pg8000.exceptions.DatabaseError as failure:
        unread = salvage.why_unread(failure)
        if unread is None:
            raise
        return Page([], 0, None, unread)


@contextmanager
def connected(environment: Environment, name: str, rds: RDSClient) -> Iterator[pg8000.native.Connection]:
    """Yields a session with the cluster behind ``name``; what fails on the way becomes a `TransientFailure`."""
    try:
        endpoint = postgres.endpoint_behind(name, CLUSTERS)
        session = postgres.connect(endpoint, environment, STATEMENT_TIMEOUT_S, rds)
        try:
            yield session
        finally:
            session.close()
    except (OSError, pg8000.exceptions.Error) as failure:
        raise TransientFailure(f"{name}: {type(failure).__name__}: {failure}") from failure
