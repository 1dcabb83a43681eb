"""Would a failover work now? What each check says of what was seen of one region. Pure.

The checks are the table `CHECKS`. Each asks one question, says what green means and what to do when it is not, and
judges by what was seen; what could not be seen is "cannot tell", and never green. ``failoverctl ready`` shows the table
and the scheduled function (`handlers.standing.readiness`) pages by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, Literal, TypeVar

from handlers.core.claim import LOCK_SECONDS, automation_is_off
from handlers.core.control import ControlRecord
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.duration import lasting
from handlers.core.errors import InvalidRequest
from handlers.core.health import GlobalSeen, Installed, Membership, Probe
from handlers.core.lag import judge as judge_lag
from handlers.core.lag import measure
from handlers.core.reading import ANY_TEXT, Fields
from handlers.core.sessions import MOST_SESSIONS

Level = Literal["ok", "warning", "failing", "cannot tell"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "failing", "cannot tell")
# Whose check it is: a region's in either role, or only that of the writer's or the standby's.
Of = Literal["both", "writer", "standby"]
Role = Literal["writer", "standby", "unknown"]
Value = TypeVar("Value")

HOUR_S, DAY_S = 3600.0, 86400.0
# The monitors publish their heartbeat once a minute, and CloudWatch may show it some minutes late.
HEARTBEAT_OF_S = 300.0
# A replaced certificate needs a restart of its instance, for which there has to be a maintenance window.
CERTIFICATE_SOON_S, CERTIFICATE_NOW_S = 60 * DAY_S, 14 * DAY_S
# Backups are made daily, start within an hour and may take eight.
OLDEST_BACKUP_S = DAY_S + 9 * HOUR_S
# A quarter, which is also how long Step Functions remembers.
LAST_DRILL_S = 90 * DAY_S
# Of a cluster or an instance that is well, and soon takes requests again.
PASSING = frozenset({"backing-up", "modifying", "configuring-enhanced-monitoring", "configuring-log-exports"})
# What `orchestration.specification.dns` deploys: PRIMARY's check counts both switches, and is inverted.
SWITCHES, SWITCHES_TO_ENGAGE = 2, 1


class NotSeen(Exception):
    """What a check rests on could not be seen; the message says why."""


@dataclass(frozen=True)
class Fact(Generic[Value]):
    """What was seen, or why it was not."""

    value: Value | None = None
    unseen: str | None = None

    def get(self) -> Value:
        """Returns what was seen; raises `NotSeen`."""
        if self.unseen is not None:
            raise NotSeen(self.unseen)
        return self.value  # type: ignore[return-value]  # seen, and it may be None where its type says so


@dataclass(frozen=True)
class InstanceSeen:
    """One instance; ``certificate_until`` in seconds since 1970, None where RDS does not say."""

    name: str
    status: str
    engine_version: str
    certificate_until: float | None


@dataclass(frozen=True)
class ClusterSeen:
    """This region's cluster; ``endpoint`` is where its writer is, or will be.

    ``max_acu`` is the upper bound of its capacity, None where it has none in ACU.
    """

    status: str
    engine_version: str
    endpoint: str
    max_acu: float | None


@dataclass(frozen=True)
class ConcurrencySeen:
    """Lambda's quota of concurrent executions, and what is reserved for each function; None where nothing is."""

    quota: int
    reserved: Mapping[str, int | None]


