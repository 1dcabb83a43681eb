"""The rules that `tests.simulation.breaks` takes away still stand where it takes them from."""

from __future__ import annotations

import pytest

from simulation.checks import CHECKS
from simulation.faults import BY_NAME
from tests.mutants.patches import ROOT
from tests.simulation.breaks import Rule, rows


@pytest.mark.parametrize("rule", rows(), ids=lambda rule: rule.mutants[0].name)
def test_a_rule_is_taken_away_and_a_check_is_to_find_that(rule: Rule) -> None:
    for mutant in rule.mutants:
        assert mutant.applied((ROOT / mutant.file).read_text())
    assert rule.mutants[0].breaks in {check.promise for check in CHECKS}
    assert not rule.needs or rule.needs in BY_NAME
