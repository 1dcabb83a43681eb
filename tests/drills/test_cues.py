"""When each trouble of a drill begins, with a lab that notes what is done to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drills.aws.happenings import Happening
from drills.aws.happenings import Kind as Happened
from drills.script.cues import Cues
from drills.script.options import Options
from drills.show.narrator import Narrator
from drills.show.timeline import Timeline
from drills.troubles import TROUBLES, Phase, Trouble, When
from drills.world.clock import Clock

WaitUntil = Callable[[Callable[[], object]], None]
EAST, WEST = "us-east-1", "us-west-2"
RUN = Happening(Happened.EXECUTION_STARTED, WEST, "run-1", {"input": "{}"})


class Lab:
    """Does later at once what is to be done later, and notes after how long."""

    writer, standby = EAST, WEST

    def __init__(self) -> None:
        self.done: list[object] = []
        self.closing = False
        self.clock = SimpleNamespace(sleep=lambda seconds: self.done.append(f"sleep {seconds:g}"))

    def later(self, seconds: float, happen: Callable[[], None]) -> None:
        self.done.append(f"in {seconds:g} s")
        happen()

    def is_closing(self) -> bool:
        return self.closing


def trouble(when: When, **more: Any) -> Trouble:
    return replace(TROUBLES["bus-down"], when=when, begin=lambda lab: lab.done.append(when.name), **more)  # type: ignore[attr-defined]


class Stage:
    """The cues of one drill, and all that they need."""

    def __init__(self, *troubles: Trouble, phase: Phase | None = None) -> None:
        clock = Clock.started_now(1)
        self.timeline = Timeline(clock)
        self.narrator = Narrator(self.timeline, clock, "alarm")
        self.lab = Lab()
        options = Options(
            "failover", None, "yes", False, False, False, 1, 1.0, 1, 0.0, None, Path(), troubles=troubles, phase=phase
        )
        self.cues = Cues(options, self.lab, self.narrator, self.timeline)  # type: ignore[arg-type]

    def lock(self, phase: str, requests: int = 0) -> None:
        """Let a run hold the lock."""
        lock = {"run": {"S": "run-1"}, "phase": {"S": phase}, "move_requests": {"N": str(requests)}}
        item = {"writer_region": {"S": EAST}, "transition": {"M": lock}}
        self.narrator.observe(Happening(Happened.RECORD_CHANGED, WEST, "control", {"item": item}))


def test_before_the_outage_a_trouble_is_given_its_time_and_others_are_prepared() -> None:
    stage = Stage(
        trouble(When.BEFORE, seconds=5.0),
        trouble(When.BEFORE),
        trouble(When.MOVED, prepare=lambda lab: lab.done.append("prepared")),
    )
    stage.cues.before()
    assert stage.lab.done == ["prepared", "BEFORE", "BEFORE", "sleep 5"]


def test_a_deployment_runs_for_a_while_before_its_trouble() -> None:
    stage = Stage(trouble(When.DEPLOYED, seconds=60.0))
    stage.cues.deployed()
    assert stage.lab.done == ["sleep 60", "DEPLOYED"]


def test_the_outage_the_first_run_and_the_phase_are_cues(wait_until: WaitUntil) -> None:
    stage = Stage(trouble(When.OUTAGE, seconds=3.0), trouble(When.RUN), trouble(When.PHASE), phase=Phase.ASKED)
    stage.cues.watch()
    assert stage.lab.done == ["in 3 s", "OUTAGE"]
    stage.narrator.observe(RUN)
    wait_until(lambda: stage.lab.done[2:] == ["RUN"])
    stage.lock("moving")
    assert stage.lab.done[2:] == ["RUN"]
    before = time.time()
    stage.lock("moving", requests=1)
    wait_until(lambda: stage.lab.done[2:] == ["RUN", "PHASE"])
    struck = stage.cues.broke_off_at()
    assert struck is not None
    assert before <= struck <= time.time()


@pytest.mark.parametrize("phase", [None, Phase.STOPPING])
def test_a_phase_that_has_passed_is_a_cue_all_the_same(phase: Phase | None, wait_until: WaitUntil) -> None:
    stage = Stage(trouble(When.PHASE), phase=phase)
    for passed in ("checking", "stopping", "moving"):
        stage.lock(passed)
    stage.cues.watch()
    wait_until(lambda: stage.lab.done == ["PHASE"])


def test_after_the_move_a_trouble_is_waited_for() -> None:
    stage = Stage(trouble(When.MOVED, seconds=30.0, lasts_s=60.0))
    stage.cues.after_the_move()
    assert stage.lab.done == ["sleep 30", "MOVED", "sleep 60"]


def test_what_began_is_told_and_known(wait_until: WaitUntil) -> None:
    stage = Stage(trouble(When.BEFORE), replace(trouble(When.RUN), name="later"))
    stage.cues.before()
    stage.cues.watch()
    assert not stage.cues.all_begun()
    stage.narrator.observe(RUN)
    wait_until(stage.cues.all_begun)
    assert stage.cues.broke_off_at() is None
    assert [event.text for event in stage.timeline.events() if "EventBridge" in event.text] == [
        "bus-down: EventBridge delivers no event at all",
        "later: EventBridge delivers no event at all",
    ]


def test_a_cue_that_never_comes_ends_with_the_lab(wait_until: WaitUntil) -> None:
    stage = Stage(trouble(When.RUN))
    stage.cues.watch()
    stage.lab.closing = True
    waiting = [thread for thread in threading.enumerate() if thread.name == "bus-down"]
    wait_until(lambda: not any(thread.is_alive() for thread in waiting))
    assert stage.lab.done == []