@dataclass(frozen=True)
class DnsSeen:
    """The records of the writer's name and the check that decides between them; None where there is none.

    ``own_value`` is where the record of this region leads, ``counted`` and ``threshold`` are of PRIMARY's check,
    ``disabled`` the checks that somebody has switched off.
    """

    primary_has_check: bool
    own_value: str | None
    inverted: bool
    counted: int
    threshold: int
    disabled: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What the deployment says: budgets and modes as in the settings, names of instances, reservations by function."""

    rpo_budget_ms: int
    recovery_grace_s: float
    trigger_mode: str
    instances: tuple[str, ...]
    reserved: Mapping[str, int]


@dataclass(frozen=True)
class Seen:
    """All that was seen of one region.

    Attributes
    ----------
    region, peer, now
        this region, the other one, and when it was looked (seconds since 1970).
    heartbeat
        the last heartbeat of the other region's monitor that arrived here (1: all is well there); None: none of late.
    own, other, by_name
        what this region's prober reached in its own database, in the other one (asked by a standby only), and by the
        writer's name.
    peak_acu
        the most that the writer's cluster used in a day, in ACU.
    last_backup_at, last_drill_at
        when the newest backup in the vault, and the last run that did what it was for, ended; None: there is none.
    subscribers
        of the topic: how many are confirmed, and how many are not.
    """

    region: str
    peer: str
    now: float
    expected: Expected
    record: Fact[ControlRecord]
    heartbeat: Fact[float | None]
    own: Fact[Probe]
    other: Fact[Probe]
    by_name: Fact[Probe]
    global_database: Fact[GlobalSeen]
    cluster: Fact[ClusterSeen]
    instances: Fact[tuple[InstanceSeen, ...]]
    peak_acu: Fact[float | None]
    concurrency: Fact[ConcurrencySeen]
    dns: Fact[DnsSeen]
    last_backup_at: Fact[float | None]
    subscribers: Fact[tuple[int, int]]
    last_drill_at: Fact[float | None]

    @property
    def role(self) -> Role:
        """Which role the control record gives this region."""
        try:
            return "writer" if self.record.get().writer_region == self.region else "standby"
        except NotSeen:
            return "unknown"


Said = tuple[Level, str]  # and the fact that was seen, in words


@dataclass(frozen=True)
class Check:
    """One question: what it ``asks``, what ``green`` means, and the ``remedy`` when it is not."""

    name: str
    _: KW_ONLY
    asks: str
    green: str
    remedy: str


@dataclass(frozen=True)
class Judged(Check):
    """A check of one region, in the role that it is ``of``."""

    _: KW_ONLY
    of: Of
    judge: Callable[[Seen], Said]


@dataclass(frozen=True)
class Finding:
    """What one check says of one region; ``fact`` is what was seen, ``remedy`` what to do, empty when it is green."""

    check: str
    region: str
    level: Level
    fact: str
    remedy: str

    @classmethod
    def read(cls, data: object) -> Finding:
        """Reads one out of the function's answer; raises `InvalidRequest`."""
        fields = Fields(data, "a finding", InvalidRequest)
        return cls(
            fields.text("check"),
            fields.text("region"),
            fields.choice("level", LEVELS),
            fields.text("fact", pattern=ANY_TEXT),
            fields.text("remedy", pattern=ANY_TEXT),
        )


def findings(seen: Seen) -> list[Finding]:
    """Returns what every check of the region's role says; where the role is not known, all of them."""
    role = seen.role
    return [_finding(check, seen) for check in CHECKS if role == "unknown" or check.of in ("both", role)]


def _finding(check: Judged, seen: Seen) -> Finding:
    try:
        level, fact = check.judge(seen)
    except NotSeen as error:
        level, fact = "cannot tell", str(error)
    return Finding(check.name, seen.region, level, fact, "" if level == "ok" else check.remedy)


def verdict(found: Iterable[Finding]) -> Level:
    """Returns what they say together: ``failing`` where one is, else ``cannot tell``, else ``warning`` or ``ok``."""
    levels = {finding.level for finding in found}
    worst: tuple[Level, ...] = ("failing", "cannot tell", "warning")
    return next((level for level in worst if level in levels), "ok")


def in_words(found: Sequence[Finding]) -> str:
    """Returns those that keep a failover from being relied on, in one line."""
    bad = [each for each in found if each.level in ("failing", "cannot tell")]
    return "; ".join(f"{each.check} ({each.level}): {each.fact} - {each.remedy}" for each in bad)


