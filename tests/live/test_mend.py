"""Mending ends every outage and every trouble that the page can make."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, call

import pytest

from drills.aws.rds_behaviour import Behaviour
from drills.aws.replicated_table import Condition
from drills.lab import Lab, Wishes
from drills.live.living import STRIKES, WORSE, LivingLab, NotNowError
from drills.world.clock import Clock
from drills.world.reachability import Fault


def made(cls: Any, *more: Any, **named: Any) -> Any:
    """A lab of which nothing runs: databases, network and AWS are noted, who reaches whom is the real thing."""
    return cls(Path("/tmp/lab"), MagicMock(major=18), Clock.started_now(1.0), MagicMock(), *more, **named)


def stub(lab: Any) -> Any:
    lab.network, lab.cloud = MagicMock(), MagicMock()
    lab.cloud.is_up = lab.reachability.is_up
    lab.cloud.take_down = lab.reachability.take_down
    lab.cloud.bring_back = lab.reachability.bring_back
    lab.cloud.database.behaviour, lab.cloud.control_table = Behaviour(), Condition()
    for region in lab.servers:
        lab.servers[region] = MagicMock(is_running=MagicMock(return_value=True))
    for starts in ("_start_finding_clients", "_start_pinned_clients", "start_by_hand", "stop_run", "visit"):
        setattr(lab, starts, MagicMock())
    return lab


@pytest.fixture
def lab() -> Any:
    return stub(made(Lab, lambda _: None, Wishes("failover", 1, 30.0, 1)))


@pytest.mark.parametrize("name", STRIKES)
def test_mending_ends_an_outage(lab: Any, name: str) -> None:
    outage = STRIKES[name]
    if outage.preparation:
        outage.preparation.begin(lab)
    outage.strike(lab)
    lab.mend()
    regions = [lab.writer, lab.standby]
    for region in regions:
        assert lab.reachability.reaches("outside", region)
        assert lab.reachability.reaches(region, next(each for each in regions if each != region))
    assert lab.network.release_all.called
    assert lab.cloud.mend.called
    for server in lab.servers.values():
        if server.kill.called and name != "restart":  # that one comes back by itself
            assert server.start.called or server.resume.called


def test_mending_starts_no_database_that_rds_has_removed(lab: Any) -> None:
    lab.lose("us-east-1", Fault.REFUSE)
    lab.writer, lab.standby = lab.standby, lab.writer
    lab.retire("us-east-1")
    lab.servers["us-east-1"].is_running.return_value = False
    lab.mend()
    assert not lab.servers["us-east-1"].start.called


def test_mending_lets_everybody_in_and_every_answer_be_quick(lab: Any) -> None:
    visitors = MagicMock()
    lab._visitors.append(visitors)
    lab.mend()
    assert visitors.close.called
    for region, server in lab.servers.items():
        assert server.refuse_nobody.called
        assert call(region, 0.0) in lab.network.slow_down.mock_calls


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> Any:
    living = made(LivingLab, seed=1, promotion_seconds=30.0)
    stub(living.lab)
    living._is_there = True
    monkeypatch.setattr(living.lab, "follow_roles", lambda: None)
    living.lab.later = lambda seconds, happen: living.waiting.append((seconds, happen))
    living.waiting = []
    return living


def test_nothing_can_be_done_before_the_lab_is_there(living: Any) -> None:
    living._is_there = False
    for do in (lambda: living.strike("kill"), lambda: living.trouble("blind"), living.mend, lambda: living.call([])):
        with pytest.raises(NotNowError, match="being built"):
            do()


def test_where_no_region_is_left_to_ask_a_person_is_told_to_mend(living: Any) -> None:
    for region in (living.lab.writer, living.lab.standby):
        living.lab.lose(region, Fault.REFUSE)
    living.lab.follow_roles = lambda: Lab.follow_roles(living.lab)
    with pytest.raises(NotNowError, match="mend first"):
        living.strike("kill")


def test_an_outage_with_a_preparation_comes_after_it_unless_it_is_mended_before(living: Any) -> None:
    living.strike("fading")
    ((seconds, happen),) = living.waiting
    assert (seconds, living.lab.cloud.is_up("us-east-1")) == (60.0, True)
    assert not living.lab.reachability.reaches("us-east-1", "us-west-2")
    living.mend()
    happen()
    assert living.lab.cloud.is_up("us-east-1")
    living.strike("fading")
    living.waiting[-1][1]()
    assert not living.lab.cloud.is_up("us-east-1")


def test_a_trouble_of_a_runs_beginning_waits_for_the_next_run(living: Any, wait_until: Any) -> None:
    seen = living._narrator.seen
    seen.executions["before"] = SimpleNamespace()
    living.trouble("rds-busy")
    assert living.board.troubles == {"rds-busy": "waits for the next run"}
    seen.executions["next"] = SimpleNamespace()
    wait_until(lambda: living.lab.cloud.database.behaviour.busy_until > 0)


@pytest.mark.parametrize("name", WORSE)
def test_every_trouble_can_begin(living: Any, name: str) -> None:
    living.trouble(name)
    assert name in living.board.troubles
    living.mend()
    assert not living.board.troubles
