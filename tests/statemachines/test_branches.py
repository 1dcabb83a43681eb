"""The branches of MoveWriter run side by side, and RDS may refuse the detach at any moment of the others.

A branch that fails stops the others, but not a function that one of them has called: "When a parallel state fails,
invoked Lambda functions continue to run" (Step Functions guide, "Parallel workflow state"). Here each order is forced.
"""

from __future__ import annotations

import pytest

from tests.deployment import STANDBY, WRITER, Deployment, Run
from tests.statemachines.conditions import (
    RUN,
    Condition,
    before,
    detach_is_refused,
    has_run,
    it_fails,
    lock_is_given_back,
    old_writer_is_closed,
    run_has_ended,
    switch_is_engaged,
    writer_dies,
    writer_lives,
)
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
    assert "Error: DetachRejected: " in deployment.messages(STANDBY)[-1][1]


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
