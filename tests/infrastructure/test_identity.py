"""Roles: one for each user, with exactly what the specification grants it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestration.specification import describe
from orchestration.specification.workflows import FAILOVER_ASL, REPROTECT_ASL, definition, tasks
from tests.infrastructure.synthesized import ACCOUNT, Deployment

# Permissions on every resource, each because AWS offers nothing narrower. `only_in` limits them to a region where the
# action knows regions. Reviewed: to add one, say in the specification why it cannot be narrower.
EVERY_RESOURCE = {
    "monitor": {"cloudwatch:PutMetricData"},
    "prober": {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    },
    "readiness": {"cloudwatch:GetMetricStatistics", "lambda:GetAccountSettings", "route53:ListHostedZonesByName"},
    "workflow": {
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
    },
}
EVERY_RESOURCE["reprotect"] = EVERY_RESOURCE["workflow"]
EVERY_RESOURCE["salvage"] = EVERY_RESOURCE["prober"]
# The reviewers' list of roles: to change a permission is to change it there too, on purpose.
REVIEWED = Path(__file__).parent / "reviewed_roles.txt"


def policies(deployment: Deployment) -> dict[str, list[dict[str, Any]]]:
    """Role name: statements of its policy."""
    return {
        policy["name"]: json.loads(policy["policy"])["Statement"]
        for policy in deployment.stacks["identity"].all("aws_iam_role_policy")
    }


def short(role: str) -> str:
    """What a role is for: ``failover-verify-lag-use1-test`` → ``verify-lag``."""
    return role.removeprefix("failover").rsplit("-", 2)[0].strip("-") or "workflow"


def statements(deployment: Deployment) -> Iterator[tuple[str, dict[str, Any]]]:
    for role, granted in policies(deployment).items():
        for statement in granted:
            yield short(role), statement


def test_every_function_has_a_role_of_its_own(development: Deployment) -> None:
    roles = {role["name"] for role in development.stacks["identity"].all("aws_iam_role")}
    for stack in development.both:
        used = [function["role"] for function in stack.all("aws_lambda_function")]
        assert len(set(used)) == len(used)
        assert {role.rsplit("/")[-1] for role in used} <= roles


def test_every_role_may_do_what_was_reviewed_and_is_trusted_to_whom(development: Deployment, region: str) -> None:
    """The reviewers' list is of us-west-2; the other region has the same with the regions in each other's place."""
    reviewed = REVIEWED.read_text()
    if region == "us-east-1":
        swap = {"us-east-1": "us-west-2", "us-west-2": "us-east-1", "use1": "usw2", "usw2": "use1"}
        reviewed = re.sub("|".join(swap), lambda found: swap[found[0]], reviewed)
    short_name = {"us-east-1": "use1", "us-west-2": "usw2"}[region]
    identity = development.stacks["identity"]
    found = {
        role["name"]: role_as_text(role, policies(development)[role["name"]])
        for role in identity.all("aws_iam_role")
        if f"-{short_name}-" in role["name"]
    }
    wanted = {block.split("\n")[0]: block for block in reviewed.strip().split("\n\n") if not block.startswith("#")}
    assert set(found) == set(wanted)
    for name, text in found.items():
        assert text == wanted[name]


def test_whatever_runs_writes_its_own_log_and_uses_its_regions_key(development: Deployment, region: str) -> None:
    key = {"us-east-1": "alias/failover-use1-test", "us-west-2": "alias/failover-usw2-test"}[region]
    for function in development.stacks[region].all("aws_lambda_function"):
        name = function["function_name"]
        log, use = running(name, policies(development)[name])
        assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        assert log["Resource"] == [f"arn:aws:logs:{region}:{ACCOUNT}:log-group:/aws/lambda/{name}:*"]
        assert use["Action"] in (["kms:Decrypt"], ["kms:Decrypt", "kms:GenerateDataKey"])
        assert use["Resource"] == [f"arn:aws:kms:{region}:{ACCOUNT}:key/*"]
        assert use["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": key}}


def running(role: str, granted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The two statements that any function needs to run at all: its log and its region's key."""
    log = [index for index, statement in enumerate(granted) if "logs:PutLogEvents" in statement["Action"]]
    return granted[log[0] : log[0] + 2] if log and granted[log[0]]["Resource"][0].endswith(f"/{role}:*") else []


