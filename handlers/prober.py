"""The prober: the one function inside the VPC. Connects to a database and says what it reached."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pg8000.exceptions
from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.control import LARGEST_EPOCH
from handlers.core.environment import RDS_CA_BUNDLE, Environment
from handlers.core.errors import InvalidRequest
from handlers.core.health import Probe
from handlers.core.reading import Fields
from handlers.gateways import postgres
from handlers.gateways.aws import client
from handlers.telemetry import logger

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

ENVIRONMENT = Environment.read()
RDS = client("rds", ENVIRONMENT.aws_region)  # signs IAM tokens; the VPC has no way to call RDS, and needs none

TARGETS = {
    "writer": ENVIRONMENT.writer_name,
    "own": ENVIRONMENT.cluster_name,
    "own_reader": ENVIRONMENT.reader_name,
    "peer": ENVIRONMENT.peer_cluster_name,
}
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.1, 5.0  # the function's own time limit ends later
LONGEST_ERROR = 500  # characters of a database's error that are worth passing on


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Invoked by the monitor and by steps.

    ``target`` is one of ``writer``, ``own``, ``own_reader``, ``peer``; ``timeout_s`` limits each wait for the
    database; ``proof`` (``run``, ``epoch``) asks for a committed row.
    """
    fields = Fields(event, "the prober's event", InvalidRequest)
    target = fields.text("target", choices=tuple(TARGETS))
    timeout_s = fields.number("timeout_s", at_least=SHORTEST_TIMEOUT_S, at_most=LONGEST_TIMEOUT_S)
    proof = fields.section("proof") if "proof" in fields.data else None
    row = (proof.text("run"), int(proof.number("epoch", at_least=1, at_most=LARGEST_EPOCH))) if proof else None
    return asdict(probe(RDS, ENVIRONMENT, target, timeout_s, row))


def probe(
    rds: RDSClient, environment: Environment, target: str, timeout_s: float, row: tuple[str, int] | None
) -> Probe:
    """Connects to ``target``, asks whether it is a writer and, with ``row`` (run, epoch), proves a recovery there.

    An unreachable database is an answer and not an error; so is a reader where a proof was asked for.
    """
    started = time.monotonic()
    clusters = {
        environment.aws_region: environment.cluster,
        environment.peer_region: environment.peer_cluster,
    }
    writer, region, error = None, None, None
    try:
        endpoint = postgres.endpoint_behind(TARGETS[target], environment.database_port, clusters)
        region = endpoint.region
        session = postgres.connect(
            endpoint,
            environment.database_port,
            environment.database_name,
            environment.database_user,
            RDS_CA_BUNDLE,
            timeout_s,
            rds,
        )
        try:
            writer = postgres.is_writer(session)
            if writer and row:
                postgres.prove_recovery(session, *row)
        finally:
            session.close()
    except (OSError, pg8000.exceptions.Error, postgres.UnexpectedEndpoint) as failure:
        # ssl.SSLError is an OSError: a server that cannot prove who it is counts as not reached.
        writer, error = None, f"{type(failure).__name__}: {failure}"[:LONGEST_ERROR]
        logger.warning("did not reach the database", target=target, error=error)
    role = {True: "writer", False: "reader", None: None}[writer]
    return Probe(target, role, region, error, (time.monotonic() - started) * 1000)  # type: ignore[arg-type]
