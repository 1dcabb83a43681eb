"""What AWS demands of the caller of a request: each action, on each resource, in its circumstances.

Models: the tables of actions, resource types and condition keys of each service in the service authorization reference;
for keys, the chapters of the services' guides on encryption with customer managed keys. Where a request names nothing
for a resource type that its action demands, RDS takes its own default, which has a name of its own.

Limits: the actions that the orchestrator uses, and of their resource types those that its requests name. A key's id is
not known, so it is told by its alias. Where the reference does not say whether a service looks at a type, it is taken
to look at what the request names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from handlers.core.hooks import ASSUMED_ROLE

if TYPE_CHECKING:
    from orchestration.specification.model import Permission, Specification

# What a request names that says by its path what it asks for; by the name that `ACTIONS` has for it.
NAMED = "Named"
# How the ARN of each resource type begins, in the request's region and account.
TYPES = {
    "automation-definition": "arn:aws:ssm:{region}:{account}:automation-definition/",
    "automation-execution": "arn:aws:ssm:{region}:{account}:automation-execution/",
    "backup-vault": "arn:aws:backup:{region}:{account}:backup-vault:",
    "bus": "arn:aws:events:{region}:{account}:event-bus/",
    "cluster": "arn:aws:rds:{region}:{account}:cluster:",
    "cluster-pg": "arn:aws:rds:{region}:{account}:cluster-pg:",
    "cluster-snapshot": "arn:aws:rds:{region}:{account}:cluster-snapshot:",
    "db": "arn:aws:rds:{region}:{account}:db:",
    "document": "arn:aws:ssm:{region}:{account}:document/",
    "execution": "",
    "function": "arn:aws:lambda:{region}:{account}:function:",
    "global-cluster": "arn:aws:rds::{account}:global-cluster:",
    "healthcheck": "arn:aws:route53:::healthcheck/",
    "hostedzone": "arn:aws:route53:::hostedzone/",
    "object": "arn:aws:s3:::",
    "og": "arn:aws:rds:{region}:{account}:og:",
    "pg": "arn:aws:rds:{region}:{account}:pg:",
    "role": "",
    "secret": "arn:aws:secretsmanager:{region}:{account}:secret:",
    "statemachine": "",
    "subgrp": "arn:aws:rds:{region}:{account}:subgrp:",
    "table": "arn:aws:dynamodb:{region}:{account}:table/",
    "topic": "",
}
# What follows a name in the ARN: the version of a document where none is named, six characters that AWS draws.
ENDS = {"automation-definition": ":$DEFAULT", "secret": "-AbCdEf"}
TABLE = {"table": "TableName"}
DATA_API = {"cluster": "resourceArn"}
# Each action with the resource types that it is authorized on, and the parameter of the request that names each.
ACTIONS: dict[str, dict[str, str]] = {
    "backup:ListRecoveryPointsByBackupVault": {"backup-vault": NAMED},
    "cloudwatch:DescribeAlarms": {},  # of a composite alarm, for whoever may see all
    "cloudwatch:GetMetricStatistics": {},
    "cloudwatch:PutMetricData": {},  # knows no resources
    "dynamodb:DeleteItem": TABLE,
    "dynamodb:GetItem": TABLE,
    "dynamodb:PutItem": TABLE,
    "dynamodb:UpdateItem": TABLE,
    "events:PutEvents": {"bus": "EventBusName"},
    "lambda:GetAccountSettings": {},
    "lambda:GetFunctionConcurrency": {"function": NAMED},
    "lambda:InvokeFunction": {"function": "FunctionName"},
    "rds-data:BeginTransaction": DATA_API,
    "rds-data:CommitTransaction": DATA_API,
    "rds-data:ExecuteStatement": DATA_API,
    "rds-data:RollbackTransaction": DATA_API,
    "rds:CreateDBCluster": {
        "cluster": "DBClusterIdentifier",
        "cluster-pg": "DBClusterParameterGroupName",
        "global-cluster": "GlobalClusterIdentifier",
        "og": "OptionGroupName",
        "subgrp": "DBSubnetGroupName",
    },
    "rds:CreateDBClusterSnapshot": {
        "cluster": "DBClusterIdentifier",
        "cluster-snapshot": "DBClusterSnapshotIdentifier",
    },
    "rds:CreateDBInstance": {
        "cluster": "DBClusterIdentifier",
        "db": "DBInstanceIdentifier",
        "og": "OptionGroupName",
        "pg": "DBParameterGroupName",
        "subgrp": "DBSubnetGroupName",
    },
    "rds:CreateGlobalCluster": {"cluster": "SourceDBClusterIdentifier", "global-cluster": "GlobalClusterIdentifier"},
    "rds:DeleteDBCluster": {"cluster": "DBClusterIdentifier", "cluster-snapshot": "FinalDBSnapshotIdentifier"},
    "rds:DeleteDBInstance": {"db": "DBInstanceIdentifier"},
    "rds:DeleteGlobalCluster": {"global-cluster": "GlobalClusterIdentifier"},
    "rds:DescribeDBClusterSnapshots": {
        "cluster": "DBClusterIdentifier",
        "cluster-snapshot": "DBClusterSnapshotIdentifier",
    },
    "rds:DescribeDBClusters": {"cluster": "DBClusterIdentifier"},
    "rds:DescribeDBInstances": {"db": "DBInstanceIdentifier"},
    "rds:DescribeGlobalClusters": {"global-cluster": "GlobalClusterIdentifier"},
    "rds:ModifyDBCluster": {"cluster": "DBClusterIdentifier"},
    "rds:ModifyGlobalCluster": {"global-cluster": "GlobalClusterIdentifier"},
    "rds:RebootDBInstance": {"db": "DBInstanceIdentifier"},
    "rds:RemoveFromGlobalCluster": {"cluster": "DbClusterIdentifier", "global-cluster": "GlobalClusterIdentifier"},
    "rds:SwitchoverGlobalCluster": {
        "cluster": "TargetDbClusterIdentifier",
        "global-cluster": "GlobalClusterIdentifier",
    },
    "route53:GetHealthCheck": {"healthcheck": NAMED},
    "route53:ListHostedZonesByName": {},
    "route53:ListResourceRecordSets": {"hostedzone": NAMED},
    "s3:GetObject": {"object": "Object"},
    "s3:ListBucket": {"object": "Bucket"},
    "s3:PutObject": {"object": "Object"},
    "secretsmanager:DescribeSecret": {"secret": "SecretId"},
    "secretsmanager:GetSecretValue": {"secret": "SecretId"},
    "sns:GetTopicAttributes": {"topic": "TopicArn"},
    "sns:Publish": {"topic": "TopicArn"},
    "ssm:GetAutomationExecution": {"automation-execution": "AutomationExecutionId"},
    "ssm:StartAutomationExecution": {"automation-definition": "DocumentName", "document": "DocumentName"},
    "states:DescribeExecution": {"execution": "executionArn"},
    "states:GetExecutionHistory": {"execution": "executionArn"},
    "states:ListExecutions": {"statemachine": "stateMachineArn"},
    "states:RedriveExecution": {"execution": "executionArn"},
    "states:SendTaskFailure": {},  # a token is all that it names
    "states:SendTaskSuccess": {},
    "states:StartExecution": {"statemachine": "stateMachineArn"},
    "states:StopExecution": {"execution": "executionArn"},
    "sts:AssumeRole": {"role": "RoleArn"},
}
# What RDS takes where a request names nothing.
DEFAULTS = {
    ("rds:CreateDBCluster", "og"): "default:aurora-postgresql",
    ("rds:CreateDBInstance", "og"): "default:aurora-postgresql",
    ("rds:CreateDBInstance", "pg"): "default.aurora-postgresql",
    ("events:PutEvents", "bus"): "default",
    # A request that names nothing describes everything.
    ("rds:DescribeDBClusters", "cluster"): "*",
    ("rds:DescribeDBInstances", "db"): "*",
    ("rds:DescribeGlobalClusters", "global-cluster"): "*",
}
# Which type a request's tags are put on: to create something with tags, the caller has to be allowed to tag it.
TAGGED = {
    "rds:CreateDBCluster": "cluster",
    "rds:CreateDBClusterSnapshot": "cluster-snapshot",
    "rds:CreateDBInstance": "db",
    "rds:CreateGlobalCluster": "global-cluster",
}
# What a service does with the region's key in the caller's name, where what it keeps is encrypted with that key.
USES_OF_KEY: dict[str, tuple[str, ...]] = {
    "dynamodb:DeleteItem": ("kms:Decrypt",),
    "dynamodb:GetItem": ("kms:Decrypt",),
    "dynamodb:PutItem": ("kms:Decrypt", "kms:GenerateDataKey"),
    "dynamodb:UpdateItem": ("kms:Decrypt",),
    "rds:CreateDBCluster": ("kms:CreateGrant", "kms:DescribeKey"),
    "rds:CreateDBInstance": ("kms:CreateGrant", "kms:DescribeKey"),
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey",),
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "sns:Publish": ("kms:Decrypt", "kms:GenerateDataKey"),
}


@dataclass(frozen=True)
class Request:
    """A request as IAM sees it: ``action`` is empty when it was not understood; ``parameters`` by the API's names.

    ``key`` is the access key of whoever asks; ``carried`` the request for another region that RDS passes on.
    """

    action: str
    region: str
    key: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    carried: Request | None = None


@dataclass(frozen=True)
class Demand:
    """One thing that the caller has to be allowed: ``resource`` is an ARN, or ``*`` where the action knows none.

    ``circumstances`` are the condition keys of the request, with their values.
    """

    action: str
    resource: str
    circumstances: tuple[tuple[str, str], ...]


class Authorization:
    """Tells what each request demands in one deployment."""

    def __init__(self, specification: Specification) -> None:
        names, self._account = specification.names, specification.account
        self._names = names
        # The control table is not: no failover may depend on the key of a region that has failed.
        self._not_encrypted = {specification.control_table.name}

    def demands(self, request: Request) -> list[Demand]:
        """Returns all that the caller has to be allowed; nothing for a request that was not understood."""
        if request.action not in ACTIONS:
            return []
        return [
            *self._named(request),
            *self._signed(request),
            *self._secret(request),
            *self._passed(request),
            *self.of_key(request),
        ]

    def _named(self, request: Request) -> Iterator[Demand]:
        action, where = request.action, _circumstances(request)
        arns = {kind: arn for kind in ACTIONS[action] if (arn := self._arn(request, kind))}
        for arn in arns.values() or ["*"]:
            yield Demand(action, arn, where)
        if action in TAGGED and any(name.startswith("Tags.") for name in request.parameters):
            yield Demand("rds:AddTagsToResource", arns[TAGGED[action]], where)

    def _arn(self, request: Request, kind: str) -> str:
        named = request.parameters.get(ACTIONS[request.action][kind]) or DEFAULTS.get((request.action, kind), "")
        begin = TYPES[kind].format(region=request.region, account=self._account)
        return named if not named or named.startswith("arn:") else begin + named + ENDS.get(kind, "")

    def _signed(self, request: Request) -> Iterator[Demand]:
        """What another region demands of the request for it that this one carries."""
        if request.carried:
            yield from self._named(request.carried)

    def _secret(self, request: Request) -> Iterator[Demand]:
        """The Data API reads the secret in the caller's name."""
        if secret := request.parameters.get("secretArn"):
            read_secret = Request("secretsmanager:GetSecretValue", request.region, request.key, {"SecretId": secret})
            yield from self.demands(read_secret)

    def _passed(self, request: Request) -> Iterator[Demand]:
        """A document runs in the role that it is given, which the caller has to be allowed to pass on."""
        if request.action == "ssm:StartAutomationExecution":
            for role in request.parameters.get("Parameters", {}).get(ASSUMED_ROLE, ()):
                circumstances = (*_circumstances(request), ("iam:PassedToService", "ssm.amazonaws.com"))
                yield Demand("iam:PassRole", role, circumstances)

    def of_key(self, request: Request) -> Iterator[Demand]:
        """What is demanded of the caller because the region's key encrypts what the request is about."""
        if request.parameters.get("TableName") not in self._not_encrypted:
            yield from self.uses_of_key(request.region, *USES_OF_KEY.get(request.action, ()))

    def uses_of_key(self, region: str, *actions: str) -> Iterator[Demand]:
        """Returns the demand of each action on the region's key."""
        alias = self._names.key_alias(region)
        for action in actions:
            arn = f"arn:aws:kms:{region}:{self._account}:key/{alias.removeprefix('alias/')}"
            yield Demand(action, arn, (("aws:RequestedRegion", region), ("kms:ResourceAliases", alias)))


def _circumstances(request: Request) -> tuple[tuple[str, str], ...]:
    found = {"aws:RequestedRegion": request.region}
    if "Namespace" in request.parameters:
        found["cloudwatch:namespace"] = request.parameters["Namespace"]
    sources = {entry["Source"] for entry in request.parameters.get("Entries", ())}
    if sources:
        found["events:source"] = ",".join(sorted(sources))
    return tuple(found.items())


def allows(permission: Permission, demand: Demand) -> list[str]:
    """Returns the resources of a permission by which it allows what is demanded; none when it does not."""
    circumstances = dict(demand.circumstances)
    for operator, tests in (permission.conditions or {}).items():
        assert operator in ("StringEquals", "ForAnyValue:StringEquals"), operator
        if any(circumstances.get(key) != value for key, value in tests.items()):
            return []
    if demand.action not in permission.actions:
        return []
    return [pattern for pattern in permission.resources if fnmatchcase(demand.resource, pattern)]
