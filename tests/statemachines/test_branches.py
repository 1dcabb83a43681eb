"""The branches of MoveWriter run side by side, and RDS may refuse the detach at any moment of the others.

A branch that fails stops the others, but not a function that one of them has called: "When a parallel state fails,
invoked Lambda functions continue to run" (Step Functions guide, "Parallel workflow state"). Here each order is forced.
"""

from __future__ import annotations

import copy
import itertools
import threading
from typing import Any
from unittest import mock

import pytest
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branch_worker import BranchWorker
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager

from orchestration.specification.workflows import definition
from tests.deployment import STANDBY, WRITER, Deployment, Run
from tests.deployment.account import waited_for
from tests.deployment.clock import patiently, real_sleep
from tests.statemachines import graph
from tests.statemachines.conditions import (
    RUN,
    Condition,
    before,
    detach_is_refused,
    has_run,
    it_fails,
    lock_is_given_back,
    old_writer_is_closed,
    rds_is_busy_for,
    run_has_ended,
    switch_is_engaged,
    writer_dies,
    writer_lives,
)
from tests.statemachines.replayed import assert_the_simulator_goes_the_same_way
from tests.statemachines.scenarios import ASKED

ORDERS: dict[str, tuple[Condition, ...]] = {
    "the switch is engaged before": (before("detach_secondary", switch_is_engaged),),
    "the switch is engaged after the lock was given back": (
        before("detach_secondary", has_run("repoint_dns")),
        before("repoint_dns", lock_is_given_back),
    ),
    "the switch is engaged after the run has ended": (
        before("detach_secondary", has_run("repoint_dns")),
        before("repoint_dns", run_has_ended),
    ),
    "the fence stands before": (before("detach_secondary", old_writer_is_closed),),
    "the fence comes after the lock was given back": (
        before("detach_secondary", has_run("fence_old_writer")),
        before("fence_old_writer", lock_is_given_back),
    ),
    "the switch fails after the lock was given back": (
        before("detach_secondary", has_run("repoint_dns")),
        before("repoint_dns", lock_is_given_back, it_fails),
    ),
}


def play(deployment: Deployment, *given: Condition) -> Run:
    """Until the functions that the run has left behind are done, too."""
    for condition in (writer_dies, detach_is_refused, *given):
        condition(deployment)
    run = deployment.run(ASKED, RUN)
    deployment.lambdas.wait_until_idle()
    return run


@pytest.mark.parametrize("order", ORDERS)
def test_p10_a_refused_detach_gives_lock_and_switch_back_whatever_the_other_branches_do(
    order: str, deployment: Deployment
) -> None:
    run = play(deployment, *ORDERS[order])
    assert run.end == "Aborted"
    assert deployment.lock() is None
    assert not deployment.is_switched(STANDBY)
    assert deployment.members() == {WRITER, STANDBY}
    assert "Error: DetachRejected: " in waited_for(deployment.messages(STANDBY))[-1][1]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_p10_the_guardian_opens_a_writer_that_a_given_up_run_has_fenced_early_or_late(
    moment: str, deployment: Deployment
) -> None:
    """The run saw the writer down; by the time that it is fenced it lives."""
    order = {
        "before": (before("fence_old_writer", writer_lives), before("detach_secondary", old_writer_is_closed)),
        "after": (
            before("detach_secondary", has_run("fence_old_writer")),
            before("fence_old_writer", lock_is_given_back, writer_lives),
        ),
    }
    assert play(deployment, *order[moment]).end == "Aborted"
    assert (deployment.databases.fenced[WRITER], deployment.databases.admits[WRITER]) == (True, False)
    deployment.call("monitor", {}, WRITER)
    assert deployment.databases.open_writers() == {WRITER}


def test_p9_a_switch_that_fails_first_does_not_end_the_move(deployment: Deployment) -> None:
    """Best effort: which branch fails when is a matter of time, and only the way to the promotion counts."""
    for condition in (
        writer_dies,
        before("detach_secondary", has_run("repoint_dns")),
        before("repoint_dns", it_fails),
    ):
        condition(deployment)
    assert deployment.run(ASKED, RUN).end == "Recovered"
    assert deployment.is_switched(STANDBY)
    assert deployment.members() == {WRITER}


