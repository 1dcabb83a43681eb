"""Readiness: everything that would spoil a failover is broken once, and turns its own check red, and no other one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from moto.rds.models import rds_backends
from moto.route53.models import route53_backends

from handlers.core.heartbeat import Beat
from handlers.core.readiness import CHECKS, DAY_S, SWITCHES, SWITCHES_TO_ENGAGE
from handlers.core.sessions import MOST_SESSIONS
from handlers.gateways.postgres import FUNCTIONS
from orchestration.constructs.backup import COMPLETION_WINDOW_MINUTES, START_WINDOW_MINUTES
from orchestration.settings import PROJECT_ROOT
from orchestration.specification.model import LEFT_UNRESERVED
from tests.deployment import ACCOUNT, CLOCK, STANDBY, WRITER, Deployment
from tests.deployment.account import decimal
from tests.deployment.surroundings import (
    certificates_end,
    heartbeat_arrives,
    somebody_listens,
    surround,
    writer_used,
)

SCRIPT = PROJECT_ROOT / "handlers" / "sql" / "monitoring.sql"

Levels = dict[tuple[str, str], str]  # by check and region
Break = Callable[[Deployment], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """One deployment for all causes, each of which is mended again."""
    with Deployment() as deployed:
        surround(deployed)
        yield deployed


def look(deployment: Deployment) -> Levels:
    """What is not green, as the functions of both regions report it."""
    return {
        (found["check"], found["region"]): found["level"]
        for region in (WRITER, STANDBY)
        for found in deployment.call("readiness", {"report": True}, region)["findings"]
        if found["level"] != "ok"
    }


def test_all_is_green_where_a_failover_would_work(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    assert look(deployment) == {}
    told = [
        found["check"]
        for region in (WRITER, STANDBY)
        for found in deployment.call("readiness", {"report": True}, region)["findings"]
    ]
    assert {*told} == {check.name for check in CHECKS}  # none is left out in both


# --- causes


def record(**attributes: Any) -> Break:
    """The control record says so for a while."""

    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        deployment.change_record(**attributes)
        yield
        deployment.forget(*attributes)

    return broken


@contextmanager
def switched_off(deployment: Deployment) -> Iterator[None]:
    deployment.change_record(automatic_failover=False)
    yield
    deployment.change_record(automatic_failover=True)


def pause() -> dict[str, Any]:
    return {"by": "ada", "at": decimal(CLOCK.now()), "until": decimal(CLOCK.now() + 1e6), "reason": "an upgrade"}


def lock(started_ago_s: float) -> Break:
    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        started = CLOCK.now() - started_ago_s
        held = {
            "run": "run-9",
            "mode": "failover",
            "phase": "checking",
            "incident": "epoch 1",
            "target_region": STANDBY,
            "started_at": decimal(started),
            "deadline": decimal(started + 1860),
        }
        with record(transition=held)(deployment):
            yield

    return broken


@contextmanager
def guardian_is_silent(deployment: Deployment) -> Iterator[None]:
    deployment.guardian_was_here(ago_s=15.0)
    yield


@contextmanager
def monitors_publish_nothing(deployment: Deployment) -> Iterator[None]:
    CLOCK.sleep(600)
    deployment.guardian_was_here()
    yield
    heartbeats_arrive(deployment)


@contextmanager
def writers_monitor_says_no(deployment: Deployment) -> Iterator[None]:
    CLOCK.sleep(120)  # a later point of the metric
    heartbeat_arrives(deployment, WRITER, STANDBY)
    heartbeat_arrives(deployment, STANDBY, WRITER, 0.0)
    deployment.guardian_was_here()
    yield
    CLOCK.sleep(120)
    heartbeats_arrive(deployment)


def heartbeats_arrive(deployment: Deployment) -> None:
    for region, peer in ((WRITER, STANDBY), (STANDBY, WRITER)):
        heartbeat_arrives(deployment, region, peer)


@contextmanager
def standby_lags(deployment: Deployment) -> Iterator[None]:
    newest = deployment.databases.heartbeat[WRITER]
    assert newest
    deployment.databases.heartbeat[STANDBY] = Beat(newest.seq - 5, newest.at - 10)
    yield


@contextmanager
def standby_is_dead(deployment: Deployment) -> Iterator[None]:
    deployment.databases.up[STANDBY] = False
    yield
    deployment.databases.up[STANDBY] = True


def database(**attributes: Any) -> Break:
    """The stand-in for the databases is like that for a while."""

    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        before = {name: getattr(deployment.databases, name) for name in attributes}
        for name, value in attributes.items():
            setattr(deployment.databases, name, value)
        yield
        for name, value in before.items():
            setattr(deployment.databases, name, value)

    return broken


def installed(**changes: Any) -> Break:
    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        with database(installed=replace(deployment.databases.installed, **changes))(deployment):
            yield

    return broken


def probed(target: str, **answer: Any) -> Break:
    """The prober says so of one target."""

    def script(asked: str) -> dict[str, Any] | None:
        reached = {"target": target, "role": None, "region": WRITER, "error": "made by the test", "elapsed_ms": 1.0}
        return reached | answer if asked == target else None

    return database(script=script)


@contextmanager
def changed(thing: Any, attributes: dict[str, Any]) -> Iterator[None]:
    """What an account has is like that for a while."""
    before = {name: getattr(thing, name) for name in attributes}
    for name, value in attributes.items():
        setattr(thing, name, value)
    yield
    for name, value in before.items():
        setattr(thing, name, value)


@contextmanager
def standby_is_no_member(deployment: Deployment) -> Iterator[None]:
    found = rds_backends[ACCOUNT][WRITER].global_clusters[deployment.specification.global_identifier]
    member = next(one for one in found.members if one.region == STANDBY)
    found.members.remove(member)
    yield
    found.members.append(member)


def cluster(region: str, **attributes: Any) -> Break:
    """RDS shows a region's cluster like that for a while."""

    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        with changed(
            rds_backends[ACCOUNT][region].clusters[deployment.specification.names.cluster(region)], attributes
        ):
            yield

    return broken


