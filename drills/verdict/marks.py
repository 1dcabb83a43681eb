"""The moments of a drill, and the phases between them.

Times are in virtual seconds since the outage (since the start of the drill when it had no outage).
"""

from __future__ import annotations

import math
from typing import Literal

from drills.verdict.record import Record, Seconds, rounded


class Marks(Record):
    """The moments that bound the phases of a drill, in seconds since the outage; None: it never came."""

    first_failed_write: Seconds | None = None
    """When it began, which may be just before the outage that made it fail."""
    third_miss: Seconds | None = None
    """The standby's prober had found the writer down three times in a row."""
    last_sign_of_life: Seconds | None = None
    """The writer's guardian wrote into the control record for the last time before the outage was detected."""
    word_of_guardian: Seconds | None = None
    """It first wrote there that its database was down, or not known."""
    verdict: Seconds | None = None
    """The standby's monitor had found the writer down by both observers, and put its event on the bus."""
    alarm: Seconds | None = None
    """The trigger's alarm went to ALARM."""
    execution_started: Seconds | None = None
    lease_wait_started: Seconds | None = None
    """The assessment was over, and the workflow began to wait for the end of the old writer's lease."""
    lease_over: Seconds | None = None
    detach_called: Seconds | None = None
    """The detach, or the switchover, was called."""
    writes_possible: Seconds | None = None
    """The new writer region's cluster takes writes."""
    dns_switch_started: Seconds | None = None
    """The writer switch began to answer "engaged"."""
    dns_switched: Seconds | None = None
    """The writer name's answer is the new region."""
    first_acknowledged_write: Seconds | None = None
    """The first write acknowledged after the outage, through the writer name."""
    execution_ended: Seconds | None = None

    @property
    def detected(self) -> float | None:
        """When the outage was detected: by the monitor or by the alarm, whichever was first."""
        return min((at for at in (self.verdict, self.alarm) if at is not None), default=None)

    @property
    def promotion_seconds(self) -> float | None:
        """Seconds from the detection until the new writer takes writes; None when either never came."""
        if self.detected is None or self.writes_possible is None:
            return None
        return rounded(self.writes_possible - self.detected)

    @property
    def detection(self) -> list[tuple[str, float]]:
        """What was seen, and when, in the order of the moments."""
        seen = (
            ("the last sign of life of the writer's guardian in the control record", self.last_sign_of_life),
            ("the guardian's word: its database is down, or not known", self.word_of_guardian),
            ("the third miss in a row of the standby's prober", self.third_miss),
            ("the monitor's verdict, and its event: the writer is down", self.verdict),
            ("the alarm", self.alarm),
            ("the first run started", self.execution_started),
        )
        return sorted(((what, at) for what, at in seen if at is not None), key=lambda each: each[1])


MarkName = Literal[
    "first_failed_write",
    "third_miss",
    "last_sign_of_life",
    "word_of_guardian",
    "verdict",
    "alarm",
    "execution_started",
    "lease_wait_started",
    "lease_over",
    "detach_called",
    "writes_possible",
    "dns_switch_started",
    "dns_switched",
    "first_acknowledged_write",
    "execution_ended",
]


class Phase(Record):
    """A stretch of the drill, with what it measures from and to."""

    name: str
    started_s: Seconds
    seconds: Seconds
    modelled: bool
    meaning: str

    @property
    def ended_s(self) -> float:
        """The end of the phase, in seconds since the outage."""
        return rounded(self.started_s + self.seconds)


AURORA_DELAY = "Aurora's delay"


def phases_of(marks: Marks, aurora_promotion_seconds: float, origin: str = "outage") -> list[Phase]:
    """Divides the time to the first acknowledged write into phases that follow one another.

    The first phase starts with the first failed write (with the outage when none is known), so the seconds of
    all phases add up to the RTO as section 1 of the design defines it. What ran beside them does not lengthen
    the outage and is in `parallel_work_of`: a DNS switch that was finished before the promotion takes 0 s
    here. A moment that never came joins its phase to the next one; after the last moment there are no phases.

    Parameters
    ----------
    marks : Marks
        The moments of the drill.
    aurora_promotion_seconds : float
        The delay that stands in for Aurora's own promotion. It starts with the detach and is the one modelled
        part of the promotion; the rest of the promotion is measured.
    origin : str
        What happened at 0 s.
    """
    reached, last = 0.0, math.inf
    if marks.first_failed_write is not None:
        reached, origin = marks.first_failed_write, "first failed write"
    if marks.first_acknowledged_write is not None:
        last = marks.first_acknowledged_write
    phases = []
    for name, mark, moment in _boundaries(marks, aurora_promotion_seconds):
        if mark is None:
            continue
        until = max(reached, min(mark, last))
        meaning = f"{origin} → {moment}"
        if mark < reached:
            meaning = "finished earlier, beside the phases above"
        phases.append(
            Phase(
                name=name,
                started_s=reached,
                seconds=until - reached,
                modelled=name == AURORA_DELAY,
                meaning=meaning,
            )
        )
        reached, origin = until, moment if mark >= reached else origin
    return phases


def _boundaries(marks: Marks, aurora_promotion_seconds: float) -> list[tuple[str, float | None, str]]:
    """Returns each phase's name, its end, and what its end is, in the order of the phases."""
    delay_ended = None
    if marks.detach_called is not None and marks.writes_possible is not None and aurora_promotion_seconds > 0:
        delay_ended = min(marks.detach_called + aurora_promotion_seconds, marks.writes_possible)
    decided = (marks.lease_wait_started, "assessment over")
    moving = (marks.detach_called, "detach called")
    if marks.lease_wait_started is None:
        decided, moving = moving, (None, "")
    if marks.detach_called is None:
        decided = (marks.execution_ended, "workflow ended")
    return [
        ("Detection", marks.detected, "writer found down" if marks.detected == marks.verdict else "alarm"),
        ("Trigger", marks.execution_started, "workflow started"),
        ("Decision", *decided),
        ("Lease wait", marks.lease_over, "old writer's lease over"),
        ("Move", *moving),
        (AURORA_DELAY, delay_ended, "stated delay over"),
        ("Promotion", marks.writes_possible, "new writer takes writes"),
        ("DNS switch", marks.dns_switched, "DNS answers with the new writer"),
        ("Reconnect", marks.first_acknowledged_write, "first acknowledged write"),
    ]


def parallel_work_of(marks: Marks) -> list[Phase]:
    """Returns what ran beside the phases, from its real start to its real end."""
    if marks.dns_switch_started is None or marks.dns_switched is None:
        return []
    # A health check may see the switch before the step that engaged it has returned.
    started = min(marks.dns_switch_started, marks.dns_switched)
    return [
        Phase(
            name="DNS in parallel",
            started_s=started,
            seconds=marks.dns_switched - started,
            modelled=False,
            meaning="writer switch engaged → DNS answers with the new writer",
        )
    ]
