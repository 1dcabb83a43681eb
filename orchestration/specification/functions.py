"""The Lambda functions of a region: what each is for, how long it may take, what it is told and what it may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.specification import permissions as shared
from orchestration.specification import reprotection
from orchestration.specification.model import Function, Permission, Role
from orchestration.specification.names import Names

FAILOVER_ASL = PROJECT_ROOT / "statemachines" / "failover.asl.json"
REPROTECT_ASL = PROJECT_ROOT / "statemachines" / "reprotect.asl.json"

METRIC_NAMESPACE = "FailoverOrchestrator"
MONITORING_USER = "monitor"  # the database role of handlers/sql/monitoring.sql

# A function gets CPU in proportion to its memory. Steps on the critical path are short and mostly cold, so they get
# over half a processor to import in a fraction of a second; the two that run all day get the least that keeps up.
STEP_MEMORY_MB = 1024
ALWAYS_ON_MEMORY_MB = 256

# One probe: connect, ask, answer. Each of its waits for the database lasts 2 s at most; the rest is its own cold start.
PROBER_TIMEOUT_SECONDS = 8
# EventBridge starts a monitor every 60 s at best; a run that lasts 66 s overlaps the next one, and its last tick may
# have to wait for a whole probe.
MONITOR_TIMEOUT_SECONDS = 80
# A fence by SQL takes a second and a half at most, one by security group three calls to RDS.
FENCE_TIMEOUT_SECONDS = 8
# Asking for an approval takes two messages; the answer goes to the workflow, which waits for it.
ASKING_TIMEOUT_SECONDS = 12
# Route 53 gives an HTTPS check 4 s to connect and 2 s to answer (Route 53 guide, "How health checks work").
WRITER_SWITCH_TIMEOUT_SECONDS = 5

# Some ten statements over the Data API; a person waits for it.
BOOTSTRAP_TIMEOUT_SECONDS = 60

# Every step of the failover workflow, and what it is for.
STEPS = {
    "claim": "Reads and validates a request and takes the lock on the control record",
    "check_health": "Asks two independent observers whether the writer is down",
    "verify_lag": "Compares the last known replication lag with the RPO budget",
    "wait_for_lease": "Waits until the writer's lease has ended, then commits to move the writer",
    "ask_approval": "Asks people whether the writes that a failover would lose may be lost",
    "fence_old_writer": "Has the old writer's region keep applications from its database",
    "detach_secondary": "Takes this region's cluster out of the global database",
    "switch_over": "Has Aurora change the roles of the two clusters",
    "promote": "Waits until this region's cluster takes writes",
    "repoint_dns": "Engages the writer switch, so that Route 53 answers with this region",
    "commit_writer": "Records the new writer region and the next epoch",
    "verify_recovery": "Writes through the public name and checks where the write arrived",
    "release_claim": "Gives the lock back when the writer has not moved",
    "record_run": "Keeps the record of the run",
    "notify": "Tells people in both regions how the run ended",
}

# Steps of the failover that act on the other region, each in the role that the other region has for it.
STEPS_ON_THE_PEER = ("fence_old_writer", "switch_over", "monitor")


def definition(path: Path = FAILOVER_ASL) -> dict[str, Any]:
    """A workflow as it stands in its file, by default the failover."""
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed


def tasks(machine: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every task of a state machine, branches included: state name, step (the function's key) and the state."""
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            yield name, state["Parameters"]["FunctionName"].strip("${}"), state
        for branch in state.get("Branches", ()):
            yield from tasks(branch)


def asks_a_person(state: dict[str, Any]) -> bool:
    """Whether a task waits for somebody's answer, and not for its function's."""
    return str(state["Resource"]).endswith(".waitForTaskToken")


def step_timeouts() -> dict[str, int]:
    """How long each step's function may run, in s: the longest that any state of its workflow waits for it.

    The number stands in the ASL file only, where the console shows it.
    """
    timeouts: dict[str, int] = {}
    for path in (FAILOVER_ASL, REPROTECT_ASL):
        for _, step, state in tasks(definition(path)):
            waits = ASKING_TIMEOUT_SECONDS if asks_a_person(state) else int(state["TimeoutSeconds"])
            timeouts[step] = max(timeouts.get(step, 0), waits)
    return timeouts


