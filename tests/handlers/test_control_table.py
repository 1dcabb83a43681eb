"""The control record in DynamoDB, by what the item is before and after."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from handlers.core.control import Claim, ControlRecord, Transition
from handlers.core.environment import Environment
from handlers.core.errors import LockLost, Misconfigured, TransientFailure
from handlers.gateways.control_table import ControlTable
from tests.deployment import STANDBY, WRITER, Deployment, variables

RACERS = 8
NOW = 1_800_000_000.5
CLAIM = Claim(
    decision="proceed",
    reason="the lock was free",
    run="run-1",
    mode="failover",
    started_by="ada",
    incident="outage 7",
    writer_region=WRITER,
    target_region=STANDBY,
    epoch=1,
    resumes=None,
)


def lock(run: str, **more: Any) -> Transition:
    return Transition(run, "outage 7", STANDBY, started_at=NOW, deadline=NOW + 900.25, **more)


@pytest.fixture
def table(deployment: Deployment) -> ControlTable:
    function = deployment.specification.regions[STANDBY].functions["claim"]
    return ControlTable.of(Environment.read(variables(function.environment, STANDBY)))


def test_the_first_record_can_be_read(table: ControlTable) -> None:
    assert table.read() == ControlRecord(writer_region=WRITER, epoch=1, automatic_failover=True)


def test_a_lock_that_is_taken_is_read_back_exactly(table: ControlTable) -> None:
    assert table.take(lock("run-1"), table.read())
    assert table.read().transition == lock("run-1")


def test_a_lock_is_not_taken_when_the_record_has_changed_since(table: ControlTable, deployment: Deployment) -> None:
    seen = table.read()
    for change in (
        {"epoch": 2},
        {"writer_region": STANDBY},
        {"transition": vars(lock("run-0")) | {"started_at": 1, "deadline": 2}},
    ):
        deployment.change_record(**{"epoch": 1, "writer_region": WRITER} | change)
        before = deployment.record()
        assert not table.take(lock("run-1"), seen)
        assert deployment.record() == before


def test_a_lock_is_taken_over_from_exactly_the_run_that_was_seen(table: ControlTable) -> None:
    free = table.read()
    assert table.take(lock("run-0"), free)
    seen = table.read()
    assert table.take(lock("run-1"), seen)
    assert not table.take(lock("run-2"), seen)
    assert not table.take(lock("run-2"), free)
    assert table.read().transition == lock("run-1")


def test_p2_of_many_racers_one_has_the_lock_and_it_is_the_one_that_was_told_so(
    table: ControlTable, deployment: Deployment
) -> None:
    for heat in range(5):
        seen = table.read()
        together = threading.Barrier(RACERS)

        def race(
            number: int, seen: ControlRecord = seen, together: threading.Barrier = together, heat: int = heat
        ) -> bool:
            together.wait()
            return table.take(lock(f"run-{heat}-{number}"), seen)

        with ThreadPoolExecutor(RACERS) as pool:
            won = list(pool.map(race, range(RACERS)))
        assert won.count(True) == 1
        held = deployment.lock()
        assert held is not None
        assert held["run"] == f"run-{heat}-{won.index(True)}"


def test_p2_only_the_holder_begins_a_detach_and_learns_whether_it_had_begun(
    table: ControlTable, deployment: Deployment
) -> None:
    table.take(lock("run-1"), table.read())
    before = deployment.record()
    with pytest.raises(
        LockLost, match=r"run run-2 does not hold the lock on the control record \(run run-1 holds it\)"
    ):
        table.begin_detach("run-2")
    assert deployment.record() == before
    assert table.begin_detach("run-1") is False
    assert table.begin_detach("run-1") is True


def test_without_a_lock_nobody_holds_it(table: ControlTable) -> None:
    with pytest.raises(LockLost, match="nobody holds it"):
        table.begin_detach("run-1")


def test_the_switch_is_engaged_by_the_holder_only(table: ControlTable) -> None:
    table.take(lock("run-1"), table.read())
    with pytest.raises(LockLost):
        table.engage_dns("run-2")
    assert table.read().transition == lock("run-1")
    table.engage_dns("run-1")
    table.engage_dns("run-1")
    assert table.read().transition == lock("run-1", dns_engaged=True)


def test_a_commit_moves_the_writer_and_gives_the_lock_back_in_one_write(
    table: ControlTable, deployment: Deployment
) -> None:
    table.take(lock("run-1"), table.read())
    deployment.gate.seen.clear()
    assert table.commit(CLAIM, NOW) == 2
    assert [operation for _, _, operation in deployment.gate.seen] == ["dynamodb.UpdateItem"]
    record = deployment.record()
    assert (record["writer_region"], record["epoch"]) == (STANDBY, 2)
    assert (record["last_run"], record["last_incident"]) == ("run-1", "outage 7")
    assert float(record["last_transition_at"]) == NOW
    assert "transition" not in record


def test_p3_a_commit_is_done_once_however_often_it_is_asked_for(table: ControlTable, deployment: Deployment) -> None:
    table.take(lock("run-1"), table.read())
    assert table.commit(CLAIM, NOW) == 2
    before = deployment.record()
    assert table.commit(CLAIM, NOW + 60) == 2
    assert deployment.record() == before


def test_p3_a_commit_whose_answer_was_lost_is_done_once(table: ControlTable, deployment: Deployment) -> None:
    table.take(lock("run-1"), table.read())
    deployment.trouble("dynamodb.UpdateItem", "refused", after=True)
    assert table.commit(CLAIM, NOW) == 2
    assert deployment.record()["epoch"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"run": "run-2"},
        {"epoch": 2},
    ],
    ids=["another run", "another epoch"],
)
def test_p1_a_commit_without_the_lock_or_for_another_epoch_changes_nothing(
    change: dict[str, Any], table: ControlTable, deployment: Deployment
) -> None:
    table.take(lock("run-1"), table.read())
    before = deployment.record()
    with pytest.raises(LockLost):
        table.commit(replace(CLAIM, **change), NOW)
    assert deployment.record() == before


def test_a_lock_is_given_back_by_its_holder_only(table: ControlTable) -> None:
    table.take(lock("run-1", dns_engaged=True), table.read())
    assert table.release("run-2") is False
    assert table.read().transition is not None
    assert table.release("run-1") is True
    assert table.release("run-1") is False
    assert table.read() == ControlRecord(writer_region=WRITER, epoch=1, automatic_failover=True)


def test_reads_are_strongly_consistent(
    table: ControlTable, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    get_item = table._client.get_item
    monkeypatch.setattr(table._client, "get_item", lambda **request: asked.append(request) or get_item(**request))
    table.read()
    assert asked[0]["ConsistentRead"] is True


def test_a_missing_record_is_named_with_its_remedy(table: ControlTable, deployment: Deployment) -> None:
    deployment.client("dynamodb", WRITER).delete_item(
        TableName=deployment.specification.control_table.name,
        Key={"database": {"S": deployment.specification.global_identifier}},
    )
    with pytest.raises(Misconfigured, match="no control record for payments-global-test; deploy the global stack"):
        table.read()
    with pytest.raises(Misconfigured, match="no control record"):
        table.begin_detach("run-1")


def test_a_missing_table_is_named_with_its_remedy(table: ControlTable, deployment: Deployment) -> None:
    deployment.client("dynamodb", STANDBY).delete_table(TableName=deployment.specification.control_table.name)
    with pytest.raises(Misconfigured, match=r"reading the control record in failover-control-test: .*is deployed"):
        table.read()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("ReplicatedWriteConflictException", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("AnythingAtAll", 500),
        ("refused", 0),
    ],
)
def test_trouble_that_a_retry_may_cure(kind: str, status: int, table: ControlTable, deployment: Deployment) -> None:
    deployment.trouble("dynamodb.UpdateItem", kind, status=status, times=10)
    with pytest.raises(TransientFailure, match="changing the control record in failover-control-test"):
        table.take(lock("run-1"), table.read())
    assert deployment.lock() is None


@pytest.mark.parametrize("kind", ["AccessDeniedException", "ValidationException", "UnrecognizedClientException"])
def test_trouble_that_no_retry_cures(kind: str, table: ControlTable, deployment: Deployment) -> None:
    deployment.trouble("dynamodb.UpdateItem", kind, times=10)
    with pytest.raises(Misconfigured, match=f"{kind}.*check the function's permissions and that the resource"):
        table.take(lock("run-1"), table.read())
