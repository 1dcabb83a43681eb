"""Readiness: would a failover work now? Looks at this region by schedule, so that people hear of a no before an outage.

The schedule's run fails where the answer is not yes, which the alarm ``not-ready`` counts; ``failoverctl ready`` asks
for the answer itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import REPORT
from handlers.core.errors import FailoverError
from handlers.core.health import Probe
from handlers.core.readiness import (
    ClusterSeen,
    Expected,
    Fact,
    InstanceSeen,
    NotSeen,
    Seen,
    expected_reservations,
    findings,
    in_words,
    plain,
    verdict,
)
from handlers.gateways.aws import client
from handlers.gateways.clusters import Clusters, Description
from handlers.gateways.control_table import ControlTable, GuardianControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.prober import Prober, ProberVariables, Target
from handlers.gateways.surroundings import Surroundings, SurroundingsVariables, newest, peak_acu
from handlers.telemetry import logger


class Environment(GuardianControlVariables, GlobalDatabaseVariables, ProberVariables, SurroundingsVariables):
    """What the function reads. ``instances``: identifiers; ``reserved_concurrency``: ``name=count``; by commas."""

    instances: str
    peer_cluster: str
    powertools_metrics_namespace: str
    recovery_grace_s: int
    reserved_concurrency: str
    rpo_budget_ms: int
    trigger_mode: str


# How long a database may take that is asked nothing urgent. The writer may be in the other region.
PROBE_TIMEOUT_S = 4.0
# What does not last is nothing to page for: a member that is being modified, a throttled request.
LOOK_AGAIN_AFTER_S = 30.0
AT_ONCE = 8

Value = TypeVar("Value")


class NotReady(FailoverError):
    """A failover to, or from, this region would not work now, or nobody can tell; the message says why."""


ENVIRONMENT = Environment.read()
EXPECTED = Expected(
    rpo_budget_ms=ENVIRONMENT.rpo_budget_ms,
    recovery_grace_s=float(ENVIRONMENT.recovery_grace_s),
    trigger_mode=ENVIRONMENT.trigger_mode,
    instances=tuple(ENVIRONMENT.instances.split(",")),
    reserved=expected_reservations(ENVIRONMENT.reserved_concurrency),
)
CONTROL = ControlTable.through_either(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)
CLUSTERS = Clusters(client("rds", ENVIRONMENT.aws_region), ENVIRONMENT.aws_region)
SURROUNDINGS = Surroundings.of(ENVIRONMENT)
METRICS_HERE = client("cloudwatch", ENVIRONMENT.aws_region)
METRICS_THERE = client("cloudwatch", ENVIRONMENT.peer_region)


# Not `instrumented`: a metric that is published each hour costs as much as all that this function does otherwise.
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for the schedule, and for `failoverctl ready`, which asks for a report."""
    found = findings(look())
    if event != REPORT and verdict(found) in ("failing", "cannot tell"):
        time.sleep(LOOK_AGAIN_AFTER_S)
        found = findings(look())
    answer = verdict(found)
    logger.info("looked whether a failover would work", answer=answer, findings=plain(found))
    if event != REPORT and answer in ("failing", "cannot tell"):
        raise NotReady(in_words(found))
    return {"findings": plain(found)}


def look() -> Seen:
    """Looks at everything, several things at once; what cannot be seen is noted, and raises nothing."""
    environment, region, peer = ENVIRONMENT, ENVIRONMENT.aws_region, ENVIRONMENT.peer_region
    record = _seen(CONTROL.read)
    now = time.time()
    is_standby = record.value is not None and record.value.writer_region == peer
    dimensions = {"GlobalCluster": environment.global_cluster, "FromRegion": peer}
    namespace = environment.powertools_metrics_namespace
    with ThreadPoolExecutor(AT_ONCE) as pool:
        probes = pool.submit(_probes, is_standby=is_standby)
        heartbeat = pool.submit(_seen, lambda: newest(METRICS_HERE, namespace, "Heartbeat", dimensions, now))
        in_all = pool.submit(_seen, DATABASE.whole)
        cluster = pool.submit(_seen, _cluster)
        instances = pool.submit(_seen, _instances)
        peak = pool.submit(_seen, lambda: _peak_acu(now, is_standby=is_standby))
        concurrency = pool.submit(_seen, lambda: SURROUNDINGS.concurrency(EXPECTED.reserved))
        dns = pool.submit(_seen, SURROUNDINGS.dns)
        backup = pool.submit(_seen, SURROUNDINGS.last_backup_at)
        subscribers = pool.submit(_seen, SURROUNDINGS.subscribers)
        drill = pool.submit(_seen, SURROUNDINGS.last_drill_at)
        own, other, by_name = probes.result()
        return Seen(
            region=region,
            peer=peer,
            now=now,
            expected=EXPECTED,
            record=record,
            heartbeat=heartbeat.result(),
            own=own,
            other=other,
            by_name=by_name,
            global_database=in_all.result(),
            cluster=cluster.result(),
            instances=instances.result(),
            peak_acu=peak.result(),
            concurrency=concurrency.result(),
            dns=dns.result(),
            last_backup_at=backup.result(),
            subscribers=subscribers.result(),
            last_drill_at=drill.result(),
        )


def _seen(ask: Callable[[], Value]) -> Fact[Value]:
    try:
        return Fact(ask())
    except (FailoverError, NotSeen) as error:
        return Fact(unseen=str(error))


def _probes(*, is_standby: bool) -> tuple[Fact[Probe], Fact[Probe], Fact[Probe]]:
    """Has this region's prober look, at one database after another: its concurrency is the failover's."""

    def probe(target: Target, **asked: bool) -> Fact[Probe]:
        return _seen(lambda: PROBER.probe(target, PROBE_TIMEOUT_S, **asked))

    own = probe("own_reader", lag=True, installed=True) if is_standby else probe("own", installed=True)
    other = probe("peer") if is_standby else Fact[Probe](unseen="only a standby asks the other region's database")
    return own, other, probe("writer")


def _peak_acu(now: float, *, is_standby: bool) -> float | None:
    return peak_acu(METRICS_THERE, ENVIRONMENT.peer_cluster, now) if is_standby else None


def _cluster() -> ClusterSeen:
    found = CLUSTERS.find(ENVIRONMENT.cluster)
    if found is None:
        raise NotSeen(f"there is no cluster {ENVIRONMENT.cluster}")
    bound = found.get("ServerlessV2ScalingConfiguration", {}).get("MaxCapacity")
    # A standby may not report its writer endpoint before it is promoted; it differs from the reader's by "-ro".
    endpoint = str(found.get("ReaderEndpoint")).replace(".cluster-ro-", ".cluster-")
    return ClusterSeen(found["Status"], found["EngineVersion"], endpoint, None if bound is None else float(bound))


def _instances() -> tuple[InstanceSeen, ...]:
    found = (CLUSTERS.find_instance(name) for name in EXPECTED.instances)
    return tuple(_instance(each) for each in found if each is not None)


def _instance(found: Description) -> InstanceSeen:
    until = found.get("CertificateDetails", {}).get("ValidTill")
    return InstanceSeen(
        found["DBInstanceIdentifier"],
        found["DBInstanceStatus"],
        found["EngineVersion"],
        None if until is None else float(until.timestamp()),
    )
