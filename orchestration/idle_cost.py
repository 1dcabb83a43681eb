"""What a deployment costs while nothing happens.

``python -m orchestration.idle_cost`` prints it for the settings at hand; docs/cost.md has it for the default ones. How
many of each thing there are comes from the specification; how often it is used, from the clocks of what runs all day;
the rest stands below, each with its source or called an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handlers.core.lease import TICK_S
from orchestration.settings import Settings, load
from orchestration.specification import INSTANCES, Specification, describe
from orchestration.specification.dns import SWITCH_INTERVAL_SECONDS
from orchestration.specification.model import Function, Region

HOURS = 730
SECONDS = HOURS * 3600
RUNS = SECONDS / 60  # of each region's monitor: its schedule starts one a minute
RUN_SECONDS = 66  # of one; `handlers.standing.monitor` says why
TICKS = RUNS * RUN_SECONDS / TICK_S  # of each region's monitors
CHECKERS = 16  # of Route 53 for one endpoint; as observed, two in each of eight regions
CHECKS = CHECKERS * SECONDS / SWITCH_INTERVAL_SECONDS  # of each region's writer switch

# What an invocation takes, in s. Estimates for the least memory: a kept session is one round trip of 64 ms to the other
# region; the switch took 21 ms; a look at the fence asks RDS twice.
PROBE_SECONDS, SWITCH_SECONDS, FENCE_SECONDS = 0.1, 0.03, 0.4
# Readiness starts cold each time, with clients of ten services: an estimate, with 256 MB.
LOOKS, LOOK_SECONDS = SECONDS / 1800, 10  # of each region's: its schedule starts one each half hour
# A control record with everything in it is under 1 KB: one unit a write and a read. A renewal is written to both
# replicas; whether the witness is charged for is not documented, so it is counted.
COPIES = 3

FAST_SECONDS = 60  # alarms with a shorter period are of high resolution
FREE_DASHBOARDS = 3  # an account's first ones, with up to 50 metrics each
# What each run of a monitor publishes while nothing happens, once a minute and each in one call.
WRITERS_METRICS = ("Heartbeat",)
STANDBYS_METRICS = ("Heartbeat", "WriterDown", "WriterReachable")
METRICS = len(WRITERS_METRICS) + len(STANDBYS_METRICS)
# `StepDuration` of what runs all day and is measured: monitor and fence of each region. A metric is charged for the
# hours in which it is published, so that the steps' metrics cost nothing while none runs.
STEP_METRICS = 4
MANY = 100  # above that, a fraction is not worth showing
KEPT_GB = 10  # the least that Aurora charges storage for
# For the primary of a global database in production (Aurora guide, "Choosing the minimum Aurora Serverless v2 capacity
# setting for a cluster"). Either region's cluster may be the primary.
RECOMMENDED_ACU = 8.0


@dataclass(frozen=True)
class Price:
    """US dollars for ``per`` of a unit, in us-east-1 and us-west-2; ``note`` is a footnote of docs/cost.md."""

    dollars: float
    per: int
    unit: str
    note: int

    def __str__(self) -> str:
        each = {1: "", 1_000: "1,000 ", 10_000: "10,000 ", 1_000_000: "million "}[self.per]
        return f"{self.dollars:.10f}".rstrip("0").ljust(4, "0") + f" per {each}{self.unit} [{self.note}]"


ACU_HOUR = Price(0.12, 1, "ACU-hour", 1)
AURORA_GB = Price(0.10, 1, "GB", 2)
AURORA_IO = Price(0.20, 1_000_000, "requests", 2)
SECRET = Price(0.40, 1, "secret", 2)
SNAPSHOT_GB = Price(0.021, 1, "GB", 2)
GB_SECOND = Price(0.0000133334, 1, "GB-s", 3)
INVOCATION = Price(0.20, 1_000_000, "requests", 3)
METRIC = Price(0.30, 1, "metric", 4)
METRIC_CALLS = Price(0.01, 1_000, "calls", 2)
ALARM, FAST_ALARM, DASHBOARD = Price(0.10, 1, "alarm", 4), Price(0.30, 1, "alarm", 4), Price(3.00, 1, "dashboard", 2)
LOG_GB = Price(0.50, 1, "GB", 2)
KEY, KEY_REQUEST = Price(1.00, 1, "key", 2), Price(0.03, 10_000, "requests", 2)
ZONE, CHECK, CHECK_OPTION = Price(0.50, 1, "zone", 5), Price(0.50, 1, "check", 5), Price(1.00, 1, "option", 5)
READ_UNIT, WRITE_UNIT = Price(0.125, 1_000_000, "reads", 2), Price(0.625, 1_000_000, "writes", 2)
TABLE_GB = Price(0.45, 1, "GB", 2)  # storage and point-in-time recovery
BUCKET_GB = Price(0.023, 1, "GB", 2)
INTERNET_GB, REGION_GB = Price(0.09, 1, "GB", 2), Price(0.02, 1, "GB", 2)


@dataclass(frozen=True)
class Line:
    """One line of the table: ``count`` of what ``price`` is for, and ``how`` that comes about."""

    resource: str
    how: str
    count: float
    price: Price

    @property
    def dollars(self) -> float:
        """A month of it."""
        return self.count * self.price.dollars / self.price.per


def calls(specification: Specification) -> dict[str, tuple[float, str]]:
    """Returns the calls of each API in a month, and who makes them."""
    both = len(specification.regions)
    return {
        "DynamoDB `GetItem`": (both * (TICKS + CHECKS), "monitors, each tick; writer switches, each check"),
        "DynamoDB `UpdateItem`": (TICKS, "the writer's monitors renew its lease, each tick"),
        "Lambda `Invoke`, prober": (3 * TICKS, "each tick: the writer's monitor one, the standby's two at most"),
        "Lambda `Invoke`, fence": (both * RUNS, "each run of a monitor looks at the fence"),
        "Lambda, by schedule": (both * (RUNS + LOOKS), "EventBridge starts the monitors, and readiness"),
        "Lambda, by URL": (both * CHECKS, f"{CHECKERS} health checkers every {SWITCH_INTERVAL_SECONDS} s"),
        "CloudWatch `PutMetricData`": (
            METRICS * RUNS,
            "each run: the standby's three metrics, the writer's heartbeat",
        ),
        "CloudWatch `GetMetricStatistics`": (3 * LOOKS, "readiness: the standby's two, the writer's one"),
        "RDS `Describe…`": (both * 2 * RUNS, "each look at the fence; free"),
        "EventBridge `PutEvents`, Step Functions": (0, "only when the writer is down"),
    }


def orchestrator(specification: Specification) -> list[Line]:
    """Returns the lines of everything but the database."""
    regions = list(specification.regions.values())
    made = {name: count for name, (count, _) in calls(specification).items()}
    keys = sum(not specification.settings.existing_in(region.name).key_alias for region in regions)
    return [
        *_functions(regions, made),
        *_monitoring(regions, made["CloudWatch `PutMetricData`"] + made["CloudWatch `GetMetricStatistics`"]),
        *_dns(specification),
        Line("DynamoDB, reads", "of the control record", made["DynamoDB `GetItem`"], READ_UNIT),
        Line(
            "DynamoDB, writes",
            "of the lease, to 2 replicas and a witness",
            made["DynamoDB `UpdateItem`"] * COPIES,
            WRITE_UNIT,
        ),
        Line("DynamoDB, storage and recovery", "some MB in 8 tables; an estimate", 0.1, TABLE_GB),
        Line("S3", "reports of runs and what is salvaged, some MB; an estimate", 0.1, BUCKET_GB),
        Line("KMS keys", "1 a region (and 1 more each after a year's rotation)", keys, KEY),
        Line("KMS requests", "functions' variables, topics, tables; an estimate", 100_000, KEY_REQUEST),
        Line("Logs", "functions and flow logs; an estimate", 1, LOG_GB),
        Line(
            "Data to the internet",
            "500 bytes an answer to a health checker",
            500 * made["Lambda, by URL"] / 1e9,
            INTERNET_GB,
        ),
        Line("Data between the regions", "probes and the lease, 1 KB each", 3e3 * TICKS / 1e9, REGION_GB),
    ]


def _functions(regions: list[Region], made: dict[str, float]) -> list[Line]:
    a_region = regions[0].functions
    used = (
        ("monitors", "monitor", len(regions) * RUNS, RUN_SECONDS),
        ("probers", "prober", made["Lambda `Invoke`, prober"], PROBE_SECONDS),
        ("writer switches", "writer_switch", made["Lambda, by URL"], SWITCH_SECONDS),
        ("fences", "fence", made["Lambda `Invoke`, fence"], FENCE_SECONDS),
        ("readiness", "readiness", len(regions) * LOOKS, LOOK_SECONDS),
    )
    lines = [_runs(who, a_region[step], count, seconds) for who, step, count, seconds in used]
    requests = sum(count for _, _, count, _ in used)
    return [*lines, Line("Lambda, requests", "of all five", requests, INVOCATION)]


def _runs(who: str, function: Function, count: float, seconds: float) -> Line:
    how = f"{count:,.0f} x {seconds:g} s x {function.memory_mb} MB"
    return Line(f"Lambda, {who}", how, count * seconds * function.memory_mb / 1024, GB_SECOND)


def _monitoring(regions: list[Region], asked: float) -> list[Line]:
    alarms = [alarm for region in regions for alarm in (*region.alarms, *region.upkeep_alarms)]
    fast = [alarm for alarm in alarms if alarm.metric.period_seconds < FAST_SECONDS]
    dashboards = len(regions)
    metrics = METRICS + STEP_METRICS
    return [
        Line("CloudWatch alarms", "of standard resolution", len(alarms) - len(fast), ALARM),
        Line("CloudWatch alarms, fast", "every 10 s: the trigger, in each region", len(fast), FAST_ALARM),
        Line("CloudWatch metrics", "those of the monitors", metrics, METRIC),
        Line("CloudWatch metrics, calls", "once a minute and when they change; readiness reads", asked, METRIC_CALLS),
        Line(
            "CloudWatch dashboards",
            f"{dashboards}, of an account's {FREE_DASHBOARDS} free ones",
            max(0, dashboards - FREE_DASHBOARDS),
            DASHBOARD,
        ),
    ]


def _dns(specification: Specification) -> list[Line]:
    zone = specification.zone
    shown = len(zone.alarm_checks) + 1
    deciding = len(zone.health_checks) + 1
    return [
        *(
            []
            if specification.settings.existing.zone_id
            else [Line("Route 53 zone", "a private one; its queries are free in a VPC", 1, ZONE)]
        ),
        Line("Route 53 checks that decide", "1 HTTPS a region and 1 calculated", deciding, CHECK),
        Line("Route 53 checks, options", "HTTPS and 10 s, each", 2 * len(zone.health_checks), CHECK_OPTION),
        Line("Route 53 checks that show", "4 of alarms and 1 calculated", shown, CHECK),
    ]


def database(specification: Specification) -> list[Line]:
    """Returns the lines of the database: the regions' minimum capacity, and nothing written but heartbeats.

    Of a database that exists already, what is added to its bill.
    """
    settings = specification.settings
    capacity = INSTANCES * sum(settings.min_capacity(region) for region in specification.regions)
    how = f"{INSTANCES} instances a region, at their minimum, x {HOURS} h"
    io = Line("Aurora I/O", "heartbeats, in both regions; an estimate", 6 * TICKS, AURORA_IO)
    made = [
        Line("Aurora capacity", how, capacity * HOURS, ACU_HOUR),
        Line("Aurora storage", f"{KEPT_GB} GB a region, the least", KEPT_GB * len(specification.regions), AURORA_GB),
        io,
        Line("Secrets Manager", "1 secret and its replica", 2, SECRET),
    ]
    return [
        *([io] if settings.adopts else made),
        Line("AWS Backup", "7 days in each region and 7 of copies, of an empty cluster; an estimate", 21, SNAPSHOT_GB),
        Line("AWS Backup, copies", "a full copy every day, of an empty cluster; an estimate", 30, REGION_GB),
    ]


def capacity_warning(settings: Settings) -> str | None:
    """Returns what is to be said of a production with less capacity than Aurora recommends, None if nothing.

    It names what the database costs at idle as it is set, and as it is recommended.
    """
    low = {
        name: value
        for name in ("min_capacity", "standby_min_capacity")
        if (value := getattr(settings.database, name)) < RECOMMENDED_ACU
    }
    if settings.environment != "production" or settings.adopts or not low:
        return None
    raised = settings.database.model_copy(update=dict.fromkeys(low, RECOMMENDED_ACU))
    both = (settings, settings.model_copy(update={"database": raised}))
    as_set, recommended = (total(database(describe(one, "ACCOUNT"))) for one in both)
    return (
        f"{' and '.join(f'database.{name} is {value:g} ACU' for name, value in low.items())}; for the primary of a "
        "global database in production, which either region's cluster may be, Aurora recommends at least "
        f"{RECOMMENDED_ACU:g}. Idle, the database costs ${as_set:,.2f} a month as it is set, and "
        f"${recommended:,.2f} with {RECOMMENDED_ACU:g} (docs/cost.md)"
    )


def tables(specification: Specification) -> str:
    """Returns the cost table and the table of calls, in Markdown."""
    parts = []
    for title, lines in (("The orchestrator", orchestrator(specification)), ("The database", database(specification))):
        parts += [f"| {title} | how many | unit price | per month |", "|---|---|---|---|"]
        parts += [
            f"| {one.resource} | {_count(one.count)}: {one.how} | {one.price} | {one.dollars:.2f} |" for one in lines
        ]
        parts += [f"| **Together** | | | **{total(lines):.2f}** |", ""]
    parts += ["| API | calls a month | by whom |", "|---|---|---|"]
    parts += [f"| {name} | {count:,.0f} | {who} |" for name, (count, who) in calls(specification).items()]
    return "\n".join(parts) + "\n"


def total(lines: Iterable[Line]) -> float:
    """Returns what the lines cost together."""
    return sum(line.dollars for line in lines)


def _count(count: float) -> str:
    return f"{count:,.0f}" if count >= MANY or count == int(count) else f"{count:.1f}"


if __name__ == "__main__":
    print(tables(describe(load(), "ACCOUNT")), end="")
