"""Each expectation of ``make terraform-check`` can fail: Terraform and the emulator are stand-ins that misbehave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handlers.core.control import ControlRecord, ReprotectionLock
from orchestration.settings import load
from orchestration.terraform import Change
from tests.terraform import inventory
from tests.terraform.check import CheckFailed, Deployment, Row, table
from tests.terraform.circle import Step
from tests.terraform.emulator_differences import DIFFERENCES, REVIEWED_WITH

LISTED = [f"{listing.kind} it-dev" for listing in inventory.LISTINGS]
NEW = Change("aws_vpc.x", "aws_vpc", ("create",), frozenset({"id"}))
REVIEWED = [Change(f"{kind}.x", kind, known.actions, known.attributes) for kind, known in DIFFERENCES.items()]
TOUCHED = Change("aws_rds_cluster.x", "aws_rds_cluster", ("update",), frozenset({"global_cluster_identifier"}))


@dataclass
class Stack:
    """A stand-in for Terraform in a folder."""

    planned: list[Change] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)  # what its state holds, whatever is done

    def plan(self) -> list[Change]:
        return self.planned

    def resources(self) -> list[dict[str, Any]]:
        return self.kept

    applied: int = 0

    def apply(self) -> None:
        self.applied += 1

    def nothing(self) -> None:
        pass

    init = validate = destroy = nothing


@dataclass
class Endpoint:
    """A stand-in for the endpoint."""

    seen: dict[tuple[str, str], int] | None  # None: the region that is not dark
    url: str = "http://nowhere.invalid"

    @contextmanager
    def without(self, dark: str) -> Iterator[Counter[tuple[str, str]]]:
        other = "us-west-2" if dark == "us-east-1" else "us-east-1"
        yield Counter({(other, "ec2"): 1} if self.seen is None else self.seen)

    @contextmanager
    def telling(self, told: Mapping[str, str]) -> Iterator[None]:
        yield


def check(
    *stacks: Stack, seen: dict[tuple[str, str], int] | None = None, version: str | None = REVIEWED_WITH
) -> Deployment:
    endpoint: Any = Endpoint(seen)
    named: Any = dict(zip(("us-east-1", "us-west-2"), stacks, strict=False))
    return Deployment(load(environment_suffix="dev"), named, endpoint, version)


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the emulator does not list of what is deployed."""
    unlisted: list[str] = []
    monkeypatch.setattr(inventory, "missing", lambda *_: unlisted)
    return unlisted


VPC = {"address": "aws_vpc.x", "type": "aws_vpc", "values": {}}


def test_a_sound_deployment_passes(unlisted: list[str]) -> None:
    check(Stack([NEW], [VPC])).deploy()
    check(Stack(REVIEWED)).plan_again()
    check(Stack(), Stack()).plan_in_the_dark()


@pytest.mark.parametrize(
    ("stack", "lacking", "expected"),
    [
        (Stack([replace(NEW, actions=("update",))], [VPC]), [], "plans only to create"),
        (Stack([NEW], []), [], r"everything planned is in its state, but \['aws_vpc.x'\]"),
        (Stack([NEW], [VPC]), ["aws_sns_topic it-dev"], r"the emulator lists everything .*'aws_sns_topic it-dev'"),
    ],
)
def test_a_deployment_that_lacks_something_fails(
    unlisted: list[str], stack: Stack, lacking: list[str], expected: str
) -> None:
    unlisted += lacking
    with pytest.raises(CheckFailed, match=expected):
        check(stack).deploy()


def test_what_was_deployed_by_others_has_to_be_there(unlisted: list[str]) -> None:
    check(Stack(kept=[VPC])).deployed()
    with pytest.raises(CheckFailed, match="us-east-1 has resources in its state"):
        check(Stack()).deployed()
    unlisted.append("aws_vpc it-dev")
    with pytest.raises(CheckFailed, match="the emulator lists everything"):
        check(Stack(kept=[VPC])).deployed()


def test_a_second_plan_that_makes_something_again_fails() -> None:
    with pytest.raises(CheckFailed, match=r"us-east-1 proposes nothing, but:\n  create aws_vpc\.x: id"):
        check(Stack([*REVIEWED, NEW])).plan_again()


def test_a_reviewed_difference_that_is_gone_fails() -> None:
    with pytest.raises(CheckFailed, match=f"remove:\n  {REVIEWED[0].kind}"):
        check(Stack(REVIEWED[1:])).plan_again()
    check(Stack(REVIEWED[1:]), version="6.25.0").plan_again()  # another provider may see less


@pytest.mark.parametrize("seen", [{}, {("us-east-1", "ec2"): 9, ("us-west-2", "kms"): 1}, {("", ""): 1}])
def test_a_plan_that_asks_the_dark_region_or_nobody_fails(seen: dict[tuple[str, str], int]) -> None:
    with pytest.raises(CheckFailed, match="us-east-1 is planned by itself"):
        check(Stack(), Stack(), seen=seen).plan_in_the_dark()


@dataclass
class Around:
    """A stand-in for the circle, of one step."""

    step: Step
    noted: ControlRecord | None = field(default_factory=lambda: ControlRecord("us-west-2", 2, automatic_failover=True))

    def steps(self) -> Iterator[Step]:
        yield self.step

    def record(self) -> ControlRecord | None:
        return self.noted


def around(step: Step, *stacks: Stack, record: ControlRecord | None = None) -> list[Row]:
    circle: Any = Around(step, record) if record else Around(step)
    return check(*stacks).plan_around(circle)