# --- the record


def _automation(seen: Seen) -> Said:
    record = seen.record.get()
    if off := automation_is_off(record, seen.now):
        return "warning" if record.paused and seen.now < record.paused.until and record.automatic_failover else (
            "failing"
        ), off
    if seen.expected.trigger_mode == "rehearsal":
        return "warning", 'an outage starts a rehearsal only (trigger_mode is "rehearsal")'
    return "ok", "an outage starts a failover by itself"


def _lock(seen: Seen) -> Said:
    record = seen.record.get()
    if held := record.transition:
        age = seen.now - held.started_at
        words = f"run {held.run} ({held.mode}, {held.phase}) holds the lock for {lasting(age)}"
        return ("failing", f"{words}, longer than any run lives") if age > LOCK_SECONDS else ("warning", words)
    if rebuilding := record.reprotection:
        return "warning", f"run {rebuilding.run} re-protects for {lasting(seen.now - rebuilding.started_at)}"
    return "ok", "nobody holds it"


def _lease(seen: Seen) -> Said:
    record = seen.record.get()
    guardian = guardian_seen(record, is_silent(record, seen.now), seen.now, seen.expected.recovery_grace_s)
    if guardian.says == "alive" and record.word is None:
        return "ok", f"ends in {(record.lease_expires_at or 0) - seen.now:.0f} s"
    return "failing", guardian.reason if record.word is None else f"its guardian says: {record.word.says}"


# --- monitors and databases


def _monitor(seen: Seen) -> Said:
    said = seen.heartbeat.get()
    if said is None:
        return "failing", f"no heartbeat of the monitor of {seen.peer} in the last {lasting(HEARTBEAT_OF_S)}"
    if said < 1:
        return "failing", f"the monitor of {seen.peer} runs, and says that its database takes no writes"
    return "ok", f"the heartbeat of the monitor of {seen.peer} arrives"


def _replication(seen: Seen) -> Said:
    own, record = seen.own.get(), seen.record.get()
    if own.role != "reader":
        return "failing", f"the database here is {own.role or 'not reached'}{f' ({own.error})' if own.error else ''}"
    measured = measure(record.heartbeat, own.heartbeat, own.replicated_until, seen.now)
    lag = judge_lag(measured, seen.expected.rpo_budget_ms, only_forward=False)
    return "ok" if lag.proceed else "failing", lag.reason


def _reach(seen: Seen) -> Said:
    other = seen.other.get()
    if other.refused:
        return "failing", f"the writer in {seen.peer} {other.refused}"
    if other.role != "writer":
        return "failing", f"no writer is reached in {seen.peer} ({other.error or other.role})"
    if other.fenced:
        return "failing", f"the writer in {seen.peer} is fenced from its applications"
    return "ok", f"a session with the writer in {seen.peer} answers in {other.elapsed_ms:.0f} ms"


def _name(seen: Seen) -> Said:
    reached, writer = seen.by_name.get(), seen.record.get().writer_region
    if reached.region != writer:
        return "failing", f"it leads to {reached.region or 'no database'} ({reached.error}), the writer is in {writer}"
    if reached.role != "writer" and not reached.refused:
        return "failing", f"it leads to {writer}, and no writer answers there ({reached.error or reached.role})"
    return "ok", f"it leads to the writer in {writer}"


def _installed(seen: Seen) -> Installed:
    found = seen.own.get().installed
    if found is None:
        raise NotSeen("the prober could not look into the database")
    return found


def _fence(seen: Seen) -> Said:
    installed = _installed(seen)
    if installed.missing:
        return "failing", f"the database lacks {', '.join(installed.missing)}"
    if installed.login_trigger is None:
        return "warning", "the functions are there; before PostgreSQL 17 no login trigger closes a server that starts"
    if not installed.login_trigger:
        return "failing", "the login trigger refuse_while_fenced is missing or disabled"
    return "ok", "all functions, and the login trigger, are there"


