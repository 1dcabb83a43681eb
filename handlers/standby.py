"""What the monitor does where its region is the standby: it judges the writer and has it moved, again and again.

The rules are in `handlers.core.detection`; here they meet the metric, the event bus and the workflow. Nothing in here
holds up a tick, and nothing that fails ends the attempts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from handlers.beside import Beside
from handlers.core.control import ControlRecord
from handlers.core.detection import Attempt, Detection, Verdict, judge, next_attempt, saw
from handlers.core.environment import Variables
from handlers.core.health import Probe, writer_seen
from handlers.core.overdue import overdue
from handlers.gateways.metrics import STANDARD_RESOLUTION_S, Publisher, Value
from handlers.machine import Machine
from handlers.rarely_asked import RarelyAsked
from handlers.telemetry import logger


class StandbyVariables(Variables):
    """What the settings say about the trigger."""

    recovery_grace_s: int
    trigger_mode: str


class Standby:
    """What one run of the monitor remembers of the writer, and what it does about it."""

    def __init__(
        self,
        grace_s: float,
        fails_over: bool,
        machine: Machine,
        beside: Beside,
        metrics: Publisher,
        rarely: RarelyAsked,
    ) -> None:
        self._grace_s = grace_s
        self._fails_over = fails_over
        self._machine = machine
        self._beside = beside
        self._metrics = metrics
        self._rarely = rarely
        self._seen = Detection()
        self._verdict = Verdict("unknown", "nothing has been seen yet")
        self._warm = False
        self._over: tuple[str, float] = ("", 0.0)  # the lock's run that has ended, and when that was found out
        self._made: Attempt | None = None
        self._overdue: str | None = None

    @classmethod
    def of(cls, environment: StandbyVariables, *parts: Any) -> Standby:
        """Returns the standby's half of a run of the monitor; ``parts`` are what it works with, as in the class."""
        return cls(environment.recovery_grace_s, environment.trigger_mode == "failover", *parts)

    def look(self, record: ControlRecord | None, reached: Probe | None) -> None:
        """Takes in what one tick has seen: the control record, and what the prober says of the writer."""
        now = self._machine.now()
        known = writer_seen(reached)
        self._seen = saw(self._seen, known, record, now)
        verdict = judge(self._seen, record, now, self._grace_s)
        if (verdict.known, verdict.reason) != (self._verdict.known, self._verdict.reason):
            logger.info("the verdict on the writer has changed", verdict=verdict.known, reason=verdict.reason)
        self._verdict = verdict
        self._publish(known, verdict)
        if record is not None:
            self._tell_overdue(record, now)
        if known == "down" and not self._warm:
            self._warm = True
            self._beside.start("warm the workflow up", lambda: self._rarely.workflow.warm_up())
        if record is not None and (verdict.known == "down" or record.transition is not None):
            self._beside.start("an attempt", lambda: self._attempt(record, verdict))

    def _publish(self, known: Literal["up", "down", "unknown"], verdict: Verdict) -> None:
        down = verdict.known == "down"
        # The alarm counts periods in which it is said that the writer is down, so that is said with every tick.
        self._metrics.say(Value("WriterDown", float(down)), always=down)
        if known != "unknown":  # a prober that fails says nothing about the writer (P6)
            self._metrics.say(Value("WriterReachable", float(known == "up"), STANDARD_RESOLUTION_S))

    def _tell_overdue(self, record: ControlRecord, now: float) -> None:
        """Has people told of a pause or a maintenance that is longer than meant; an alarm takes silence for none."""
        if reason := overdue(record, now):
            if reason != self._overdue:
                logger.warning("automatic failover is off for longer than meant", why=reason)
            self._overdue = reason
            self._metrics.say(Value("AutomationOverdue", 1.0, STANDARD_RESOLUTION_S))

    def _attempt(self, record: ControlRecord, verdict: Verdict) -> None:
        """Makes the attempt that is due, if one is; what fails is tried again with the next tick."""
        holder = record.transition.run if record.transition else None
        is_over = self._rarely.runs.is_over(holder) if holder else None
        now = self._machine.now()
        if holder and is_over and self._over[0] != holder:
            self._over = (holder, now)
        attempt = next_attempt(
            record,
            verdict,
            holder_is_over=is_over,
            over_since=self._over[1],
            fails_over=self._fails_over,
            now=now,
        )
        if attempt is None or attempt == self._made:
            return
        asked = attempt.asked(datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if attempt.number == 1 and verdict.known == "down":
            self._rarely.bus.put(asked)
            logger.warning("the writer is down: the event is on the bus", why=verdict.reason, epoch=attempt.epoch)
        else:
            started = self._rarely.runs.start(attempt.name, asked)
            logger.warning("another attempt to move the writer", run=attempt.name, why=verdict.reason, started=started)
        self._made = attempt
