"""Who reaches whom, and which region has a quorum."""

from __future__ import annotations

import threading

import pytest

from drills.aws.replicated_table import has_quorum
from drills.world.reachability import OUTSIDE, Fault, Reachability
from orchestration.specification.model import Table

EAST, WEST, WITNESS = "us-east-1", "us-west-2", "us-east-2"
TABLE = Table("control", "database", replica_regions=(EAST, WEST), witness_region=WITNESS)


@pytest.fixture
def reachability() -> Reachability:
    return Reachability([EAST, WEST, WITNESS])


def quorums(reachability: Reachability) -> list[bool]:
    return [has_quorum(reachability, TABLE, region) for region in (EAST, WEST)]


def test_everybody_reaches_everybody_at_first(reachability: Reachability) -> None:
    places = (EAST, WEST, WITNESS, OUTSIDE)
    assert all(reachability.reaches(one, other) for one in places for other in places if other != OUTSIDE)
    assert quorums(reachability) == [True, True]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_region_that_is_down_is_reached_by_nobody_and_reaches_nobody(
    reachability: Reachability, fault: Fault
) -> None:
    reachability.take_down(EAST, fault)
    assert not reachability.is_up(EAST)
    assert [reachability.fault(caller, EAST) for caller in (EAST, WEST, OUTSIDE)] == [fault] * 3
    assert reachability.fault(EAST, WEST) is fault
    assert reachability.reaches(WEST, WITNESS)
    assert quorums(reachability) == [False, True]
    reachability.bring_back(EAST)
    assert quorums(reachability) == [True, True]


def test_a_cut_link_leaves_both_ends_their_quorum(reachability: Reachability) -> None:
    reachability.cut(EAST, WEST)
    assert [reachability.fault(EAST, WEST), reachability.fault(WEST, EAST)] == [Fault.HANG] * 2
    assert reachability.reaches(OUTSIDE, EAST)
    assert reachability.is_up(EAST)
    assert quorums(reachability) == [True, True]
    reachability.take_down(WITNESS, Fault.REFUSE)
    assert quorums(reachability) == [False, False]


def test_an_isolated_region_reaches_itself_alone_and_loses_its_quorum(reachability: Reachability) -> None:
    reachability.isolate(EAST)
    assert reachability.is_up(EAST)
    assert reachability.reaches(EAST, EAST)
    assert not any(reachability.reaches(EAST, other) for other in (WEST, WITNESS))
    assert not reachability.reaches(OUTSIDE, EAST)
    assert quorums(reachability) == [False, True]
    reachability.mend()
    assert quorums(reachability) == [True, True]


def test_who_waits_is_let_go_by_the_change_it_waits_for_or_by_the_end(reachability: Reachability) -> None:
    reachability.cut(EAST, WEST)
    waiting = [
        threading.Thread(target=reachability.wait_for, args=[lambda: reachability.reaches(EAST, WEST)]),
        threading.Thread(target=reachability.wait_for, args=[lambda: False]),
    ]
    for thread in waiting:
        thread.start()
    reachability.mend()
    waiting[0].join()
    assert waiting[1].is_alive()
    reachability.close()
    waiting[1].join()
