"""The functions that are not steps of a workflow, each in one row."""

from __future__ import annotations

from handlers.core.application import WATCH_FOR_S
from handlers.core.detection import EVENT_SOURCE
from handlers.core.message import execution_arn
from handlers.core.sessions import PROBES_AT_A_TIME
from orchestration.settings import Hook
from orchestration.specification import failover
from orchestration.specification.failover import WARM_UP
from orchestration.specification.names import METRIC_NAMESPACE, PARTITION
from orchestration.specification.permissions import (
    ACT_ON_PEER,
    CONTROL_VARIABLES,
    LOG_IN,
    LOOK_AT_RUNS,
    MEMBER_VARIABLES,
    PROBE,
    READ_CONTROL,
    SEE_MEMBERSHIP,
    TELL,
)
from orchestration.specification.rows import SMALLEST_MB, UNHURRIED_MB, Grant, Place, StandingFunction, only_here

# A page of the old writer's tables, read from cold storage and compared across the peering.
SALVAGE_TIMEOUT_SECONDS = 60
# One look at a database lasts 5 s at most; the rest is its own cold start, or what it does there.
PROBER_TIMEOUT_SECONDS = 8
# EventBridge starts a monitor every 60 s at best; a run that lasts 66 s overlaps the next one, a guardian's of 81 s one
# that is 15 s late, and its last tick may have to wait for a whole probe.
MONITOR_TIMEOUT_SECONDS = 95
# A fence by SQL takes two seconds and a half at most; beside it there are eight calls to RDS, three of them as a rule.
FENCE_TIMEOUT_SECONDS = 12
# Route 53 gives an HTTPS check 4 s to connect and 2 s to answer (Route 53 guide, "How health checks work").
WRITER_SWITCH_TIMEOUT_SECONDS = 5
# A read of the control record and a message to both topics, one of which may hang.
ANNOUNCE_TIMEOUT_SECONDS = 20
# The longest that a hook may take, and then a message.
HOOKS_TIMEOUT_SECONDS = 600 + ANNOUNCE_TIMEOUT_SECONDS
# Twice twenty tries, a quarter of a minute between two of them, each of which may take RDS some seconds.
CAPACITY_TIMEOUT_SECONDS = 900
# As long as it watches; the last look may take as long as the message after it.
APPLICATION_TIMEOUT_SECONDS = int(WATCH_FOR_S) + 2 * ANNOUNCE_TIMEOUT_SECONDS
# A history of some pages, the records of the runs before, and two objects.
REPORT_TIMEOUT_SECONDS = 60
# Two reads, by a function that starts cold; CloudWatch waits for it longer.
PANEL_TIMEOUT_SECONDS = 10
# About ten statements over the Data API; a person waits for it.
BOOTSTRAP_TIMEOUT_SECONDS = 60
# Two looks, each of some 35 requests and three probes, and half a minute between them.
READINESS_TIMEOUT_SECONDS = 120