@contextmanager
def instance_is_missing(deployment: Deployment) -> Iterator[None]:
    databases, name = rds_backends[ACCOUNT][STANDBY].databases, deployment.specification.names.instance(1, STANDBY)
    found = databases.pop(name)
    yield
    databases[name] = found


@contextmanager
def writer_uses_more(deployment: Deployment) -> Iterator[None]:
    writer_used(deployment, 64.0)
    yield
    CLOCK.sleep(2 * DAY_S)
    writer_used(deployment, 2.0)
    heartbeats_arrive(deployment)


def certificates(region: str, days: float) -> Break:
    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        certificates_end(deployment, region, CLOCK.now() + days * DAY_S)
        yield
        certificates_end(deployment, region, CLOCK.now() + 400 * DAY_S)

    return broken


def check_of(kind: str, **config: Any) -> Break:
    """Route 53's check of that type is like that for a while."""

    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        backend = route53_backends[ACCOUNT]["aws"]
        with changed(next(check for check in backend.list_health_checks() if check.type_ == kind), config):
            yield

    return broken


@contextmanager
def record_leads_elsewhere(deployment: Deployment) -> Iterator[None]:
    (zone,) = route53_backends[ACCOUNT]["aws"].zones.values()
    found = next(each for each in zone.rrsets if each.set_identifier == STANDBY)
    before, found.records = found.records, ["elsewhere.us-west-2.rds.amazonaws.com"]
    yield
    found.records = before


@contextmanager
def a_public_zone_has_the_name(deployment: Deployment) -> Iterator[None]:
    zones = route53_backends[ACCOUNT]["aws"].zones
    ((ours_id, ours),) = zones.items()
    ours.private_zone = True
    made = deployment.client("route53", WRITER).create_hosted_zone(Name=ours.name, CallerReference="public")
    public_id = made["HostedZone"]["Id"].rsplit("/", 1)[-1]
    zones[ours_id] = zones.pop(ours_id)  # the public one is listed first
    yield
    del zones[public_id]
    ours.private_zone = False


def around(name: str, key: str, value: Any) -> Break:
    """One of `tests.deployment.surroundings` is like that for a while."""

    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        values = getattr(deployment.gate.surroundings, name)
        before, values[key] = values[key], value
        yield
        values[key] = before

    return broken


def listeners(confirmed: int, pending: int) -> Break:
    @contextmanager
    def broken(deployment: Deployment) -> Iterator[None]:
        somebody_listens(deployment, STANDBY, confirmed, pending)
        yield
        somebody_listens(deployment, STANDBY)

    return broken


def in_both(check: str, level: str = "failing") -> Levels:
    return {(check, WRITER): level, (check, STANDBY): level}


