"""The prober: the one function inside the VPC. Connects to a database, says what it reached, and acts there by SQL."""

from __future__ import annotations

import time
from contextlib import suppress
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
from handlers.gateways.prober import OWN_PROBE_TIMEOUT_S, PEER_PROBE_TIMEOUT_S
from handlers.telemetry import logger

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient


class Environment(postgres.DatabaseVariables, PeerVariables):
    """What the function reads."""

    cluster: str
    peer_cluster: str
    instances: str
    writer_dns_name: str
    cluster_dns_name: str
    reader_dns_name: str
    peer_cluster_dns_name: str


ENVIRONMENT = Environment.read()
RDS = client("rds", ENVIRONMENT.aws_region)  # signs IAM tokens; the VPC has no way to call RDS, and needs none

NAMES = {
    "writer": ENVIRONMENT.writer_dns_name,
    "own": ENVIRONMENT.cluster_dns_name,
    "own_reader": ENVIRONMENT.reader_dns_name,
    "peer": ENVIRONMENT.peer_cluster_dns_name,
}
INSTANCES = tuple(ENVIRONMENT.instances.split(","))
OWN_INSTANCES = "own_instances"
TARGETS = (*NAMES, OWN_INSTANCES)
# Where a session is kept, and with what. The public name is looked up anew each time: where it leads is what is asked.
ROLES = {"own": True, "own_reader": False, "peer": True} | dict.fromkeys(INSTANCES)
# By whether an asker waits as long as a guardian does there, too. One that gives a slow database less time than it
# needs loses its session, which must not be the guardian's, for a new one needs several such answers.
KEPT = {(place, patient): KeptSession(writer=role) for place, role in ROLES.items() for patient in (False, True)}
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
    """Entry point for the monitor and the steps; first ends the sessions that nobody has used for long.

    ``target`` is one of `TARGETS` (see `handlers.gateways.prober`); ``timeout_s`` limits the look at the database, and
    then the work there, each as a whole; the rest is `Work`.
    """
    for kept in KEPT.values():
        kept.close_unused()
    if event == WARM_UP:
        time.sleep(WARM_UP_S)
        return {}
    fields = Fields(event, "the prober's event", InvalidRequest)
    fields.only(("target", "timeout_s", "proof", "heartbeat", "lease", "fence", "lift_fence", "lag", "installed"))
    target = fields.text("target", choices=TARGETS)
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
    reached, found, region, error, refused, until, installed = None, None, None, None, None, None, None
    try:
        reached = Search(rds, environment, work, timeout_s).reach(target)
        session, found = reached.session, reached.found
        region, refused = session.endpoint.region, reached.kept.refused
        if found.writer:
            found, error = do(session, work, found, timeout_s)
        elif work.lag:
            until = postgres.replicated_until(session, region)
        if work.installed:
            installed = postgres.installed(session)
    except postgres.FAILURES as failure:
        if reached:
            reached.kept.close()
        said = meaning(postgres.code_of(failure))
        found, error = None, f"{type(failure).__name__}: {failure}"[:LONGEST_ERROR]
        if said.known == "unknown":
            raise TransientFailure(f"{NAMES.get(target, target)} {said.why}: {error}") from failure
        refused = said.why if said.known == "up" else None
    finally:
        _let_go(target, reached, found)
    if error or refused:
        logger.warning("the database was not reached as it should be", target=target, error=error, refused=refused)
    elapsed_ms = (time.monotonic() - started) * 1000
    said_nothing = Probe(target, None, region, error, elapsed_ms, refused=refused)
    if found is None:
        return said_nothing
    return replace(
        said_nothing,
        role="writer" if found.writer else "reader",
        heartbeat=found.heartbeat,
        noted_lease=found.noted_lease,
        fenced=found.fenced,
        fence_number=found.fence_number,
        open_sessions=found.open_sessions,
        oldest_xid=found.oldest_xid,
        replicated_until=until,
        installed=installed,
    )