RENEW_LEASE = Grant(
    ("dynamodb:GetItem", "dynamodb:UpdateItem"),
    lambda place: tuple(
        place.names.arn("dynamodb", where, f"table/{place.names.control_table}") for where in (place.region, place.peer)
    ),
    "renews the writer's lease through either replica",
    tells=(*CONTROL_VARIABLES, "PEER_REGION"),
)
ORDER_FENCE = Grant(
    ("lambda:InvokeFunction",),
    lambda place: (place.names.function_arn("fence", place.region),),
    "has the region's own database fenced",
    tells=("FENCE_FUNCTION",),
)
PUBLISH = Grant(
    ("cloudwatch:PutMetricData",),
    lambda _: ("*",),
    "publishes what it sees; CloudWatch has no resource-level permission for it, the namespace limits it",
    tells=("PEER_REGION", "POWERTOOLS_METRICS_NAMESPACE"),
    conditions=lambda _: {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}},
)
SAY_WRITER_IS_DOWN = Grant(
    ("events:PutEvents",),
    lambda place: (place.names.default_bus_arn(place.region),),
    "says that the writer is down, which starts the workflow; the source keeps it from saying anything else",
    conditions=lambda _: {"StringEquals": {"events:source": EVENT_SOURCE}},
)
START_RUNS = Grant(
    ("states:StartExecution",),
    lambda place: (place.names.state_machine_arn(place.region),),
    "starts the next attempt while the writer is down",
    tells=("STATE_MACHINE_ARN",),
)
CHANGE_SECURITY_GROUP = Grant(
    ("rds:DescribeDBClusters", "rds:ModifyDBCluster"),
    lambda place: (place.names.cluster_arn(place.region),),
    "changes the security group of this region's cluster",
    tells=MEMBER_VARIABLES,
)
RESTART_INSTANCES = Grant(
    ("rds:RebootDBInstance", "rds:DescribeDBInstances"),
    lambda place: place.names.instance_arns(place.region),
    "restarts this region's instances where a fence by SQL is not to be had, and sees whether they are restarting",
)
RUN_SQL = Grant(
    (
        "rds-data:BeginTransaction",
        "rds-data:CommitTransaction",
        "rds-data:RollbackTransaction",
        "rds-data:ExecuteStatement",
    ),
    lambda place: (place.names.cluster_arn(place.region),),
    "runs SQL in this region's cluster without a network path to it",
    tells=("CLUSTER", "CLUSTER_ARN", "DATABASE_NAME"),
)
READ_MASTER_SECRET = Grant(
    ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
    lambda place: (place.names.secret_arn(place.names.master_secret, place.region),),
    "logs in as the master user; Secrets Manager ends the name with six characters of its own",
    tells=("MASTER_SECRET",),
)
FIND_ATTEMPTS = Grant(
    ("states:ListExecutions",),
    lambda place: (place.names.state_machine_arn(place.region), place.names.reprotection_arn(place.region)),
    "finds the attempts before a run",
)
READ_RUNS = Grant(
    ("states:DescribeExecution", "states:GetExecutionHistory"),
    lambda place: tuple(
        execution_arn(arn, "*")
        for arn in (place.names.state_machine_arn(place.region), place.names.reprotection_arn(place.region))
    ),
    "reads what a run was asked, saw, decided and told",
    tells=("REPROTECTION_STATE_MACHINE_ARN",),
)
READ_RECORDS = Grant(
    ("dynamodb:GetItem",),
    lambda place: (place.names.arn("dynamodb", place.region, f"table/{place.names.runs_table(place.region)}"),),
    "reads the records of runs",
    tells=("RUNS_TABLE",),
)
KEEP_REPORT = Grant(
    ("s3:PutObject",),
    lambda place: (f"arn:{PARTITION}:s3:::{place.names.reports_bucket(place.region)}/runs/*",),
    "keeps the report of a run, and can neither change it nor shorten its lock",
    tells=("REPORTS_BUCKET",),
)

