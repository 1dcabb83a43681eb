"""The table of mutants fits the product and its tests; trying them is `make mutants`."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tests.mutants.patches import ROOT, DoesNotApply, Mutant, mutants, names_of_tests
from tests.mutants.trial import Result, Seen, judged

ROWS = mutants()
ROW = Mutant("a mistake", "some.py", "a < b", "a <= b", "P1: two write.", ("tests/test_a.py::test_one",))


@cache
def names_of(file: str) -> frozenset[str]:
    return frozenset(names_of_tests(ROOT / file))


@pytest.mark.parametrize("mutant", ROWS, ids=lambda one: one.name)
def test_each_mutant_applies_once_and_its_tests_exist(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    assert mutant.applied(text) != text
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert name.split("[")[0] in names_of(file), f"there is no {test}"


def test_each_has_a_name_of_its_own_and_says_what_it_breaks() -> None:
    assert [name for name, times in Counter(one.name for one in ROWS).items() if times > 1] == []
    assert [one.name for one in ROWS if not one.breaks.endswith(".")] == []


def test_every_promise_has_mutants() -> None:
    assert {f"P{number}" for number in range(1, 11)} <= {one.breaks.partition(":")[0] for one in ROWS}


@pytest.mark.parametrize("text", ["a == b", "a < b or a < b"])
def test_a_mutant_that_does_not_apply_once_is_an_error(text: str) -> None:
    with pytest.raises(DoesNotApply, match="correct the row"):
        ROW.applied(text)


@pytest.mark.parametrize(
    ("seen", "result"),
    [
        (Seen(failed=["tests/test_a.py::test_one"]), "caught"),
        (Seen(failed=["tests/test_a.py::test_one[case]"], passed=["tests/test_a.py::test_one[other]"]), "caught"),
        (Seen(passed=["tests/test_a.py::test_one"]), "SURVIVED"),
        (Seen(failed=["tests/test_a.py::test_one_more"]), "SURVIVED"),
        (Seen(errors=["tests/test_a.py: ImportError"]), "ERROR"),
        (Seen(errors=["tests/test_a.py::test_one, setup: no fixture"]), "ERROR"),
    ],
)
def test_only_a_test_that_fails_by_itself_has_caught_a_mutant(seen: Seen, result: Result) -> None:
    assert judged(ROW, seen)[0] == result
