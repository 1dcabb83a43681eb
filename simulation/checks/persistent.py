"""P9, persistent: a dead writer is moved, or people are asked, and attempts go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from simulation.checks.facts import LONGEST_LEASE_S, LOOKED_WITHIN_S, Facts, Span, quiet
from simulation.checks.loss import heartbeats_missing, too_much_is_lost
from simulation.happened import CapacityAsked, Written
from simulation.virtual_time import STARTS_AT

# P9: attempts come after 15, 30, then every 60 s; the lock of a run that was cut off and a start take a moment.
NEXT_ATTEMPT_S = 75.0
# P9: what failed may have cost the standby's region its monitor: the schedule starts the next one within a minute.
MONITOR_AGAIN_S = 65.0
# P9: until a dead writer has moved, or a person is asked: a monitor that has just come back looks three times, the next
# attempt is due 45 s later at most, and a run takes half a minute with the slowest promotion; so does a first attempt
# after the grace for a region's own recovery.
MOVED_WITHIN_S = 100.0
# P9: from the commit to the end of the run: the proof through the name, the record, the message.
ENDS_WITHIN_S = 60.0
# P9: a lock that was taken a moment ago may not be known yet to who changes the capacity.
KNOWN_WITHIN_S = 5.0


def held_up(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that has moved the writer does not end, though nothing fails but what is beside it.

    What failed before may have cost the new writer's region the monitor that opens it.
    """
    ends = {span.value.run: span.end for span in facts.runs}
    for one in facts.of(Written):
        run = (one.before.get("transition") or {}).get("run")
        if one.after["epoch"] > one.before["epoch"] and run in ends:
            for start, end in quiet(facts, one.at, ends[run]):
                least = ENDS_WITHIN_S if start == one.at else ENDS_WITHIN_S + MONITOR_AGAIN_S
                if end - start > least:
                    yield start, f"run {run} has moved the writer, and is held up for {end - start:.0f} s"


def capacity_at_a_bad_moment(facts: Facts) -> Iterator[tuple[float, str]]:
    """RDS is asked to change a cluster that is no writer yet, or no longer, or that a run is about to move."""
    for one in facts.of(CapacityAsked):
        record, before = facts.record.at(one.at), facts.record.at(one.at - KNOWN_WITHIN_S)
        lock, earlier = record.get("transition"), before.get("transition")
        if record["writer_region"] != one.region or facts.role(one.region).at(one.at) == "reader":
            yield one.at, f"RDS is asked to change the capacity in {one.region}, which is not the writer"
        elif lock and earlier and lock["run"] == earlier["run"]:
            yield one.at, f"RDS is asked to change the capacity in {one.region} while run {lock['run']} has the lock"


def _outages(facts: Facts) -> Iterator[tuple[float, float, str]]:
    """Yields when a dead writer was to be moved: nothing failed beside its region, and nobody had said no."""
    for region in facts.regions:
        for gone in facts.gone(region).spans():
            if gone.value:
                yield from _due(facts, gone, region)


def _due(facts: Facts, gone: Span, region: str) -> Iterator[tuple[float, float, str]]:
    disturbed = [span for span in facts.faults if span.value.where != region and span.overlaps(gone.start, gone.end)]
    edges = sorted({gone.start, gone.end, *(edge for span in disturbed for edge in (span.start, span.end))})
    for start, end in pairwise([edge for edge in edges if gone.start <= edge <= gone.end]):
        if not any(span.overlaps(start, end) for span in disturbed):
            since = start if start == gone.start else start + MONITOR_AGAIN_S
            since = max(since, _end_of_wrong_lease(facts, start, end))
            last = _while_automatic(facts, start, end, region)
            if last > since:
                yield since, last, region


def _end_of_wrong_lease(facts: Facts, start: float, end: float) -> float:
    """Returns until when a lease lasts that a wrong clock has written, a limit of P9; 0 where none has."""
    leases = [(span, span.value.get("lease_expires_at") or 0.0) for span in facts.record.spans()]
    wrong = [
        lease - STARTS_AT
        for span, lease in leases
        if span.overlaps(start, end) and lease - STARTS_AT > span.start + LONGEST_LEASE_S
    ]
    return max(wrong, default=0.0)