CAUSES: dict[str, tuple[Break, Levels]] = {
    "automatic failover is off": (switched_off, {("automation", STANDBY): "failing"}),
    "a person has said no": (
        record(ended_by_person={"by": "ada", "at": decimal(1.0), "reason": "not now"}),
        {("automation", STANDBY): "failing"},
    ),
    "a person has paused it": (
        lambda deployment: record(paused=pause())(deployment),
        {("automation", STANDBY): "warning"},
    ),
    "a run is at work": (lock(10.0), {("lock", STANDBY): "warning"}),
    "a lock is held for ever": (lock(4000.0), {("lock", STANDBY): "failing"}),
    "a re-protection is at work": (
        record(reprotection={"run": "run-8", "started_by": "ada", "started_at": decimal(1.0)}),
        {("lock", STANDBY): "warning"},
    ),
    "the guardian is silent": (guardian_is_silent, {("lease", WRITER): "failing"}),
    "the guardian says that its database is down": (
        lambda deployment: record(word={"says": "down", "since": decimal(CLOCK.now())})(deployment),
        {("lease", WRITER): "failing"},
    ),
    "the monitors publish nothing": (monitors_publish_nothing, in_both("monitor")),
    "the writer's monitor says that its database takes no writes": (
        writers_monitor_says_no,
        {("monitor", STANDBY): "failing"},
    ),
    "the standby lags": (standby_lags, {("replication", STANDBY): "failing"}),
    "the standby's database is dead": (
        standby_is_dead,
        {
            ("replication", STANDBY): "failing",
            ("fence", STANDBY): "cannot tell",  # nobody can look into it
            ("closes", STANDBY): "cannot tell",
            ("connections", STANDBY): "cannot tell",
        },
    ),
    "the writer refuses the prober's login": (
        probed("peer", refused="refuses the monitor's login"),
        {("writer", STANDBY): "failing"},
    ),
    "the writer is not reached": (probed("peer"), {("writer", STANDBY): "failing"}),
    "the writer is fenced": (probed("peer", role="writer", fenced=True), {("writer", STANDBY): "failing"}),
    "the name leads elsewhere": (probed("writer", role="reader", region=STANDBY), in_both("name")),
    "the name leads to no writer": (probed("writer"), in_both("name")),
    "the standby is no member": (standby_is_no_member, {("membership", STANDBY): "failing"}),
    "the standby is stopped": (cluster(STANDBY, status="stopped"), {("cluster", STANDBY): "failing"}),
    "the standby is backed up": (cluster(STANDBY, status="backing-up"), {("cluster", STANDBY): "warning"}),
    "an instance is missing": (instance_is_missing, {("cluster", STANDBY): "failing"}),
    "the standby may not grow": (
        cluster(STANDBY, serverless_v2_scaling_configuration={"MinCapacity": 0.5, "MaxCapacity": 1.0}),
        {("capacity", STANDBY): "failing"},
    ),
    "the writer uses more than the standby may": (writer_uses_more, {("capacity", STANDBY): "failing"}),
    "the standby's instances are provisioned": (cluster(STANDBY, serverless_v2_scaling_configuration=None), {}),
    "one region was upgraded": (cluster(WRITER, engine_version="17.6"), {("engine", WRITER): "failing"}),
    "a certificate ends soon": (certificates(STANDBY, 30), {("certificates", STANDBY): "warning"}),
    "a certificate ends now": (certificates(WRITER, 3), {("certificates", WRITER): "failing"}),
    "the fence is not installed": (installed(missing=("fence_application(text)",)), in_both("fence")),
    "the login trigger is disabled": (installed(login_trigger=False), in_both("fence")),
    "the server has no login triggers": (installed(login_trigger=None), in_both("fence", "warning")),
    "a role has a right of its own": (installed(passing=("orders_service",)), in_both("closes")),
    "a database belongs to somebody else": (
        installed(other_databases=("ledger",), not_closed=("ledger",)),
        in_both("closes"),
    ),
    "there is a second database": (installed(other_databases=("ledger",)), in_both("closes", "warning")),
    "no connection is reserved": (installed(reserved_connections=0), in_both("connections", "warning")),
    "too few connections are reserved": (
        installed(reserved_connections=MOST_SESSIONS - 1),
        in_both("connections", "warning"),
    ),
    "a switch's check is switched off": (
        check_of("HTTPS", disabled=True),
        in_both("dns"),
    ),
    "PRIMARY's check is not inverted": (
        check_of("CALCULATED", inverted=False),
        in_both("dns"),
    ),
    "PRIMARY's check wants both switches": (
        check_of("CALCULATED", health_threshold=2),
        in_both("dns"),
    ),
    "a public zone has the same name": (a_public_zone_has_the_name, {}),
    "a record leads elsewhere": (record_leads_elsewhere, {("dns", STANDBY): "failing"}),
    "a reservation is gone": (
        around("reserved", "failover-claim-usw2-test", None),
        {("concurrency", STANDBY): "failing"},
    ),
    "the quota is smaller in one region": (around("quota", STANDBY, 50), {("concurrency", STANDBY): "failing"}),
    "the newest backup is old": (around("backup_ago_s", WRITER, 2 * DAY_S), {("backups", WRITER): "failing"}),
    "there is no backup": (around("backup_ago_s", STANDBY, None), {("backups", STANDBY): "failing"}),
    "nobody listens": (listeners(0, 2), {("subscribers", STANDBY): "failing"}),
    "somebody has not confirmed": (listeners(1, 1), {("subscribers", STANDBY): "warning"}),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_turns_its_own_check_red_and_no_other(deployment: Deployment, cause: str) -> None:
    broken, levels = CAUSES[cause]
    deployment.guardian_was_here()
    with broken(deployment):
        seen = look(deployment)
    assert seen == levels


def test_every_check_has_a_cause() -> None:
    assert {check for _, levels in CAUSES.values() for check, _ in levels} | {"drill"} == {
        check.name for check in CHECKS
    }


# What is asked, and the checks that rest on it.
ASKED: dict[str, tuple[str, ...]] = {
    "dynamodb.GetItem": ("automation", "lock", "membership", "name", "replication", "lease"),
    "rds.DescribeGlobalClusters": ("membership", "engine"),
    "rds.DescribeDBClusters": ("cluster", "capacity", "engine", "dns"),
    "rds.DescribeDBInstances": ("cluster", "certificates", "engine"),
    "cloudwatch.GetMetricStatistics": ("monitor", "capacity"),
    "lambda.GetAccountSettings": ("concurrency",),
    "lambda.GetFunctionConcurrency": ("concurrency",),
    "backup.ListRecoveryPointsByBackupVault": ("backups",),
    "sns.GetTopicAttributes": ("subscribers",),
    "sfn.ListExecutions": ("drill",),
    "sfn.DescribeExecution": ("drill",),
    "route-53.ListHostedZonesByName": ("dns",),
    "route-53.ListResourceRecordSets": ("dns",),
    "route-53.GetHealthCheck": ("dns",),
}


@pytest.mark.parametrize("operation", ASKED)
def test_what_cannot_be_asked_is_never_green(deployment: Deployment, operation: str) -> None:
    deployment.guardian_was_here()
    trouble = deployment.trouble(operation, "AccessDeniedException", times=1000, step="readiness")
    found = deployment.call("readiness", {"report": True}, STANDBY)["findings"]
    trouble.times = 0
    unknown = {each["check"] for each in found if each["level"] == "cannot tell"}
    if operation == "dynamodb.GetItem":  # the role is not known either, so a writer's database is asked for
        assert unknown >= {*ASKED[operation]}
        return
    assert unknown == {*ASKED[operation]}
    assert not [each for each in found if each["level"] == "failing"]


# --- the schedule


SCHEDULED = {"source": "aws.events"}


def test_the_schedules_run_ends_well_where_a_failover_would_work(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    assert deployment.call("readiness", SCHEDULED, STANDBY)["findings"]


def test_the_schedules_run_fails_and_says_why_and_what_to_do(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    with (
        around("backup_ago_s", STANDBY, None)(deployment),
        pytest.raises(
            Exception, match=r"backups \(failing\): there is none in the vault - see the failed jobs"
        ) as said,
    ):
        deployment.call("readiness", SCHEDULED, STANDBY)
    assert type(said.value).__name__ == "NotReady"


def test_what_lasts_for_less_than_half_a_minute_pages_nobody(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    deployment.change_record(lease_expires_at=decimal(CLOCK.now() + 60))
    deployment.trouble("sns.GetTopicAttributes", "Throttling", times=2, step="readiness")
    assert deployment.call("readiness", SCHEDULED, STANDBY)["findings"]


def test_a_warning_pages_nobody(deployment: Deployment) -> None:
    deployment.guardian_was_here()
    with listeners(1, 1)(deployment):
        assert deployment.call("readiness", SCHEDULED, STANDBY)["findings"]


# --- numbers that stand elsewhere


def test_the_numbers_are_those_of_the_deployment(deployment: Deployment) -> None:
    zone = deployment.specification.zone
    assert (len(zone.health_checks), zone.writer_check.threshold) == (SWITCHES, SWITCHES_TO_ENGAGE)
    assert START_WINDOW_MINUTES + COMPLETION_WINDOW_MINUTES == 9 * 60
    for region in deployment.specification.regions.values():
        told = region.functions["readiness"].environment["RESERVED_CONCURRENCY"].split(",")
        assert sum(int(each.partition("=")[2]) for each in told) == region.concurrency - LEFT_UNRESERVED


def test_the_functions_that_are_looked_for_are_those_that_the_bootstrap_makes() -> None:
    assert all(f"FUNCTION {name.partition('(')[0]}(" in SCRIPT.read_text() for name in FUNCTIONS)
