"""Every transition of the re-protection, taken by runs that both interpreters agree on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.deployment import STANDBY, WRITER, Deployment, Run
from tests.statemachines import graph
from tests.statemachines.conditions import Condition, approved_by, fails, record_says, refused_by
from tests.statemachines.replayed import assert_the_simulator_goes_the_same_way
from tests.statemachines.scenarios import ASKED, SWITCHOVER
from tests.statemachines.test_reprotection import MACHINE, OTHER, REQUEST, RUN, STEPS

ASKS: dict[str, Any] = {"started_by": "ada"}
# As long as a page of the salvage may take: one invocation begins no other after that.
LONG_PAGE_S = 60.0


def moved_by_a_failover(deployment: Deployment) -> None:
    """The old region has come back since; it had the row as well that the new writer has."""
    deployment.writer_dies()
    deployment.databases.rows = {WRITER: {1: "replicated"}, STANDBY: {1: "replicated"}}
    assert deployment.run(ASKED).end == "Recovered"
    deployment.old_region_returns()


def moved_by_a_switchover_that_counts_as_a_failover(deployment: Deployment) -> None:
    """A failover took it over, and RDS finished it all the same: the record says that there is no standby."""
    assert deployment.run(SWITCHOVER).end == "Recovered"
    record_says(protected=False, unfenced_region=WRITER)(deployment)


def pages_take_long(deployment: Deployment) -> None:
    deployment.databases.page_takes_s = LONG_PAGE_S


def a_table_may_not_be_read(deployment: Deployment) -> None:
    deployment.databases.unreadable = {"payroll.salaries"}


def other_run_stops_while_it_retires(deployment: Deployment) -> None:
    deployment.run_until("retire_old_cluster", REQUEST, OTHER, STANDBY, reprotect=True)
    deployment.lambdas.after = lambda step, event: None
    deployment.old_region_returns()


@dataclass(frozen=True)
class WayBack:
    """What happened (``name``), what is the case, in this order, what is asked, and the last state."""

    name: str
    end: str
    given: tuple[Condition, ...] = (moved_by_a_failover,)
    asked: Any = None


RESUMES = REQUEST | {"resumes": OTHER}
WAYS_BACK = (
    WayBack("the old cluster is retired as the request allows", "Reprotected", asked=REQUEST),
    WayBack("a person approves", "Reprotected", (moved_by_a_failover, approved_by("grace"))),
    WayBack("a person refuses", "Held", (moved_by_a_failover, refused_by("grace", reason="not today"))),
    WayBack("one invocation does not export all", "Reprotected", (moved_by_a_failover, pages_take_long), REQUEST),
    WayBack(
        "a table was not read, of which the request knew nothing",
        "Held",
        (moved_by_a_failover, a_table_may_not_be_read, refused_by("grace", reason="read it first")),
        REQUEST,
    ),
    WayBack("the standby follows already", "Reprotected", (moved_by_a_switchover_that_counts_as_a_failover,)),
    WayBack(
        "a run that stopped while it retired is resumed",
        "Reprotected",
        (moved_by_a_failover, other_run_stops_while_it_retires),
        RESUMES,
    ),
    WayBack("there is a standby", "Refused", ()),
    WayBack("the request is none", "RejectRequest", (), {}),
    WayBack("it cannot begin", "NotBegun", (fails("begin_reprotection"),)),
    *(
        WayBack(f"{step} fails for good", "NeedsPerson", (moved_by_a_failover, fails(step)), REQUEST)
        for step in STEPS[1:-1]  # without the first the run has not begun, and the last tells people
    ),
    WayBack("nobody can be asked", "NeedsPerson", (moved_by_a_failover, fails("ask_retirement"))),
    WayBack(
        "a resumed retirement fails for good",
        "NeedsPerson",
        (moved_by_a_failover, other_run_stops_while_it_retires, fails("retire_old_cluster")),
        RESUMES,
    ),
    WayBack(
        "the lock cannot be given back",
        "NeedsPerson",
        (moved_by_a_failover, fails("verify_fenced"), fails("end_reprotection")),
    ),
    WayBack("nobody can be told", "Refused", (fails("notify_reprotection"),)),
    WayBack(
        "what a retry may cure is there at every attempt",
        "NeedsPerson",
        (moved_by_a_failover, fails("arm_failover", "TransientFailure")),
        REQUEST,
    ),
)
BY_NAME = {way.name: way for way in WAYS_BACK}


@cache
def play(name: str) -> Run:
    """Plays one, once in a session however often it is asked for."""
    way = BY_NAME[name]
    with Deployment() as deployment:
        for condition in way.given:
            condition(deployment)
        return deployment.run(ASKS if way.asked is None else way.asked, RUN, STANDBY, reprotect=True)


def taken_by_both(name: str) -> set[graph.Transition]:
    """Returns the transitions of a run, of which both interpreters say the same."""
    run = play(name)
    taken = graph.taken(MACHINE, run)
    assert assert_the_simulator_goes_the_same_way(MACHINE, run) == taken
    return taken


@pytest.mark.parametrize("name", BY_NAME)
def test_both_interpreters_go_the_same_way_back(name: str) -> None:
    assert play(name).end == BY_NAME[name].end
    assert taken_by_both(name)


def test_every_transition_of_the_way_back_is_taken() -> None:
    taken = {step for name in BY_NAME for step in taken_by_both(name)}
    assert taken == graph.transitions(MACHINE)


def test_an_error_that_a_retry_may_cure_is_caught_after_the_last_attempt() -> None:
    first = MACHINE["States"]["ArmFailover"]["Retry"][0]
    assert "TransientFailure" in first["ErrorEquals"]
    events = play("what a retry may cure is there at every attempt").events
    failed = [event for event in events if event.get("taskFailedEventDetails", {}).get("error") == "TransientFailure"]
    assert len(failed) == 1 + first["MaxAttempts"]


def test_names_of_ways_back_are_distinct() -> None:
    assert len(BY_NAME) == len(WAYS_BACK)
