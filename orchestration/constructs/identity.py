"""The roles of one region.

There is one for each function, one for each workflow, one for each rule that starts the failover, those in which the
other region acts on this one, and one each for the flow log, the backups and the game day. A role has the name of what
uses it, so that the region's stack knows its ARN without asking IAM.
"""

from __future__ import annotations

from cdktf_cdktf_provider_aws.iam_policy import IamPolicy
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from constructs import Construct

from orchestration.constructs import policy
from orchestration.specification import Specification, people
from orchestration.specification.model import Region, Rule, StateMachine
from orchestration.specification.policies import permissions


class RegionRoles(Construct):
    """Everything that runs in ``region`` gets a role of its own with exactly what the specification grants it."""

    def __init__(self, scope: Construct, specification: Specification, region: Region) -> None:
        super().__init__(scope, region.name)
        self._names = specification.names
        self._region = region
        self._permissions = permissions(specification.names, region)
        for function in region.functions.values():
            self._role(function.step, function.name, function.description, policy.trust("lambda.amazonaws.com"))
        for id_, machine in (("workflow", region.state_machine), ("reprotect", region.reprotection)):
            self._workflow_role(id_, machine)
        for rule in region.rules:
            self._rule_role(rule)
        for id_, role in zip(("peer", "reprotection", "rebuild"), region.roles_for_others, strict=True):
            self._role(id_, role.name, role.description, policy.trust_roles(self._names.account, role.trusted))
        if not specification.settings.existing_in(region.name).vpc_id:
            self._flow_log_role()
        self._backup_role()
        if region.game_day:
            trust = policy.trust(
                "fis.amazonaws.com", self._only_from(self._names.arn("fis", region.name, "experiment/*"))
            )
            self._role("game-day", region.game_day.name, "Cuts the region's database off on a game day", trust)

    def _workflow_role(self, id_: str, machine: StateMachine) -> None:
        arn = self._names.machine_arn(machine.name, self._region.name)
        trust = policy.trust("states.amazonaws.com", self._only_from(arn))
        self._role(id_, machine.name, f"Runs the workflow {machine.name}", trust)

    def _rule_role(self, rule: Rule) -> None:
        arn = self._names.arn("events", self._region.name, f"rule/{rule.name}")
        self._role(rule.key, rule.name, rule.description, policy.trust("events.amazonaws.com", self._only_from(arn)))

    def _flow_log_role(self) -> None:
        region = self._region.name
        trust = policy.trust(
            "vpc-flow-logs.amazonaws.com", self._only_from(self._names.arn("ec2", region, "vpc-flow-log/*"))
        )
        self._role("flow-log", self._names.flow_log(region), "Writes the VPC's flow log", trust)

    def _backup_role(self) -> None:
        trust = policy.trust("backup.amazonaws.com", {"StringEquals": {"aws:SourceAccount": self._names.account}})
        name = self._names.backup_vault(self._region.name)
        self._role("backup", name, "Makes the region's backups and copies them to the other region", trust)

    def _only_from(self, source_arn: str) -> dict[str, dict[str, str]]:
        """Returns the condition that a service may assume the role for this one resource of this account only."""
        return {
            "StringEquals": {"aws:SourceAccount": self._names.account},
            "ArnLike": {"aws:SourceArn": source_arn},
        }

    def _role(self, id_: str, name: str, description: str, trust: str) -> None:
        role = IamRole(self, id_, name=name, description=description, assume_role_policy=trust)
        IamRolePolicy(
            self,
            f"{id_}-permissions",
            name=name,
            role=role.name,
            policy=policy.document(policy.allow(permission) for permission in self._permissions[name]),
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