def role_as_text(role: dict[str, Any], granted: list[dict[str, Any]]) -> str:
    """A role as the reviewers' list has it: who is trusted, then what may be done, on what, on which condition."""
    (trust,) = json.loads(role["assume_role_policy"])["Statement"]
    assert trust["Action"] == "sts:AssumeRole"
    ((kind, who),) = trust["Principal"].items()
    lines = [role["name"], f"  for {kind} {plain(who)}", *condition_as_text(trust)]
    own = running(role["name"], granted)
    for statement in (trust, *granted):
        assert statement["Effect"] == "Allow"
        assert set(statement) <= {"Action", "Condition", "Effect", "Principal", "Resource"}
    for statement in granted:
        if statement not in own:
            lines += [f"  may {action}" for action in statement["Action"]]
            lines += [f"    on {what}" for what in resources_as_text(statement["Resource"])]
            lines += condition_as_text(statement)
    return "\n".join(lines)


def resources_as_text(arns: list[str]) -> list[str]:
    """Plain ARNs; the functions of all steps of a workflow, and of no others, in one line."""
    for workflow, file in (("failover", FAILOVER_ASL), ("re-protection", REPROTECT_ASL)):
        steps = {step.replace("_", "-") for _, step, _ in tasks(definition(file))}
        for region, short_name in (("us-east-1", "use1"), ("us-west-2", "usw2")):
            prefix = f"arn:aws:lambda:{region}:{ACCOUNT}:function:failover-"
            if sorted(arns) == sorted(f"{prefix}{step}-{short_name}-test" for step in steps):
                return [f"every step of the {workflow} in {region}"]
    return [plain(arn) for arn in arns]


