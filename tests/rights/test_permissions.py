"""Permissions are exact in both directions: nobody asks for what is not allowed, nothing is allowed that nobody needs.

The first direction holds for every test on a deployment (`tests.deployment.rights`) and for every drill; here is the
second, and that the first can fail.
"""

from __future__ import annotations

from collections import Counter

import pytest
from botocore.exceptions import ClientError

from orchestration.specification import failover, reprotection, standing
from tests.deployment import STANDBY, Deployment
from tests.deployment.rights import Used
from tests.rights.granted import as_lines, granted, needed, reviewed, specification


@pytest.fixture(scope="module")
def used() -> Counter[Used]:
    return needed()


def test_every_permission_is_needed_or_has_a_reviewed_reason(used: Counter[Used]) -> None:
    reasons = reviewed()
    unused = [one for one in granted() if one not in used]
    assert as_lines(one for one in unused if not any(reason.covers(one) for reason in reasons)) == []


def test_every_reviewed_reason_is_for_permissions_that_are_granted_and_not_needed(used: Counter[Used]) -> None:
    for reason in reviewed():
        covered = [one for one in granted() if reason.covers(one)]
        assert covered, reason
        assert as_lines(one for one in covered if one in used) == [], reason


def test_what_is_needed_is_granted(used: Counter[Used]) -> None:
    assert as_lines(set(used) - set(granted())) == []


def test_every_function_that_any_settings_bring_is_compared() -> None:
    rows = (*failover.STEPS, *reprotection.STEPS, *standing.FUNCTIONS)
    here = specification().names
    assert {here.function(row.name, STANDBY) for row in rows} <= {one.role for one in granted()}


def test_nothing_is_granted_twice() -> None:
    assert [one for one, times in Counter(granted()).items() if times > 1] == []


def test_a_request_that_its_role_does_not_allow_is_refused_and_fails_the_test() -> None:
    forbidden = r"failover-promote-usw2-test may not dynamodb:GetItem on .*table/failover-runs"
    with pytest.raises(AssertionError, match=forbidden):
        ask_for_what_is_not_allowed()


def ask_for_what_is_not_allowed() -> None:
    with Deployment() as deployment, deployment.lambdas.environment(STANDBY, "promote"):
        runs = deployment.specification.regions[STANDBY].runs_table.name
        with pytest.raises(ClientError, match="AccessDenied"):
            deployment.client("dynamodb", STANDBY).get_item(TableName=runs, Key={"run": {"S": "x"}})
