"""Permissions that several functions have."""

from __future__ import annotations

from handlers.core.events import SOURCE
from orchestration.specification.model import Permission
from orchestration.specification.names import MONITORING_USER, Names
from orchestration.specification.rows import Grant, Place, only_here


def _control(place: Place) -> tuple[str, ...]:
    return (place.names.arn("dynamodb", place.region, f"table/{place.names.control_table}"),)


CONTROL_VARIABLES = ("CONTROL_TABLE", "GLOBAL_CLUSTER")
READ_CONTROL = Grant(("dynamodb:GetItem",), _control, "reads the control record", tells=CONTROL_VARIABLES)
WRITE_CONTROL = Grant(
    ("dynamodb:UpdateItem",), _control, "conditionally changes the control record, unread", tells=CONTROL_VARIABLES
)
CHANGE_CONTROL = Grant(
    ("dynamodb:GetItem", "dynamodb:UpdateItem"),
    _control,
    "reads and conditionally changes the control record",
    tells=CONTROL_VARIABLES,
)
LOOK_AT_RUNS = Grant(
    ("states:DescribeExecution",),
    lambda place: (place.names.arn("states", place.region, f"execution:{place.names.state_machine(place.region)}:*"),),
    "sees whether the run that holds the lock is over",
    tells=("STATE_MACHINE_ARN",),
)
KEEP_TOKENS = Grant(
    ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
    lambda place: (place.names.arn("dynamodb", place.region, f"table/{place.names.idempotency_table(place.region)}"),),
    "keeps its idempotency tokens; where there is one already, the refusal to put another one shows it",
    tells=("IDEMPOTENCY_TABLE",),
)
KEEP_RECORD = Grant(
    ("dynamodb:PutItem",),
    lambda place: (place.names.arn("dynamodb", place.region, f"table/{place.names.runs_table(place.region)}"),),
    "keeps the record of the run",
    tells=("RUNS_TABLE",),
)
TELL = Grant(
    ("sns:Publish",),
    lambda place: (place.names.topic_arn(place.region), place.names.topic_arn(place.peer)),
    "tells people, in both regions",
    tells=("PEER_REGION", "PEER_TOPIC_ARN", "TOPIC_ARN"),
)
ANNOUNCE = Grant(
    ("events:PutEvents",),
    lambda place: (place.names.default_bus_arn(place.region),),
    "tells programs what people are told; the source keeps it from starting a workflow",
    tells=("GLOBAL_CLUSTER",),
    conditions=lambda _: {"StringEquals": {"events:source": SOURCE}},
)
PROBE = Grant(
    ("lambda:InvokeFunction",),
    lambda place: (place.names.function_arn("prober", place.region),),
    "has the region's prober connect to a database",
    tells=("PROBER_FUNCTION",),
)
# What a function has to be told about this region's cluster and the global database to look at either.
MEMBER_VARIABLES = ("CLUSTER", "CLUSTER_ARN", "GLOBAL_CLUSTER")
SEE_MEMBERSHIP = Grant(
    ("rds:DescribeGlobalClusters",),
    lambda place: (place.names.global_cluster_arn,),
    "sees whether this cluster is still a member",
    tells=MEMBER_VARIABLES,
    conditions=only_here,
)
LOG_IN = Grant(
    ("rds-db:connect",),
    lambda place: tuple(
        place.names.arn("rds-db", where, f"dbuser:cluster-*/{MONITORING_USER}") for where in (place.region, place.peer)
    ),
    "logs in as the monitoring user; the cluster's resource id is not fixed here because re-protection "
    "replaces the cluster, and the user name is what limits it",
    tells=("DATABASE_NAME", "DATABASE_PORT", "DATABASE_USER"),
)

# --- acting on the other region: `roles` has what each role may do there, and trusts whoever has its grant.
# The variable for boto3 keeps it from STS's global endpoint, which is in us-east-1.

ACT_ON_PEER = Grant(
    ("sts:AssumeRole",),
    lambda place: (place.names.role_arn(place.names.role_for_peer(place.peer)),),
    "acts on the other region, in the one role that is made for it",
    tells=("AWS_STS_REGIONAL_ENDPOINTS", "PEER_REGION", "PEER_ROLE_ARN"),
)
LOOK_THERE = Grant(
    ("sts:AssumeRole",),
    lambda place: (place.names.role_arn(place.names.role_for_reprotection(place.peer)),),
    "looks at the old cluster, fences and keeps it, in the role that is made for that",
    tells=("AWS_STS_REGIONAL_ENDPOINTS", "PEER_REGION", "REPROTECTION_ROLE_ARN"),
)
REBUILD_THERE = Grant(
    ("sts:AssumeRole",),
    lambda place: (place.names.role_arn(place.names.role_for_rebuild(place.peer)),),
    "removes the old cluster or makes the new one, in the role that is made for that",
    tells=("AWS_STS_REGIONAL_ENDPOINTS", "PEER_REGION", "REBUILD_ROLE_ARN"),
)


def having_it_encrypted(names: Names, region: str, why: str) -> tuple[Permission, ...]:
    """Returns what it takes to have RDS or AWS Backup make something that is encrypted with keys of ``region``.

    Those are the region's own and, where the cluster exists already, the one that it is encrypted with. None is needed
    for RDS's own key, which admits whoever may use RDS.
    """
    actions = ("kms:CreateGrant", "kms:DescribeKey")
    own = Permission(
        actions,
        (names.arn("kms", region, "key/*"),),
        f"{why}; the alias limits it to that key",
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(region)}},
    )
    storage = names.settings.existing_in(region).storage_key_arn
    return (own, Permission(actions, (storage,), "the existing cluster is encrypted with it")) if storage else (own,)
