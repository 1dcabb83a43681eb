"""The prober: the one function inside the VPC. Connects to a database, says what it reached, and acts there by SQL."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.answers import meaning
from handlers.core.commands import WARM_UP
from handlers.core.control import LARGEST_EPOCH
from handlers.core.environment import PeerVariables
from handlers.core.errors import InvalidRequest, TransientFailure
from handlers.core.health import Probe
from handlers.core.heartbeat import END_OF_TIME_S, LARGEST_SEQUENCE
from handlers.core.reading import Fields
from handlers.gateways import postgres
from handlers.gateways.aws import client
from handlers.gateways.kept_session import KeptSession
from handlers.telemetry import logger

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient


class Environment(postgres.DatabaseVariables, PeerVariables):
    """What the function reads."""

    cluster: str
    peer_cluster: str
    writer_dns_name: str
    cluster_dns_name: str
    reader_dns_name: str
    peer_cluster_dns_name: str


ENVIRONMENT = Environment.read()
RDS = client("rds", ENVIRONMENT.aws_region)  # signs IAM tokens; the VPC has no way to call RDS, and needs none

TARGETS = {
    "writer": ENVIRONMENT.writer_dns_name,
    "own": ENVIRONMENT.cluster_dns_name,
    "own_reader": ENVIRONMENT.reader_dns_name,
    "peer": ENVIRONMENT.peer_cluster_dns_name,
}
# The public name is looked up anew each time: where it leads is what is asked.
KEPT = {
    "own": KeptSession(writer=True),
    "own_reader": KeptSession(writer=False),
    "peer": KeptSession(writer=True),
}
# A warm-up lasts long enough that several at once are served by an environment each.
WARM_UP_S = 0.5
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.1, 5.0  # the function's own time limit ends later
LONGEST_ERROR = 500  # characters of a database's error that are worth passing on


@dataclass(frozen=True)
class Work:
    """What to do on a writer besides looking; on a reader only ``lag`` and ``installed``, which ask for more.

    ``proof`` (run, epoch): commit a row that proves a recovery. ``heartbeat``: commit the next heartbeat row, with
    ``lease``, the end of the lease as far as it is known. ``fence``: keep applications out, for this reason.
    ``lift_fence`` (number, until): let them in again, if that fence stands and it is not later. ``lag``: up to when a
    reader has the writer's commits. ``installed``: what the bootstrap has left there.
    """

    proof: tuple[str, int] | None = None
    heartbeat: bool = False
    lease: float | None = None
    fence: str | None = None
    lift_fence: tuple[int, float] | None = None
    lag: bool = False
    installed: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Work:
        """Reads it from the prober's event."""
        proof = fields.section("proof") if "proof" in fields.data else None
        lift = fields.section("lift_fence") if "lift_fence" in fields.data else None
        return cls(
            proof=(proof.text("run"), proof.whole("epoch", at_least=1, at_most=LARGEST_EPOCH)) if proof else None,
            heartbeat=fields.flag("heartbeat", False),
            fence=fields.optional_text("fence"),
            lease=fields.optional_number("lease", at_least=0, at_most=END_OF_TIME_S),
            lift_fence=(
                lift.whole("number", at_most=LARGEST_SEQUENCE),
                lift.number("until", at_least=0, at_most=END_OF_TIME_S),
            )
            if lift
            else None,
            lag=fields.flag("lag", False),
            installed=fields.flag("installed", False),
        )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for the monitor and the steps.

    ``target`` is one of ``writer``, ``own``, ``own_reader``, ``peer``; ``timeout_s`` limits the look at the database,
    and then the work there, each as a whole; the rest is `Work`.
    """
    if event == WARM_UP:
        time.sleep(WARM_UP_S)
        return {}
    fields = Fields(event, "the prober's event", InvalidRequest)
    fields.only(("target", "timeout_s", "proof", "heartbeat", "lease", "fence", "lift_fence", "lag", "installed"))
    target = fields.text("target", choices=tuple(TARGETS))
    timeout_s = fields.number("timeout_s", at_least=SHORTEST_TIMEOUT_S, at_most=LONGEST_TIMEOUT_S)
    return asdict(probe(RDS, ENVIRONMENT, target, timeout_s, Work.read(fields)))


def probe(rds: RDSClient, environment: Environment, target: str, timeout_s: float, work: Work) -> Probe:
    """Asks ``target`` what it is and, on a writer, does the work; the look has one deadline, ``timeout_s``.

    A database that is down is an answer and not an error; so is one that refuses the monitor, and a reader where work
    was asked for.

    Raises
    ------
    UnexpectedEndpoint
        the target's name leads elsewhere.
    TransientFailure
        the prober failed by itself: nothing is known of the database.
    """
    started = time.monotonic()
    kept = KEPT.get(target) or KeptSession(writer=True)
    found, region, error, refused, until, installed = None, None, None, None, None, None
    try:
        session, found = kept.ask(
            lambda seconds: postgres.connect(_endpoint(environment, target), environment, seconds, rds),
            lambda session: postgres.standing(session, beat=work.heartbeat, lease=work.lease),
            timeout_s,
        )
        region, refused = session.endpoint.region, kept.refused
        if found.writer:
            found, error = do(session, work, found, timeout_s)
        elif work.lag:
            until = postgres.replicated_until(session, region)
        if work.installed:
            installed = postgres.installed(session)
    except postgres.FAILURES as failure:
        kept.close()
        said = meaning(postgres.code_of(failure))
        found, error = None, f"{type(failure).__name__}: {failure}"[:LONGEST_ERROR]
        if said.known == "unknown":
            raise TransientFailure(f"{TARGETS[target]} {said.why}: {error}") from failure
        refused = said.why if said.known == "up" else None
    finally:
        if target not in KEPT:
            kept.close()
    if error or refused:
        logger.warning("the database was not reached as it should be", target=target, error=error, refused=refused)
    elapsed_ms = (time.monotonic() - started) * 1000
    if found is None:
        return Probe(target, None, region, error, elapsed_ms, refused=refused)
    return Probe(
        target,
        "writer" if found.writer else "reader",
        region,
        error,
        elapsed_ms,
        heartbeat=found.heartbeat,
        noted_lease=found.noted_lease,
        fenced=found.fenced,
        fence_number=found.fence_number,
        open_sessions=found.open_sessions,
        oldest_xid=found.oldest_xid,
        replicated_until=until,
        refused=refused,
        installed=installed,
    )


def _endpoint(environment: Environment, target: str) -> postgres.Endpoint:
    clusters = {
        environment.aws_region: environment.cluster,
        environment.peer_region: environment.peer_cluster,
    }
    return postgres.endpoint_behind(TARGETS[target], clusters)


def do(
    session: postgres.Session, work: Work, found: postgres.Standing, timeout_s: float
) -> tuple[postgres.Standing, str | None]:
    """Does the work on a writer; returns how it stands afterwards, and what did not succeed.

    ``timeout_s`` is for all of it, apart from the time that sessions are given to end.
    """
    error = None
    session.within(timeout_s + (postgres.SESSIONS_END_WITHIN_S if work.fence else 0.0))
    if work.proof:
        postgres.prove_recovery(session, *work.proof)
    if work.fence:
        complete = postgres.fence(session, work.fence)
        # Sessions that were counted before the fence say nothing of those that did not end.
        found = replace(found, fenced=complete is not None, open_sessions=0 if complete else None)
        error = {True: None, False: "sessions of applications do not end", None: "the fence was lifted meanwhile"}[
            complete
        ]
    if work.lift_fence and postgres.lift_fence(session, *work.lift_fence):
        found = replace(found, fenced=False)
    return found, error