READ_CONTROL_ANYWHERE = Grant(
    ("dynamodb:GetItem",), RENEW_LEASE.on, "reads the control record through either replica", tells=RENEW_LEASE.tells
)
LOOK_AT_METRICS = Grant(
    ("cloudwatch:GetMetricStatistics",),
    lambda _: ("*",),
    "reads the monitors' heartbeat here and the use of the writer there; CloudWatch has no resource-level permission "
    "for it",
    tells=("PEER_REGION", "POWERTOOLS_METRICS_NAMESPACE"),
)
LOOK_AT_CLUSTER = Grant(
    ("rds:DescribeDBClusters",),
    CHANGE_SECURITY_GROUP.on,
    "sees the status, the version and the capacity of this region's cluster",
    tells=MEMBER_VARIABLES,
)
LOOK_AT_INSTANCES = Grant(
    ("rds:DescribeDBInstances",),
    RESTART_INSTANCES.on,
    "sees the status, the version and the certificates of this region's instances",
    tells=("INSTANCES",),
)
LOOK_AT_RESERVATIONS = Grant(
    ("lambda:GetFunctionConcurrency",),
    lambda place: tuple(
        place.names.function_arn(row.name, place.region)
        for row in (*failover.STEPS, *(row for row in FUNCTIONS if row.concurrency))
    ),
    "sees what is reserved for each function of this region that something is reserved for",
    tells=("RESERVED_CONCURRENCY",),
)
LOOK_AT_QUOTA = Grant(
    ("lambda:GetAccountSettings",),
    lambda _: ("*",),
    "sees Lambda's quota; there is no resource to name",
    conditions=only_here,
)
LOOK_AT_BACKUPS = Grant(
    ("backup:ListRecoveryPointsByBackupVault",),
    lambda place: (place.names.backup_vault_arn(place.region),),
    "sees how old the newest backup is",
    tells=("BACKUP_VAULT",),
)
LOOK_AT_TOPIC = Grant(
    ("sns:GetTopicAttributes",),
    lambda place: (place.names.topic_arn(place.region),),
    "counts who hears of this region",
    tells=("TOPIC_ARN",),
)
LIST_RUNS = Grant(
    ("states:ListExecutions",),
    lambda place: (place.names.state_machine_arn(place.region),),
    "looks for the last drill",
    tells=("STATE_MACHINE_ARN",),
)
LOOK_AT_CHECKS = Grant(
    ("route53:GetHealthCheck",),
    lambda _: (f"arn:{PARTITION}:route53:::healthcheck/*",),
    "reads the checks of the writer's name, whose ids Route 53 draws when the global stack makes them",
)
LOOK_AT_RECORDS = Grant(
    ("route53:ListResourceRecordSets",),
    lambda _: (f"arn:{PARTITION}:route53:::hostedzone/*",),
    "reads the writer's records; the zone's id is drawn as well",
    tells=("WRITER_DNS_NAME", "ZONE"),
)
FIND_ZONE = Grant(("route53:ListHostedZonesByName",), lambda _: ("*",), "finds the zone; there is no resource to name")


def _documents(place: Place) -> list[Hook]:
    return [hook for hook in place.names.settings.hooks if hook.document]


