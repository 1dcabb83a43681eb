"""Whether an apply is safe now: what the control record and a plan say, and what cannot be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from moto import mock_aws

from handlers.core.control import ControlRecord, ReprotectionLock, Transition
from handlers.gateways import items
from orchestration import safe_to_apply, terraform
from orchestration.safe_to_apply import CannotTell, danger, read_record, verdict
from orchestration.settings import load
from orchestration.specification import describe
from orchestration.terraform import Change
from tests.infrastructure.synthesized import Deployment

AS_DEPLOYED = ControlRecord("us-east-1", 1, automatic_failover=True)
LOCK = Transition("run-7", "switchover", "checking", "drill-1", "us-west-2", started_at=0, deadline=1860)
SWITCHING = replace(AS_DEPLOYED, transition=LOCK)
PROTECTED_AGAIN = ControlRecord("us-west-2", 2, automatic_failover=True)
FAILED_OVER = replace(PROTECTED_AGAIN, protected=False)
REBUILDING = replace(FAILED_OVER, reprotection=ReprotectionLock("rebuild-1", "alice", 0))


def change(kind: str, *actions: str, changed: str = "tags", forced: str = "") -> Change:
    return Change(f"{kind}.x", kind, actions, frozenset({changed}), "it-dev", frozenset({forced} - {""}))


VPC = change("aws_vpc", "delete", "create")
RESIZED = change("aws_rds_cluster", "update", changed="serverlessv2_scaling_configuration")
MADE = change("aws_rds_cluster", "create")
REMOVED = change("aws_rds_cluster_instance", "delete")
REPLACED = change("aws_rds_cluster", "delete", "create", changed="database_name", forced="database_name")
DETACHED = change("aws_rds_cluster", "update", changed="global_cluster_identifier")
ROTATED = change("aws_rds_cluster", "update", changed="master_password_wo_version")


@pytest.mark.parametrize(
    ("record", "changes", "stack", "expected"),
    [
        # Nobody is at work: what matters is what the plan does to databases.
        (AS_DEPLOYED, [], "us-east-1", []),
        (AS_DEPLOYED, [VPC, RESIZED], "us-east-1", []),
        (AS_DEPLOYED, [MADE], "us-east-1", ["cluster it-dev .* would be made, empty"]),
        (AS_DEPLOYED, [VPC, REMOVED], "us-west-2", ["instance it-dev .* would be removed with its data"]),
        (
            AS_DEPLOYED,
            [REPLACED],
            "us-east-1",
            ["cluster it-dev .* replaced by an empty one because of database_name:"],
        ),
        (AS_DEPLOYED, [DETACHED, REMOVED], "us-east-1", ["detached from its global database", "removed"]),
        # The first deployment makes the databases, and removes none.
        (None, [MADE, change("aws_rds_global_cluster", "create")], "us-east-1", []),
        (None, [REPLACED], "us-east-1", ["replaced"]),
        (None, [DETACHED], "us-east-1", ["detached"]),
        # Somebody is at work: nothing is applied, whatever the plan says.
        (SWITCHING, [], "global", [r'run run-7 \(switchover\) holds the lock .*"resumes": "run-7"']),
        (REBUILDING, [], "identity", ["run rebuild-1 .re-protection. removes and makes databases itself"]),
        (REBUILDING, [MADE], "us-east-1", ["rebuild-1", "would be made, empty"]),
        # After a failover the old region's cluster is left alone; the rest may change.
        (FAILED_OVER, [], "us-east-1", []),
        (FAILED_OVER, [VPC], "us-east-1", []),
        (FAILED_OVER, [RESIZED], "us-east-1", ["it-dev .* has failed over to us-west-2 .* finish the re-protection"]),
        (FAILED_OVER, [RESIZED], "us-west-2", []),
        (PROTECTED_AGAIN, [RESIZED], "us-east-1", []),
        # A new master password is for the writer's cluster.
        (AS_DEPLOYED, [ROTATED], "us-east-1", []),
        (
            PROTECTED_AGAIN,
            [ROTATED],
            "us-east-1",
            ["takes for the writer's cluster only, .* us-west-2: fail back first"],
        ),
    ],
)
def test_verdict(record: ControlRecord | None, changes: list[Change], stack: str, expected: list[str]) -> None:
    reasons = verdict(record, changes, stack)
    assert len(reasons) == len(expected)
    for reason, pattern in zip(reasons, expected, strict=True):
        assert_matches(pattern, reason)


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(AssertionError, match=pattern):
        raise AssertionError(text)


@pytest.mark.parametrize("kind", ["aws_rds_cluster", "aws_rds_cluster_instance", "aws_rds_global_cluster"])
@pytest.mark.parametrize("actions", [("create",), ("delete",), ("delete", "create"), ("create", "delete")])
def test_no_database_is_made_removed_or_replaced(kind: str, actions: tuple[str, ...]) -> None:
    assert danger(change(kind, *actions))


@pytest.mark.parametrize("kind", ["aws_dynamodb_table", "aws_dynamodb_table_item", "aws_kms_key"])
def test_what_databases_and_runs_rest_on_is_not_removed_or_replaced(kind: str) -> None:
    assert danger(change(kind, "delete"))
    assert danger(change(kind, "delete", "create"))
    assert not danger(change(kind, "create"))  # a new table takes nothing away
    assert not danger(change(kind, "update"))


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        ("aws_rds_cluster", "global_cluster_identifier"),
        ("aws_rds_cluster", "replication_source_identifier"),
        ("aws_rds_cluster", "vpc_security_group_ids"),
        ("aws_rds_cluster", "engine_version"),
        ("aws_rds_global_cluster", "engine_version"),
        ("aws_dynamodb_table_item", "item"),
    ],
)
def test_an_update_that_undoes_what_a_run_has_done_is_dangerous(kind: str, attribute: str) -> None:
    assert danger(change(kind, "update", changed=attribute))


def test_what_terraform_is_told_to_leave_alone_is_what_would_be_dangerous(development: Deployment) -> None:
    """So a configuration that forgot to ignore one of them is found before it is applied."""
    for stack in development.both:
        ignored = set(stack.only("aws_rds_cluster")["lifecycle"]["ignore_changes"])
        assert set(safe_to_apply.UNDOING["aws_rds_cluster"]) <= ignored


# --- the control record


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield


def deployed(**attributes: Any) -> None:
    """Makes the control table with the record of the deployment, as the global stack does, and changes it."""
    specification = describe(load(environment_suffix="dev"), "")
    for region in ("us-east-1", "us-west-2"):  # moto does not replicate
        dynamodb = boto3.client("dynamodb", region)
        dynamodb.create_table(
            TableName=specification.control_table.name,
            KeySchema=[{"AttributeName": "database", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "database", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        item = {**specification.first_control_record, **attributes}
        dynamodb.put_item(TableName=specification.control_table.name, Item=item)


def held(lock: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(lock).items() if value is not None}


def read(*clients: Any) -> ControlRecord | None:
    return read_record(
        clients or [boto3.client("dynamodb", "us-east-1")], "failover-control-dev", "payments-global-dev"
    )


def test_before_the_first_deployment_there_is_no_record(aws: None) -> None:
    assert read() is None


def test_record_of_the_deployment_says_that_nobody_is_at_work(aws: None) -> None:
    deployed()
    assert read() == AS_DEPLOYED


def test_record_tells_of_a_run_a_reprotection_and_a_lost_protection(aws: None) -> None:
    deployed(
        transition=items.typed(held(LOCK)),
        reprotection=items.typed(held(REBUILDING.reprotection)),
        protected={"BOOL": False},
    )
    assert read() == replace(SWITCHING, reprotection=REBUILDING.reprotection, protected=False)


def test_record_that_cannot_be_understood_is_no_record_of_peace(aws: None) -> None:
    deployed(protected={"S": "perhaps"})
    with pytest.raises(CannotTell, match="'protected' is 'perhaps'; give true or false"):
        read()


class Silent:
    """A DynamoDB client that gets no answer, or the one given."""

    class meta:  # noqa: N801
        region_name = "us-east-1"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or EndpointConnectionError(endpoint_url="https://dynamodb.invalid")

    def get_item(self, **request: Any) -> Any:
        assert request["ConsistentRead"]
        raise self.error


def refused(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetItem")


def test_the_other_region_tells_the_record_when_one_is_dark(aws: None) -> None:
    deployed()
    assert read(Silent(), boto3.client("dynamodb", "us-west-2")) == AS_DEPLOYED
    assert read(Silent(refused("InternalServerError", 500)), boto3.client("dynamodb", "us-west-2")) == AS_DEPLOYED


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        (
            [Silent(), Silent()],
            "no region tells the control record, so a run may be at work: us-east-1: .*; us-east-1:",
        ),
        ([Silent(refused("AccessDeniedException", 400))], "use credentials that may read this table"),
        ([Silent(NoCredentialsError())], "Unable to locate credentials; set credentials of the deployment's account"),
    ],
)
def test_what_cannot_be_read_is_not_taken_for_peace(clients: list[Silent], expected: str) -> None:
    with pytest.raises(CannotTell, match=expected):
        read(*clients)


# --- the command


def resource(kind: str, *actions: str, **change: Any) -> dict[str, Any]:
    change = {"before": {}, "after": {}, "after_unknown": {}, **change, "actions": list(actions)}
    return {"address": f"{kind}.x", "type": kind, "mode": "managed", "change": change}


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """Writes a plan of these resources' changes as JSON."""

    def written(*resources: dict[str, Any]) -> str:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps({"resource_changes": resources}))
        return str(file)

    return written


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_to_apply, "load", lambda: load(environment_suffix="dev"))


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stacks, and a stand-in for Terraform that plans what its stack's plan.json says, or fails."""
    folder = tmp_path / "stacks"
    monkeypatch.setattr(safe_to_apply, "STACKS_FOLDER", folder)
    for stack in ("identity", "us-east-1", "us-west-2", "global"):
        (folder / stack).mkdir(parents=True)
        (folder / stack / "plan.json").write_text(json.dumps({"resource_changes": []}))
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1 $2" in\n'
        '  "plan "*) test -f plan.json || { echo "no backend answers" >&2; exit 1; }; cp plan.json checked.tfplan;;\n'
        '  "show "*) cat "$3";;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return folder


