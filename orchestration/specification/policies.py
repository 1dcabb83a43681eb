"""All that each role of a region may do, by the role's name: what its row grants, and what AWS needs in its name."""

from __future__ import annotations

from orchestration.specification.model import Function, Permission, Region
from orchestration.specification.names import Names
from orchestration.specification.permissions import having_it_encrypted

# Requests that make AWS encrypt something new with the region's key in the caller's name: a message, an object, an
# item. For an item no source says for certain; a role that writes items may, so that either answer is borne.
ENCRYPTING = frozenset({"sns:Publish", "s3:PutObject", "dynamodb:PutItem"})


def permissions(names: Names, region: Region) -> dict[str, tuple[Permission, ...]]:
    """Returns the permissions of every role of ``region`` by the role's name, which is that of what uses it."""
    machines = (region.state_machine, region.reprotection)
    flow_log = {names.flow_log(region.name): (writing_the_flow_log(names, region),)}
    game_day = region.game_day
    return {
        **{one.name: (*one.permissions, *running(names, region, one)) for one in region.functions.values()},
        **{machine.name: (*machine.permissions, LOG_DELIVERY) for machine in machines},
        **{rule.name: (starting(names, region),) for rule in region.rules},
        **{role.name: role.permissions for role in region.roles_for_others},
        **({} if names.settings.existing_in(region.name).vpc_id else flow_log),
        names.backup_vault(region.name): backing_up(names, region),
        **({game_day.name: game_day.permissions} if game_day else {}),
    }


def running(names: Names, region: Region, function: Function) -> tuple[Permission, ...]:
    """Returns what a function needs to run at all: its log, the region's key and, in the VPC, a network card."""
    log_group = names.arn("logs", region.name, f"log-group:{names.log_group(function.name)}:*")
    granted = {action for permission in function.permissions for action in permission.actions}
    permissions = [
        Permission(("logs:CreateLogStream", "logs:PutLogEvents"), (log_group,), "writes its own log"),
        use_of_key(
            names,
            region.name,
            "its variables, and the tables, topic and buckets of its region, are encrypted with the region's key",
            encrypts=not granted.isdisjoint(ENCRYPTING),
        ),
    ]
    if "sns:Publish" in granted:
        why = "the other region's topic is encrypted with that region's key"
        permissions.append(use_of_key(names, region.peer, why, encrypts=True))
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


def use_of_key(names: Names, region: str, why: str, *, encrypts: bool) -> Permission:
    """Returns the permission to use the region's key, named by its alias: its id is not known before it is created."""
    return Permission(
        ("kms:Decrypt", "kms:GenerateDataKey") if encrypts else ("kms:Decrypt",),
        (names.arn("kms", region, "key/*"),),
        f"{why}; the alias limits it to that key",
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(region)}},
    )


def starting(names: Names, region: Region) -> Permission:
    """Returns what a rule needs to start the failover."""
    return Permission(
        ("states:StartExecution",), (names.state_machine_arn(region.name),), "starts the failover workflow"
    )


def writing_the_flow_log(names: Names, region: Region) -> Permission:
    """Returns what the VPC's flow log needs."""
    return Permission(
        ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        (names.arn("logs", region.name, f"log-group:{names.flow_log_group(region.name)}:*"),),
        "writes the VPC's flow log",
    )


def backing_up(names: Names, region: Region) -> tuple[Permission, ...]:
    """Returns what AWS Backup needs for the cluster of ``region`` and for copies in the other region's vault.

    This is the Aurora part of AWS's own policy ``AWSBackupServiceRolePolicyForBackup``, for one cluster instead of all.
    """
    regions = (region.name, region.peer)
    snapshots = tuple(names.arn("rds", where, "cluster-snapshot:awsbackup:*") for where in regions)
    return (
        Permission(
            ("rds:DescribeDBClusters",),
            (names.cluster_arn(region.name),),
            "reads the region's cluster",
        ),
        Permission(
            ("rds:CreateDBClusterSnapshot",),
            (names.cluster_arn(region.name), snapshots[0]),
            "takes snapshots of the region's cluster",
        ),
        Permission(
            ("rds:ListTagsForResource",),
            (names.cluster_arn(region.name), *snapshots),
            "keeps the cluster's tags",
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
            ("backup:CopyFromBackupVault",),
            (snapshots[0],),
            "copies a backup of this region; the action is on the recovery point, not on the vault that it is in",
        ),
        Permission(
            ("backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
            tuple(names.backup_vault_arn(where) for where in regions),
            "keeps backups in this region's vault and copies in the other's",
        ),
        *(
            permission
            for where in regions
            for permission in having_it_encrypted(names, where, "snapshots are encrypted with their region's key")
        ),
    )


# Step Functions sets up its own log delivery with the workflow's role; none of these actions can be limited to
# resources (Step Functions guide, "Using CloudWatch Logs to log execution history").
LOG_DELIVERY = Permission(
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
)
