"""The parts of a deployment as plain data: what the CDKTF constructs deploy and what the lab runs.

Nothing here knows Terraform, AWS clients or the lab. Durations are in seconds unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from orchestration.settings import Settings
from orchestration.specification.names import Names

# Lambda refuses a reservation that leaves less than this to the functions without one (Lambda guide, "Configuring
# reserved concurrency").
LEFT_UNRESERVED = 100


@dataclass(frozen=True)
class Permission:
    """One statement of a role: ``actions`` on ``resources``, under ``conditions``, and why it is needed."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    conditions: dict[str, dict[str, str]] | None = None


@dataclass(frozen=True)
class Function:
    """One Lambda function; ``step`` is its module in ``handlers/<folder>/``."""

    step: str
    folder: Literal["failover", "reprotect", "standing"]
    name: str
    description: str
    package: Literal["workflow", "database"]
    timeout_seconds: int
    memory_mb: int
    environment: dict[str, str]
    permissions: tuple[Permission, ...]
    concurrency: int | None = None  # invocations at a time that are reserved for it, and its limit
    in_vpc: bool = False
    public_url: bool = False
    # Whether Lambda logs only what goes wrong with its invocations, of which there are millions a month.
    quiet: bool = False
    # Variables that hold ids of the region's security groups, with their key: `database` are those that the cluster is
    # created with, `fence` is one that admits the region's prober and nobody else. Only the region's stack knows the
    # ids.
    security_groups: tuple[tuple[str, str], ...] = ()

    @property
    def module(self) -> str:
        """The module of the handler."""
        return f"handlers.{self.folder}.{self.step}"

    @property
    def handler(self) -> str:
        """The handler as Lambda wants it: module path and function."""
        return f"{self.module}.handler"


@dataclass(frozen=True)
class Schedule:
    """An EventBridge schedule that invokes one function."""

    name: str
    expression: str
    function: Function


@dataclass(frozen=True)
class Metric:
    """A CloudWatch metric as an alarm reads it."""

    namespace: str
    name: str
    statistic: Literal["Average", "Maximum", "Minimum", "SampleCount", "Sum"]
    period_seconds: int
    dimensions: dict[str, str]


@dataclass(frozen=True)
class MetricAlarm:
    """An alarm on one metric.

    ``datapoints``: how many of the ``evaluation_periods`` have to breach; None for all of them.
    """

    key: str
    name: str
    description: str
    metric: Metric
    comparison: Literal["GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold"]
    threshold: float
    evaluation_periods: int
    missing_data: Literal["breaching", "notBreaching", "ignore", "missing"]
    notifies: bool
    datapoints: int | None = None


@dataclass(frozen=True)
class Rule:
    """An EventBridge rule on the default bus that starts the region's state machine."""

    key: str
    name: str
    description: str
    event_pattern: dict[str, Any]
    input_paths: dict[str, str]
    input_template: str
    state_machine: str


@dataclass(frozen=True)
class FunctionRule:
    """An EventBridge rule on the default bus that invokes one function with the event."""

    key: str
    name: str
    description: str
    event_pattern: dict[str, Any]
    function: Function


@dataclass(frozen=True)
class StateMachine:
    """A Step Functions standard workflow; ``definition`` is ASL JSON with function names filled in."""

    name: str
    definition: str
    permissions: tuple[Permission, ...]


@dataclass(frozen=True)
class Role:
    """A role that is taken on by other roles (``trusted``, their ARNs) of the same account."""

    name: str
    description: str
    trusted: tuple[str, ...]
    permissions: tuple[Permission, ...]


@dataclass(frozen=True)
class Policy:
    """A managed policy, for people's own roles."""

    name: str
    description: str
    permissions: tuple[Permission, ...]


@dataclass(frozen=True)
class Table:
    """A DynamoDB table on demand, with point-in-time recovery."""

    name: str
    hash_key: str
    ttl_attribute: str | None = None
    replica_regions: tuple[str, ...] = ()
    witness_region: str | None = None


@dataclass(frozen=True)
class Cluster:
    """One region's Aurora cluster and its instances: a member of the global database ``global_identifier``."""

    region: str
    identifier: str
    global_identifier: str
    instances: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """An experiment of AWS FIS that cuts the subnets of the region's database off from everything else.

    ``stop_alarms`` are the ARNs of the alarms that end it, ``minutes`` is how long it lasts at most; ``permissions``
    are those of its role, which has its name.
    """

    name: str
    description: str
    minutes: int
    stop_alarms: tuple[str, ...]
    log_group: str
    permissions: tuple[Permission, ...]