def replacing_for(attribute: str) -> dict[str, Any]:
    values = {"cluster_identifier": "payments-use1-dev"}
    return resource(
        "aws_rds_cluster", "delete", "create", before=values, after=values, replace_paths=[[attribute], [attribute, 0]]
    )


def test_command_answers_for_every_stack(aws: None, settings: None, stacks: Path, capsys: Any) -> None:
    deployed()
    assert safe_to_apply.main([]) == 0
    said = capsys.readouterr().out
    assert "payments-global-dev in account 123456789012: writer us-east-1, epoch 1\n" in said
    assert [line for line in said.splitlines() if line.endswith(": safe")] == [
        "identity: safe",
        "us-east-1: safe",
        "us-west-2: safe",
        "global: safe",
    ]
    assert "stacks/us-west-2 apply checked.tfplan" in said


def test_command_says_which_stack_is_not_safe_and_why(aws: None, settings: None, stacks: Path, capsys: Any) -> None:
    deployed()
    plan = {"resource_changes": [replacing_for("master_username")]}
    (stacks / "us-east-1" / "plan.json").write_text(json.dumps(plan))
    (stacks / "global" / "plan.json").unlink()
    assert safe_to_apply.main([]) == 1
    said = capsys.readouterr().out
    assert "us-east-1: NOT SAFE\n  cluster payments-use1-dev (aws_rds_cluster.x) would be replaced" in said
    assert "because of master_username:" in said
    assert "us-west-2: safe" in said
    assert "stacks/us-east-1 apply" not in said
    assert (stacks / "us-west-2" / "checked.tfplan").exists()
    assert not (stacks / "us-east-1" / "checked.tfplan").exists()  # nobody can apply it


