"""A failing history is made small: what does not matter goes, what matters stays."""

from __future__ import annotations

from simulation.faults import Fault
from simulation.shrink import MOST_TRIES, SHORT_S, shrink

DIES = Fault("database down", "us-east-1", 20.4, 64.0)
CUT = Fault("cut", "us-east-1->us-west-2", 21.7, 33.3, {"refuses": 1.0})
SLOW = Fault("prober slow", "us-west-2", 9.0, 50.0, {"takes": 3.7})


def test_faults_that_do_not_matter_go() -> None:
    found = shrink([SLOW, DIES, CUT], lambda faults: any(one.kind == "cut" for one in faults))
    assert [one.kind for one in found] == ["cut"]


def test_what_matters_together_stays_together() -> None:
    found = shrink([SLOW, DIES, CUT], lambda faults: {"database down", "cut"} <= {one.kind for one in faults})
    assert [one.kind for one in found] == ["database down", "cut"]


def test_faults_are_shortened_and_rounded_as_far_as_they_still_matter() -> None:
    (found,) = shrink([DIES], lambda faults: bool(faults) and faults[0].lasts >= 10.0)
    assert 10.0 <= found.lasts < 20.0
    (found,) = shrink([SLOW], lambda faults: bool(faults) and faults[0].how["takes"] > 3.0)
    assert (found.how["takes"], found.lasts <= 2 * SHORT_S) == (4.0, True)


def test_a_history_that_cannot_be_made_smaller_is_left_as_it_is() -> None:
    assert shrink([DIES, CUT], lambda faults: list(faults) == [DIES, CUT]) == (DIES, CUT)


def test_the_number_of_replays_is_limited() -> None:
    tries = []
    shrink([DIES] * 50, lambda faults: bool(tries.append(faults)))  # type: ignore[func-returns-value]
    assert len(tries) == MOST_TRIES
