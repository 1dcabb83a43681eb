"""Route 53's health checks, and where the writer's name leads by them."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from drills.aws.clusters import writer_endpoint
from drills.aws.happenings import Happening
from drills.aws.health_checks import CHECKERS, EndpointCheck, HealthChecks
from drills.aws.lambda_runtime import Outcome, RegionDownError, ThrottledError
from drills.aws.timetable import Timetable
from drills.world.clock import Clock
from drills.world.dns import RecordSet, Zone
from drills.world.reachability import Fault, Reachability
from handlers.core.control import ControlRecord, Transition, writer_switch_engaged
from orchestration.settings import load
from orchestration.specification import describe

SPECIFICATION = describe(load(environment_suffix="test"), "123456789012")
CHECK = SPECIFICATION.zone.health_checks[0]
EAST, WEST = SPECIFICATION.settings.regions  # of the records PRIMARY and SECONDARY

WaitUntil = Callable[[Callable[[], object]], None]


class Switch:
    """Stands for the Lambda service: answers a health check with what it is told to."""

    def __init__(self) -> None:
        self.answer: Any = {"statusCode": 200}
        self.events: list[dict[str, Any]] = []

    def invoke(self, region: str, name: str, event: dict[str, Any]) -> Outcome:
        assert (region, name) == (CHECK.function_region, CHECK.function.name)
        self.events.append(event)
        if isinstance(self.answer, Exception):
            raise self.answer
        if callable(self.answer):
            self.answer()
        failed = self.answer == "failure"
        return Outcome(json.dumps(self.answer if not callable(self.answer) else {}), failed, "request")


def endpoint(switch: Switch, changed: Callable[[], None] = lambda: None, speed: float = 1, **changes: Any) -> Any:
    check = replace(CHECK, **changes)
    reachability = Reachability(SPECIFICATION.regions)
    return EndpointCheck(check, switch, reachability, Clock.started_now(speed), changed)  # type: ignore[arg-type]


def ask_all(checked: EndpointCheck) -> None:
    for checker in range(CHECKERS):
        checked.ask_from(checker)


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [
        ({"statusCode": 200}, True),
        ({"statusCode": 302}, True),
        ({"statusCode": 404}, False),
        ({"statusCode": 503}, False),
        ({"state": "engaged"}, True),  # a function URL answers 200 when the handler names no status
        ("failure", False),
        (RegionDownError("us-west-2 is down"), False),
        (ThrottledError("Rate Exceeded"), False),
    ],
)
def test_an_endpoint_is_healthy_by_its_status(answer: Any, healthy: bool) -> None:
    switch = Switch()
    switch.answer = answer
    checked = endpoint(switch)
    ask_all(checked)
    assert checked.healthy is healthy
    assert switch.events[0]["version"] == "2.0"
    assert switch.events[0]["requestContext"]["http"]["method"] == "GET"
    assert switch.events[0]["rawPath"] == CHECK.path


def test_an_endpoint_in_a_region_that_is_cut_off_is_unhealthy() -> None:
    switch = Switch()
    checked = endpoint(switch)
    checked._reachability.isolate(CHECK.function_region)
    ask_all(checked)
    assert not checked.healthy
    assert switch.events == []


def test_an_endpoint_is_healthy_when_more_than_18_percent_of_the_checkers_say_so() -> None:
    """Three of sixteen: quick to turn healthy, slow to turn unhealthy."""
    switch, seen = Switch(), []
    checked = endpoint(switch)
    for status in (503, 200, 503):
        switch.answer = {"statusCode": status}
        for checker in range(CHECKERS):
            before = checked.healthy
            checked.ask_from(checker)
            if checked.healthy != before:
                seen.append((status, checker + 1))
    assert seen == [(503, 14), (200, 3), (503, 14)]


def test_a_new_endpoint_counts_as_healthy_until_it_has_data() -> None:
    switch = Switch()
    switch.answer = {"statusCode": 503}
    checked = endpoint(switch)
    assert checked.healthy
    checked.ask_from(0)
    assert checked.healthy
    ask_all(checked)
    assert not checked.healthy


def test_an_endpoint_that_does_not_answer_in_time_is_unhealthy() -> None:
    switch, released = Switch(), threading.Event()
    switch.answer = released.wait
    checked = endpoint(switch, speed=1_000)
    ask_all(checked)
    assert not checked.healthy
    released.set()


def test_a_checker_changes_its_opinion_after_as_many_equal_results_as_the_threshold() -> None:
    switch, told = Switch(), list[bool]()
    checked = endpoint(switch, lambda: told.append(checked.healthy), failure_threshold=3)
    answers = itertools.cycle([500, 500, 200, 500, 500, 500])
    seen = []
    for _ in range(6):
        switch.answer = {"statusCode": next(answers)}
        ask_all(checked)
        seen.append(checked.healthy)
    assert seen == [True, True, True, True, True, False]
    assert told == [False]


def test_the_checkers_do_not_coordinate_and_a_seed_fixes_their_moments(wait_until: WaitUntil) -> None:
    """However long this machine stands still while they are started."""
    asked: dict[str, list[float]] = {}
    clock = Clock.started_now(50)
    for name, seed, stands_still_s in (("one", 1, 0.0), ("again", 1, 5.0), ("other", 2, 0.0)):
        switch, timetable, moments = Switch(), Timetable(clock), itertools.count(clock.now(), stands_still_s)
        timetable.every = lambda interval, first, action, name=name: asked.setdefault(name, []).append(first)  # type: ignore[method-assign,misc]
        halting: Any = SimpleNamespace(now=moments.__next__, to_real=clock.to_real)
        checks = EndpointCheck(CHECK, switch, Reachability([EAST, WEST]), halting, lambda: None, seed)  # type: ignore[arg-type]
        checks.start(timetable)
        wait_until(lambda switch=switch: switch.events)  # type: ignore[misc]
        timetable.close()
    assert len(asked["one"]) == CHECKERS
    assert max(asked["one"]) - min(asked["one"]) > CHECK.interval_seconds / 2
    gaps = {name: [later - moments[0] for later in moments] for name, moments in asked.items()}
    assert gaps["one"] == pytest.approx(gaps["again"], abs=0.001)
    assert gaps["one"] != pytest.approx(gaps["other"], abs=1)


class World:
    """Both regions' switches, answering from one record, the checks over them, and DNS."""

    def __init__(self, writer: str) -> None:
        self.record = ControlRecord(writer, 1, automatic_failover=True)
        self.dead: set[str] = set()
        self.reachability = Reachability([*SPECIFICATION.regions])
        self.told: list[Happening] = []
        self.checks = HealthChecks(SPECIFICATION.zone, self, self.reachability, Clock(1, 0.0), self.told.append)  # type: ignore[arg-type]
        endpoints = {region: writer_endpoint(SPECIFICATION.regions[region].cluster) for region in (EAST, WEST)}
        self._regions = {name: region for region, name in endpoints.items()}
        self._zone = Zone(
            [
                RecordSet(
                    each.name,
                    "CNAME",
                    endpoints[each.cluster_region],
                    each.ttl_seconds,
                    each.failover,
                    each.health_check,
                )
                for each in SPECIFICATION.zone.records
                if each.failover
            ],
            self.checks.is_healthy,
        )

    def invoke(self, region: str, name: str, event: object) -> Outcome:
        if region in self.dead:
            raise ThrottledError(f"{name} is stopped")
        assert SPECIFICATION.regions[region].functions["writer_switch"].name == name
        engaged = writer_switch_engaged(self.record, SPECIFICATION.settings.standby_region)
        return Outcome(json.dumps({"statusCode": 200 if engaged else 503}), False, "request")

    def leads_to(self) -> str:
        """The region to which the writer's name leads."""
        return self._regions[self._zone.answer(SPECIFICATION.zone.writer_name)[0].value]

    def one_checker_asks(self, checker: int) -> str:
        """Where the name leads after one checker of each endpoint has asked."""
        for check in self.checks.endpoints.values():
            check.ask_from(checker)
        return self.leads_to()

    def an_interval_passes(self) -> set[str]:
        """Every checker asks; where the name has led in the meantime."""
        return {self.one_checker_asks(checker) for checker in range(CHECKERS)}