def test_a_branch_that_was_ended_before_it_began_is_none_of_the_next_visit(deployment: Deployment) -> None:
    """The two interpreters are compared visit by visit: the first of NotifyBegun is one of the simulator's only."""
    begin, ended, visits = BranchWorker._thread_routine, BranchWorker.stop, itertools.count()
    first_waits, first_is_over = threading.Event(), threading.Event()

    def begin_late(worker: BranchWorker) -> None:
        if worker._program.start_at.start_at_name == "NotifyBegun" and next(visits) == 0:
            first_waits.set()
            assert patiently(first_is_over.wait)
            return
        begin(worker)

    def end(worker: BranchWorker, *arguments: object, **named: object) -> None:
        ended(worker, *arguments, **named)  # type: ignore[arg-type]
        first_is_over.set()

    first_waits_before = before("detach_secondary", lambda _: patiently(first_waits.wait))
    for condition in (writer_dies, first_waits_before, rds_is_busy_for(15.0)):
        condition(deployment)
    with mock.patch.object(BranchWorker, "_thread_routine", begin_late), mock.patch.object(BranchWorker, "stop", end):
        run = deployment.run(ASKED, RUN)
    assert run.end == "Recovered"
    assert run.visited.count("MoveWriter") == next(visits) > run.visited.count("NotifyBegun")
    assert_the_simulator_goes_the_same_way(definition(), run)


def entered(event: dict[str, Any]) -> str | None:
    """The state that is entered by what is about to be added to a history."""
    return (event.get("event_details") or {}).get("stateEnteredEventDetails", {}).get("name")  # type: ignore[no-any-return]


def test_a_branch_that_goes_on_beside_the_next_visit_is_none_of_its_way(deployment: Deployment) -> None:
    """Its states are followed one by one, whatever another visit enters in between."""
    add, visits = EventManager.add_event, itertools.count()
    first_has_told, second_begins = threading.Event(), threading.Event()

    def add_late(history: EventManager, *event: Any, **described: Any) -> int:
        if entered(described) == "BegunNotified" and not first_has_told.is_set():
            first_has_told.set()
            assert patiently(second_begins.wait)
        added = add(history, *event, **described)
        if entered(described) == "NotifyBegun" and next(visits) == 1:
            second_begins.set()
        return added

    first_has_told_before = before("detach_secondary", lambda _: patiently(first_has_told.wait))
    for condition in (writer_dies, first_has_told_before, rds_is_busy_for(15.0)):
        condition(deployment)
    with mock.patch.object(EventManager, "add_event", add_late):
        run = deployment.run(ASKED, RUN)
    assert [state for state in run.visited if "Begun" in state][:3] == ["NotifyBegun", "NotifyBegun", "BegunNotified"]
    assert graph.taken(definition(), run) <= assert_the_simulator_goes_the_same_way(definition(), run)


def test_a_branch_that_goes_on_after_the_run_is_no_part_of_its_way(deployment: Deployment) -> None:
    """Nor is it left to the next test: whoever has waited for the run has seen all that came of it."""
    add, begins = EventManager.add_event, threading.Event()

    def add_late(history: EventManager, *event: Any, **described: Any) -> int:
        if entered(described) == "NotifyBegun":
            begins.set()
            run_has_ended(deployment)
            real_sleep(0.1)
        return add(history, *event, **described)

    begun_before = before("detach_secondary", lambda _: patiently(begins.wait))
    for condition in (writer_dies, begun_before, detach_is_refused):
        condition(deployment)
    with mock.patch.object(EventManager, "add_event", add_late):
        run = deployment.run(ASKED, RUN)
    assert (run.end, run.visited[-1]) == ("Aborted", "NotifyBegun")
    assert graph.taken(definition(), run) <= assert_the_simulator_goes_the_same_way(definition(), run)


def test_a_branch_that_goes_another_way_is_seen(deployment: Deployment) -> None:
    """... where nothing ended it."""
    writer_dies(deployment)
    run = deployment.run(ASKED, RUN)
    another = copy.deepcopy(definition())
    (branch,) = (
        one["States"] for one in another["States"]["MoveWriter"]["Branches"] if one["StartAt"] == "FenceOldWriter"
    )
    del branch["FenceOldWriter"]["End"]
    branch["FenceOldWriter"]["Next"] = "AnotherEnd"
    branch["AnotherEnd"] = {"Type": "Pass", "End": True}
    with pytest.raises(AssertionError, match="AnotherEnd"):
        assert_the_simulator_goes_the_same_way(another, run)
