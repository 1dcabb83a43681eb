"""The pages that reviewers read say what is deployed and what was played."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.constructs import policy
from orchestration.specification.policies import permissions
from tests.infrastructure.synthesized import ACCOUNT, Deployment, synthesized
from tests.rights import documents
from tests.rights.granted import specification
from tests.rights.options import ALL_OPTIONS, setting_of


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return synthesized(tmp_path_factory.mktemp("rights"), **ALL_OPTIONS)


def test_the_page_on_permissions_is_what_make_rights_writes(deployment: Deployment) -> None:
    assert documents.PERMISSIONS.read_text() == documents.permissions_page(deployment), "run `make rights`"


def test_the_page_says_which_roles_only_settings_bring() -> None:
    page = documents.PERMISSIONS.read_text()
    only_with = setting_of()
    assert {role: only_with.get(role) for role in ("failover-run-hooks-usw2-test", "failover-promote-usw2-test")} == {
        "failover-run-hooks-usw2-test": "hooks",
        "failover-promote-usw2-test": None,
    }
    for role, setting in only_with.items():
        section = page.partition(f"## {role}\n")[2].partition("\n## ")[0]
        assert f"Only with `{setting}` in the settings." in section


def test_the_page_on_independence_is_what_make_rights_writes() -> None:
    assert documents.INDEPENDENCE.read_text() == documents.independence_page(), "run `make rights`"


def test_what_is_deployed_is_what_was_compared(deployment: Deployment) -> None:
    """The journeys are compared with the specification, whose statements are deployed as they are."""
    described = specification()
    for region in described.regions.values():
        for name, statements in permissions(described.names, region).items():
            deployed = deployment.stacks["identity"].find("aws_iam_role_policy", name=name)
            plain = deployed["policy"].replace("${data.aws_caller_identity.current.account_id}", described.account)
            assert json.loads(plain)["Statement"] == [policy.allow(one) for one in statements]


def test_everybody_is_let_in_nowhere_but_at_the_public_url(deployment: Deployment) -> None:
    for stack in deployment.both:
        for granted in stack.all("aws_lambda_permission"):
            public = granted["principal"] == "*"
            assert public == ("writer_switch" in granted["function_name"]), granted
        for kind in documents.KINDS_WITH_POLICIES:
            for found in stack.all(kind):
                for statement in json.loads(found["policy"])["Statement"]:
                    assert statement["Effect"] == "Deny" or is_for_somebody(statement), statement


def is_for_somebody(statement: dict[str, Any]) -> bool:
    """Whether a statement names whom it lets in: an account's own, a role, or a service on a condition."""
    conditions = statement.get("Condition", {})
    if statement["Principal"] == "*":
        return bool(conditions.get("StringEquals", {}).get("aws:PrincipalAccount") == ACCOUNT)
    ((kind, who),) = statement["Principal"].items()
    return bool(conditions) if kind == "Service" else f":{ACCOUNT}:" in who


def test_nothing_else_has_a_policy_of_its_own(deployment: Deployment) -> None:
    """A kind of policy that is new has to be put on the page, and into the test above."""
    known = {"aws_iam_policy", "aws_iam_role_policy", "aws_lambda_permission", *documents.KINDS_WITH_POLICIES}
    found = {
        kind
        for stack in deployment.stacks.values()
        for kind, _, resource in stack.resources()
        if kind.endswith(("_permission", "_policy")) or "policy" in resource
    }
    assert found <= known
