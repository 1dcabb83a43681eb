"""``failoverctl deploy``: four stacks in their order, each as it was found safe, and what is said where one fails."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.sns.models import sns_backends

from failoverctl import command
from failoverctl import deploy as verb
from failoverctl.program import app
from handlers.core.readiness import Finding
from orchestration import safe_to_apply
from orchestration.settings import load
from orchestration.specification import describe
from orchestration.terraform import PLAN, Terraform

ORDER = ["identity", "us-east-1", "us-west-2", "global"]
ACCOUNT = "123456789012"
SPECIFICATION = describe(load(environment_suffix="test"), ACCOUNT)

# Terraform as deploy calls it. A stack's folder says what comes of it: `plan.json`, and `error` where the apply fails.
TERRAFORM = """#!{python}
import json, pathlib, sys
here = pathlib.Path.cwd()
verb = sys.argv[1]
with open(here.parent / "calls", "a") as calls:
    calls.write(f"{{verb}} {{here.name}}\\n")
if verb == "init" and (here / "no-init").exists():
    sys.exit("Error: Failed to get existing workspaces: S3 bucket does not exist")
if verb == "plan":
    (here / "checked.tfplan").write_text("planned")
if verb == "show":
    print((here / "plan.json").read_text())
if verb == "apply":
    assert sys.argv[-1] == "checked.tfplan"
    print("aws_vpc.vpc: Creation complete after 2s [id=vpc-1]")
    if (here / "error").exists():
        print("Error: " + (here / "error").read_text())
        sys.exit(1)
    print("aws_rds_cluster.c: Creation complete after 1m2s [id=c]")
if verb == "output":
    print(json.dumps({{"name": {{"value": here.name}}, "secret": {{"value": "hidden", "sensitive": True}}}}))
