"""P10, harmless: a healthy writer is open, and the name leads to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from simulation.checks.facts import CLOSED_WITHIN_S, Course, Facts, Span, fence_of, may_open
from simulation.checks.persistent import held_from_outside, keeps_from_beginning
from simulation.happened import (
    Asked,
    Ended,
    Fact,
    Fenced,
    Fit,
    Lifted,
    NameLeadsTo,
    Promoted,
    RdsBegan,
    RdsEnded,
    StartedOpen,
    Works,
    Written,
)
from simulation.virtual_time import STARTS_AT

# P10: no longer than this is a healthy writer closed whose lease can be renewed (seconds).
OPEN_AGAIN_S = 10.0
# P10: nothing has a right to close a writer that has been well for so long: a lease, and a fence that was on its way.
WELL_FOR_S = 15.0
# P10: how much is left (seconds) of a lease that was renewed after the fence was ordered, and 1.2 s or more before the
# restart that takes the place of SQL: who asks for that looks at the record half a second before.
RENEWED_LEFT_S = (5.5, 8.8)
# P10: how long a lock may keep a healthy writer closed, by how far the run came: its guardian ends it after 20 s in
# `stopping`, after 10 s in `moving`; each with what closing, a tick and opening take. A step that is invoked twice
# stops the writer anew, up to 3 s later.
GIVEN_BACK_S = {"stopping": 28.0, "moving": 20.0}
# P10, before PostgreSQL 17: a restart that took the place of a fence by SQL leaves the security group to the guardian's
# next run.
OPEN_AGAIN_LATER_S = 75.0
# P10: a security group that RDS closes late is opened behind a fence by SQL: a look, the fence, a look and the lift,
# each of which may last for as long as a slow prober or database takes.
OPEN_AGAIN_SLOWLY_S = 30.0
# P10: how long Route 53 may take to follow a writer switch that works: a checker asks every 10 s, and waits 6 s for an
# answer. How long a client keeps the name's last answer (5 s) does not matter here: `NameLeadsTo` is the zone's.
NAME_FOLLOWS_S = 16.0
# P10: for so long a switch that cannot read the record repeats that clients belong in SECONDARY's region: a lease, and
# the second by which its clock may have been set meanwhile.
SWITCH_REPEATS_S = 11.0
# P10: how long before a history's end everything has to be repaired, so that applications are served then: what failed
# may have cost the writer's region its monitor, which the schedule starts again within a minute, and that opens it.
REPAIRED_S = 65.0
# P10: after RDS was asked for a move, or has given it up, and shows nothing more, the writer is open again: the lock is
# given back 61 s later, and two ticks, a lift and the clients' next attempts follow.
GIVEN_UP_S = 75.0


@dataclass
class Door:
    """The database of a region, as what happens closes and opens it to applications.

    A limit of P10 is what cannot be opened again: a group that RDS does not open; and, if the writer was not well when
    it closed, a fence by SQL that the prober cannot lift, and a restart. What closes while it is well is no limit.
    """

    fit: bool = False
    locked: bool = False  # a run stops or moves the writer
    fit_since: float = 0.0
    well_since: float = 0.0  # fit, and not locked
    works: dict[str, bool] = field(default_factory=dict)
    starts_open: bool = False  # its server has started without a fence, as none before PostgreSQL 17 can
    closed: dict[str, bool] = field(default_factory=dict)  # by the way, and whether the writer was well then

    @property
    def kept_out(self) -> bool:
        """Whether applications are kept out of a healthy writer that could be opened."""
        for_good_reason = {way for way, was_well in self.closed.items() if not was_well}
        stays = (
            ("group" in self.closed and not (self.works.get("group", True) and self.works.get("lift", True)))
            or ("sql" in for_good_reason and not self.works.get("lift", True))
            or "restart" in for_good_reason
        )
        return self.fit and not self.locked and bool(self.closed) and not stays

    @property
    def opened_later(self) -> bool:
        """Whether there is no fence whose lift would open it: the guardian's next run does."""
        return self.starts_open and set(self.closed) == {"group"}

    @property
    def opened_slowly(self) -> bool:
        """Whether its security group is to be opened by a slow prober, or behind a slow database."""
        return not self.opened_later and "group" in self.closed and not self.works.get("reopen", True)

    def see(self, fact: Fact) -> None:
        """Takes in what happens there."""
        was_well = self.fit and not self.locked
        if isinstance(fact, Fit):
            self.fit, self.fit_since = fact.fit, fact.at
        elif isinstance(fact, Written):
            self.locked = (fact.after.get("transition") or {"phase": "checking"})["phase"] != "checking"
        elif isinstance(fact, StartedOpen):
            self.starts_open = True
        elif isinstance(fact, Works):
            self.works[fact.means] = fact.works
        elif isinstance(fact, Fenced | Lifted | Promoted):
            by, stands = fence_of(fact)
            if stands:
                since = self.fit_since if by == "restart" else self.well_since
                self.closed[by] = was_well and fact.at - since > WELL_FOR_S and (by == "restart" or not self.closed)
            else:
                self.closed.pop(by, None)
        if not was_well:
            self.well_since = fact.at