def test_a_new_check_of_the_name_points_at_secondary() -> None:
    """Hence the record is given it later; see `orchestration.constructs.dns`."""
    world = World(EAST)
    assert world.leads_to() == WEST
    world.an_interval_passes()
    assert world.leads_to() == EAST


@pytest.mark.parametrize("writer", [EAST, WEST])
@pytest.mark.parametrize("dead", [EAST, WEST])
@pytest.mark.parametrize("how", ["its function", "its region", "its region hangs", "its region is cut off"])
def test_p10_losing_either_writer_switch_points_nothing_away_from_the_writer(writer: str, dead: str, how: str) -> None:
    """In both orientations: after a change of writer as before one."""
    world = World(writer)
    world.an_interval_passes()
    assert world.leads_to() == writer
    match how:
        case "its function":
            world.dead.add(dead)
        case "its region":
            world.reachability.take_down(dead, Fault.REFUSE)
        case "its region hangs":
            world.reachability.take_down(dead, Fault.HANG)
        case _:
            world.reachability.isolate(dead)
    for _ in range(3):
        assert world.an_interval_passes() == {writer}


@pytest.mark.parametrize(("writer", "target"), [(EAST, WEST), (WEST, EAST)])
def test_p4_the_name_follows_a_move_while_the_old_writers_region_is_dark(writer: str, target: str) -> None:
    """It is quick to engage, by three of sixteen, and slow to give up, by fourteen."""
    world = World(writer)
    world.an_interval_passes()
    world.told.clear()
    world.reachability.take_down(writer, Fault.HANG)
    move = Transition("run", "failover", "moving", "incident", target, started_at=0, deadline=1, dns_engaged=True)
    world.record = replace(world.record, transition=move)
    followed = [world.one_checker_asks(checker) for checker in range(CHECKERS)].index(target) + 1
    assert followed == (3 if target == WEST else 14)
    assert [happening.detail for happening in world.told] == [{"healthy": target == EAST}]
    world.record = ControlRecord(target, 2, automatic_failover=True)
    assert world.an_interval_passes() == {target}


@pytest.mark.parametrize(("writer", "target"), [(EAST, WEST), (WEST, EAST)])
@pytest.mark.parametrize("dead", [EAST, WEST])
def test_p10_a_move_with_one_switch_dead_is_followed(writer: str, target: str, dead: str) -> None:
    world = World(writer)
    world.dead.add(dead)
    world.an_interval_passes()
    assert world.leads_to() == writer
    world.record = ControlRecord(target, 2, automatic_failover=True)
    world.an_interval_passes()
    assert world.leads_to() == target