def _closes(seen: Seen) -> Said:
    installed = _installed(seen)
    if installed.passing:
        return "failing", f"a fence does not keep out {', '.join(installed.passing)}, with a CONNECT of their own"
    if installed.not_closed:
        return "failing", f"a fence keeps nobody out of {', '.join(installed.not_closed)}, of another owner"
    if installed.other_databases:
        beside = ", ".join(installed.other_databases)
        return "warning", f"beside the guarded database there is {beside}: open when a server starts, and not salvaged"
    return "ok", "a fence keeps out every role, and there is no database beside the guarded one"


def _reserved_connections(seen: Seen) -> Said:
    kept = _installed(seen).reserved_connections
    # Where Aurora takes no such parameter there are none (docs/deploy.md): a risk, and nothing to page for for ever.
    if kept < MOST_SESSIONS:
        return "warning", f"{kept} are kept for the monitor, which may hold {MOST_SESSIONS}"
    return "ok", f"{kept} are kept for the monitor"


# --- RDS


def _membership(seen: Seen) -> Said:
    found = seen.global_database.get()
    wanted: Membership = "primary" if seen.record.get().writer_region == seen.region else "secondary"
    if found.membership != wanted:
        return "failing", f"the cluster of {seen.region} is {found.membership} in it, and should be {wanted}"
    if found.at_work:
        return "warning", f"RDS is at work on it ({found.at_work})"
    return "ok", f"the cluster of {seen.region} is its {wanted}"


def _cluster(seen: Seen) -> Said:
    cluster, instances = seen.cluster.get(), seen.instances.get()
    missing = sorted({*seen.expected.instances} - {each.name for each in instances})
    if missing:
        return "failing", f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    states = {"the cluster": cluster.status} | {each.name: each.status for each in instances}
    other = {name: status for name, status in states.items() if status != "available"}
    words = ", ".join(f"{name} is {status}" for name, status in other.items())
    if other:
        return "warning" if PASSING.issuperset(other.values()) else "failing", words
    return "ok", f"it and its {len(instances)} instances are available"


def _capacity(seen: Seen) -> Said:
    most = seen.cluster.get().max_acu
    if most is None:
        return "ok", "its instances are provisioned: their classes are what they are, and were compared at the adoption"
    used = seen.peak_acu.get()
    if used is None:
        raise NotSeen("CloudWatch has no use of the writer")
    return "ok" if most >= used else "failing", f"up to {most:g} ACU; the writer used {used:g} at most in a day"


def _engine(seen: Seen) -> Said:
    wanted = seen.global_database.get().engine_version
    found = {"the cluster": seen.cluster.get().engine_version}
    found |= {each.name: each.engine_version for each in seen.instances.get()}
    other = [f"{name} has {version}" for name, version in found.items() if version != wanted]
    return ("failing", f"the global database has {wanted}, {', '.join(other)}") if other else ("ok", wanted)


def _certificates(seen: Seen) -> Said:
    instances = seen.instances.get()
    ends = {each.name: each.certificate_until for each in instances if each.certificate_until is not None}
    if len(ends) < len(instances) or not ends:
        raise NotSeen("RDS does not say until when the instances' certificates are valid")
    name, until = min(ends.items(), key=lambda end: end[1])
    left = until - seen.now
    words = f"{left / DAY_S:.0f} days left, on {name}"
    return "failing" if left < CERTIFICATE_NOW_S else "warning" if left < CERTIFICATE_SOON_S else "ok", words


# --- around


