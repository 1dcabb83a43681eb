"""The page on adoption says what is added to somebody's account, and what may touch his database."""

from __future__ import annotations

import re

from orchestration.additions import rights
from orchestration.constructs.database import CHANGED_OUTSIDE_TERRAFORM, TAKEN_FROM_A_MEMBER
from orchestration.specification.policies import permissions
from tests.rights import adoption

# Nothing is granted on a database that exists but by these actions; a new one is a decision.
CHANGES = {
    "rds-data:BeginTransaction",
    "rds-data:CommitTransaction",
    "rds-data:ExecuteStatement",
    "rds-data:RollbackTransaction",
    "rds-db:connect",
    "rds:AddTagsToResource",
    "rds:CopyDBClusterSnapshot",
    "rds:CreateDBCluster",
    "rds:CreateDBClusterSnapshot",
    "rds:CreateDBInstance",
    "rds:CreateGlobalCluster",
    "rds:DeleteDBCluster",
    "rds:DeleteDBClusterSnapshot",
    "rds:DeleteDBInstance",
    "rds:DeleteGlobalCluster",
    "rds:ModifyDBCluster",
    "rds:ModifyGlobalCluster",
    "rds:RebootDBInstance",
    "rds:RemoveFromGlobalCluster",
    "rds:SwitchoverGlobalCluster",
}


def test_the_page_has_the_tables_that_make_rights_writes() -> None:
    text = adoption.PAGE.read_text()
    assert text == adoption.page(text), "run `make rights`"


def test_the_page_lists_every_permission_on_what_exists() -> None:
    """Looked for by the names of what exists, and not by services as the page is made."""
    described = adoption.example()
    listed = [one.permission for one in rights(described)]
    for region in described.regions.values():
        for granted in permissions(described.names, region).values():
            for one in granted:
                if any("orders" in resource and ":rds" in resource for resource in one.resources):
                    assert one in listed, one


def test_the_page_lists_what_the_owners_terraform_has_to_ignore() -> None:
    text = adoption.PAGE.read_text()
    for attribute in (*CHANGED_OUTSIDE_TERRAFORM, *TAKEN_FROM_A_MEMBER):
        assert re.search(rf"^ .*\b{attribute}\b[,\]]", text, re.MULTILINE), attribute


def test_what_may_change_what_exists_is_reviewed() -> None:
    found = {action for one in rights(adoption.example()) for action in one.permission.actions}
    changing = {each for each in found if not each.partition(":")[2].startswith(adoption.LOOKING)}
    assert changing == CHANGES