def closed_for_nothing(facts: Facts) -> Iterator[tuple[float, str]]:
    """A healthy writer whose guardian could renew its lease is closed for too long."""
    for region in facts.regions:
        yield from _kept_out(facts, region, OPEN_AGAIN_S, lambda door: not (door.opened_later or door.opened_slowly))
        yield from _kept_out(facts, region, OPEN_AGAIN_SLOWLY_S, lambda door: door.opened_slowly)
        yield from _kept_out(facts, region, OPEN_AGAIN_LATER_S, lambda door: door.opened_later)


def _kept_out(
    facts: Facts, region: str, at_most_s: float, counts: Callable[[Door], bool]
) -> Iterator[tuple[float, str]]:
    door, since = Door(), math.inf
    for fact in facts.history.happened:
        if getattr(fact, "region", region) == region:
            door.see(fact)
        if door.kept_out and counts(door):
            since = min(since, fact.at)
            continue
        if fact.at - since > at_most_s:
            yield since, f"the healthy writer in {region} is closed for {fact.at - since:.0f} s"
        since = math.inf
    if facts.end - since > at_most_s:
        yield since, f"the healthy writer in {region} is closed for {facts.end - since:.0f} s"


def restarted_for_nothing(facts: Facts) -> Iterator[tuple[float, str]]:
    """A restart in the place of a fence by SQL, which is not due any more."""
    least, most = RENEWED_LEFT_S
    for one in facts.of(Fenced):
        record = facts.record.at(one.at)
        left = (record.get("lease_expires_at") or 0.0) - (STARTS_AT + one.at)
        due = record["writer_region"] != one.region or (record.get("transition") or {}).get("phase") in (
            "stopping",
            "moving",
        )
        if one.by == "restart" and not due and least <= left <= most and facts.fit(one.region).at(one.at):
            yield one.at, f"the healthy writer in {one.region} is restarted, whose lease has been renewed"


def kept_closed_by_a_lock(facts: Facts) -> Iterator[tuple[float, str]]:
    """A lock that closes a healthy writer, and for which RDS was not asked, has to go."""
    for span in facts.closing.spans():
        if span.value is None:
            continue
        writer, run, phase = span.value
        for well in facts.fit(writer).spans():
            start, end = max(span.start, well.start), min(span.end, well.end)
            if well.value and end - start > GIVEN_BACK_S[phase]:
                yield start, f"the lock of run {run} keeps the writer in {writer} closed for {end - start:.0f} s"


