"""Turns what happens in the lab into the lines of the timeline, and remembers what the drill waits for."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from drills.aws.happenings import Happening
from drills.ends import End
from drills.verdict.events import Kind
from drills.verdict.seen import Execution, LeaseSeen, Message, Seen
from handlers.core.detection import EVENT_SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.show.timeline import Timeline
    from drills.verdict.marks import MarkName
    from drills.world.clock import Clock

# The last states of the workflow, and what they mean for a drill; a switchover recovers too.
ENDS = {
    "Recovered": End.FAILED_OVER,
    "Rehearsed": End.REHEARSED,
    "Refused": End.REFUSED,
    "Aborted": End.ABORTED,
    "NeedsPerson": End.NEEDS_PERSON,
    "Reprotected": End.REPROTECTED,
    "Held": End.HELD,
}
# States that wait for the end of the old writer's lease, and the one that asks a person.
LEASE_WAITS = ("WaitForLease", "WaitForLeaseAfterApproval", "WaitForLeaseOfFencedWriter")
ASKS_PERSON = "AskApproval"
REPOINTS_DNS = ("RepointDns", "RepointDnsBesideSwitchover")
# How the monitor of the standby region asks about the writer, and how many misses it counts.
PROBER, OTHER_REGION, MISSES_THAT_COUNT = "prober", "peer", 3
LOOK_AGAIN_SECONDS = 0.2  # real time
LONGEST_DETAIL = 2000  # characters of an input or output in the report


class Narrator:
    """Is told of every happening, from many threads."""

    def __init__(self, timeline: Timeline, clock: Clock, trigger: str) -> None:
        """Takes ``trigger``, the name of the alarm that starts the workflow."""
        self._timeline = timeline
        self._clock = clock
        self._trigger = trigger
        self._changed = threading.Condition()
        self._misses: Counter[str] = Counter()
        self._signs: tuple[object, ...] = ()  # what of the control record a guardian writes
        self.seen = Seen()

    def observe(self, happening: Happening) -> None:
        """Shows a happening and remembers it."""
        tell = getattr(self, f"_{happening.kind.name.lower()}", None)
        if tell is not None:
            with self._changed:
                tell(happening)
                self._changed.notify_all()

    def wait(self, what: str, holds: Callable[[Seen], bool], at_most: float) -> bool:
        """Waits until ``holds``, at most that many virtual seconds, and shows progress; returns whether it does."""
        deadline = self._clock.now() + at_most
        with self._timeline.waiting(what, at_most=at_most), self._changed:
            while not holds(self.seen):
                left = deadline - self._clock.now()
                if left <= 0:
                    return False
                # Look again now and then: not everything that a condition asks about is a happening.
                self._changed.wait(min(self._clock.to_real(left), LOOK_AGAIN_SECONDS))
        return True

    def hold_until(self, holds: Callable[[Seen], bool], ended: Callable[[], bool]) -> bool:
        """Waits without showing it until ``holds``, or until ``ended``; returns whether it does."""
        with self._changed:
            while not holds(self.seen):
                if ended():
                    return False
                self._changed.wait(LOOK_AGAIN_SECONDS)
        return True

    def _say(self, happening: Happening, kind: Kind, text: str, detail: Any = "", mark: MarkName | None = None) -> None:
        at = self._clock.virtual_time(happening.at)
        self._timeline.event(kind, text, str(detail)[:LONGEST_DETAIL], at=at, mark=mark)

    def _alarm_changed(self, it: Happening) -> None:
        before, state = it.detail["previous"], it.detail["state"]
        self.seen.alarms[it.subject] = state
        if state == "ALARM" or before == "ALARM":
            mark: MarkName | None = "alarm" if it.subject == self._trigger and state == "ALARM" else None
            self._say(it, Kind.ALARM, f"{it.subject}: {before} → {state}", it.detail.get("reason", ""), mark)

    def _execution_started(self, it: Happening) -> None:
        at, given = self._clock.virtual_time(it.at), it.detail.get("input") or ""
        self.seen.executions[it.subject] = Execution(it.subject, it.region, input=given, started_at=at)
        self._say(it, Kind.WORKFLOW, f"workflow started in {it.region}", it.detail.get("input"), "execution_started")

    def _state_entered(self, it: Happening) -> None:
        execution = self.seen.executions.get(it.detail["execution"])
        mark: MarkName | None = None
        if execution and it.subject in ENDS:
            execution.end = ENDS[it.subject]
            if execution.end is End.FAILED_OVER and '"switchover"' in execution.input:
                execution.end = End.SWITCHED_OVER
        if execution and it.subject == ASKS_PERSON:
            execution.asked_person = True
        if it.subject in LEASE_WAITS:
            mark = "lease_wait_started"
        self._say(it, Kind.WORKFLOW, f"→ {it.subject}", it.detail.get("input"), mark)

    def _state_exited(self, it: Happening) -> None:
        if it.subject in REPOINTS_DNS:
            self._say(it, Kind.DNS, "writer switch engaged", it.detail.get("output"), "dns_switch_started")
        if it.subject in LEASE_WAITS:
            lease = _result(it.detail.get("output"), "lease")
            mark: MarkName | None = "lease_over" if lease.get("taken") else None
            self._say(it, Kind.WORKFLOW, f"lease: {lease.get('reason', 'no word')}", it.detail.get("output"), mark)

    def _task_failed(self, it: Happening) -> None:
        self.seen.tolerated.append(f"{it.subject}: {it.detail.get('cause', '')}"[:LONGEST_DETAIL])
        self._say(it, Kind.WORKFLOW, f"task failed: {it.subject}", it.detail.get("cause"))

    def _execution_ended(self, it: Happening) -> None:
        execution = self.seen.executions[it.subject]
        execution.status, execution.output = it.detail["status"], it.detail.get("output")
        execution.ended_at = self._clock.virtual_time(it.at)
        self._say(it, Kind.WORKFLOW, f"workflow ended: {execution.status}", execution.output or "", "execution_ended")

    def _function_answered(self, it: Happening) -> None:
        found = it.detail["result"]
        if it.detail["step"] != PROBER or not isinstance(found, dict) or found.get("target") != OTHER_REGION:
            return
        lives = found.get("role") or found.get("refused")
        self._misses[it.region] = 0 if lives else self._misses[it.region] + 1
        if self._misses[it.region] == MISSES_THAT_COUNT:
            said = f"the prober of {it.region} has missed the writer {MISSES_THAT_COUNT} times in a row"
            self._say(it, Kind.ALARM, said, found.get("error"), "third_miss")

    def _event_put(self, it: Happening) -> None:
        event = it.detail["event"]
        said, detail = f"tells the bus: {event['detail-type']}", json.dumps(event["detail"])
        if it.subject == EVENT_SOURCE:
            self._say(it, Kind.ALARM, f"the monitor of {it.region} {said}", detail, "verdict")
        else:
            self._say(it, Kind.NOTIFICATION, f"{it.region} {said}", detail)

    def _record_changed(self, it: Happening) -> None:
        item, at = it.detail["item"], self._clock.virtual_time(it.at)
        ends = item.get("lease_expires_at", {}).get("N")
        word = item.get("word", {}).get("M", {})
        says = word.get("says", {}).get("S")
        now = LeaseSeen(at, item["writer_region"]["S"], float(ends) if ends else None, says)
        if (signs := (now.writer, ends, word)) != self._signs:
            self._signs = signs
            self.seen.lease.append(now)
        lock = item.get("transition", {}).get("M")
        self.seen.lock = lock["phase"]["S"] if lock else None
        if lock:
            asked = int(lock.get("move_requests", {}).get("N", 0)) > 0
            self.seen.phases.setdefault("asked" if asked else lock["phase"]["S"], at)

    def _detached(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"{it.subject} detached from the global database", mark="detach_called")

    def _switchover_started(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"switchover to {it.subject} started", mark="detach_called")

    def _follows(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"{it.subject} follows the new writer")

    def _security_group_changed(self, it: Happening) -> None:
        does = "admits clients again" if it.detail["admits"] else "admits no new connections"
        self._say(it, Kind.DATABASE, f"the security group of {it.subject} {does}")

    def _promoted(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"{it.subject} takes writes", mark="writes_possible")

    def _database_failed(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"RDS failed to finish its work on {it.subject}: {it.detail['error']}")

    def _snapshot_started(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"snapshot {it.subject} is being created")

    def _cluster_deleted(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"{it.subject} is deleted")

    def _global_database_deleted(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"the global database {it.subject} is deleted")

    def _global_database_made(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"the global database {it.subject} is created around the writer of {it.region}")

    def _rebuild_started(self, it: Happening) -> None:
        self._say(it, Kind.DATABASE, f"{it.subject} is being created as a new secondary")

    def _health_changed(self, it: Happening) -> None:
        answer = "PRIMARY" if it.detail["healthy"] else "SECONDARY"
        mark: MarkName | None = None if it.detail["healthy"] else "dns_switched"
        self._say(it, Kind.DNS, f"Route 53 answers the {answer} record: check {it.subject} changed", mark=mark)

    def _message_published(self, it: Happening) -> None:
        self.seen.messages.append(Message(it.region, it.detail["subject"] or "", it.detail["message"]))
        self._say(it, Kind.NOTIFICATION, f"{it.region}: {it.detail['subject']}", it.detail["message"])

    def _access_denied(self, it: Happening) -> None:
        self.seen.denied.append(f"{it.subject}: {it.detail.get('action')} on {it.detail.get('resources')}")
        self._say(it, Kind.LAB, f"ACCESS DENIED to {it.subject}: {it.detail.get('action')}", it.detail)


def _result(output: str | None, step: str) -> dict[str, Any]:
    """Returns what a step's function returned, from the workflow's data (JSON text) after it."""
    data = json.loads(output or "{}")
    result = data.get(step, {}).get("result", {})
    return result if isinstance(result, dict) else {}