def test_command_cannot_tell_without_a_plan(
    aws: None, settings: None, stacks: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed()
    (stacks / "global" / "plan.json").unlink()
    assert safe_to_apply.main(["--stack", "global"]) == 2
    assert "no backend answers" in capsys.readouterr().out
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert safe_to_apply.main(["--stack", "identity"]) == 2
    assert "install version 1.11 or later" in capsys.readouterr().out
    monkeypatch.undo()
    assert safe_to_apply.EXIT_CODES == {"safe": 0, "NOT SAFE": 1, "cannot tell": 2}


def test_command_cannot_tell_when_a_plan_takes_too_long(
    aws: None, settings: None, stacks: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed()
    program = Path(os.environ["PATH"].split(":")[0]) / "terraform"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(terraform, "PLAN_TIMEOUT_S", 0.1)
    assert safe_to_apply.main(["--stack", "global"]) == 2
    assert "did not end within 0 s" in capsys.readouterr().out


def test_a_run_at_work_is_told_without_a_plan(aws: None, settings: None, stacks: Path, capsys: Any) -> None:
    """Half of AWS may be dark while a failover runs, and a plan of it takes long."""
    deployed(transition=items.typed(held(replace(LOCK, mode="failover"))))
    (stacks / "us-east-1" / "plan.json").unlink()
    assert safe_to_apply.main(["--stack", "us-east-1"]) == 1
    assert "run run-7 (failover) holds the lock" in capsys.readouterr().out


def test_a_run_that_begins_while_the_stack_is_planned_is_seen() -> None:
    records = iter([AS_DEPLOYED, SWITCHING])
    answer, reasons = safe_to_apply.judge("global", list, lambda: next(records))
    assert answer == "NOT SAFE"
    assert "run-7" in reasons[0]


def test_command_needs_the_stacks(aws: None, settings: None, stacks: Path, capsys: Any) -> None:
    deployed()
    for file in (stacks / "global").iterdir():
        file.unlink()
    (stacks / "global").rmdir()
    assert safe_to_apply.main(["--stack", "global"]) == 2
    assert "write it with `make synth`" in capsys.readouterr().out


def test_command_judges_a_plan_that_it_is_given(aws: None, settings: None, plan: Any, capsys: Any) -> None:
    deployed()
    vpc = resource("aws_vpc", "create")
    assert safe_to_apply.main(["--stack", "us-east-1", "--plan", plan(vpc)]) == 0
    assert safe_to_apply.main(["--stack", "us-east-1", "--plan", plan(vpc, resource("aws_rds_cluster", "delete"))]) == 1
    assert safe_to_apply.main(["--stack", "us-east-1", "--plan", plan(resource("aws_rds_cluster", "no-op"))]) == 0
    assert safe_to_apply.main(["--stack", "us-east-1", "--plan", plan() + ".gone"]) == 2
    assert "write it with `terraform show -json PLAN`" in capsys.readouterr().out


def test_a_given_plan_needs_its_stack(settings: None, plan: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        safe_to_apply.main(["--plan", plan()])
    assert ended.value.code == 2
    assert "name it with --stack" in capsys.readouterr().err


def test_command_needs_credentials(
    settings: None, stacks: Path, plan: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    assert safe_to_apply.main(["--stack", "us-east-1", "--plan", plan()]) == 2
    assert "set credentials of the deployment's account" in capsys.readouterr().err