RUN_HOOK_FUNCTIONS = Grant(
    ("lambda:InvokeFunction",),
    lambda place: tuple(
        place.names.arn("lambda", place.region, f"function:{hook.function}")
        for hook in place.names.settings.hooks
        if hook.function
    ),
    "runs the hooks of the settings that are functions",
    tells=("HOOKS",),
)
RUN_HOOK_MACHINES = Grant(
    ("states:StartExecution",),
    lambda place: tuple(
        place.names.machine_arn(hook.state_machine, place.region)
        for hook in place.names.settings.hooks
        if hook.state_machine
    ),
    "runs the hooks of the settings that are state machines",
    tells=("HOOKS",),
)
LOOK_AT_HOOKS = Grant(
    ("states:DescribeExecution",),
    lambda place: tuple(execution_arn(arn, "*") for arn in RUN_HOOK_MACHINES.on(place)),
    "sees how they end",
)
RUN_HOOK_DOCUMENTS = Grant(
    ("ssm:StartAutomationExecution",),
    lambda place: tuple(
        place.names.arn("ssm", place.region, name)
        for hook in _documents(place)
        for name in (f"document/{hook.document}", f"automation-definition/{hook.document}:$DEFAULT")
    ),
    "runs the hooks of the settings that are SSM documents; AWS's documentation names both resources for it",
    tells=("HOOKS",),
)
LOOK_AT_DOCUMENTS = Grant(
    ("ssm:GetAutomationExecution",),
    lambda place: (place.names.arn("ssm", place.region, "automation-execution/*"),) if _documents(place) else (),
    "sees how they end; Systems Manager draws an execution's id when it starts",
)
PASS_TO_DOCUMENTS = Grant(
    ("iam:PassRole",),
    lambda place: tuple(sorted({place.names.role_arn(hook.document_role or "") for hook in _documents(place)})),
    "has them run in the roles that the settings name",
    conditions=lambda _: {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
)

LOOK_AT_ALARMS = Grant(
    ("cloudwatch:DescribeAlarms",),
    lambda _: ("*",),
    "sees the application's alarms; composite ones are shown to whoever may see all (API reference, DescribeAlarms)",
    tells=("APPLICATION_ALARMS",),
    conditions=only_here,
)
RAISE_CAPACITY = Grant(
    ("rds:DescribeDBClusters", "rds:ModifyDBCluster"),
    CHANGE_SECURITY_GROUP.on,
    "raises the least capacity of this region's cluster after a failover",
    tells=("CLUSTER", "CLUSTER_ARN"),
)
LOOK_AT_USE = Grant(
    ("cloudwatch:GetMetricStatistics",),
    LOOK_AT_METRICS.on,
    "reads what the old writer used; CloudWatch has no resource-level permission for it",
    tells=("PEER_CLUSTER", "PEER_REGION"),
)
NOTE_APPLICATION = Grant(
    ("dynamodb:UpdateItem",),
    READ_RECORDS.on,
    "notes beside the record of a run how the application is after it",
    tells=("RUNS_TABLE",),
)

NOTE_HOOKS = Grant(
    ("dynamodb:UpdateItem",),
    READ_RECORDS.on,
    "notes beside the record of a run which hooks have failed",
    tells=("RUNS_TABLE",),
)

FUNCTIONS: tuple[StandingFunction, ...] = (
    StandingFunction(
        "salvage",
        "Reads what the old writer in this region has committed and the new one lacks",
        may=(LOG_IN,),
        reads=("CLUSTER", "CLUSTER_DNS_NAME", "PEER_CLUSTER", "PEER_CLUSTER_DNS_NAME", "PEER_REGION"),
        timeout_seconds=SALVAGE_TIMEOUT_SECONDS,
        in_vpc=True,
    ),
    StandingFunction(
        "prober",
        "Connects to a database over verified TLS and says what it reached",
        may=(LOG_IN,),
        reads=(
            "CLUSTER",
            "CLUSTER_DNS_NAME",
            "INSTANCES",
            "PEER_CLUSTER",
            "PEER_CLUSTER_DNS_NAME",
            "PEER_REGION",
            "READER_DNS_NAME",
            "WRITER_DNS_NAME",
        ),
        concurrency=PROBES_AT_A_TIME,
        memory_mb=UNHURRIED_MB,
        timeout_seconds=PROBER_TIMEOUT_SECONDS,
        quiet=True,
        in_vpc=True,
    ),
    StandingFunction(
        "monitor",
        "Has the writer probed every 2 s; renews its lease, or has it moved when it is down",
        may=(
            PROBE,
            RENEW_LEASE,
            ORDER_FENCE,
            SEE_MEMBERSHIP,
            WARM_UP,
            ACT_ON_PEER,
            PUBLISH,
            SAY_WRITER_IS_DOWN,
            START_RUNS,
            LOOK_AT_RUNS,
        ),
        reads=("PEER_FENCE_FUNCTION", "RECOVERY_GRACE_S", "TRIGGER_MODE"),
        # Two runs overlap, and EventBridge may deliver an event twice.
        concurrency=3,
        memory_mb=SMALLEST_MB,
        timeout_seconds=MONITOR_TIMEOUT_SECONDS,
    ),
    StandingFunction(
        "fence",
        "Keeps this region's database from its applications: by SQL or a restart, and by security group",
        may=(PROBE, SEE_MEMBERSHIP, CHANGE_SECURITY_GROUP, RESTART_INSTANCES, READ_CONTROL),
        # Of each region's two runs of the monitor, one fences while another looks; and a run of the workflow.
        concurrency=8,
        timeout_seconds=FENCE_TIMEOUT_SECONDS,
        security_groups=(("CLUSTER_SECURITY_GROUPS", "database"), ("FENCE_SECURITY_GROUP", "fence")),
    ),
    StandingFunction(
        "writer_switch",
        "Tells Route 53's health checkers whether clients belong in the region of the SECONDARY record",
        may=(READ_CONTROL,),
        reads=("SECONDARY_REGION",),
        # Sixteen checkers ask every 10 s and may do so at once; each answer takes 2 s at worst. Lambda takes ten times
        # as many requests a second from a URL (Lambda guide, "Function URL quotas"), so that a stranger who finds it
        # cannot use up what the failover needs, nor run up the bill.
        concurrency=10,
        memory_mb=SMALLEST_MB,
        timeout_seconds=WRITER_SWITCH_TIMEOUT_SECONDS,
        quiet=True,
        public_url=True,
    ),
    StandingFunction(
        "announce_end",
        "Tells people of a run that timed out, was stopped, or failed without a word",
        may=(READ_CONTROL, TELL),
        reads=("PEER_STATE_MACHINE_ARN", "REPROTECTION_STATE_MACHINE_ARN", "STATE_MACHINE_ARN"),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=ANNOUNCE_TIMEOUT_SECONDS,
    ),
    StandingFunction(
        "announce_backup",
        "Tells people of a backup or a copy that failed",
        may=(TELL,),
        reads=("BACKUP_VAULT",),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=ANNOUNCE_TIMEOUT_SECONDS,
    ),
    StandingFunction(
        "run_hooks",
        "Runs the hooks of the settings, and tells people what of them fails",
        may=(
            RUN_HOOK_FUNCTIONS,
            RUN_HOOK_MACHINES,
            LOOK_AT_HOOKS,
            RUN_HOOK_DOCUMENTS,
            LOOK_AT_DOCUMENTS,
            PASS_TO_DOCUMENTS,
            NOTE_HOOKS,
            TELL,
        ),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=HOOKS_TIMEOUT_SECONDS,
        wanted=lambda settings: bool(settings.hooks),
    ),
    StandingFunction(
        "watch_application",
        "Says whether the application is well after the writer has moved, by its own alarms",
        may=(LOOK_AT_ALARMS, NOTE_APPLICATION, READ_CONTROL, TELL),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=APPLICATION_TIMEOUT_SECONDS,
        wanted=lambda settings: bool(settings.application_alarms),
    ),
    StandingFunction(
        "follow_capacity",
        "Gives the new writer at least the capacity that the old one used",
        may=(RAISE_CAPACITY, LOOK_AT_USE, READ_CONTROL, TELL),
        reads=("LEAST_ACU_TENTHS",),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=CAPACITY_TIMEOUT_SECONDS,
        wanted=lambda settings: settings.database.capacity_follows,
    ),
    StandingFunction(
        "keep_report",
        "Keeps the report of a run that has ended, as a page and as JSON",
        may=(FIND_ATTEMPTS, READ_RUNS, READ_RECORDS, KEEP_REPORT, TELL),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=REPORT_TIMEOUT_SECONDS,
    ),
    StandingFunction(
        "show_incident",
        "Tells the dashboard what the control record says, when somebody looks at it",
        may=(READ_CONTROL, READ_RECORDS),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=PANEL_TIMEOUT_SECONDS,
    ),
    StandingFunction(
        "readiness",
        "Looks every half hour whether a failover would work, and fails where it would not",
        may=(
            READ_CONTROL_ANYWHERE,
            SEE_MEMBERSHIP,
            PROBE,
            LOOK_AT_METRICS,
            LOOK_AT_CLUSTER,
            LOOK_AT_INSTANCES,
            LOOK_AT_RESERVATIONS,
            LOOK_AT_QUOTA,
            LOOK_AT_BACKUPS,
            LOOK_AT_TOPIC,
            LIST_RUNS,
            LOOK_AT_RUNS,
            LOOK_AT_CHECKS,
            LOOK_AT_RECORDS,
            FIND_ZONE,
        ),
        reads=("PEER_CLUSTER", "RECOVERY_GRACE_S", "RPO_BUDGET_MS", "TRIGGER_MODE"),
        # Whoever asks often must not use up the prober's: one at a time probes one database at a time.
        concurrency=1,
        memory_mb=UNHURRIED_MB,
        timeout_seconds=READINESS_TIMEOUT_SECONDS,
    ),
    StandingFunction(
        "bootstrap_database",
        "Run by a person once after the deployment: makes the monitoring user and its tables",
        may=(RUN_SQL, READ_MASTER_SECRET),
        reads=("PEER_REGION",),
        memory_mb=UNHURRIED_MB,
        timeout_seconds=BOOTSTRAP_TIMEOUT_SECONDS,
    ),
)
