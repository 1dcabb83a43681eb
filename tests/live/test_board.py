"""What the page shows, from what happens in the lab."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from drills.aws.cloud import ACCOUNT
from drills.aws.happenings import Happening, Kind
from drills.live.board import Board, Call
from drills.world.clock import Clock
from drills.world.pulse import Load
from drills.world.reachability import Fault, Reachability
from orchestration.settings import load
from orchestration.specification import describe

WRITER, STANDBY = "us-east-1", "us-west-2"


class World:
    """A board and the little of a lab that it looks at."""

    def __init__(self) -> None:
        self.lab = MagicMock(settings=load(), specification=describe(load(), ACCOUNT), clock=Clock.started_now(1.0))
        self.lab.reachability = Reachability([WRITER, STANDBY, "us-east-2"])
        self.lab.cloud.is_up = self.lab.reachability.is_up
        self.lab.network.is_fenced = lambda _: False
        self.lab.servers = {
            region: MagicMock(is_standby=region == STANDBY, is_running=lambda: True) for region in (WRITER, STANDBY)
        }
        self.board = Board()
        self.board.shows(self.lab)
        self.record()

    def record(self, **more: Any) -> None:
        lease = {"lease_expires_at": {"N": repr(self.lab.clock.now() + 10)}}
        item = {**self.lab.specification.first_control_record, **lease, **more}
        self.happens(Kind.RECORD_CHANGED, self.lab.specification.control_table.name, WRITER, item=item)

    def happens(self, kind: Kind, subject: str, region: str = STANDBY, **detail: Any) -> None:
        self.board.observe(Happening(kind, region, subject, detail))

    def runs(self, name: str, *, machine: str | None = None) -> None:
        deployed = self.lab.specification.regions[STANDBY]
        self.happens(Kind.EXECUTION_STARTED, name, input="", machine=machine or deployed.state_machine.name)

    def enters(self, run: str, *states: str) -> None:
        for state in states:
            self.happens(Kind.STATE_ENTERED, state, execution=run)

    def shown(self, section: str) -> Any:
        return self.board.sections()[section]


@pytest.fixture
def world() -> World:
    return World()


def test_it_shows_something_before_the_lab_is_built() -> None:
    assert Board().sections()["headline"] == {"kind": "unknown", "sentence": "The lab is being built."}


def test_a_run_is_where_it_has_entered_and_not_left(world: World) -> None:
    world.runs("one")
    world.enters("one", "MoveWriter", "RepointDns", "Promote")
    world.happens(Kind.STATE_EXITED, "RepointDns", execution="one")
    (run,) = world.shown("runs")
    assert (run["machine"], run["active"]) == ("failover", ["MoveWriter", "Promote"])
    assert run["visited"] == ["MoveWriter", "RepointDns", "Promote"]
    world.happens(Kind.EXECUTION_ENDED, "one", status="SUCCEEDED")
    (run,) = world.shown("runs")
    assert (run["status"], run["active"]) == ("SUCCEEDED", [])


def test_a_reprotection_is_shown_in_its_own_graph(world: World) -> None:
    world.runs("two", machine=world.lab.specification.regions[STANDBY].reprotection.name)
    assert world.shown("runs")[0]["machine"] == "reprotect"


def test_a_run_dies_with_its_region(world: World) -> None:
    world.runs("one")
    world.enters("one", "Promote")
    world.board.lost(STANDBY)
    assert (world.shown("runs")[0]["status"], world.shown("runs")[0]["active"]) == ("ABORTED", [])


def test_the_followed_run_is_the_one_that_does_the_work(world: World) -> None:
    assert world.shown("followed") is None
    world.runs("one")
    world.runs("refused")
    assert world.shown("followed") == "one"
    world.enters("refused", "OutcomeRefused")
    for name in ("one", "refused"):
        world.happens(Kind.EXECUTION_ENDED, name, status="SUCCEEDED")
    assert world.shown("followed") == "one"


def test_a_question_to_people_is_the_headline(world: World) -> None:
    assert world.shown("headline")["kind"] == "automatic"
    world.runs("one")
    world.enters("one", "AskRetirement")
    assert world.shown("headline") == {
        "kind": "asks",
        "sentence": "Run one asks whether the old cluster may be removed: approve or reject.",
    }


def test_a_region_is_shown_as_it_is_seen_from_outside(world: World) -> None:
    lives = {row["name"]: (row["role"], row["life"], row["database"]) for row in world.shown("regions")}
    assert lives == {WRITER: ("writer", "up", "takes writes"), STANDBY: ("standby", "up", "follows")}
    world.lab.reachability.isolate(WRITER)
    assert world.shown("regions")[0]["life"] == "cut off"
    world.lab.reachability.mend()
    world.lab.reachability.take_down(WRITER, Fault.HANG)
    assert [world.shown("regions")[0][part] for part in ("life", "database")] == ["hangs", "frozen"]
    world.lab.reachability.take_down(WRITER, Fault.REFUSE)
    world.lab.servers[WRITER].is_running = lambda: False
    assert [world.shown("regions")[0][part] for part in ("life", "database")] == ["dead", "down"]
    world.record(writer_region={"S": STANDBY}, protected={"BOOL": False})
    assert [row["role"] for row in world.shown("regions")] == ["old writer", "writer"]


def test_the_time_without_writes_is_counted_from_the_first_moment_to_the_last(world: World) -> None:
    for at, rate in ((0.0, 80.0), (1.0, 0.0), (2.0, 0.0)):
        world.board.pulse(Load({WRITER: rate, STANDBY: 0.0}, 8, 0 if rate else 8), at)
    assert world.shown("pulse")["silent_s"] is not None
    world.board.pulse(Load({WRITER: 0.0, STANDBY: 70.0}, 8, 4), 41.0)
    assert (world.shown("pulse")["silent_s"], world.shown("pulse")["was_silent_s"]) == (None, 40.0)
    world.board.begin_outage(50.0)
    assert world.shown("pulse")["was_silent_s"] is None


def test_an_alarm_of_a_dead_region_stands_still(world: World) -> None:
    name = world.lab.specification.regions[STANDBY].alarm("writer-down").name
    world.happens(Kind.ALARM_CHANGED, name, state="ALARM", previous="OK")
    world.lab.reachability.take_down(WRITER, Fault.REFUSE)
    alarms = {alarm["name"]: alarm for alarm in world.shown("alarms")}
    assert (alarms[name]["state"], alarms[name]["stands_still"]) == ("ALARM", False)
    assert all(alarm["stands_still"] for alarm in alarms.values() if alarm["region"] == WRITER)


def test_a_call_is_shown_at_work_and_then_with_its_answer(world: World) -> None:
    world.board.call(Call(1.0, "failoverctl --lab status", None, ""))
    assert world.shown("calls")[0]["code"] is None
    world.board.call(Call(1.0, "failoverctl --lab status", 0, "Writer us-east-1"))
    assert [(call["code"], call["printed"]) for call in world.shown("calls")] == [(0, "Writer us-east-1")]
