"""The rules that `tests.simulation.breaks` takes away still stand where it takes them from."""

from __future__ import annotations

import pytest

from simulation.checks import CHECKS
from tests.mutants.patches import ROOT, Mutant
from tests.simulation.breaks import rows


@pytest.mark.parametrize("mutants", rows(), ids=lambda mutants: mutants[0].name)
def test_a_rule_is_taken_away_and_a_check_is_to_find_that(mutants: list[Mutant]) -> None:
    for mutant in mutants:
        assert mutant.applied((ROOT / mutant.file).read_text())
    assert mutants[0].breaks in {check.promise for check in CHECKS}