def _dns(seen: Seen) -> Said:
    dns, endpoint = seen.dns.get(), seen.cluster.get().endpoint
    faults = [
        words
        for holds, words in (
            (dns.own_value == endpoint, f"the record of {seen.region} leads to {dns.own_value}, not to {endpoint}"),
            (dns.primary_has_check, "PRIMARY has no health check"),
            (dns.inverted, "PRIMARY's check is not inverted"),
            (
                (dns.counted, dns.threshold) == (SWITCHES, SWITCHES_TO_ENGAGE),
                f"PRIMARY's check wants {dns.threshold} of {dns.counted} switches, not {SWITCHES_TO_ENGAGE} of "
                f"{SWITCHES}",
            ),
            (not dns.disabled, f"switched off: {', '.join(dns.disabled)}"),
        )
        if not holds
    ]
    return ("failing", "; ".join(faults)) if faults else ("ok", "records and checks are as deployed")


def _concurrency(seen: Seen) -> Said:
    found, wanted = seen.concurrency.get(), seen.expected.reserved
    faults = [
        f"{name} has {found.reserved.get(name) or 'none'}, not {count}"
        for name, count in wanted.items()
        if found.reserved.get(name) != count
    ]
    needed = sum(wanted.values())
    if needed >= found.quota:
        faults.append(f"the quota is {found.quota}")
    return ("failing", "; ".join(faults)) if faults else ("ok", f"{needed} reserved, of a quota of {found.quota}")


def _backups(seen: Seen) -> Said:
    at = seen.last_backup_at.get()
    if at is None:
        return "failing", "there is none in the vault"
    age = seen.now - at
    return "ok" if age <= OLDEST_BACKUP_S else "failing", f"the newest is {lasting(age)} old"


def _subscribers(seen: Seen) -> Said:
    confirmed, pending = seen.subscribers.get()
    words = f"{confirmed} confirmed" + (f", {pending} not" if pending else "")
    return "failing" if not confirmed else "warning" if pending else "ok", words


def _drill(seen: Seen) -> Said:
    at = seen.last_drill_at.get()
    if at is None or seen.now - at > LAST_DRILL_S:
        return "warning", f"none has ended well in {seen.region} in the last {LAST_DRILL_S / DAY_S:.0f} days"
    return "ok", f"the last ended well {lasting(seen.now - at)} ago"