"""


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of four synthesized stacks, and an account in which nothing is deployed."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "test")
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(TERRAFORM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    folder = tmp_path / "stacks"
    for name in ORDER:
        (folder / name).mkdir(parents=True)
        tags = {"provider": {"aws": [{"default_tags": [{"tags": {"EnvironmentSuffix": "test"}}]}]}}
        (folder / name / "cdk.tf.json").write_text(json.dumps(tags))
        plans(folder, name, "create")
    monkeypatch.setattr(safe_to_apply, "STACKS_FOLDER", folder)
    monkeypatch.setattr(verb, "ask_all", lambda account, table: [])
    with mock_aws():
        for region, confirmed, pending in (("us-east-1", 1, 1), ("us-west-2", 0, 0)):
            boto3.client("sns", region).create_topic(Name=SPECIFICATION.names.topic(region))
            topic = sns_backends[ACCOUNT][region].topics[SPECIFICATION.names.topic_arn(region)]
            topic.subscriptions_confimed, topic.subscriptions_pending = confirmed, pending  # spelt as moto does
        yield folder


def plans(folder: Path, name: str, *actions: str, kind: str = "aws_vpc") -> None:
    """Has the plan of a stack change one resource."""
    change = {"actions": list(actions), "before": None, "after": {"name": "x"}, "after_unknown": {}}
    resource = {"address": f"{kind}.x", "type": kind, "mode": "managed", "change": change}
    (folder / name / "plan.json").write_text(json.dumps({"resource_changes": [resource]}))


def calls(folder: Path, word: str) -> list[str]:
    found = (
        [line.split() for line in (folder / "calls").read_text().splitlines()] if (folder / "calls").exists() else []
    )
    return [name for called, name in found if called == word]


@pytest.fixture
def called(stacks: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app(["deploy", *words])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return call


def test_all_four_are_applied_in_their_order_and_the_outputs_shown(called: Any, stacks: Path) -> None:
    code, text = called("--yes")
    assert code == 0
    assert calls(stacks, "apply") == ORDER
    assert "[4/4] global: done, 2 resources" in text
    assert "Alerts of us-east-1: 1 confirmed, 1 have yet to confirm" in text
    assert "Alerts of us-west-2: nobody hears of them" in text
    assert "Next: `failoverctl bootstrap`, then `failoverctl verify`." in text
    assert "hidden" not in text
    data = json.loads(called("--yes", "--json")[1])
    assert data["outputs"]["global"] == {"name": "global"}


def test_it_stops_at_the_first_failure_says_what_to_do_and_goes_on_from_there(called: Any, stacks: Path) -> None:
    error = stacks / "us-east-1" / "error"
    error.write_text("decreases account's UnreservedConcurrentExecution below its minimum value of [100]")
    code, text = called("--yes")
    assert code == 1
    assert calls(stacks, "apply") == ["identity", "us-east-1"]
    assert "[2/4] us-east-1: Lambda's quota is too small: ask for 200 or more in Service Quotas" in text
    assert "again goes on from there" in text
    assert "decreases account's" in (stacks / "us-east-1" / "apply.log").read_text()
    error.unlink()
    assert called("--yes")[0] == 0
    assert calls(stacks, "apply")[2:] == ORDER


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("The parameter reserved_connections cannot be modified", "set `reserved_connections = 0`"),
        ("MalformedPolicy: Invalid principal in policy", "create-service-linked-role"),
        ("ExpiredToken: The security token included in the request is expired", "get new ones"),
        ("Error acquiring the state lock", "somebody else applies this stack"),
        ("AccessDenied: User is not authorized to perform: rds:CreateDBCluster", "whoever may deploy"),
        ("something that nobody has seen", "[1/4] identity: terraform apply in identity ended with 1"),
    ],
)
def test_errors_that_are_known_are_explained(called: Any, stacks: Path, error: str, words: str) -> None:
    (stacks / "identity" / "error").write_text(error)
    code, text = called("--yes")
    assert code == 1
    assert words in text
    assert error in text


def test_p8_what_is_not_safe_is_not_applied_and_its_plan_is_gone(called: Any, stacks: Path) -> None:
    plans(stacks, "us-west-2", "delete", kind="aws_rds_cluster")
    code, text = called("--yes")
    assert code == 1
    assert calls(stacks, "apply") == ["identity", "us-east-1"]
    assert "[3/4] us-west-2: NOT SAFE" in text
    assert not (stacks / "us-west-2" / "checked.tfplan").exists()


def test_a_stack_that_cannot_be_initialized_stops_it(called: Any, stacks: Path) -> None:
    (stacks / "identity" / "no-init").touch()
    code, text = called("--yes")
    assert code == 1
    assert "S3 bucket does not exist" in text
    assert calls(stacks, "plan") == []


def test_nothing_is_applied_unasked(called: Any, stacks: Path) -> None:
    code, text = called()
    assert code == 1
    assert "say --yes" in text
    assert calls(stacks, "apply") == []


def test_stacks_of_another_deployment_are_refused(called: Any, stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "prod")
    code, text = called("--yes")
    assert code == 1
    assert "was written for the suffix test, not prod" in text
    assert calls(stacks, "init") == []


def test_what_was_not_synthesized_is_refused(called: Any, stacks: Path) -> None:
    (stacks / "global" / "cdk.tf.json").unlink()
    code, text = called("--yes")
    assert code == 1
    assert "write it with `make synth`" in text


def test_the_first_deployment_is_looked_at_beforehand(
    called: Any, stacks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Finding("lambda-concurrency", "us-east-1", "failing", "10 are allowed", "ask for more")
    monkeypatch.setattr(verb, "ask_all", lambda account, table: [missing])
    code, text = called("--yes")
    assert code == 1
    assert "10 are allowed" in text
    assert calls(stacks, "init") == []


def test_a_later_deployment_is_not(called: Any, stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "ask_all", lambda account, table: pytest.fail("asked"))
    table = SPECIFICATION.control_table.name
    for region in SPECIFICATION.regions:
        dynamodb = boto3.client("dynamodb", region)
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "database", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "database", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName=table, Item=SPECIFICATION.first_control_record)
    assert called("--yes")[0] == command.DONE


def test_terraform_ends_in_order_when_it_is_interrupted(stacks: Path) -> None:
    """What it has made until then has to come into its state, and somebody may press the keys at any line."""
    heard: list[int] = []

    def interrupted(done: int) -> None:
        heard.append(done)
        if len(heard) == 1:
            time.sleep(0.3)  # in which it ends, and what it has said is still to be read
            raise KeyboardInterrupt

    folder = stacks / "global"
    (folder / PLAN).touch()
    program = shutil.which("terraform")
    assert program
    with pytest.raises(KeyboardInterrupt):
        Terraform(program, folder, dict(os.environ)).apply_checked(folder / "apply.log", interrupted)
    assert "aws_rds_cluster.c: Creation complete" in (folder / "apply.log").read_text()


def test_a_lab_is_not_deployed(called: Any, stacks: Path) -> None:
    code, text = called("--lab")
    assert code == 1
    assert "a lab is not deployed" in text