def _let_go(target: str, reached: Reached | None, found: postgres.Standing | None) -> None:
    """Ends sessions that nobody asks again: that of the public name, and the instances' when a promotion is over."""
    if reached and reached.kept not in KEPT.values():
        reached.kept.close()
    by_endpoint = reached and reached.kept in (KEPT["own", False], KEPT["own", True])
    if (target == OWN_INSTANCES or by_endpoint) and found and found.writer and not found.fenced:
        for (place, _), kept in KEPT.items():
            if place in INSTANCES:
                kept.close()


@dataclass(frozen=True)
class Reached:
    """A session with a database, where it is kept, and what the database is."""

    kept: KeptSession
    session: postgres.Session
    found: postgres.Standing


class Search:
    """Finds the session with which a target is asked; its first question does the work that goes with it."""

    def __init__(self, rds: RDSClient, environment: Environment, work: Work, timeout_s: float) -> None:
        """``timeout_s`` is the time for all of it."""
        self._rds = rds
        self._environment = environment
        self._work = work
        self._timeout_s = timeout_s

    def reach(self, target: str) -> Reached:
        """Returns a session with ``target``.

        RDS may publish the endpoint of a cluster some time after it has become a writer, and it may lead elsewhere
        until then. So ``own`` is looked for among the instances too, where the endpoint has no address or leads to a
        reader. ``own_instances`` does not look up the endpoint before that, so that no resolver keeps its absence.

        Raises
        ------
        FAILURES
            nothing answered; what is raised is the endpoint's, or else the first instance's.
        """
        end = time.monotonic() + self._timeout_s
        if target == OWN_INSTANCES:
            return self._instance(end) or self._ask("own", end - time.monotonic())
        try:
            reached = self._ask(target, self._timeout_s)
        except postgres.FAILURES as failure:
            instance = self._instance(end) if target == "own" and postgres.code_of(failure) == "no name" else None
            if instance is None:
                raise
            return instance
        if target == "own" and not reached.found.writer:
            with suppress(*postgres.FAILURES):
                instance = self._instance(end)
                return instance if instance and instance.found.writer else reached
        return reached

    def _instance(self, end: float) -> Reached | None:
        """Returns the instance that is the writer, else the first that answers; None when none has an address."""
        answered: list[Reached] = []
        failures: list[Exception] = []
        for number, instance in enumerate(INSTANCES):
            left_s = (end - time.monotonic()) / (len(INSTANCES) - number)
            try:
                answered.append(self._ask(instance, max(left_s, postgres.SHORTEST_WAIT_S)))
            except postgres.UnexpectedEndpoint as failure:
                logger.warning("the endpoints of the instances are not known", error=str(failure))
            except postgres.FAILURES as failure:
                if postgres.code_of(failure) != "no name":
                    failures.append(failure)
            else:
                if answered[-1].found.writer:
                    return answered[-1]
        if not answered and failures:
            raise failures[0]
        return answered[0] if answered else None

    def _ask(self, place: str, timeout_s: float) -> Reached:
        """Asks a name of `NAMES`, or an instance, by the session that is kept with it, or else by a new one."""
        kept = self._kept(place)
        try:
            session, found = kept.ask(
                lambda seconds: postgres.connect(self._endpoint(place), self._environment, seconds, self._rds),
                lambda session: postgres.standing(session, beat=self._work.heartbeat, lease=self._work.lease),
                timeout_s,
            )
        except postgres.FAILURES:
            kept.close()
            raise
        return Reached(kept, session, found)

    def _kept(self, place: str) -> KeptSession:
        if place not in ROLES:
            return KeptSession(writer=True)
        guardian_waits_s = PEER_PROBE_TIMEOUT_S if place == "peer" else OWN_PROBE_TIMEOUT_S
        return KEPT[place, self._timeout_s >= guardian_waits_s]

    def _endpoint(self, place: str) -> postgres.Endpoint:
        environment = self._environment
        clusters = {
            environment.aws_region: environment.cluster,
            environment.peer_region: environment.peer_cluster,
        }
        endpoint = postgres.endpoint_behind(NAMES.get(place) or NAMES["own_reader"], clusters)
        return endpoint if place in NAMES else postgres.instance_endpoint(endpoint, place)


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
