"""The roles of one region.

There is one for each function, one for each workflow, one for each rule that starts the failover, those in which the
other region acts on this one, and one each for the flow log and the backups. A role has the name of what uses it, so
that the region's stack knows its ARN without asking IAM.
"""

from __future__ import annotations

from cdktf_cdktf_provider_aws.iam_policy import IamPolicy
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from constructs import Construct

from orchestration.constructs import policy
from orchestration.specification import Specification, people
from orchestration.specification.model import Function, Permission, Region, Role, Rule, StateMachine
from orchestration.specification.names import Names


class RegionRoles(Construct):
    """Everything that runs in ``region`` gets a role of its own with exactly what the specification grants it."""

    def __init__(self, scope: Construct, specification: Specification, region: Region) -> None:
        super().__init__(scope, region.name)
        self._names = specification.names
        self._region = region
        for function in region.functions.values():
            self._function_role(function)
        for id_, machine in (("workflow", region.state_machine), ("reprotect", region.reprotection)):
            self._workflow_role(id_, machine)
        for rule in region.rules:
            self._rule_role(rule)
        for id_, role in zip(("peer", "reprotection", "rebuild"), region.roles_for_others, strict=True):
            self._role_for_others(id_, role)
        self._flow_log_role()
        self._backup_role()

    def _function_role(self, function: Function) -> None:
        permissions = (*function.permissions, *running(self._names, self._region, function))
        self._role(
            function.step, function.name, function.description, policy.trust("lambda.amazonaws.com"), permissions
        )

    def _workflow_role(self, id_: str, machine: StateMachine) -> None:
        arn = self._names.arn("states", self._region.name, f"stateMachine:{machine.name}")
        trust = policy.trust("states.amazonaws.com", self._only_from(arn))
        permissions = (*machine.permissions, *LOG_DELIVERY)
        self._role(id_, machine.name, f"Runs the workflow {machine.name}", trust, permissions)

    def _rule_role(self, rule: Rule) -> None:
        region = self._region.name
        trust = policy.trust(
            "events.amazonaws.com", self._only_from(self._names.arn("events", region, f"rule/{rule.name}"))
        )
        start = Permission(
            ("states:StartExecution",), (self._names.state_machine_arn(region),), "starts the failover workflow"
        )
        self._role(rule.key, rule.name, rule.description, trust, (start,))

    def _role_for_others(self, id_: str, role: Role) -> None:
        trust = policy.trust_roles(self._names.account, role.trusted)
        self._role(id_, role.name, role.description, trust, role.permissions)

    def _flow_log_role(self) -> None:
        region = self._region.name
        trust = policy.trust(
            "vpc-flow-logs.amazonaws.com", self._only_from(self._names.arn("ec2", region, "vpc-flow-log/*"))
        )
        log_group = self._names.arn("logs", region, f"log-group:{self._names.flow_log_group(region)}:*")
        write = Permission(
            ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
            (log_group,),
            "writes the VPC's flow log",
        )
        self._role("flow-log", self._names.flow_log(region), "Writes the VPC's flow log", trust, (write,))

    def _backup_role(self) -> None:
        trust = policy.trust("backup.amazonaws.com", {"StringEquals": {"aws:SourceAccount": self._names.account}})
        name = self._names.backup_vault(self._region.name)
        permissions = backing_up(self._names, self._region)
        self._role("backup", name, "Makes the region's backups and copies them to the other region", trust, permissions)

    def _only_from(self, source_arn: str) -> dict[str, dict[str, str]]:
        """Returns the condition that a service may assume the role for this one resource of this account only."""
        return {
            "StringEquals": {"aws:SourceAccount": self._names.account},
            "ArnLike": {"aws:SourceArn": source_arn},
        }

    def _role(self, id_: str, name: str, description: str, trust: str, permissions: tuple[Permission, ...]) -> None:
        role = IamRole(self, id_, name=name, description=description, assume_role_policy=trust)
        IamRolePolicy(
            self,
            f"{id_}-permissions",
            name=name,
            role=role.name,
            policy=policy.document(policy.allow(permission) for permission in permissions),
        )