def _while_automatic(facts: Facts, start: float, end: float, region: str) -> float:
    """Returns until when the record wants the writer of that region to be moved by itself."""
    for span in facts.record.spans():
        if not span.overlaps(start, end):
            continue
        record = span.value
        is_due = (
            record["writer_region"] == region
            and record.get("protected", True)
            and not keeps_from_beginning(record, max(start, span.start))
            and not held_from_outside(facts, record)
        )
        if not is_due:
            return max(start, span.start)
    return end


def held_from_outside(facts: Facts, record: Mapping[str, Any]) -> bool:
    """Whether the lock's run is none of Step Functions': only a person takes it over, a limit of P3."""
    lock = record.get("transition")
    return lock is not None and lock["run"] not in {span.value.run for span in facts.runs}


def keeps_from_beginning(record: Mapping[str, Any], at: float) -> str:
    """Returns which word of a person in the record lets no attempt begin by itself at that moment; empty for none."""
    if not record.get("automatic_failover", True):
        return "somebody has turned automatic failover off"
    if "paused" in record and record["paused"]["until"] > STARTS_AT + at:
        return "somebody has paused automatic failover"
    return "somebody has said no" if "ended_by_person" in record else ""


def no_next_attempt(facts: Facts) -> Iterator[tuple[float, str]]:
    """The writer is dead, and for too long no attempt is at work."""
    for start, end, region in _outages(facts):
        idle_since = start
        for run in sorted((run for run in facts.runs if run.overlaps(start, end)), key=lambda run: run.start):
            if run.start - idle_since > NEXT_ATTEMPT_S:
                break
            idle_since = max(idle_since, run.end)
        else:
            if end - idle_since <= NEXT_ATTEMPT_S:
                continue
        yield idle_since, f"the writer in {region} is dead, and no attempt comes for {NEXT_ATTEMPT_S:.0f} s"


def not_moved(facts: Facts) -> Iterator[tuple[float, str]]:
    """A dead writer stays where it is, though nobody had to be asked, or nobody was."""
    for start, end, region in _outages(facts):
        if _rests(facts, start):
            continue
        since = start
        for question in facts.questions:
            if question.overlaps(since, end) and not _asked_for_nothing(facts, region, question.start):
                if question.start - since > MOVED_WITHIN_S:
                    break
                since = question.end
        if end - since > MOVED_WITHIN_S:
            yield since, f"the writer in {region} is dead, and for {MOVED_WITHIN_S:.0f} s neither moved nor asked about"


def _rests(facts: Facts, at: float) -> bool:
    """Whether a run that nobody had started has moved the writer before: another such move waits for the cool-down."""
    moved = [one for one in facts.of(Written) if one.at <= at and one.after["epoch"] > one.before["epoch"]]
    return bool(moved) and (moved[-1].before.get("transition") or {}).get("run") in facts.automatic


def _asked_for_nothing(facts: Facts, region: str, at: float) -> bool:
    """Whether people were asked then for a loss that is inside the budget, and nothing failed but the writer's region.

    What fails elsewhere may keep a run from knowing how much is lost.
    """
    looked = at - LOOKED_WITHIN_S
    fails = any(span.value.where != region and span.overlaps(looked, at) for span in facts.faults)
    return not fails and all(_loses_little(facts, region, moment) for moment in (looked, at))


def _loses_little(facts: Facts, region: str, at: float) -> bool:
    """Whether the standby had then all but a little of what the record knows that the writer has committed.

    More than one heartbeat that it lacks may be much, whatever it says that it has (`handlers.core.lag`).
    """
    record, standby = facts.record.at(at), facts.other(region)
    too_much = too_much_is_lost(facts, record, standby, at, read_at=at)
    return not too_much and heartbeats_missing(facts, record, standby, at) <= 1