def condition_as_text(statement: dict[str, Any]) -> list[str]:
    return [
        f"    if {operator} {variable} {plain(value)}"
        for operator, tests in statement.get("Condition", {}).items()
        for variable, values in tests.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def plain(arn: str) -> str:
    """An ARN without what all have in common."""
    return arn.removeprefix("arn:aws:").replace(ACCOUNT, "ACCOUNT")


def test_workflows_may_invoke_their_steps_and_nothing_else(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        steps: set[str] = set()
        for machine in (region.state_machine, region.reprotection):
            invoke, delivery = policies(development)[machine.name]
            assert invoke["Action"] == ["lambda:InvokeFunction"]
            invoked = {arn.rsplit(":")[-1] for arn in invoke["Resource"]}
            assert invoked == set(re.findall(r'"FunctionName": "([^"]+)"', machine.definition))
            assert not invoked & steps
            steps |= invoked
            assert set(delivery["Action"]) == EVERY_RESOURCE["workflow"]
        assert {f.name for f in region.functions.values()} - steps == {
            region.functions[step].name
            for step in (
                "prober",
                "monitor",
                "fence",
                "writer_switch",
                "bootstrap_database",
                "salvage",
                "announce_end",
                "announce_backup",
                "keep_report",
                "show_incident",
                "readiness",
            )
        }


def test_a_rule_may_start_its_workflow_and_nothing_else(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        for rule in region.rules:
            (start,) = policies(development)[rule.name]
            assert start["Action"] == ["states:StartExecution"]
            assert [arn.rsplit(":")[-1] for arn in start["Resource"]] == [region.state_machine.name]


def test_no_action_is_a_wildcard(development: Deployment) -> None:
    for role, statement in statements(development):
        assert not any("*" in action for action in statement["Action"]), role


def test_every_resource_is_named_but_for_the_reviewed_exceptions(development: Deployment) -> None:
    found: dict[str, set[str]] = {}
    for role, statement in statements(development):
        if "*" in statement["Resource"]:
            found.setdefault(role, set()).update(statement["Action"])
    assert found == EVERY_RESOURCE


def test_a_key_is_named_by_its_alias(development: Deployment) -> None:
    for role, statement in statements(development):
        if any(action.startswith("kms:") for action in statement["Action"]):
            (alias,) = statement["Condition"]["ForAnyValue:StringEquals"].values()
            region = statement["Resource"][0].split(":")[3]
            assert alias in {f"alias/failover-{r}-test" for r in ("use1", "usw2")}, role
            assert {"us-east-1": "use1", "us-west-2": "usw2"}[region] in alias


def test_services_take_a_role_on_for_this_account_only(development: Deployment) -> None:
    for role in development.stacks["identity"].all("aws_iam_role"):
        (statement,) = json.loads(role["assume_role_policy"])["Statement"]
        service = statement["Principal"].get("Service")
        if service in {None, "lambda.amazonaws.com"}:  # Lambda takes a function's role on without naming a source
            continue
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        if service in {"states.amazonaws.com", "events.amazonaws.com"}:
            assert role["name"] in statement["Condition"]["ArnLike"]["aws:SourceArn"]


def test_the_failover_has_a_role_in_the_other_region_that_three_functions_take_on(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        role = development.stacks["identity"].find("aws_iam_role", name=region.role_for_peer.name)
        (trust,) = json.loads(role["assume_role_policy"])["Statement"]
        assert trust["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        peer = {"us-east-1": "use1", "us-west-2": "usw2"}[region.peer]
        assert trust["Condition"] == {
            "ArnEquals": {
                "aws:PrincipalArn": [
                    f"arn:aws:iam::{ACCOUNT}:role/failover-{step}-{peer}-test"
                    for step in ("fence-old-writer", "switch-over", "monitor")
                ]
            }
        }


def test_whoever_takes_the_role_of_the_other_region_on_may_do_so_and_nobody_else_may(development: Deployment) -> None:
    """Both sides of each assumption: who is trusted, and who is allowed to ask."""
    granted = policies(development)
    for region in describe(development.settings, ACCOUNT).regions.values():
        for role_for_others in region.roles_for_others:
            arn = f"arn:aws:iam::{ACCOUNT}:role/{role_for_others.name}"
            asking = {
                f"arn:aws:iam::{ACCOUNT}:role/{role}"
                for role, granted_to in granted.items()
                for statement in granted_to
                if "sts:AssumeRole" in statement["Action"] and arn in statement["Resource"]
            }
            assert asking == set(role_for_others.trusted)


def test_the_role_for_the_other_region_fences_and_switches_over_in_its_own_region_and_nothing_else(
    development: Deployment,
) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        fence, switchover = policies(development)[region.role_for_peer.name]
        assert fence["Action"] == ["lambda:InvokeFunction"]
        assert fence["Resource"] == [
            f"arn:aws:lambda:{region.name}:{ACCOUNT}:function:{region.functions['fence'].name}"
        ]
        assert switchover["Action"] == ["rds:SwitchoverGlobalCluster"]
        assert switchover["Condition"] == {"StringEquals": {"aws:RequestedRegion": region.name}}
        database = development.writer.only("aws_rds_global_cluster")["global_cluster_identifier"]
        clusters = [(stack.name, stack.only("aws_rds_cluster")["cluster_identifier"]) for stack in development.both]
        assert set(switchover["Resource"]) == {f"arn:aws:rds::{ACCOUNT}:global-cluster:{database}"} | {
            f"arn:aws:rds:{name}:{ACCOUNT}:cluster:{cluster}" for name, cluster in clusters
        }


def test_only_the_fence_and_the_rebuild_change_a_cluster_and_only_their_own_regions(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        cluster = f"arn:aws:rds:{region.name}:{ACCOUNT}:cluster:{region.cluster.identifier}"
        changing = {
            role: [arn for arn in s["Resource"] if ":cluster:" in arn]
            for role, granted in policies(development).items()
            for s in granted
            if changes_cluster(s) and cluster in s["Resource"]
        }
        assert changing == {name: [cluster] for name in (region.functions["fence"].name, region.role_for_rebuild.name)}


def test_only_the_rebuild_removes_or_makes_a_cluster_and_two_steps_may_take_it_on(development: Deployment) -> None:
    acts = {"rds:DeleteDBCluster", "rds:DeleteDBInstance", "rds:CreateDBCluster", "rds:CreateDBInstance"}
    regions = describe(development.settings, ACCOUNT).regions.values()
    may = {role for role, granted in policies(development).items() for s in granted if acts & set(s["Action"])}
    assert may == {region.role_for_rebuild.name for region in regions}
    for region in regions:
        peer = {"us-east-1": "use1", "us-west-2": "usw2"}[region.peer]
        assert [arn.rsplit("/")[-1] for arn in region.role_for_rebuild.trusted] == [
            f"failover-{step}-{peer}-test" for step in ("retire-old-cluster", "build-standby")
        ]
        elsewhere = {
            action
            for permission in region.role_for_rebuild.permissions
            for arn in permission.resources
            for action in permission.actions
            if f":{region.name}:" not in arn and "global-cluster" not in arn
        }
        assert elsewhere == {"rds:CreateDBCluster"}  # the signed copy of the request


def test_what_is_kept_of_the_old_cluster_is_never_deleted_by_a_function(development: Deployment) -> None:
    forbidden = {"rds:DeleteDBClusterSnapshot", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"}
    for role, statement in statements(development):
        if "awsbackup" in json.dumps(statement["Resource"]):
            continue  # AWS Backup's own snapshots
        assert not forbidden & set(statement["Action"]), role


def test_no_role_may_answer_an_approval_in_a_persons_place(development: Deployment) -> None:
    for role, statement in statements(development):
        assert not any(action.startswith("states:SendTask") for action in statement["Action"]), role


def test_runs_are_added_to_the_record_and_never_changed_or_deleted(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        table = f"arn:aws:dynamodb:{region.name}:{ACCOUNT}:table/{region.runs_table.name}"
        touching = [
            (role, s["Action"])
            for role, granted in policies(development).items()
            for s in granted
            if table in s["Resource"]
        ]
        agreed = {
            "record_run": "dynamodb:PutItem",
            "notify_reprotection": "dynamodb:PutItem",
            "keep_report": "dynamodb:GetItem",
            "show_incident": "dynamodb:GetItem",
        }
        assert sorted(touching) == sorted((region.functions[step].name, [action]) for step, action in agreed.items())


def test_reports_are_kept_and_their_lock_is_never_touched(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        touching = [
            (role, s["Action"])
            for role, granted in policies(development).items()
            for s in granted
            if any(arn.startswith(f"arn:aws:s3:::{region.reports_bucket}") for arn in s["Resource"])
        ]
        assert touching == [(region.functions["keep_report"].name, ["s3:PutObject"])]


def test_who_publishes_to_a_topic_may_use_the_key_of_its_region(development: Deployment) -> None:
    publishing = set()
    for role, granted in policies(development).items():
        topics = {arn.split(":")[3] for s in granted if "sns:Publish" in s["Action"] for arn in s["Resource"]}
        keys = {arn.split(":")[3] for s in granted if "kms:GenerateDataKey" in s["Action"] for arn in s["Resource"]}
        assert topics <= keys, role
        if topics:
            assert topics == set(development.settings.regions)
            publishing.add(short(role))
    assert publishing == {
        "ask-approval",
        "notify",
        "ask-retirement",
        "notify-reprotection",
        "announce-end",
        "announce-backup",
        "keep-report",
    }


def changes_cluster(statement: dict[str, Any]) -> bool:
    return "rds:ModifyDBCluster" in statement["Action"]


def test_what_has_no_region_in_its_name_is_limited_to_the_own_region(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        for function in region.functions.values():
            for permission in function.permissions:
                if any(":rds::" in resource for resource in permission.resources):
                    assert permission.conditions == {"StringEquals": {"aws:RequestedRegion": region.name}}


def test_bootstrap_reaches_one_cluster_and_one_secret(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        permissions = region.functions["bootstrap_database"].permissions
        cluster = f"arn:aws:rds:{region.name}:{ACCOUNT}:cluster:{region.cluster.identifier}"
        secret = f"arn:aws:secretsmanager:{region.name}:{ACCOUNT}:secret:payments-master-test-??????"
        assert {resource for p in permissions for resource in p.resources} == {cluster, secret}


def test_backups_reach_the_own_cluster_and_the_two_vaults(development: Deployment) -> None:
    for region in describe(development.settings, ACCOUNT).regions.values():
        name = f"payments-backup-{'use1' if region.name == 'us-east-1' else 'usw2'}-test"
        resources = {r for s in policies(development)[name] for r in s["Resource"] if ":kms:" not in r}
        clusters = {r for r in resources if ":cluster:" in r}
        assert clusters == {f"arn:aws:rds:{region.name}:{ACCOUNT}:cluster:{region.cluster.identifier}"}
        assert len({r for r in resources if ":backup-vault:" in r}) == 2
        assert all("awsbackup:" in r for r in resources if ":cluster-snapshot:" in r)


def test_regions_hold_no_role_so_that_they_can_be_planned_without_iam(development: Deployment) -> None:
    for stack in development.both:
        assert not [kind for kind in stack.json["resource"] if kind.startswith("aws_iam_")]
        assert not [kind for kind in stack.json["data"] if kind.startswith("aws_iam_")]
