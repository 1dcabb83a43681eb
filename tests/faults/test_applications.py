"""The example applications through a failover in which the writer's region hangs: as recommended, and with less."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from drills.bench.applications import FINDS, Measured, changed, every, lacking, play
from drills.world.applications import PROGRAMS, Chosen

AURORA_PROMOTION_S = 5.0
# The name's time to live, two attempts that fail, and their pauses.
BACK_WITHIN_S = 12.0
# Without these a program hangs; without the others it is only slower.
HANGS = {
    "no deadline",
    "no connect_timeout",
    "pool_pre_ping",
    "no query_timeout",
    "no connectionTimeoutMillis",
    "no socketTimeout",
}

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def lacks() -> dict[str, str]:
    return lacking()


def measured(chosen: Sequence[Chosen], lacks: dict[str, str], output: Path) -> dict[str, Measured]:
    played = play([each for each in chosen if each.program.name not in lacks], 1, AURORA_PROMOTION_S, output)
    assert played.result.status == "passed"
    return {each.label: each for each in played.measured}


@pytest.fixture(scope="module")
def recommended(lacks: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    return measured(every(), lacks, tmp_path_factory.mktemp("recommended"))


@pytest.fixture(scope="module")
def worse(lacks: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    return measured(changed(), lacks, tmp_path_factory.mktemp("changed"))


@pytest.mark.parametrize("find", FINDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_p1_every_driver_is_back_soon_and_loses_nothing_that_it_was_told_afterwards(
    name: str, find: str, recommended: dict[str, Measured], lacks: dict[str, str]
) -> None:
    if name in lacks:
        pytest.skip(lacks[name])
    found = recommended[f"{name} by {find}"]
    assert found.recovered, found
    assert found.reconnect_s is not None
    assert found.reconnect_s <= BACK_WITHIN_S


@pytest.mark.parametrize("chosen", [each for each in changed() if each.without], ids=lambda each: each.label)
def test_what_the_document_says_of_a_missing_setting_is_so(
    chosen: Chosen, worse: dict[str, Measured], lacks: dict[str, str]
) -> None:
    if chosen.program.name in lacks:
        pytest.skip(lacks[chosen.program.name])
    assert chosen.without is not None
    found = worse[chosen.label]
    assert found.began, found
    assert (found.reconnect_s is None) == (chosen.without.setting in HANGS)