REGIONS = ("us-east-1", "us-west-2")
FAILED_OVER = Step("failover", REGIONS)
AT_WORK = Step("while re-protecting", REGIONS[:1], at_work=True)
MADE = Change("aws_rds_cluster.x", "aws_rds_cluster", ("create",), frozenset({"id"}), "payments-use1-dev")
REBUILDING = ControlRecord(
    "us-west-2", 2, automatic_failover=True, protected=False, reprotection=ReprotectionLock("rebuild-1", "alice", 0)
)


def test_plans_that_propose_nothing_are_safe_to_apply() -> None:
    rows = around(FAILED_OVER, Stack(REVIEWED), Stack())
    assert rows == [Row("failover", region, (), (), ()) for region in REGIONS]


def test_a_plan_that_undoes_a_failover_fails() -> None:
    with pytest.raises(CheckFailed, match=r"us-west-2 after the failover .*\n  update aws_rds_cluster\.x: global"):
        around(FAILED_OVER, Stack(), Stack([TOUCHED]))


def test_a_record_that_still_tells_of_work_after_it_fails() -> None:
    with pytest.raises(CheckFailed, match=r"an apply of us-east-1 is safe after the failover, but: .*rebuild-1"):
        around(FAILED_OVER, Stack(), Stack(), record=REBUILDING)


def test_while_somebody_is_at_work_an_apply_is_refused() -> None:
    (row,) = around(AT_WORK, Stack([MADE]), record=REBUILDING)
    assert row.proposed == ("create aws_rds_cluster.x",)
    assert row.databases == ("payments-use1-dev",)
    assert len(row.reasons) == 2  # somebody is at work, and what the plan would make


def test_an_apply_that_is_not_refused_while_somebody_is_at_work_fails() -> None:
    with pytest.raises(CheckFailed, match="an apply of us-east-1 is refused while re-protecting"):
        around(AT_WORK, Stack(REVIEWED))


def test_plans_are_applied_only_where_the_step_says_so() -> None:
    stacks = Stack(), Stack()
    around(FAILED_OVER, *stacks)
    assert [stack.applied for stack in stacks] == [0, 0]
    around(replace(FAILED_OVER, applied=True), *stacks)
    assert [stack.applied for stack in stacks] == [1, 1]


def test_table_shows_what_was_proposed_and_what_may_be_applied() -> None:
    rows = [
        Row("failover", "us-west-2", (), (), ()),
        Row(
            "while re-protecting",
            "us-east-1",
            ("create a", "update b", "create c"),
            ("payments-use1-dev",),
            ("at work",),
        ),
    ]
    assert table(rows).splitlines() == [
        "| step                | stack     | proposed           | databases touched | apply   |",
        "| ------------------- | --------- | ------------------ | ----------------- | ------- |",
        "| failover            | us-west-2 | nothing            | none              | safe    |",
        "| while re-protecting | us-east-1 | create 2, update 1 | payments-use1-dev | refused |",
    ]


def test_what_a_destroy_leaves_behind_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "present", lambda *_: LISTED)
    with pytest.raises(CheckFailed, match="nothing of us-east-1 is left in its state"):
        check(Stack(kept=[VPC])).destroyed(lambda: None)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (LISTED, [], None),
        (LISTED, ["aws_kms_alias alias/failover-use1-dev"], "nothing is left in the emulator, but .*aws_kms_alias"),
        (LISTED[1:], [], f"the emulator lists what is deployed, but no .*{inventory.LISTINGS[0].kind}"),
    ],
)
def test_what_the_emulator_still_has_fails(
    monkeypatch: pytest.MonkeyPatch, before: list[str], after: list[str], expected: str | None
) -> None:
    answers = iter([before, after])
    monkeypatch.setattr(inventory, "present", lambda *_: next(answers))
    if expected is None:
        check(Stack()).destroyed(lambda: None)
    else:
        with pytest.raises(CheckFailed, match=expected):
            check(Stack()).destroyed(lambda: None)


@mock_aws
def test_names_are_listed_in_every_region_and_on_every_page() -> None:
    (listing,) = [listing for listing in inventory.LISTINGS if listing.kind == "aws_sns_topic"]
    made = set()
    for region, count in (("us-east-1", 101), ("us-west-2", 1)):  # a page of SNS holds 100
        client = boto3.client("sns", region)
        made |= {client.create_topic(Name=f"t{index}-dev")["TopicArn"] for index in range(count)}
    # One endpoint for both regions, as an emulator has it.
    assert inventory.names(listing, ["us-east-1"], "https://sns.us-east-1.amazonaws.com") == {
        arn for arn in made if "us-east-1" in arn
    }
    assert len(made) == 102


def test_what_is_in_the_state_and_nowhere_else_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "names", lambda *_: {"one-dev"})
    state = [
        {"type": "aws_dynamodb_table", "values": {"name": "one-dev"}},
        {"type": "aws_dynamodb_table", "values": {"name": "two-dev"}},
        VPC,
    ]
    assert inventory.missing(state, ["us-east-1"], "") == ["aws_dynamodb_table two-dev"]


@pytest.mark.parametrize(
    ("name", "belonging"),
    [
        ("payments-use1-dev", True),
        ("arn:aws:sns:us-east-1:000000000000:failover-notifications-use1-dev", True),
        ("/aws/lambda/failover-claim-use1-dev", True),
        ("dev.payments.internal", True),
        ("payments-backup-reports-use1-dev-000000000000", True),
        ("payments-use1-device", False),
        ("default", False),
    ],
)
def test_a_name_belongs_to_a_deployment_by_its_suffix(name: str, belonging: bool) -> None:
    assert inventory.belongs(name, "dev") is belonging
