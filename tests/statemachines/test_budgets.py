"""The time budgets add up to the promise, and each step keeps its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from types import ModuleType

import pytest

from handlers.core.claim import LATE_REQUEST_S
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, TICK_S
from handlers.core.move import ASK_AGAIN_AFTER_S, MOST_SWITCHOVER_REQUESTS
from handlers.gateways import acting, aws, global_database, prober
from orchestration.settings import PROJECT_ROOT
from orchestration.specification import budgets
from orchestration.specification.workflows import definition, tasks
from tests.deployment import STANDBY, Deployment
from tests.statemachines import graph

MACHINE = definition()
# What a switchover takes to stop and fence the writer, and its guardian to look and open it again, at most (s).
STOP_AND_OPEN_S = 15.0
GUARANTEES = PROJECT_ROOT / "docs" / "guarantees.md"
# What a client waits for one answer, of any service and of RDS to a request that moves the writer (s).
ANSWER_S = aws.CONNECT_TIMEOUT_S + aws.READ_TIMEOUT_S
MOVE_ANSWER_S = aws.CONNECT_TIMEOUT_S + global_database.MOVE_READ_TIMEOUT_S


def test_p4_the_critical_path_fits_into_its_budget() -> None:
    assert sum(budget.seconds for budget in budgets.budgets()) < budgets.DETECTION_TO_PROMOTION_S


def test_the_page_gives_each_budget_as_the_workflow_has_it() -> None:
    """One attempt of each step, in its order."""
    paragraph = re.search(r"^From the alarm to .*?\n\n", GUARANTEES.read_text(), re.MULTILINE | re.DOTALL)
    assert paragraph is not None
    text = " ".join(paragraph[0].split())
    assert f"the budget is {budgets.DETECTION_TO_PROMOTION_S} s" in text
    told = [f"{' ∥ '.join(f'`{state}`' for state in one.states)} {one.seconds} s" for one in budgets.budgets()]
    assert f": {', '.join(told)}. " in text
    assert f"RDS has {global_database.MOVE_READ_TIMEOUT_S:g} s to answer a detach" in text


def test_the_critical_path_is_the_way_through_the_workflow() -> None:
    """Nothing but choices lies between two states of it, or between the states that hold them."""
    states = graph.states(MACHINE)
    holders = {inner: name for name, state in states.items() for inner in _inside(state)}
    way = [holders.get(row[0], row[0]) for row in budgets.CRITICAL_PATH]
    for here, there in itertools.pairwise(dict.fromkeys(way)):
        reached: set[str] = set()
        ahead = {states[here]["Next"]}
        while ahead - reached:
            reached |= ahead
            choices = [states[name] for name in ahead if states[name]["Type"] == "Choice"]
            ahead = {rule["Next"] for choice in choices for rule in choice["Choices"]} | {
                choice["Default"] for choice in choices
            }
        assert there in reached, (here, there)
    assert states["DetachSecondary"]["Next"] == "Promote"


def _inside(state: dict[str, object]) -> list[str]:
    branches = state.get("Branches", ())
    return [name for branch in branches for name in branch["States"]]  # type: ignore[attr-defined]


def test_every_step_beside_the_promotion_ends_before_it() -> None:
    for state in budgets.BESIDE_PROMOTION:
        assert budgets.limit(state) < budgets.limit("Promote")


def test_every_task_of_the_move_is_in_a_budget() -> None:
    counted = {state for row in budgets.CRITICAL_PATH for state in row} | set(budgets.BESIDE_PROMOTION)
    branches = graph.states(MACHINE)["MoveWriter"]["Branches"]
    assert {name for branch in branches for name, _, _ in tasks(branch)} <= counted


@pytest.mark.parametrize(
    ("state", "step", "own_limit"),
    [
        ("Promote", "promote", lambda step: step.LOOK_FOR_S + step.PROBE_TIMEOUT_S + 2 * ANSWER_S),
        ("DetachSecondary", "detach_secondary", lambda step: 2 * ANSWER_S + MOVE_ANSWER_S),
        ("SwitchOver", "switch_over", lambda step: 2 * ANSWER_S + MOVE_ANSWER_S),
        ("WaitForLease", "wait_for_lease", lambda step: step.WAIT_FOR_S + aws.CONNECT_TIMEOUT_S),
        ("CheckHealth", "check_health", lambda step: prober.STEP_INVOCATION_TIMEOUT_S + aws.CONNECT_TIMEOUT_S),
        ("VerifyLag", "verify_lag", lambda step: prober.STEP_INVOCATION_TIMEOUT_S + aws.CONNECT_TIMEOUT_S),
        ("FenceOldWriter", "fence_old_writer", lambda step: acting.READ_TIMEOUT_S + aws.CONNECT_TIMEOUT_S),
    ],
)
def test_a_step_gives_up_by_itself_before_its_state_does(
    state: str, step: str, own_limit: Callable[[ModuleType], float], deployment: Deployment
) -> None:
    with deployment.lambdas.environment(STANDBY, step) as module:
        assert own_limit(module) < budgets.limit(state)


def test_p1_a_fence_is_complete_when_the_lease_ends() -> None:
    """A guardian looks at its clock every tick, and a fence takes a second at most."""
    assert TICK_S + 1.0 <= FENCE_BEFORE_S
    assert LEASE_S > FENCE_BEFORE_S + CLOCK_MARGIN_S + 2 * TICK_S  # two renewals may fail before anybody is fenced


def test_p1_nobody_claims_while_a_step_may_live_that_has_a_request_on_its_way() -> None:
    """After a commit with more than one request noted, the next claim waits for longer than any step that asks."""
    asking = [budgets.limit(state) for state in ("DetachSecondary", "SwitchOver")]
    assert max(asking) < LATE_REQUEST_S
    assert MOVE_ANSWER_S < LATE_REQUEST_S


def test_p10_the_page_says_how_long_a_switchover_that_is_cancelled_keeps_the_writer_closed() -> None:
    """The run asks once more after a quiet time, and until the guardian may end it counts from the last request."""
    paragraph = re.search(r"^\* \*\*The longest that a switchover.*?(?=^\* )", GUARANTEES.read_text(), re.M | re.S)
    assert paragraph is not None
    text = " ".join(paragraph[0].split())
    assert MOST_SWITCHOVER_REQUESTS == 2
    late_s = LATE_REQUEST_S + CLOCK_MARGIN_S
    assert f"after {ASK_AGAIN_AFTER_S:g} s of quiet the run asks once more, and the {late_s:g} s" in text
    twice, once = [(float(least), float(most)) for least, most in re.findall(r"about (\d+) to (\d+) s", text)]
    for (least, most), waits_s in ((twice, ASK_AGAIN_AFTER_S + late_s), (once, late_s)):
        assert waits_s < least
        assert most - waits_s <= STOP_AND_OPEN_S


def test_p10_a_run_that_rds_is_too_busy_for_gives_the_guardian_two_ticks() -> None:
    wait = graph.states(MACHINE)["WaitWhileRdsIsBusy"]["Seconds"]
    assert wait >= 2 * (TICK_S + 1.0)