def functions(settings: Settings, names: Names, region: str, peer: str) -> dict[str, Function]:
    """All functions of ``region``, by step."""
    environment = _environment(settings, names, region, peer)
    permissions = _permissions(names, region, peer) | reprotection.permissions(names, region, peer)
    timeouts = step_timeouts()
    built: dict[str, Function] = {}

    def add(step: str, description: str, timeout_seconds: int, memory_mb: int, **more: Any) -> None:
        own = more.pop("environment", {})
        built[step] = Function(
            step=step,
            folder="failover" if step in STEPS else "reprotect" if step in reprotection.STEPS else "standing",
            name=names.function(step, region),
            description=description,
            package="database" if more.get("in_vpc") else "workflow",
            timeout_seconds=timeout_seconds,
            memory_mb=memory_mb,
            environment=environment | own,
            permissions=permissions[step],
            **more,
        )

    for step, description in STEPS.items():
        add(step, description, timeouts[step], STEP_MEMORY_MB)
    for step, description in reprotection.STEPS.items():
        # Nobody waits for it.
        add(
            step, description, timeouts[step], ALWAYS_ON_MEMORY_MB, environment=reprotection.environment(settings, step)
        )
    add(
        "salvage",
        "Reads what the old writer in this region has committed and the new one lacks",
        reprotection.SALVAGE_TIMEOUT_SECONDS,
        STEP_MEMORY_MB,
        in_vpc=True,
    )
    add(
        "prober",
        "Connects to a database over verified TLS and says what it reached",
        PROBER_TIMEOUT_SECONDS,
        ALWAYS_ON_MEMORY_MB,
        in_vpc=True,
    )
    add(
        "monitor",
        "Has the writer probed every 2 s and publishes what it sees, here and to the other region",
        MONITOR_TIMEOUT_SECONDS,
        ALWAYS_ON_MEMORY_MB,
    )
    add(
        "fence",
        "Keeps this region's database from its applications, by SQL and by security group",
        FENCE_TIMEOUT_SECONDS,
        STEP_MEMORY_MB,
        security_groups=(("CLUSTER_SECURITY_GROUP", "database"), ("FENCE_SECURITY_GROUP", "fence")),
    )
    add(
        "writer_switch",
        "Tells Route 53's health checkers whether the writer role has moved to this region",
        WRITER_SWITCH_TIMEOUT_SECONDS,
        ALWAYS_ON_MEMORY_MB,
        public_url=True,
    )
    add(
        "bootstrap_database",
        "Run by a person once after the deployment: makes the monitoring user and its tables",
        BOOTSTRAP_TIMEOUT_SECONDS,
        ALWAYS_ON_MEMORY_MB,
        environment={"MASTER_SECRET": names.master_secret},
    )
    return built