@dataclass(frozen=True)
class Region:
    """Everything one region runs.

    ``alarms`` watch the database and rest on what the monitors publish, so the lab evaluates them as well;
    ``upkeep_alarms`` watch the orchestrator and notify at most.
    """

    name: str
    peer: str
    cluster: Cluster
    functions: dict[str, Function]
    schedules: tuple[Schedule, ...]
    alarms: tuple[MetricAlarm, ...]
    upkeep_alarms: tuple[MetricAlarm, ...]
    rules: tuple[Rule, ...]
    end_rule: FunctionRule
    report_rule: FunctionRule
    backup_rule: FunctionRule
    # What the settings do not ask for is None.
    hook_rule: FunctionRule | None
    application_rule: FunctionRule | None
    capacity_rule: FunctionRule | None
    game_day: Experiment | None
    state_machine: StateMachine
    reprotection: StateMachine
    idempotency_table: Table
    topic: str
    runs_table: Table
    salvage_bucket: str
    reports_bucket: str
    role_for_peer: Role
    role_for_reprotection: Role
    role_for_rebuild: Role

    @property
    def concurrency(self) -> int:
        """How many concurrent executions the account's quota for Lambda has to allow in this region, or more."""
        return LEFT_UNRESERVED + sum(function.concurrency or 0 for function in self.functions.values())

    @property
    def function_rules(self) -> tuple[FunctionRule, ...]:
        """The rules on the default bus that invoke functions."""
        asked_for = (self.hook_rule, self.application_rule, self.capacity_rule)
        return (self.end_rule, self.report_rule, self.backup_rule, *(rule for rule in asked_for if rule is not None))

    @property
    def roles_for_others(self) -> tuple[Role, ...]:
        """The roles in which the other region acts on this one."""
        return (self.role_for_peer, self.role_for_reprotection, self.role_for_rebuild)

    def alarm(self, key: str) -> MetricAlarm:
        """The metric alarm of that key."""
        return next(alarm for alarm in (*self.alarms, *self.upkeep_alarms) if alarm.key == key)


@dataclass(frozen=True)
class HealthCheck:
    """A Route 53 HTTPS check of a function's public URL."""

    key: str
    name: str
    function: Function
    function_region: str
    path: str
    interval_seconds: Literal[10, 30]
    failure_threshold: int


@dataclass(frozen=True)
class AlarmHealthCheck:
    """A Route 53 check that follows the metric of an alarm; where the metric is silent it is healthy."""

    key: str
    name: str
    alarm: MetricAlarm
    alarm_region: str


@dataclass(frozen=True)
class CalculatedHealthCheck:
    """A Route 53 check that is healthy while ``threshold`` or more of ``parts`` (keys of checks) are.

    An ``inverted`` one is unhealthy then, and healthy otherwise.
    """

    key: str
    name: str
    parts: tuple[str, ...]
    threshold: int
    inverted: bool = False


@dataclass(frozen=True)
class Record:
    """A CNAME in the private zone whose value is an endpoint of the cluster in ``cluster_region``.

    A standby's writer endpoint takes no connections before the promotion; its reader endpoint always does.
    """

    name: str
    cluster_region: str
    endpoint: Literal["writer", "reader"]
    ttl_seconds: int
    failover: Literal["PRIMARY", "SECONDARY"] | None = None
    health_check: str | None = None


@dataclass(frozen=True)
class Zone:
    """The private hosted zone and what is in it.

    ``writer_check`` decides where the writer's name leads, by ``health_checks``, one in each region. ``alarm_checks``
    and ``database_check`` only show the state of the database in the console. ``negative_ttl_seconds``: how long a
    resolver keeps that a name is not there.
    """

    name: str
    writer_name: str
    negative_ttl_seconds: int
    records: tuple[Record, ...]
    health_checks: tuple[HealthCheck, ...]
    writer_check: CalculatedHealthCheck
    alarm_checks: tuple[AlarmHealthCheck, ...]
    database_check: CalculatedHealthCheck


@dataclass(frozen=True)
class Specification:
    """One deployment, whole: the single source of the CDKTF stacks and of the lab."""

    settings: Settings
    account: str
    global_identifier: str
    control_table: Table
    session_table: Table
    first_control_record: dict[str, dict[str, Any]]  # in DynamoDB's typed JSON
    zone: Zone
    regions: dict[str, Region]

    @property
    def names(self) -> Names:
        """Names and ARNs of everything in this deployment."""
        return Names(self.settings, self.account)
