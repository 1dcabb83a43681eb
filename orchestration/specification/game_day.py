"""The game day: what cuts a region's database off, what ends that, and what it takes.

AWS FIS gives the subnets of the database a copy of their network ACL that denies everything, and gives them the old one
back at the end (FIS guide, "AWS FIS Actions reference"). Nothing else is cut: functions outside the VPC, the prober in
its own subnets, the control table and Aurora's own replication go on. So what results is a region whose database nobody
reaches, and whose guardian lives and says so; docs/gameday.md says what that shows and what it does not.
"""

from __future__ import annotations

from orchestration.specification.model import Experiment, Permission
from orchestration.specification.names import Names

ACTION, SCOPE = "aws:network:disrupt-connectivity", "all"
# The alarm of the region that is cut off which rings when the other region's monitor is silent: then no failover would
# come. The dead man's alarm of this region's own monitor is none of them: without its guardian an old writer had better
# stay cut off.
STOPS_IT = "heartbeat-missing"

# FIS gives this tag to what it makes, and takes it away with it.
MADE_BY_FIS = {"aws:RequestTag/managedByFIS": "true"}
OF_FIS = {"ec2:ResourceTag/managedByFIS": "true"}


def experiment(names: Names, region: str) -> Experiment:
    """Returns the experiment that cuts the database of ``region`` off."""
    settings = names.settings.game_day
    return Experiment(
        name=names.game_day(region),
        description=f"Game day: cuts {names.cluster(region)} in {region} off. Start it by failoverctl gameday --run",
        minutes=settings.minutes,
        stop_alarms=(
            names.alarm_arn(STOPS_IT, region),
            *(names.arn("cloudwatch", region, f"alarm:{alarm}") for alarm in settings.stop_alarms),
        ),
        log_group=names.game_day_log_group(region),
        permissions=_cutting_off(names, region),
    )


def _cutting_off(names: Names, region: str) -> tuple[Permission, ...]:
    """Returns what FIS needs: the part of its own policy AWSFaultInjectionSimulatorNetworkAccess for this action.

    That policy lets it do so to every subnet of the account, and this one to the database's only, or to those of its
    VPC where their ids are not known.
    """
    acls = names.arn("ec2", region, "network-acl/*")
    here = {"StringEquals": {"aws:RequestedRegion": region}}
    return (
        Permission(
            ("ec2:CreateNetworkAcl",), (acls,), "makes the ACL that denies everything", {"StringEquals": MADE_BY_FIS}
        ),
        _in_the_vpc(names, region),
        Permission(
            ("ec2:CreateTags",),
            (acls,),
            "marks that ACL as its own",
            {"StringEquals": {"ec2:CreateAction": "CreateNetworkAcl", **MADE_BY_FIS}},
        ),
        Permission(
            ("ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAcl"),
            (acls,),
            "fills and removes what it has made, and no other ACL",
            {"StringEquals": OF_FIS},
        ),
        Permission(
            ("ec2:ReplaceNetworkAclAssociation",),
            (acls,),
            "gives subnets its ACL, and then the old one back, whose id is not known; the next row says which subnets",
        ),
        _the_subnets(names, region),
        Permission(
            ("ec2:DescribeManagedPrefixLists", "ec2:DescribeNetworkAcls", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
            ("*",),
            "looks at what it is to change; FIS names these, and the next, for the action whatever its scope",
            here,
        ),
        Permission(
            ("ec2:GetManagedPrefixListEntries",),
            (names.arn("ec2", region, "prefix-list/*"),),
            "reads prefix lists, which only other scopes need",
        ),
        Permission(
            (
                "logs:CreateLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:PutResourcePolicy",
            ),
            ("*",),
            'has the experiment\'s log delivered (CloudWatch Logs guide, "Logs sent to CloudWatch Logs")',
            here,
        ),
    )


def _in_the_vpc(names: Names, region: str) -> Permission:
    vpc = names.settings.existing_in(region).vpc_id
    why = "makes it in the database's VPC"
    if vpc:
        return Permission(("ec2:CreateNetworkAcl",), (names.arn("ec2", region, f"vpc/{vpc}"),), why)
    name = {"StringEquals": {"ec2:ResourceTag/Name": names.vpc(region)}}
    return Permission(("ec2:CreateNetworkAcl",), (names.arn("ec2", region, "vpc/*"),), why, name)


def _the_subnets(names: Names, region: str) -> Permission:
    existing, actions = names.settings.existing_in(region), ("ec2:ReplaceNetworkAclAssociation",)
    if existing.database_subnet_ids:
        arns = tuple(names.arn("ec2", region, f"subnet/{each}") for each in existing.database_subnet_ids)
        return Permission(actions, arns, "cuts the database's subnets off")
    every = (names.arn("ec2", region, "subnet/*"),)
    if existing.vpc_id:
        vpc = {"ArnEquals": {"ec2:Vpc": names.arn("ec2", region, f"vpc/{existing.vpc_id}")}}
        return Permission(actions, every, "cuts subnets of the database's VPC off; its subnet group says which", vpc)
    name = {"StringLike": {"ec2:ResourceTag/Name": names.subnet("database", "?", region)}}
    return Permission(actions, every, "cuts the database's subnets off", name)