def _environment(settings: Settings, names: Names, region: str, peer: str) -> dict[str, str]:
    """What every handler of ``region`` is told; ``handlers/core/environment.py`` reads it."""
    return {
        "PEER_REGION": peer,
        "GLOBAL_CLUSTER": names.global_cluster,
        "CLUSTER": names.cluster(region),
        "CLUSTER_ARN": names.cluster_arn(region),
        "PEER_CLUSTER": names.cluster(peer),
        "PEER_CLUSTER_ARN": names.cluster_arn(peer),
        "WRITER_NAME": names.writer,
        "CLUSTER_NAME": names.cluster_dns(region),
        "READER_NAME": names.reader_dns(region),
        "PEER_CLUSTER_NAME": names.cluster_dns(peer),
        "DATABASE_NAME": settings.database.name,
        "DATABASE_PORT": str(settings.database.port),
        "DATABASE_USER": MONITORING_USER,
        "CONTROL_TABLE": names.control_table,
        "IDEMPOTENCY_TABLE": names.idempotency_table(region),
        "TOPIC_ARN": names.topic_arn(region),
        "PEER_TOPIC_ARN": names.topic_arn(peer),
        "PROBER_FUNCTION": names.function("prober", region),
        "STATE_MACHINE_ARN": names.state_machine_arn(region),
        "STEP_FUNCTIONS": ",".join(names.function(step, region) for step in STEPS),
        "FENCE_FUNCTION": names.function("fence", region),
        "PEER_FENCE_FUNCTION": names.function("fence", peer),
        "PEER_ROLE_ARN": names.role_arn(names.role_for_peer(peer)),
        "REPROTECTION_ROLE_ARN": names.role_arn(names.role_for_reprotection(peer)),
        "REBUILD_ROLE_ARN": names.role_arn(names.role_for_rebuild(peer)),
        "REPROTECTION_ARN": names.reprotection_arn(region),
        "PEER_STATE_MACHINE_ARN": names.state_machine_arn(peer),
        "PEER_PROBER_FUNCTION": names.function("prober", peer),
        "PEER_SALVAGE_FUNCTION": names.function("salvage", peer),
        "SALVAGE_BUCKET": names.salvage_bucket(region),
        "RUNS_TABLE": names.runs_table(region),
        "HEARTBEAT_MISSING_ALARM": names.alarm("heartbeat-missing", region),
        "HEARTBEAT_UNHEALTHY_ALARM": names.alarm("heartbeat-unhealthy", region),
        "RPO_BUDGET_MS": str(settings.thresholds.rpo_budget_ms),
        "COOL_DOWN_S": str(settings.thresholds.cool_down_minutes * 60),
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "POWERTOOLS_SERVICE_NAME": "failover",
        "POWERTOOLS_METRICS_NAMESPACE": METRIC_NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def _permissions(names: Names, region: str, peer: str) -> dict[str, tuple[Permission, ...]]:
    """What each function may do, beyond writing its own logs."""
    control = names.arn("dynamodb", region, f"table/{names.control_table}")
    read_control, change_control = shared.read_control(names, region), shared.change_control(names, region)
    tokens, tell = shared.keep_tokens(names, region), shared.tell(names, region, peer)
    probe = Permission(
        ("lambda:InvokeFunction",),
        (names.function_arn("prober", region),),
        "has the region's prober connect to a database",
    )
    act_on_peer = Permission(
        ("sts:AssumeRole",),
        (names.role_arn(names.role_for_peer(peer)),),
        "acts on the other region, in the one role that is made for it",
    )
    here = {"StringEquals": {"aws:RequestedRegion": region}}  # the ARN of a global cluster names no region
    membership = Permission(
        ("rds:DescribeGlobalClusters",),
        (names.global_cluster_arn,),
        "sees whether this cluster is still a member",
        here,
    )
    log_in = Permission(
        ("rds-db:connect",),
        tuple(names.arn("rds-db", where, f"dbuser:cluster-*/{MONITORING_USER}") for where in (region, peer)),
        "logs in as the monitoring user; the cluster's resource id is not fixed here because re-protection "
        "replaces the cluster, and the user name is what limits it",
    )
    return {
        "claim": (change_control,),
        "check_health": (
            probe,
            membership,
            Permission(
                ("cloudwatch:DescribeAlarms",),
                (
                    names.alarm_arn("heartbeat-missing", region),
                    names.alarm_arn("heartbeat-unhealthy", region),
                ),
                "reads the second observer's verdict",
            ),
        ),
        "verify_lag": (
            probe,
            Permission(
                ("cloudwatch:GetMetricData",),
                ("*",),
                "reads AuroraGlobalDBReplicationLag; CloudWatch has no resource-level permission for reading metrics",
                here,
            ),
        ),
        "wait_for_lease": (change_control, probe),
        "ask_approval": (tell,),
        "fence_old_writer": (change_control, act_on_peer),
        "switch_over": (change_control, membership, act_on_peer),
        "detach_secondary": (
            change_control,
            tokens,
            membership,
            Permission(
                ("rds:RemoveFromGlobalCluster",),
                (names.global_cluster_arn, names.cluster_arn(region)),
                "detaches this region's cluster, and no other",
                here,
            ),
        ),
        "promote": (
            probe,
            change_control,
            Permission(("rds:DescribeDBClusters",), (names.cluster_arn(region),), "reads the cluster's status"),
        ),
        "repoint_dns": (change_control, tokens),
        "commit_writer": (change_control,),
        "verify_recovery": (probe,),
        "release_claim": (change_control,),
        "record_run": (shared.keep_record(names, region),),
        "notify": (tokens, tell),
        "prober": (log_in,),
        "salvage": (log_in,),
        "fence": (
            probe,
            membership,
            Permission(
                ("rds:DescribeDBClusters", "rds:ModifyDBCluster"),
                (names.cluster_arn(region),),
                "changes the security group of this region's cluster",
            ),
        ),
        "monitor": (
            probe,
            Permission(
                ("dynamodb:GetItem", "dynamodb:UpdateItem"),
                (control, names.arn("dynamodb", peer, f"table/{names.control_table}")),
                "renews the writer's lease through either replica",
            ),
            Permission(
                ("lambda:InvokeFunction",),
                (names.function_arn("fence", region),),
                "has the region's own database fenced",
            ),
            Permission(
                ("lambda:InvokeFunction",),
                tuple(names.function_arn(step, region) for step in STEPS),
                "has the steps started before they are needed",
            ),
            act_on_peer,
            Permission(
                ("cloudwatch:PutMetricData",),
                ("*",),
                "publishes what it sees; CloudWatch has no resource-level permission for it, the namespace limits it",
                {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}},
            ),
        ),
        "writer_switch": (read_control,),
        "bootstrap_database": (
            Permission(
                (
                    "rds-data:BeginTransaction",
                    "rds-data:CommitTransaction",
                    "rds-data:RollbackTransaction",
                    "rds-data:ExecuteStatement",
                ),
                (names.cluster_arn(region),),
                "runs SQL in this region's cluster without a network path to it",
            ),
            Permission(
                ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
                (names.secret_arn(names.master_secret, region),),
                "logs in as the master user; Secrets Manager ends the name with six characters of its own",
            ),
        ),
    }


def role_for_peer(names: Names, region: str, peer: str) -> Role:
    """The role in which the orchestrator of ``peer`` acts on ``region``, and all that it may do there.

    It is taken on through the regional STS endpoint of ``peer``, so it works while ``region`` is dark.
    """
    return Role(
        name=names.role_for_peer(region),
        description=f"The orchestrator of {peer} fences the old writer in {region} and switches over",
        trusted=tuple(names.role_arn(names.function(step, peer)) for step in STEPS_ON_THE_PEER),
        permissions=(
            Permission(
                ("lambda:InvokeFunction",),
                (names.function_arn("fence", region),),
                "has the database of this region fenced, whose writer has moved away",
            ),
            Permission(
                ("rds:SwitchoverGlobalCluster",),
                (names.global_cluster_arn, names.cluster_arn(region), names.cluster_arn(peer)),
                "a switchover is asked of the region of the primary",
                {"StringEquals": {"aws:RequestedRegion": region}},
            ),
        ),
    )
