"""What the narrator makes of happenings: marks, phases of the lock, and the lease."""

from __future__ import annotations

from typing import Any

import pytest

from drills.aws.happenings import Happening, Kind
from drills.show.narrator import Narrator
from drills.show.timeline import Timeline
from drills.verdict.seen import LeaseSeen
from drills.world.clock import Clock

EAST, WEST = "us-east-1", "us-west-2"


class Told:
    """A narrator with a clock that shows real time, and its timeline."""

    def __init__(self) -> None:
        clock = Clock(speed=1, epoch=0.0)
        self.timeline = Timeline(clock)
        self.narrator = Narrator(self.timeline, clock, "writer-down")

    def of(self, kind: Kind, at: float, subject: str = "", region: str = WEST, **detail: Any) -> None:
        self.narrator.observe(Happening(kind, region, subject, detail, at=at))

    def probe(self, at: float, region: str = WEST, **found: Any) -> None:
        answer = {"target": "peer", "role": None, "refused": None} | found
        self.of(Kind.FUNCTION_ANSWERED, at, "prober", region, step="prober", result=answer)

    def record(self, at: float, writer: str = EAST, until: float | None = None, **more: Any) -> None:
        lease = {} if until is None else {"lease_expires_at": {"N": str(until)}}
        self.of(Kind.RECORD_CHANGED, at, "control", item={"writer_region": {"S": writer}} | lease | more)

    def mark(self, name: str) -> float | None:
        return self.timeline._marks.get(name)


def test_three_misses_in_a_row_are_marked_and_an_answer_begins_anew() -> None:
    told = Told()
    for at, found in ((1, {}), (3, {}), (5, {"role": "writer"}), (7, {}), (9, {}), (11, {}), (13, {})):
        told.probe(at, **found)
    assert told.mark("third_miss") == 11


@pytest.mark.parametrize("found", [{"target": "own"}, {"refused": "28000"}, {"role": "reader"}])
def test_a_probe_of_the_own_database_and_an_answer_about_the_asker_are_no_miss(found: dict[str, str]) -> None:
    told = Told()
    for at in range(5):
        told.probe(at, **found)
    assert told.mark("third_miss") is None


def test_the_monitors_own_event_is_its_verdict_also_when_it_is_lost() -> None:
    told = Told()
    event = {"detail-type": "Writer Down", "detail": {"epoch": 1}}
    told.of(Kind.EVENT_PUT, 8.0, "failover.monitor", event=event)
    told.of(Kind.EVENT_PUT, 9.0, "failover.monitor", event=event)
    assert told.mark("verdict") == 8.0


def test_the_lease_is_noted_when_a_guardian_writes_and_not_when_a_run_does() -> None:
    told = Told()
    told.record(1, until=11)
    told.record(2, until=11, transition={"M": {"phase": {"S": "checking"}}})
    told.record(3, until=13)
    told.record(5, until=13, word={"M": {"says": {"S": "down"}, "since": {"N": "4"}}})
    told.record(7, until=13, word={"M": {"says": {"S": "down"}, "since": {"N": "4"}, "rests_until": {"N": "12"}}})
    told.record(9, WEST)
    assert told.narrator.seen.lease == [
        LeaseSeen(1, EAST, 11),
        LeaseSeen(3, EAST, 13),
        LeaseSeen(5, EAST, 13, "down"),
        LeaseSeen(7, EAST, 13, "down"),
        LeaseSeen(9, WEST, None),
    ]


def test_the_phases_of_a_lock_are_kept_with_their_beginning() -> None:
    told, locks = Told(), []
    for at, phase, requests in ((1, "checking", 0), (2, "stopping", 0), (3, "moving", 0), (4, "moving", 1)):
        told.record(at, transition={"M": {"phase": {"S": phase}, "move_requests": {"N": str(requests)}}})
        locks.append(told.narrator.seen.lock)
    told.record(5)
    assert [*locks, told.narrator.seen.lock] == ["checking", "stopping", "moving", "moving", None]
    assert told.narrator.seen.phases == {"checking": 1, "stopping": 2, "moving": 3, "asked": 4}
