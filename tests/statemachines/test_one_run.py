"""P2: however many starts there are, one run changes things, and one incident is handled once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.deployment import STANDBY, WRITER, Deployment, Run
from tests.deployment.account import waited_for
from tests.handlers.commands import started_by
from tests.statemachines.conditions import OTHER, before, lock, region_is_lost, writer_dies
from tests.statemachines.scenarios import ASKED, AUTOMATIC, rule_input


def outcomes(runs: list[Run]) -> dict[str, list[str]]:
    """The runs by their last state."""
    return {end: sorted(run.name for run in runs if run.end == end) for end in {run.end for run in runs}}


def claim_reason(deployment: Deployment, run: str) -> str:
    """What the record of a run says of its claim; nobody is told of it."""
    assert not [text for _, text in deployment.messages(STANDBY) if f"Run {run} of" in text]
    record = deployment.run_record(run)
    assert record is not None
    return str(record["claim"])


def test_p2_two_starts_at_once_and_one_acts(deployment: Deployment) -> None:
    deployment.writer_dies()
    both_are_in = threading.Barrier(2, timeout=30)
    first = threading.local()

    def together(step: str, event: Any) -> None:
        if step == "claim" and not getattr(first, "done", False):
            first.done = True
            both_are_in.wait()

    deployment.lambdas.before = together
    arns = [deployment.start(ASKED, name) for name in ("run-a", "run-b")]
    ends = outcomes([deployment.wait(arn) for arn in arns])
    (winner,), (loser,) = ends["Recovered"], ends["Refused"]
    assert f"run {winner}" in claim_reason(deployment, loser)
    assert deployment.record()["epoch"] == 2
    assert deployment.record()["last_run"] == winner
    assert deployment.members() == {WRITER}
    assert deployment.databases.proofs == [(STANDBY, winner, 2)]


def test_p2_eight_starts_of_one_incident_and_one_acts(deployment: Deployment) -> None:
    deployment.writer_dies()
    arns = [deployment.start(AUTOMATIC, f"run-{number}") for number in range(8)]
    ends = outcomes([deployment.wait(arn) for arn in arns])
    (winner,) = ends["Recovered"]
    assert len(ends["Refused"]) == 7
    for loser in ends["Refused"]:
        assert f"run {winner}" in claim_reason(deployment, loser)
    assert deployment.record()["epoch"] == 2
    assert deployment.lambdas.calls.count("detach_secondary") == 1


def test_p2_a_start_while_another_run_works_names_it(deployment: Deployment) -> None:
    deployment.writer_dies()
    others: list[Run] = []

    def start_another(step: str, event: Any) -> None:
        if step == "promote" and not others:
            others.append(deployment.run(ASKED, "run-2"))

    deployment.lambdas.before = start_another
    run = deployment.run(ASKED, "run-1")
    assert run.end == "Recovered"
    assert others[0].end == "Refused"
    assert "run run-1 is doing the work" in claim_reason(deployment, "run-2")


def test_p2_the_alarm_delivered_twice_moves_the_writer_once(deployment: Deployment) -> None:
    deployment.writer_dies()
    event = rule_input(deployment)
    first, second = deployment.run(event, "delivery-1"), deployment.run(event, "delivery-2")
    assert (first.end, second.end) == ("Recovered", "Refused")
    assert deployment.record()["epoch"] == 2
    assert deployment.record()["last_incident"] == "epoch 1"


def test_p2_an_old_incident_is_not_handled_again_after_the_writer_has_come_back(deployment: Deployment) -> None:
    deployment.writer_dies()
    of_first_epoch = AUTOMATIC | {"epoch": 1}
    assert deployment.run(of_first_epoch, "run-1").end == "Recovered"
    deployment.change_record(writer_region=WRITER, epoch=3)
    late = deployment.run(of_first_epoch, "run-2")
    assert late.end == "Refused"
    assert "it was started for epoch 1, and the writer is that of epoch 3" in claim_reason(deployment, "run-2")
    assert deployment.record()["writer_region"] == WRITER


def test_the_workflow_of_the_writer_region_does_nothing(deployment: Deployment) -> None:
    deployment.writer_dies()
    run = deployment.run(ASKED, region=WRITER)
    assert run.end == "Refused"
    assert deployment.messages(WRITER) == []
    assert run.output["claim"] == "us-east-1 is the writer already (epoch 1, as deployed)"
    assert deployment.members() == {WRITER, STANDBY}


def test_the_regions_exchange_places_without_a_deployment(deployment: Deployment) -> None:
    """After a failover the other region's workflow moves the writer back, once its cluster is a secondary again."""
    deployment.writer_dies()
    assert deployment.run(ASKED, "run-1").end == "Recovered"
    deployment.reprotect()
    deployment.databases.up[STANDBY] = False
    deployment.guardian_was_here(ago_s=15.0)
    run = deployment.run(ASKED, "run-2", region=WRITER)
    assert run.end == "Recovered"
    record = deployment.record()
    assert (record["writer_region"], record["epoch"], record["last_run"]) == (WRITER, 3, "run-2")
    assert not deployment.is_switched(STANDBY)
    assert deployment.databases.proofs[-1] == (WRITER, "run-2", 3)


@pytest.mark.parametrize("seconds_left", [-1.0, 600.0])
def test_a_person_resumes_by_name_before_the_lock_runs_out_and_an_alarm_only_after(
    seconds_left: float, deployment: Deployment
) -> None:
    deployment.writer_dies()
    deployment.change_record(transition=lock(OTHER, seconds_left))
    by_alarm = deployment.run(AUTOMATIC, "run-1")
    assert by_alarm.end == ("Recovered" if seconds_left < 0 else "Refused")
    if by_alarm.end == "Refused":
        assert deployment.run(ASKED | {"resumes": OTHER}, "run-2").end == "Recovered"


def test_p7_a_switchover_that_stopped_half_way_is_finished_as_a_failover_once_the_old_region_is_dark(
    deployment: Deployment,
) -> None:
    """Its message has the command, which needs nothing of that region."""
    deployment.guardian_was_here()
    deployment.trouble("rds.SwitchoverGlobalCluster", "unanswered", times=10**6)
    before("promote", writer_dies, region_is_lost(WRITER))(deployment)
    stopped = deployment.run({"mode": "switchover", "started_by": "ada"}, "run-1")
    assert stopped.end == "NeedsPerson"
    text = waited_for(deployment.messages(STANDBY))[-1][1]
    finished = deployment.run(started_by(text)[-1] | {"started_by": "ada"}, "run-2")
    assert finished.end == "Recovered"
    assert deployment.databases.open_writers() == {STANDBY}
