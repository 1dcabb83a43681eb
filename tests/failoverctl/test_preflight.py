"""``failoverctl preflight``: what a first deployment needs, where it is there and where it is not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from failoverctl.asks import beforehand
from failoverctl.assumption import ask_all
from failoverctl.deployment import Deployment, Identity
from failoverctl.preflight import (
    ALWAYS,
    OF_A_NEW_DATABASE,
    OF_APPLICATION_ALARMS,
    OF_HOOKS,
    OF_ONE_THAT_EXISTS,
    OF_WHAT_EXISTS,
    needed,
)
from failoverctl.program import app
from handlers.core.readiness import Finding
from orchestration.settings import PROJECT_ROOT, Settings, load
from tests.failoverctl.aws_answers import ACCOUNT, STANDBY, Answer, Aws, refused
from tests.failoverctl.test_assumptions import CASES, Case, option

NEEDED = (*ALWAYS, *OF_A_NEW_DATABASE, OF_WHAT_EXISTS, *OF_ONE_THAT_EXISTS, OF_HOOKS, OF_APPLICATION_ALARMS)
BY_NAME = {each.name: each for each in NEEDED}
RUNBOOK = {"document": "drain", "document_role": "drainer", "parameters": ["epoch"]}
WITH_BUCKET = load(
    environment_suffix="test",
    state={"bucket": "our-state", "region": STANDBY},
    hooks=[
        {"name": "scale", "when": "WriterMoved", "function": "scale-out"},
        {"name": "ticket", "when": "WriterMoved", "state_machine": "tickets"},
        {"name": "drain", "when": "Unprotected", **RUNBOOK},
    ],
    application_alarms=["checkout-errors"],
)


def regions(status: str = "opt-in-not-required", *, without: str = "") -> Answer:
    def answer(RegionNames: list[str], **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"Regions": [{"RegionName": each, "OptInStatus": status} for each in RegionNames if each != without]}

    return answer


def quota(allowed: int, free: int) -> Answer:
    return {"AccountLimit": {"ConcurrentExecutions": allowed, "UnreservedConcurrentExecutions": free}}


def used(**each: int) -> Answer:
    return {"AccountQuotas": [{"AccountQuotaName": name, "Used": count, "Max": 40} for name, count in each.items()]}


def linked(*missing: str) -> Answer:
    def answer(RoleName: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        if RoleName in missing:
            raise refused("NoSuchEntity", 404)
        found = {
            "Path": "/",
            "RoleName": RoleName,
            "RoleId": "AROA0123456789ABCDEF",
            "Arn": f"arn:aws:iam::{ACCOUNT}:role/x",
        }
        return {"Role": {**found, "CreateDate": "2026-01-01"}}

    return answer


def two_vpcs(**_: Any) -> dict[str, Any]:
    return {"Vpcs": [{"VpcId": "vpc-1"}, {"VpcId": "vpc-2"}]}


def machine(kind: str) -> Answer:
    arn, role = (f"arn:aws:{what}" for what in (f"states:us-east-1:{ACCOUNT}:stateMachine:tickets", "iam::1:role/x"))
    found = {"stateMachineArn": arn, "name": "tickets", "definition": "{}", "roleArn": role}
    return {**found, "type": kind, "creationDate": "2026-01-01"}


def document(*declares: str, kind: str = "Automation") -> Answer:
    parameters = [{"Name": name, "Type": "String"} for name in declares]
    return {"Document": {"Name": "drain", "DocumentType": kind, "Parameters": parameters}}


CASES_BEFORE: dict[str, Case] = {
    "hooks": Case(
        {
            "lambda.GetFunctionConfiguration": {},
            "stepfunctions.DescribeStateMachine": machine("STANDARD"),
            "ssm.DescribeDocument": document("AutomationAssumeRole", "epoch"),
            "iam.GetRole": linked(),
        },
        {
            "scale: there is no Lambda function scale-out": {
                "lambda.GetFunctionConfiguration": refused("ResourceNotFoundException", 404)
            },
            "ticket: there is no state machine tickets": {
                "stepfunctions.DescribeStateMachine": refused("StateMachineDoesNotExist")
            },
            "is of the type EXPRESS": {"stepfunctions.DescribeStateMachine": machine("EXPRESS")},
            "drain: there is no SSM document drain": {"ssm.DescribeDocument": refused("InvalidDocument")},
            "is no Automation runbook but of the type Command": {
                "ssm.DescribeDocument": document("AutomationAssumeRole", "epoch", kind="Command")
            },
            "declares no parameter epoch": {"ssm.DescribeDocument": document("AutomationAssumeRole")},
            "no parameter AutomationAssumeRole and no epoch": {"ssm.DescribeDocument": document()},
            "there is no role drainer": {"iam.GetRole": linked("drainer")},
        },
    ),
    "application-alarms": Case(
        {"cloudwatch.DescribeAlarms": {"MetricAlarms": [{"AlarmName": "checkout-errors"}]}},
        {"there is no checkout-errors": {"cloudwatch.DescribeAlarms": {"CompositeAlarms": []}}},
    ),
    "first-time": Case(
        {"dynamodb.DescribeTable": refused("ResourceNotFoundException")},
        {"is deployed already": {"dynamodb.DescribeTable": {"Table": {}}}},
    ),
    "regions": Case(
        {"ec2.DescribeRegions": regions()},
        {
            "not enabled: us-east-1, us-west-2, us-east-2": {"ec2.DescribeRegions": regions("not-opted-in")},
            "not enabled: us-east-2": {"ec2.DescribeRegions": regions(without="us-east-2")},
        },
    ),
    "state-bucket": Case(
        {"s3.HeadBucket": {}, "s3.GetBucketVersioning": {"Status": "Enabled"}},
        {
            "there is no bucket our-state in us-west-2": {"s3.HeadBucket": refused("404", 404)},
            "keeps no versions": {"s3.GetBucketVersioning": {}},
        },
    ),
    "service-linked-roles": Case(
        {"iam.GetRole": linked("AWSServiceRoleForRDS")},
        {"there is no role AWSServiceRoleForBackupReports": {"iam.GetRole": linked("AWSServiceRoleForBackupReports")}},
    ),
    "lambda-concurrency": Case(
        {"lambda.GetAccountSettings": quota(1000, 1000)},
        {
            "10 are allowed": {"lambda.GetAccountSettings": quota(10, 10)},
            "others have reserved some": {"lambda.GetAccountSettings": quota(1000, 150)},
        },
    ),
    "rds-quotas": Case(
        {"rds.DescribeAccountAttributes": used(DBClusters=39, DBInstances=38)},
        {
            "40 of 40 DBClusters": {"rds.DescribeAccountAttributes": used(DBClusters=40, DBInstances=2)},
            "39 of 40 DBInstances": {"rds.DescribeAccountAttributes": used(DBClusters=1, DBInstances=39)},
            "does not tell": {"rds.DescribeAccountAttributes": used(DBClusters=1)},
        },
    ),
    "vpcs": Case(
        {
            "ec2.DescribeVpcs": two_vpcs,
            "service-quotas.GetServiceQuota": refused("NoSuchResourceException"),
            "service-quotas.GetAWSDefaultServiceQuota": {"Quota": {"Value": 5.0}},
        },
        {"2 of 2 are used": {"service-quotas.GetServiceQuota": {"Quota": {"Value": 2.0}}}},
    ),
    "engine": CASES["engine"],
    "instance-class": Case(
        {"rds.DescribeOrderableDBInstanceOptions": option("us-east-1a", "us-east-1b")},
        {"in us-east-1a only": {"rds.DescribeOrderableDBInstanceOptions": option("us-east-1a")}},
    ),
    "instance-classes": CASES["instance-classes"],
    "reserved-connections-parameter": CASES["reserved-connections-parameter"],
}
OF_ADOPTION = {"existing"}  # tests/failoverctl/test_adopt.py
OF_THE_MACHINE = {"programs", "credentials"}


def found(name: str, answers: Mapping[str, Answer], settings: Settings = WITH_BUCKET) -> tuple[list[Finding], Aws]:
    aws = Aws(dict(answers))
    return ask_all(aws.account(settings), [BY_NAME[name]]), aws


def test_every_row_has_a_case() -> None:
    assert {*CASES_BEFORE, *OF_THE_MACHINE, *OF_ADOPTION} == {*BY_NAME}
    assert len(BY_NAME) == len(NEEDED)
    assert not {each.name for each in needed(WITH_BUCKET)} & {each.name for each in OF_ONE_THAT_EXISTS}
    for each in NEEDED:
        for file in each.rests:
            assert (PROJECT_ROOT / file).is_file(), file


@pytest.mark.parametrize("name", CASES_BEFORE)
def test_where_it_is_there_it_is_green_and_asks_for_the_rights_that_it_names(name: str) -> None:
    seen, aws = found(name, CASES_BEFORE[name].holds)
    assert {each.level for each in seen} == {"ok"}, seen
    assert aws.seen == set(BY_NAME[name].calls)


@pytest.mark.parametrize(
    ("name", "words"), [(name, words) for name, case in CASES_BEFORE.items() for words in case.fails]
)
def test_where_it_is_missing_it_says_what_and_what_to_do(name: str, words: str) -> None:
    seen, _ = found(name, {**CASES_BEFORE[name].holds, **CASES_BEFORE[name].fails[words]})
    other = [each for each in seen if each.level != "ok"]
    assert any(words in each.fact for each in other), seen
    assert {each.remedy for each in other} == {BY_NAME[name].otherwise}


@pytest.mark.parametrize("name", CASES_BEFORE)
def test_who_may_not_ask_is_told_what_for(name: str) -> None:
    seen, _ = found(name, {operation: refused("AccessDenied", 403) for operation in CASES_BEFORE[name].holds})
    assert {each.level for each in seen} == {"cannot tell"}
    assert all("may not ask this" in each.fact for each in seen)


def test_without_a_bucket_the_state_is_in_files() -> None:
    (seen,), _ = found("state-bucket", {}, load(environment_suffix="test"))
    assert (seen.level, "files beside the project" in seen.fact) == ("warning", True)


def test_hooks_and_alarms_are_looked_for_where_the_settings_have_some() -> None:
    without = {each.name for each in needed(load(environment_suffix="test"))}
    assert {each.name for each in needed(WITH_BUCKET)} - without == {"hooks", "application-alarms"}


def test_the_root_user_does_not_deploy() -> None:
    account = Aws({}).account(who=f"arn:aws:iam::{ACCOUNT}:root")
    assert [each.level for each in ask_all(account, [BY_NAME["credentials"]])] == ["warning"]
    assert [each.level for each in ask_all(Aws({}).account(), [BY_NAME["credentials"]])] == ["ok"]


@pytest.mark.parametrize(
    ("on_path", "version", "level", "words"),
    [
        ({"terraform", "curl"}, "1.11.4", "ok", "Terraform 1.11.4"),
        ({"terraform", "curl"}, "1.12.0-beta1", "ok", "Terraform 1.12.0-beta1"),
        ({"terraform", "curl"}, "1.9.8", "failing", "Terraform 1.9.8"),
        ({"curl"}, "1.11.4", "failing", "terraform is not on PATH"),
        (set(), "1.11.4", "failing", "terraform and curl are not on PATH"),
        ({"terraform", "curl"}, None, "cannot tell", "does not say its version"),
    ],
)
def test_programs_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, on_path: set[str], version: str | None, level: str, words: str
) -> None:
    def which(name: str) -> str | None:
        return name if name in on_path else None

    said = "no JSON" if version is None else json.dumps({"terraform_version": version})
    monkeypatch.setattr(beforehand, "shutil", SimpleNamespace(which=which))
    stand_in = SimpleNamespace(
        run=lambda *a, **b: SimpleNamespace(stdout=said), SubprocessError=subprocess.SubprocessError
    )
    monkeypatch.setattr(beforehand, "subprocess", stand_in)
    (seen,), _ = found("programs", {})
    assert seen.level == level
    assert words in seen.fact


# --- the verb


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the verb in an account that answers this."""
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "test")
    all_good = {operation: answer for case in CASES_BEFORE.values() for operation, answer in case.holds.items()}

    def call(*words: str, **other: Answer) -> tuple[int, str]:
        aws = Aws({**all_good, **{name.replace("__", "."): answer for name, answer in other.items()}})
        monkeypatch.setattr("failoverctl.preflight.Account", lambda deployment: aws.account())
        monkeypatch.setattr(Deployment, "identity", property(lambda _: Identity(ACCOUNT, "arn:aws:iam::1:user/ada")))
        monkeypatch.setattr(beforehand, "programs", lambda *_: ("ok", "there"))
        with pytest.raises(SystemExit) as ended:
            app([*words])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return call


def test_exit_codes_say_whether_to_deploy(called: Any, tmp_path: Any) -> None:
    page = tmp_path / "preflight.html"
    code, text = called("preflight", "--page", str(page))
    assert code == 0
    assert text.startswith("The account has what the deployment needs; there is something to see to.")  # files
    assert "state-bucket" in page.read_text()
    code, text = called("preflight", "--json", lambda__GetAccountSettings=quota(10, 10))
    assert code == 1
    assert json.loads(text)["answer"] == "failing"
    code, text = called("preflight", rds__DescribeAccountAttributes=refused("AccessDenied", 403))
    assert code == 2
    assert "rds:DescribeAccountAttributes" in text


def test_a_lab_is_not_deployed(called: Any) -> None:
    code, text = called("preflight", "--lab")
    assert code == 1
    assert "a lab is not deployed" in text