CHECKS: tuple[Judged, ...] = (
    Judged(
        "automation",
        of="standby",
        asks="whether an outage starts a failover by itself",
        green="automatic failover is on, and not paused",
        remedy="`failoverctl resume`, or wait for the pause to end",
        judge=_automation,
    ),
    Judged(
        "lock",
        of="standby",
        asks="whether a run holds the lock of the control record",
        green="nobody does",
        remedy="`failoverctl status`, then `failoverctl watch`; a run that has ended: `failoverctl unlock`",
        judge=_lock,
    ),
    Judged(
        "lease",
        of="writer",
        asks="whether the writer's guardian renews its lease",
        green="it does, with a database that lives",
        remedy="`failoverctl status`; see the log of the monitor of this region",
        judge=_lease,
    ),
    Judged(
        "monitor",
        of="both",
        asks="whether the other region's monitor runs",
        green="its heartbeat has arrived here within five minutes",
        remedy="see the other region's alarm monitor-silent and the log of its monitor",
        judge=_monitor,
    ),
    Judged(
        "replication",
        of="standby",
        asks="whether the standby has the writer's commits",
        green="the lag, by the heartbeats in both, is inside the RPO budget",
        remedy="see the alarm replication-lag and the writer's load; without a standby `failoverctl start --mode "
        "reprotect`",
        judge=_replication,
    ),
    Judged(
        "writer",
        of="standby",
        asks="whether this region's prober can log in to the writer",
        green="it has a session, and applications are not fenced off",
        remedy="login refused: `failoverctl bootstrap`; not reached: the peering and the security groups",
        judge=_reach,
    ),
    Judged(
        "name",
        of="both",
        asks="where the writer's name leads from this region",
        green="to the writer of the control record",
        remedy="see the writer switches' health checks, and the private zone's association with this region's VPC",
        judge=_name,
    ),
    Judged(
        "membership",
        of="both",
        asks="what this region's cluster is in the global database",
        green="what the control record says, and RDS is not at work on it",
        remedy="without a standby `failoverctl start --mode reprotect`; else wait for RDS, then look again",
        judge=_membership,
    ),
    Judged(
        "cluster",
        of="both",
        asks="how RDS reports the cluster and its instances",
        green="all are there, and available",
        remedy="see the cluster's events in the RDS console; a missing instance comes back by `terraform apply`",
        judge=_cluster,
    ),
    Judged(
        "capacity",
        of="standby",
        asks="whether the standby may grow to what the writer uses",
        green="its upper bound is at least the most that the writer used in a day",
        remedy="raise `max_capacity` in the settings and apply, in this region first",
        judge=_capacity,
    ),
    Judged(
        "engine",
        of="both",
        asks="which versions the cluster and its instances have",
        green="all have the global database's",
        remedy="finish the upgrade in this region (docs/runbooks)",
        judge=_engine,
    ),
    Judged(
        "certificates",
        of="both",
        asks="until when the instances' certificates are valid",
        green=f"for {CERTIFICATE_SOON_S / DAY_S:.0f} days or more",
        remedy="rotate them: an instance gets a new one with its next restart (RDS guide, SSL/TLS certificates)",
        judge=_certificates,
    ),
    Judged(
        "fence",
        of="both",
        asks="whether the fence and its login trigger are installed",
        green="all functions are there and the trigger is enabled",
        remedy="`failoverctl bootstrap`",
        judge=_fence,
    ),
    Judged(
        "closes",
        of="both",
        asks="whether a fence keeps all applications out",
        green="there is one database, and nobody has a right to connect that a fence would leave",
        remedy="`REVOKE CONNECT ON DATABASE` from the roles, which need no other right than the group `application`'s; "
        "move what another database holds into schemas of the guarded one, or make the master user its owner",
        judge=_closes,
    ),
    Judged(
        "connections",
        of="both",
        asks="how many connections are reserved for the monitor",
        green="as many as it may hold, and it may use them",
        remedy=f"set `reserved_connections = {MOST_SESSIONS}` and apply, restart the instances, then "
        "`failoverctl bootstrap`",
        judge=_reserved_connections,
    ),
    Judged(
        "dns",
        of="both",
        asks="whether the writer's records and health checks are as deployed",
        green="the records lead to the clusters, and PRIMARY's check counts both switches",
        remedy="`failoverctl apply-safe --stack global`, then `terraform apply` there",
        judge=_dns,
    ),
    Judged(
        "concurrency",
        of="both",
        asks="Lambda's quota and what is reserved for each function",
        green="as deployed, the same in both regions",
        remedy="ask AWS for the quota (docs/deploy.md), and apply this region's stack",
        judge=_concurrency,
    ),
    Judged(
        "backups",
        of="both",
        asks="how old the newest backup in this region's vault is",
        green=f"{OLDEST_BACKUP_S / HOUR_S:.0f} hours at most",
        remedy="see the failed jobs in AWS Backup",
        judge=_backups,
    ),
    Judged(
        "subscribers",
        of="both",
        asks="who hears of this region's alarms and runs",
        green="somebody has confirmed, and nobody is left who has not",
        remedy="add them to `alert_emails` and apply; they confirm by the link in their mail",
        judge=_subscribers,
    ),
    Judged(
        "drill",
        of="standby",
        asks="when a failover, switchover or rehearsal to this region last ended well",
        green=f"{LAST_DRILL_S / DAY_S:.0f} days ago or less",
        remedy="`failoverctl start --mode rehearsal`",
        judge=_drill,
    ),
)


def expected_reservations(text: str) -> Mapping[str, int]:
    """Reads the reservations of functions as their variable has them: ``name=count,…``."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name: int(count) for name, _, count in pairs}


def plain(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """Returns findings as JSON takes them."""
    return [vars(each).copy() for each in found]