def led_elsewhere(facts: Facts) -> Iterator[tuple[float, str]]:
    """The name does not follow the record, or leads to SECONDARY's region though the record has said no such thing.

    PRIMARY is where the writer is when a history begins.
    """
    primary = facts.belong.changes[0][1]
    for belong in facts.belong.spans():
        for led in facts.name.spans():
            for since, until in _name_is_due(facts, belong, primary) if led.value != belong.value else ():
                start, end = max(led.start, since), min(led.end, until)
                if start < end:
                    yield start, f"clients belong in {belong.value}, and the name leads to {led.value}"
    for one in facts.of(NameLeadsTo):
        said = facts.belong.within(one.at - SWITCH_REPEATS_S, one.at)
        if one.region != primary and one.region not in said:
            yield one.at, f"the name is led to {one.region}, and for {SWITCH_REPEATS_S:.0f} s no client belonged there"


def _name_is_due(facts: Facts, belong: Span, primary: str) -> Iterator[tuple[float, float]]:
    """Yields the times in which the name has to lead to where clients ``belong``, whatever failed before them.

    Either region's switch leads it to SECONDARY. To PRIMARY it goes when neither says otherwise: at once where both
    read the record, and else when the last answer is too old to be repeated.
    """
    works = [facts.works(region, "switch") for region in facts.regions]
    if belong.value == primary:
        yield belong.start + SWITCH_REPEATS_S + NAME_FOLLOWS_S, belong.end
        works = [Course.of(lambda *each: all(each), *works)]
    for span in [span for course in works for span in course.spans() if span.value]:
        yield max(span.start, belong.start) + NAME_FOLLOWS_S, min(span.end, belong.end)


def not_served(facts: Facts) -> Iterator[tuple[float, str]]:
    """At the end, when all has been well for a while, applications are not in the record's writer, or are elsewhere."""
    for one in facts.of(Ended):
        calm_since, writer = one.at - REPAIRED_S, one.record["writer_region"]
        late = [fault.value.where for fault in facts.faults if fault.end > calm_since]
        may_be_open = facts.record.within(one.at - CLOSED_WITHIN_S, one.at)
        for region in one.open_to:
            if not late and not any(may_open(record, region) for record in may_be_open):
                yield one.at, f"applications may write in {region}, and the writer is in {writer}"
        # What strikes the other region alone leaves the record's writer, and its name, all that they need.
        if any(where in (writer, "") or "->" in where for where in late):
            return
        said = facts.belong.within(one.at - SWITCH_REPEATS_S - NAME_FOLLOWS_S, one.at)
        if one.name_leads_to not in said:
            yield one.at, f"clients belong in {said[-1]}, and the name leads to {one.name_leads_to}"
        if _is_moved(facts, one) or _waits_for_a_person(facts, one):
            return
        if one.roles.get(writer) != "writer":
            yield one.at, f"the record's writer is in {writer}, where no database takes writes"
        elif writer not in one.open_to:
            yield one.at, f"the writer in {writer} is closed to applications"
        elif writer not in one.used:
            yield one.at, f"no application has a session with the writer in {writer}"


def _is_moved(facts: Facts, ended: Ended) -> bool:
    """Whether a run may rightly keep the writer closed, or had just moved it, when the history ended.

    For which RDS was not asked, a lock may do so for as long as `GIVEN_BACK_S` says. Where RDS was, it may take its
    time, and the lock has to go when it has shown nothing for a while.
    """
    closing = list(facts.closing.spans())[-1]
    if closing.value is not None:
        return ended.at - closing.start <= GIVEN_BACK_S[closing.value[2]]
    steps = [one for one in facts.history.happened if isinstance(one, Asked | RdsBegan | RdsEnded)]
    at_work = bool(steps) and isinstance(steps[-1], RdsBegan)
    noted = (ended.record.get("transition") or {}).get("asked_at", 0.0) - STARTS_AT  # may never have reached RDS
    return at_work or ended.at - max([noted, *(one.at for one in steps)]) <= GIVEN_UP_S


def _waits_for_a_person(facts: Facts, ended: Ended) -> bool:
    """Whether a lock for which RDS was asked is left, and only a person takes it over.

    Without such a request a guardian gives it back, whoever holds it.
    """
    lock = ended.record.get("transition")
    asked = lock is not None and lock["move_requests"] > 0
    return asked and bool(held_from_outside(facts, ended.record) or keeps_from_beginning(ended.record, ended.at))