class PeoplesPolicies(Construct):
    """The managed policies with which people use ``failoverctl``; who gets them is the organization's own business."""

    def __init__(self, scope: Construct, specification: Specification) -> None:
        super().__init__(scope, "people")
        for made in people.policies(specification.names):
            IamPolicy(
                self,
                made.name,
                name=made.name,
                description=made.description,
                policy=policy.document(policy.allow(permission) for permission in made.permissions),
            )


def running(names: Names, region: Region, function: Function) -> tuple[Permission, ...]:
    """Returns what any function needs to run at all: its log, the region's key and, in the VPC, a network card."""
    log_group = names.arn("logs", region.name, f"log-group:{names.log_group(function.name)}:*")
    permissions = [
        Permission(("logs:CreateLogStream", "logs:PutLogEvents"), (log_group,), "writes its own log"),
        use_of_key(names, region.name),
    ]
    if any("sns:Publish" in permission.actions for permission in function.permissions):
        permissions.append(use_of_key(names, region.peer))
    if function.in_vpc:
        permissions.append(
            Permission(
                (
                    "ec2:AssignPrivateIpAddresses",
                    "ec2:CreateNetworkInterface",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSubnets",
                    "ec2:UnassignPrivateIpAddresses",
                ),
                ("*",),
                "Lambda attaches it to the VPC; it demands these on every resource when the function is created "
                '(Lambda guide, "Giving Lambda functions access to resources in an Amazon VPC")',
                {"StringEquals": {"aws:RequestedRegion": region.name}},
            )
        )
    return tuple(permissions)


def backing_up(names: Names, region: Region) -> tuple[Permission, ...]:
    """Returns what AWS Backup needs for the cluster of ``region`` and for copies in the other region's vault.

    This is the Aurora part of AWS's own policy ``AWSBackupServiceRolePolicyForBackup``, for one cluster instead of all.
    """
    regions = (region.name, region.peer)
    snapshots = tuple(names.arn("rds", where, "cluster-snapshot:awsbackup:*") for where in regions)
    return (
        Permission(
            ("rds:CreateDBClusterSnapshot", "rds:DescribeDBClusters", "rds:ListTagsForResource"),
            (names.cluster_arn(region.name), *snapshots),
            "takes snapshots of the region's cluster",
        ),
        Permission(
            (
                "rds:AddTagsToResource",
                "rds:CopyDBClusterSnapshot",
                "rds:DeleteDBClusterSnapshot",
                "rds:DescribeDBClusterSnapshots",
            ),
            snapshots,
            "keeps and copies AWS Backup's own snapshots, and no other",
        ),
        Permission(
            ("backup:CopyFromBackupVault", "backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
            tuple(names.backup_vault_arn(where) for where in regions),
            "copies from this region's vault into the other's",
        ),
        *(
            Permission(
                ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
                (names.arn("kms", where, "key/*"),),
                "snapshots are encrypted with their region's key; the alias limits it to that key",
                {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(where)}},
            )
            for where in regions
        ),
    )


def use_of_key(names: Names, region: str) -> Permission:
    """Returns the permission to use the region's key, named by its alias: its id is not known before it is created."""
    return Permission(
        ("kms:Decrypt", "kms:GenerateDataKey"),
        (names.arn("kms", region, "key/*"),),
        "its environment, tables and topics are encrypted with the region's key; the alias limits it to that key",
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(region)}},
    )


# Step Functions sets up its own log delivery with the workflow's role; none of these actions can be limited to
# resources (Step Functions guide, "Using CloudWatch Logs to log execution history").
LOG_DELIVERY = (
    Permission(
        (
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ),
        ("*",),
        "delivers the execution history to CloudWatch Logs",
    ),
)
