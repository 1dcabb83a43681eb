"""What must hold of every history, whatever failed in it: one row a promise.

The checks read the facts of a history (`simulation.happened`) and nothing else. They know nothing of how the product
decides, and import nothing of it (an import contract says so): the numbers here are those of the promises in
docs/guarantees.md, and where a promise has a limit, the limit is written here as it is written there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

from simulation.faults import OWNER, SECOND_DATABASE, Fault
from simulation.happened import (
    Answers,
    Approved,
    Asked,
    CapacityAsked,
    Ended,
    Fact,
    FaultBegan,
    FaultEnded,
    Fenced,
    Fit,
    Guarded,
    History,
    HookBegan,
    Kept,
    Lifted,
    Means,
    Mute,
    NameLeadsTo,
    Promoted,
    RdsBegan,
    RdsEnded,
    Replicated,
    Retired,
    RoleChanged,
    RunEnded,
    RunStarted,
    SessionClosed,
    SessionOpened,
    SnapshotTaken,
    StartedOpen,
    StateEntered,
    Told,
    Way,
    Whose,
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
# `stopping`, after 10 s in `moving`; each with what closing, a tick and opening take.
GIVEN_BACK_S = {"stopping": 25.0, "moving": 20.0}
# P1: how long after it was the writer of the record, and nobody moved it, a region may be opened: a lease that has
# been renewed then, less what its guardian keeps of it.
LET_IN_WITHIN_S = 10.0
# P1: a lease that is longer than this was written by a clock that is off (10 s, and 1 s for clocks that are right).
LONGEST_LEASE_S = 11.0
# P1: how long ago a guardian may have seen the fence of which it signs that it stands: two ticks.
SIGNED_WITHIN_S = 4.0
# P5: how long a guardian gives no sign before it counts as silent (three ticks), and for how long it may say that its
# database is down, or not known, before that counts (`recovery_grace_s`); less what a run's clock may be off.
NO_SIGN_S, GRACE_S, CLOCK_S = 6.0, 25.0, 1.0
# P5: a lease, and a guardian's rest by its word, end so long after the sign of life that they are.
LEASE_S, REST_S = 10.0, 7.0
# P9: attempts come after 15, 30, then every 60 s; the lock of a run that was cut off and a start take a moment.
NEXT_ATTEMPT_S = 75.0
# P9: what failed may have cost the standby's region its monitor: the schedule starts the next one within a minute.
MONITOR_AGAIN_S = 65.0
# P9: until a dead writer has moved, or a person is asked: a monitor that has just come back looks three times, the next
# attempt is due 45 s later at most, and a run takes half a minute with the slowest promotion; so does a first attempt
# after the grace for a region's own recovery.
MOVED_WITHIN_S = 100.0
# P9: losing so much asks nobody (seconds of writes, the budget of the settings), and a heartbeat in the record that is
# older than that says nothing of it.
RPO_BUDGET_S, OLDEST_BEAT_S = 1.0, 180.0
# P9: a question whether writes may be lost, and how long before it its run may have looked at the lag.
ASKS_FOR_LOSS, LOOKED_WITHIN_S = "WAITS FOR APPROVAL", 15.0
# P1, before PostgreSQL 17: how long a server that starts open may stay so beside a guardian, and how long a guardian
# may leave sessions in a region that the record has left, or in which it stops the writer, when nothing fails.
CLOSED_WITHIN_S = 20.0
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
# P1: how soon a guardian ends what is opened behind a fence in a database that nobody but its owner can close.
ENDED_WITHIN_S = 5.0
# P9: from the commit to the end of the run: the proof through the name, the record, the message.
ENDS_WITHIN_S = 60.0
# P9: a lock that was taken a moment ago may not be known yet to who changes the capacity.
KNOWN_WITHIN_S = 5.0
# P7: how long a hook may take (`simulation.hooks`).
LONGEST_HOOK_S = 30.0
# What is beside the runs, and owed nothing: a promise holds whatever becomes of it.
BESIDE = {"starts open", "hook hangs", "hook fails", "capacity refused", "capacity takes", OWNER, SECOND_DATABASE}
# P7: how long ago a run may have seen what it declares: the time limits of the steps between its proof and its end.
PROVED_WITHIN_S = 10.0
# P7: until people have been told of a run's end: the message's own retries, or Step Functions' event.
TOLD_WITHIN_S = 60.0
# P7: without these a message is not sent: events and messages are best effort, and alarms page as well.
NEEDED_TO_TELL = {"region dead", "isolated", "throttled", "cold starts", "step frozen", "bus loses", "bus late"}
# P7: how long before the record says so a run may have seen that the standby follows: the time limits of two steps.
ARMED_WITHIN_S = 70.0
# P9: how long a re-protection may stay in a state while nothing fails: a cluster is built in a minute here, and a step
# is tried again after a minute at most.
STANDS_STILL_S = 150.0
# P7: how long a run of the failover workflow may take that a person starts in a repaired world, and that asks nobody.
COMMAND_ENDS_WITHIN_S = 50.0
ASKING, ANSWERS = "AskRetirement", ("person approves", "person refuses")
# A row in an exported file, and how often a session writes one (`simulation.salvage`).
ROW, ROW_EVERY_S = re.compile(r'"id": ?"(\d+\.\d+)"'), 0.5
# P7: whose rows are salvaged; what is in another database only the snapshot has.
SALVAGED: tuple[Whose, ...] = ("application", "owner")
# How the name of a run ends that a person has started with the command of a message, and who does that.
OBEYS, OBEYING = "-obeys", "person obeys"

# The limits of P1 and P10 (docs/guarantees.md) are facts: `Guarded`, `Works` and `Fit`. What was so in the last seconds
# may still be at work: the rest of a lease, and a fence.
LIMIT_LASTS_S = 15.0


@dataclass(frozen=True)
class Violation:
    """A promise was broken ``at`` that moment (seconds from the history's beginning)."""

    promise: str
    at: float
    what: str


@dataclass(frozen=True)
class Check:
    """One promise: its name, what it says, and what breaks it."""

    promise: str
    meaning: str
    broken: Callable[[Facts], Iterator[tuple[float, str]]]


def violations(history: History) -> list[Violation]:
    """Returns what is wrong with a history, the earliest first."""
    facts = Facts(history)
    found = [Violation(check.promise, at, what) for check in CHECKS for at, what in check.broken(facts)]
    return sorted(found, key=lambda one: one.at)


# --- the facts, arranged

Value = TypeVar("Value")
Of = TypeVar("Of", bound=Fact)


@dataclass(frozen=True)
class Span:
    """From ``start`` to ``end``, something was so: ``value``."""

    start: float
    end: float
    value: Any

    def overlaps(self, start: float, end: float) -> bool:
        """Returns whether some of it lies in that time."""
        return self.start < end and start < self.end


class Course:
    """How a value changed in a history."""

    def __init__(self, first: Any, changes: list[tuple[float, Any]], end: float) -> None:
        self.changes = [(-math.inf, first), *changes]
        self._end = end

    def at(self, moment: float) -> Any:
        """Returns the value after everything that happened at that moment."""
        return next(value for at, value in reversed(self.changes) if at <= moment)

    def spans(self) -> Iterator[Span]:
        """Yields the values in their order, each as long as it lasted."""
        for (start, value), (end, _) in pairwise([*self.changes, (self._end, None)]):
            if end > start:
                yield Span(max(start, 0.0), end, value)

    def within(self, start: float, end: float) -> list[Any]:
        """Returns the values that it had in that time."""
        return [span.value for span in self.spans() if span.overlaps(start, end) or span.end == end == self._end]


class Facts:
    """A history, with what the checks look for."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.end = history.happened[-1].at if history.happened else 0.0

    def of(self, kind: type[Of]) -> list[Of]:
        """Returns the facts of one kind."""
        return self._by_kind.get(kind, [])

    @cached_property
    def _by_kind(self) -> dict[type[Fact], list[Any]]:
        found: dict[type[Fact], list[Any]] = {}
        for fact in self.history.happened:
            found.setdefault(type(fact), []).append(fact)
        return found

    @cached_property
    def record(self) -> Course:
        """The control record."""
        written = self.of(Written)
        first = written[0].before if written else next((one.record for one in self.of(Ended)), {})
        return Course(first, [(one.at, one.after) for one in written], self.end)

    @cached_property
    def regions(self) -> list[str]:
        """The two regions."""
        return sorted({fact.region for fact in self.history.happened if isinstance(fact, RoleChanged | Fit | Promoted)})

    def role(self, region: str) -> Course:
        """Whether a region's database is a writer, a reader, or down."""
        changes = [(one.at, one.role) for one in self.of(RoleChanged) if one.region == region]
        first = "writer" if self.record.at(0.0).get("writer_region") == region else "reader"
        return Course(first, changes, self.end)

    def gone(self, region: str) -> Course:
        """Whether a region's database does not run, or answers nobody outside."""
        down, mute, changes = False, False, list[tuple[float, bool]]()
        for fact in self.history.happened:
            if isinstance(fact, RoleChanged) and fact.region == region:
                down = fact.role == "down"
            elif isinstance(fact, Mute) and fact.region == region:
                mute = fact.mute
            else:
                continue
            changes.append((fact.at, down or mute))
        return Course(False, [one for one, _ in _changed(changes)], self.end)

    def found_well(self, region: str) -> Course:
        """Whether whoever asks a region's database from the other region finds a writer that no fence by SQL closes.

        That is what the first observer looks at. It does not see a security group, and whoever refuses it lives.
        """
        answers, role, fenced, changes = True, self.role(region).at(-math.inf), False, list[tuple[float, bool]]()
        for fact in self.history.happened:
            if isinstance(fact, Answers) and fact.region == region:
                answers = fact.answers
            elif isinstance(fact, RoleChanged) and fact.region == region:
                role = fact.role
            elif isinstance(fact, Fenced | Lifted) and (fact.region, fact.by) == (region, "sql"):
                fenced = isinstance(fact, Fenced)
            elif isinstance(fact, Promoted) and fact.region == region:
                fenced = fact.fenced
            changes.append((fact.at, answers and role == "writer" and not fenced))
        return Course(False, [one for one, _ in _changed(changes)], self.end)

    def guarded(self, region: str) -> Course:
        """Whether a guardian is there."""
        return Course(True, [(one.at, one.guarded) for one in self.of(Guarded) if one.region == region], self.end)

    def fit(self, region: str) -> Course:
        """Whether there is a healthy writer there that a guardian could renew the lease of."""
        return Course(False, [(one.at, one.fit) for one in self.of(Fit) if one.region == region], self.end)

    def fenced(self, region: str, by: Way = "sql") -> Course:
        """Whether a fence by SQL, or by other means, stands in a region's database."""
        fences = [one for one in self._fences if (one.region, one.by) == (region, by)]
        return Course(False, [(one.at, isinstance(one, Fenced)) for one in fences], self.end)

    def shut(self, region: str, at: float) -> bool:
        """Whether no application can write in a region then: its security group is closed, with nobody behind it."""
        inside = any(span.value == region and span.start <= at < span.end for span in self.sessions)
        return bool(self.fenced(region, "group").at(at)) and not inside

    @cached_property
    def _fences(self) -> list[Fenced | Lifted]:
        return [one for one in self.history.happened if isinstance(one, Fenced | Lifted)]

    def works(self, region: str, means: Means) -> Course:
        """Whether those means to close and open a region's database work."""
        changes = [(one.at, one.works) for one in self.of(Works) if (one.region, one.means) == (region, means)]
        return Course(True, changes, self.end)

    def has_everything_until(self, region: str) -> Course:
        """Up to when a region's database has what the writer has committed; None while it follows."""
        return Course(None, [(one.at, one.until) for one in self.of(Replicated) if one.region == region], self.end)

    def heartbeats_after(self, at: float, last: Mapping[str, Any]) -> int:
        """Returns how many heartbeats the writer has written after that moment, up to the ``last`` one."""
        beats = [record.get("heartbeat") for _, record in self.record.changes]
        before = [beat["seq"] for beat in beats if beat is not None and beat["at"] - STARTS_AT <= at]
        return int(last["seq"] - max(before, default=last["seq"]))

    @cached_property
    def name(self) -> Course:
        """Where the public name leads."""
        first = self.record.at(0.0).get("writer_region")
        return Course(first, [(one.at, one.region) for one in self.of(NameLeadsTo)], self.end)

    @cached_property
    def closing(self) -> Course:
        """The lock that closes the writer, and for which RDS was not asked: its writer, run and phase; or None."""
        locks = [(at, _closing(record)) for at, record in self.record.changes if at >= 0.0]
        return Course(None, [one for one, _ in _changed(locks)], self.end)

    @cached_property
    def belong(self) -> Course:
        """The region in which clients belong by the record: the writer's, or the target of a lock with DNS engaged."""
        belong = [(at, _clients_belong(record)) for at, record in self.record.changes]
        return Course(belong[0][1], [one for one, _ in _changed(belong[1:])], self.end)

    @cached_property
    def sessions(self) -> list[Span]:
        """The sessions that a fence has to keep out and to end, each with its region, and from when on it has to."""
        opened, closed = self.of(SessionOpened), {one.session: one.at for one in self.of(SessionClosed)}
        spans = [Span(self._counts_from(one), closed.get(one.session, self.end), one.region) for one in opened]
        return [span for span in spans if span.start < span.end]

    def _counts_from(self, session: SessionOpened) -> float:
        """Returns from when on a session is one of those that P1 speaks of.

        The owner's, opened behind a fence, is none before that is lifted. One in another database is none for a while
        after the start of its server, which keeps nobody out of it; nor, in one of somebody else, until the guardian
        has had the time to end what is opened behind a fence.
        """
        region, at = session.region, session.at
        if session.whose == "application":
            return at
        behind_a_fence = self.fenced(region).at(at)
        if session.whose == "owner":
            lifts = [one.at for one in self.of(Lifted) if (one.region, one.by) == (region, "sql") and one.at > at]
            return min(lifts, default=math.inf) if behind_a_fence else at
        ends = [start + CLOSED_WITHIN_S for start in self.starts(region) if start <= at]
        if session.whose == "somebody else's database" and behind_a_fence:
            ends.append(at + ENDED_WITHIN_S)
        return max([at, *ends])

    def starts(self, region: str) -> list[float]:
        """Returns when the server of a writer there has started again."""
        roles = pairwise(self.role(region).changes)
        return [at for (_, before), (at, role) in roles if (before, role) == ("down", "writer")]

    @cached_property
    def runs(self) -> list[Span]:
        """The runs of the failover workflow, each with its beginning."""
        ended = {one.run: one.at for one in self.of(RunEnded)}
        started = [one for one in self.of(RunStarted) if one.workflow == "failover"]
        return [Span(one.at, ended.get(one.run, self.end), one) for one in started]

    @cached_property
    def began(self) -> dict[str, float]:
        """When the runs of the failover workflow began, by their names."""
        return {run.value.run: run.start for run in self.runs}

    @cached_property
    def automatic(self) -> set[str]:
        """The runs that nobody has started."""
        return {one.run for one in self.of(RunStarted) if one.asked.get("automatic")}

    @cached_property
    def questions(self) -> list[Span]:
        """While runs waited for a person to say whether writes may be lost, each with its run; the earliest first."""
        asks = [one for one in self.of(Told) if ASKS_FOR_LOSS in one.subject]
        return [Span(one.at, run.end, run.value.run) for one in asks for run in self.runs if run.value.run in one.text]

    @cached_property
    def rds_at_work(self) -> list[Span]:
        """When RDS may move the writer: from the request that it has taken until it gives up, or the record says so."""
        spans, since, done = list[Span](), None, None
        for fact in self.history.happened:
            if done is not None and isinstance(fact, Written) and fact.before["epoch"] != fact.after["epoch"]:
                spans.append(Span(done, fact.at, ""))  # it has moved the writer, and the record does not say so before
                done = None
            begins = isinstance(fact, RdsBegan) or (isinstance(fact, Asked) and fact.accepted)
            if begins and since is None:
                since = fact.at
            if isinstance(fact, RdsEnded) and since is not None:
                spans.append(Span(since, fact.at, fact.operation))
                since = None
                done = fact.at if fact.how == "done" else None
        if done is not None:
            spans.append(Span(done, self.end, ""))
        return [*spans, Span(since, self.end, "")] if since is not None else spans

    @cached_property
    def faults(self) -> list[Span]:
        """The faults, for as long as each acted; a person who does what a message says is none, nor what is beside."""
        began, spans = dict[int, tuple[float, Fault]](), []
        for fact in self.history.happened:
            if isinstance(fact, FaultBegan) and fact.fault.kind not in (OBEYING, *BESIDE):
                began[id(fact.fault)] = fact.at, fact.fault
            elif isinstance(fact, FaultEnded) and id(fact.fault) in began:
                since, fault = began.pop(id(fact.fault))
                spans.append(Span(since, fact.at, fault))
        return [*spans, *(Span(since, self.end, fault) for since, fault in began.values())]


# --- P1


def _two_writers(facts: Facts) -> Iterator[tuple[float, str]]:
    for one in facts.sessions:
        for other in facts.sessions:
            start, end = max(one.start, other.start), min(one.end, other.end)
            if (
                one.value < other.value
                and start < end
                and not _guard_was_gone(facts, _old(facts, one, other), start, end)
            ):
                yield start, f"applications write in {one.value} and in {other.value} for {end - start:.2f} s"
                return


def _old(facts: Facts, one: Span, other: Span) -> str:
    """Returns the region of the two that was promoted less recently; where none was, that of the earlier session."""
    promoted = [move.region for move in facts.of(Promoted) if move.at <= max(one.start, other.start)]
    old = one if one.start < other.start else other
    if promoted:
        old = other if one.value == promoted[-1] else one
    return str(old.value)


def _guard_was_gone(facts: Facts, region: str, start: float, end: float) -> bool:
    """Whether the region was without a guardian, or without any means to end sessions, or has just started open."""
    since = start - LIMIT_LASTS_S
    started = [one.at for one in facts.of(StartedOpen) if one.region == region]
    sql, restart = (facts.works(region, means) for means in ("sql", "restart"))
    if any(at <= start and end <= _closed_after(facts, region, at) for at in started):
        return True
    helpless = not all(sql.within(since, end)) and not all(restart.within(since, end))
    return helpless or not all(facts.guarded(region).within(since, end))


def _closed_after(facts: Facts, region: str, at: float) -> float:
    """Returns by when a guardian has closed a server that has started open.

    RDS may close the security group behind whoever has come in: only SQL ends his session then.
    """
    may = (max(at, one.start) for one in facts.works(region, "sql").spans() if one.value and one.end > at)
    return next(may, facts.end) + CLOSED_WITHIN_S


def _moved_under_a_lease(facts: Facts) -> Iterator[tuple[float, str]]:
    """A failover that commits to move while the writer's lease lives; one of a clock that is off is none."""
    for one in facts.of(Written):
        run = _commits_to_a_failover(one)
        left = (one.after.get("lease_expires_at") or 0.0) - (STARTS_AT + one.at)
        if run and 0.0 < left <= LONGEST_LEASE_S:
            yield one.at, f"run {run} commits to move a writer whose lease lives for {left:.1f} s more"


def _let_in_elsewhere(facts: Facts) -> Iterator[tuple[float, str]]:
    """Applications are let in where the record has not had the writer, open, for a lease; a run may open its target."""
    for one in facts.of(Lifted):
        if one.by != "sql" or any(
            _may_open(each, one.region) for each in facts.record.within(one.at - LET_IN_WITHIN_S, one.at)
        ):
            continue
        yield one.at, f"applications are let into {one.region}, which is not the writer, or is stopped or moved away"


def _may_open(record: Mapping[str, Any], region: str) -> bool:
    lock = record.get("transition") or {"phase": "checking", "target_region": ""}
    if lock["phase"] == "checking":
        return bool(record["writer_region"] == region)
    return bool(lock["phase"] == "moving" and lock["target_region"] == region)


def _asked_beside_an_open_writer(facts: Facts) -> Iterator[tuple[float, str]]:
    """RDS is asked to promote a standby whose old writer applications write to."""
    for one in facts.of(Asked):
        if not one.accepted:
            continue
        for session in facts.sessions:
            writes = session.value != one.region and session.start <= one.at < session.end
            if writes and not _guard_was_gone(facts, session.value, one.at, one.at):
                yield one.at, f"RDS takes a {one.operation} to {one.region} while applications write in {session.value}"
                break


def _stays_open(facts: Facts) -> Iterator[tuple[float, str]]:
    """Applications go on writing where the record has no open writer, though nothing fails and a guardian is there."""
    for region in facts.regions:
        may = [(at, _may_open(record, region)) for at, record in facts.record.changes if at >= 0.0]
        closed = [span for span in Course(True, [one for one, _ in _changed(may)], facts.end).spans() if not span.value]
        for one in closed:
            for guarded in facts.guarded(region).spans():
                start, end = max(one.start, guarded.start), min(one.end, guarded.end)
                starts = [each.at for each in facts.of(StartedOpen) if each.region == region]
                for calm, disturbed in _quiet(facts, start, end, starts) if guarded.value else ():
                    since = calm + CLOSED_WITHIN_S
                    left = [each for each in facts.sessions if each.value == region and each.overlaps(since, disturbed)]
                    if since < disturbed and left:
                        yield (
                            max(since, left[0].start),
                            f"applications go on writing in {region}, which is to be closed",
                        )


def _signs_what_is_not_so(facts: Facts) -> Iterator[tuple[float, str]]:
    """A guardian says in the lock that its database is fenced, and applications could write there all the time."""
    for one in facts.of(Written):
        sign = (one.after.get("transition") or {}).get("writer_sign")
        before = (one.before.get("transition") or {}).get("writer_sign")
        if sign is None or sign == before or not sign["fenced"]:
            continue
        region, since = one.after["writer_region"], one.at - SIGNED_WITHIN_S
        stood = any(facts.fenced(region).within(since, one.at)) or facts.shut(region, one.at)
        if not stood and set(facts.role(region).within(since, one.at)) == {"writer"}:
            yield one.at, f"{one.by} signs that {region} is fenced, and it is open"


# --- P2


def _more_than_one_move(facts: Facts) -> Iterator[tuple[float, str]]:
    for one in facts.of(Written):
        moved = one.before["writer_region"] != one.after["writer_region"]
        grown = one.after["epoch"] - one.before["epoch"]
        if grown != moved:
            yield one.at, f"{one.row} changes the epoch by {grown} and {'moves' if moved else 'keeps'} the writer"
    done = [(facts.record.at(one.at)["epoch"], one.at) for one in facts.of(RdsEnded) if one.how == "done"]
    for (before, _), (epoch, at) in pairwise(done):
        if before == epoch:
            yield at, f"RDS has moved the writer twice in epoch {epoch}"


def _asked_without_the_lock(facts: Facts) -> Iterator[tuple[float, str]]:
    for one in facts.of(Asked):
        lock = facts.record.at(one.at).get("transition")
        held = lock is not None and lock["phase"] == "moving" and lock["target_region"] == one.region
        if one.accepted and not (held and lock["move_requests"] > 0):
            yield one.at, f"RDS takes a {one.operation} to {one.region}, and no lock notes it"


def _given_back_under_rds(facts: Facts) -> Iterator[tuple[float, str]]:
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if before is None or one.before["epoch"] != one.after["epoch"] or not _backs_out(before, after):
            continue
        if any(span.start < one.at < span.end for span in facts.rds_at_work):
            yield one.at, f"{one.row} gives the lock of run {before['run']} back while RDS may be at work"


def _backs_out(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> bool:
    """Whether a lock knows less of what was begun than before."""
    return (
        after is None
        or (before["phase"] == "moving" and after["phase"] != "moving")
        or (after["move_requests"] < before["move_requests"])
    )


# --- P5


def _begins_against_a_no(facts: Facts) -> Iterator[tuple[float, str]]:
    """An automatic run that takes the lock though a person keeps attempts from beginning; what RDS has is finished."""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if after is None or after["run"] not in facts.automatic or (before and before["run"] == after["run"]):
            continue
        if not (before and before["move_requests"]) and (why := _keeps_from_beginning(one.before, one.at)):
            yield one.at, f"run {after['run']} begins by itself though {why}"


def _moves_in_a_maintenance(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that nobody has started is to move the writer on which a person works."""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if after is None or after["run"] not in facts.automatic or not after["move_requests"]:
            continue
        pause = one.after.get("paused", {})
        maintained = pause.get("maintenance") and pause["until"] > STARTS_AT + one.at
        if maintained and not (before and before["move_requests"]):
            yield one.at, f"run {after['run']} asks RDS by itself in the maintenance of {pause['by']}"


def _moves_against_an_observer(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that nobody has started commits to a failover, and whenever it looked one observer found the writer up.

    It looks at some moment between its beginning and the commit: what was so all that time, it has seen. A writer that
    was away, closed or without its guardian for a moment may have been looked at in that moment.
    """
    for one in facts.of(Written):
        run, region = _commits_to_a_failover(one), one.before["writer_region"]
        if run not in facts.automatic:
            continue
        since = facts.began[run]
        if all(facts.found_well(region).within(since, one.at)):
            yield one.at, f"run {run} commits by itself to move the writer in {region}, which answers and is open"
        elif all(_guardian_lives(span, one.at) for span in facts.record.spans() if span.overlaps(since, one.at)):
            yield one.at, f"run {run} commits by itself to move the writer in {region}, whose guardian lives"


def _guardian_lives(record: Span, end: float) -> bool:
    """Whether the record shows a guardian that lives, to whoever reads it in that time and before the ``end``.

    It has written lately, and says nothing of its database, or has not said for long that it is down or not known. A
    sign of times to come is one of a wrong clock. Where a run stops or moves the writer, a guardian signs elsewhere.
    """
    shown, until = record.value, STARTS_AT + min(record.end, end)
    word = shown.get("word") or {}
    if (shown.get("transition") or {"phase": "checking"})["phase"] != "checking":
        return False
    ends = ((shown.get("lease_expires_at"), LEASE_S), (word.get("rests_until"), REST_S))
    sign = max((ends_at - lasts for ends_at, lasts in ends if ends_at is not None), default=-math.inf)
    said_since = word.get("since", math.inf)
    in_time = sign <= STARTS_AT + record.start and until - sign <= NO_SIGN_S - CLOCK_S
    return in_time and until - said_since <= GRACE_S - CLOCK_S


def _commits_to_a_failover(one: Written) -> str:
    """Returns the run that commits with this write to move the writer in a failover; empty when none does."""
    before, after = one.before.get("transition"), one.after.get("transition")
    commits = after is not None and _fails_over(after) and (before is None or before["phase"] != "moving")
    return after["run"] if after is not None and commits else ""


def _loses_more_than_accepted(facts: Facts) -> Iterator[tuple[float, str]]:
    """RDS is asked for a failover that loses more than the budget, or nobody knows how much, and no person accepted it.

    The first request that is noted counts, and not the commit: a switchover that became a failover had committed
    before. Who decides is the run under which the lock became that of a failover that moves; a run that takes over
    from it then only goes on.
    """
    decides = ""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if after is None or not _fails_over(after):
            continue
        if not decides or not _fails_over(before):
            decides = after["run"]
        first = after["move_requests"] and not (before and before["move_requests"])
        if not first or any(_accepts_loss(facts, run, one.at) for run in (decides, after["run"])):
            continue
        if why := _too_much_is_lost(facts, one, facts.began[decides]):
            yield one.at, f"run {after['run']} asks RDS to move the writer, {why}, and nobody has accepted that"


def _fails_over(lock: Mapping[str, Any] | None) -> bool:
    """Whether a lock is that of a failover that has committed to move."""
    return lock is not None and (lock["mode"], lock["phase"]) == ("failover", "moving")


def _accepts_loss(facts: Facts, run: str, at: float) -> bool:
    """Whether a person had accepted by then whatever the run loses: in its input, as an answer, or by `break-glass`.

    The command is no run of Step Functions, and says to whoever calls it that nobody measures the loss.
    """
    asked = next((one.value.asked for one in facts.runs if one.value.run == run), {"accept_data_loss": True})
    return bool(asked.get("accept_data_loss")) or any(one.run == run and one.at <= at for one in facts.of(Approved))


def _too_much_is_lost(facts: Facts, request: Written, began: float) -> str:
    """Returns why the run that had ``began`` then had to ask people before that request; empty where it had not.

    Replication that was late may have brought the standby more since the run looked, and nothing less: what it has at
    the request counts. A heartbeat counts as too old that was so when the run began, for it looked later.
    """
    beat = request.after.get("heartbeat")
    if beat is None:
        return "of which no heartbeat is known"
    committed = beat["at"] - STARTS_AT
    if began - committed > OLDEST_BEAT_S:
        return f"whose last heartbeat is {began - committed:.0f} s old"
    has = facts.has_everything_until(request.after["transition"]["target_region"]).at(request.at)
    missing = 0.0 if has is None else committed - has
    return f"of which the standby lacks {missing:.1f} s of writes" if missing > RPO_BUDGET_S else ""


def _goes_on_against_a_wish(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that a person wants to hold or to abort goes a step further, and RDS was not asked before."""
    steps = ("checking", "stopping", "moving")
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if before is None or after is None or before["run"] != after["run"] or not before.get("wanted"):
            continue
        further = steps.index(after["phase"]) > steps.index(before["phase"])
        if not before["move_requests"] and (further or after["move_requests"]):
            yield one.at, f"run {after['run']} goes on though a person wants it to {before['wanted']}"


# --- P7


def _lost_more_than_said(facts: Facts) -> Iterator[tuple[float, str]]:
    for ended, output in _recovered(facts):
        bound_ms = output.get("rpo_at_most_ms")
        move = next((one for one in reversed(facts.of(Promoted)) if one.at <= ended.at), None)
        if bound_ms is None or move is None:
            continue
        old = output["old_writer_region"]
        last = max((span.end for span in facts.sessions if span.value == old and span.start < ended.at), default=0.0)
        lost_ms = (last - move.until) * 1000
        if lost_ms > bound_ms:
            yield ended.at, f"run {ended.run} says that {bound_ms:.0f} ms were lost at most; it was {lost_ms:.0f} ms"


def _recovered(facts: Facts) -> Iterator[tuple[RunEnded, Mapping[str, Any]]]:
    for one in facts.of(RunEnded):
        if isinstance(one.output, Mapping) and one.output.get("outcome") == "recovered":
            yield one, one.output


def _not_recovered(facts: Facts) -> Iterator[tuple[float, str]]:
    for one in facts.of(StateEntered):
        if one.state != "OutcomeRecovered":
            continue
        start, end = one.at - PROVED_WITHIN_S, one.at
        run = next((span.value for span in facts.runs if span.value.run == one.run), None)
        target = run.region if run is not None else None
        if target not in {record["writer_region"] for record in facts.record.within(start, end)}:
            yield one.at, f"run {one.run} declares {target} the writer, and the record names another region"
        elif "writer" not in facts.role(str(target)).within(start, end):
            yield one.at, f"run {one.run} declares {target} the writer, and its database is none"
        elif target not in facts.name.within(start, end):
            yield one.at, f"run {one.run} declares {target} the writer, and the name does not lead there"


def _commits_to_no_writer(facts: Facts) -> Iterator[tuple[float, str]]:
    """The record names another writer, whose database was none in the time that a run may take from its proof on."""
    for one in facts.of(Written):
        target = one.after["writer_region"]
        if target != one.before["writer_region"] and "writer" not in facts.role(target).within(
            one.at - PROVED_WITHIN_S, one.at
        ):
            yield one.at, f"{one.by} makes {target} the writer, and its database is none"


def _nobody_told(facts: Facts) -> Iterator[tuple[float, str]]:
    for one in facts.of(RunEnded):
        ends_badly = one.status in ("TIMED_OUT", "ABORTED") or one.error == "NeedsPerson"
        region = next((each.region for each in facts.of(RunStarted) if each.run == one.run), None)
        until = one.at + TOLD_WITHIN_S
        if not ends_badly or region is None or until > facts.end or _cannot_tell(facts, region, one.at - 15.0, until):
            continue
        if not any(one.at - 15.0 <= told.at <= until and one.run in told.text for told in facts.of(Told)):
            yield one.at, f"nobody is told how run {one.run} has ended ({one.status})"


def _cannot_tell(facts: Facts, region: str, start: float, end: float) -> bool:
    """Whether something failed there in that time that a message or Step Functions' event needs."""
    return any(
        span.value.kind in NEEDED_TO_TELL and span.value.where in (region, "") and span.overlaps(start, end)
        for span in facts.faults
    )


def _command_fails(facts: Facts) -> Iterator[tuple[float, str]]:
    """What a message told people to start, somebody has started, after everything was repaired."""
    ended = {one.run: one for one in facts.of(RunEnded)}
    for begun in [one for one in facts.of(RunStarted) if one.run.endswith(OBEYS)]:
        end = ended.get(begun.run)
        until = facts.end if end is None else end.at
        if _disturbed(facts, begun.at, until) or _taken_over(facts, begun.run):
            continue
        if end is not None and end.status != "SUCCEEDED":
            yield end.at, f"the command of a message ends in {end.error or end.status} though nothing fails any more"
        asks = any(question.value == begun.run for question in facts.questions)
        if begun.workflow == "failover" and until - begun.at > COMMAND_ENDS_WITHIN_S and not asks:
            yield until, f"the run that a message's command has started goes on for {until - begun.at:.0f} s"


def _taken_over(facts: Facts, run: str) -> bool:
    """Whether somebody else has gone on with what the run did, which it can then only end with."""
    locks = [(one.before.get("transition") or {}, one.after.get("transition") or {}) for one in facts.of(Written)]
    return any(before.get("run") == run and after.get("run", run) != run for before, after in locks)


def _disturbed(facts: Facts, start: float, end: float) -> bool:
    """Whether anything failed in that time."""
    return any(span.overlaps(start, end) for span in facts.faults)


def _hook_not_told(facts: Facts) -> Iterator[tuple[float, str]]:
    """A hook has failed, or has not ended in its time, and nobody is told."""
    for one in facts.of(HookBegan):
        until = one.at + LONGEST_HOOK_S + TOLD_WITHIN_S
        if one.how == "works" or until > facts.end or _cannot_tell(facts, one.region, one.at - 15.0, until):
            continue
        if not any(one.at <= told.at <= until and f": {one.name}" in told.subject for told in facts.of(Told)):
            yield one.at, f"nobody is told that the hook {one.name} {one.how}"


# --- P9


def _held_up(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that has moved the writer does not end, though nothing fails but what is beside it."""
    ends = {span.value.run: span.end for span in facts.runs}
    for one in facts.of(Written):
        run = (one.before.get("transition") or {}).get("run")
        if one.after["epoch"] > one.before["epoch"] and run in ends:
            for start, end in _quiet(facts, one.at, ends[run]):
                if end - start > ENDS_WITHIN_S:
                    yield start, f"run {run} has moved the writer, and is held up for {end - start:.0f} s"


def _capacity_at_a_bad_moment(facts: Facts) -> Iterator[tuple[float, str]]:
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
            and not _keeps_from_beginning(record, max(start, span.start))
            and not _held_from_outside(facts, record)
        )
        if not is_due:
            return max(start, span.start)
    return end


def _held_from_outside(facts: Facts, record: Mapping[str, Any]) -> bool:
    """Whether the lock's run is none of Step Functions': only a person takes it over, a limit of P3."""
    lock = record.get("transition")
    return lock is not None and lock["run"] not in {span.value.run for span in facts.runs}


def _keeps_from_beginning(record: Mapping[str, Any], at: float) -> str:
    """Returns which word of a person in the record lets no attempt begin by itself at that moment; empty for none."""
    if not record.get("automatic_failover", True):
        return "somebody has turned automatic failover off"
    if "paused" in record and record["paused"]["until"] > STARTS_AT + at:
        return "somebody has paused automatic failover"
    return "somebody has said no" if "ended_by_person" in record else ""


def _no_next_attempt(facts: Facts) -> Iterator[tuple[float, str]]:
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


def _not_moved(facts: Facts) -> Iterator[tuple[float, str]]:
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
    beat = facts.record.at(at).get("heartbeat")
    other = next((one for one in facts.regions if one != region), None)
    if beat is None or other is None:  # nothing is known of the standby
        return False
    has, committed = facts.has_everything_until(other).at(at), beat["at"] - STARTS_AT
    if at - committed > OLDEST_BEAT_S:
        return False
    return has is None or (committed - has <= RPO_BUDGET_S and facts.heartbeats_after(has, beat) <= 1)


# --- P10


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
        elif isinstance(fact, Fenced):
            since = self.fit_since if fact.by == "restart" else self.well_since
            self.closed[fact.by] = (
                was_well and fact.at - since > WELL_FOR_S and (fact.by == "restart" or not self.closed)
            )
        elif isinstance(fact, Lifted):
            self.closed.pop(fact.by, None)
        elif isinstance(fact, Promoted):
            self.closed = {"sql": False} if fact.fenced else {}
        if not was_well:
            self.well_since = fact.at


def _closed_for_nothing(facts: Facts) -> Iterator[tuple[float, str]]:
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


def _restarted_for_nothing(facts: Facts) -> Iterator[tuple[float, str]]:
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


def _kept_closed_by_a_lock(facts: Facts) -> Iterator[tuple[float, str]]:
    """A lock that closes a healthy writer, and for which RDS was not asked, has to go."""
    for span in facts.closing.spans():
        if span.value is None:
            continue
        writer, run, phase = span.value
        for well in facts.fit(writer).spans():
            start, end = max(span.start, well.start), min(span.end, well.end)
            if well.value and end - start > GIVEN_BACK_S[phase]:
                yield start, f"the lock of run {run} keeps the writer in {writer} closed for {end - start:.0f} s"


def _changed(values: list[tuple[float, Value]]) -> Iterator[tuple[tuple[float, Value], Value | None]]:
    before: Value | None = None
    for at, value in values:
        if value != before:
            yield (at, value), before
        before = value


def _closing(record: Mapping[str, Any]) -> tuple[str, str, str] | None:
    lock = record.get("transition")
    if lock is None or lock["phase"] == "checking" or lock["move_requests"] > 0:
        return None
    return record["writer_region"], lock["run"], lock["phase"]


def _clients_belong(record: Mapping[str, Any]) -> str:
    lock = record.get("transition")
    return str(lock["target_region"] if lock is not None and lock.get("dns_engaged") else record["writer_region"])


def _led_elsewhere(facts: Facts) -> Iterator[tuple[float, str]]:
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
        moments = sorted({at for course in works for at, _ in course.changes})
        both = [(at, all(course.at(at) for course in works)) for at in moments]
        works = [Course(True, [one for one, _ in _changed(both)], facts.end)]
    for span in [span for course in works for span in course.spans() if span.value]:
        yield max(span.start, belong.start) + NAME_FOLLOWS_S, min(span.end, belong.end)


def _not_served(facts: Facts) -> Iterator[tuple[float, str]]:
    """At the end, when all has been well for a while, applications are not in the record's writer, or are elsewhere."""
    for one in facts.of(Ended):
        calm_since, writer = one.at - REPAIRED_S, one.record["writer_region"]
        late = [fault.value.where for fault in facts.faults if fault.end > calm_since]
        may_be_open = facts.record.within(one.at - CLOSED_WITHIN_S, one.at)
        for region in one.open_to:
            if not late and not any(_may_open(record, region) for record in may_be_open):
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
    return asked and bool(_held_from_outside(facts, ended.record) or _keeps_from_beginning(ended.record, ended.at))


# --- the way back


def _rows_not_kept(facts: Facts) -> Iterator[tuple[float, str]]:
    """A cluster is deleted with a row in it that the new writer lacks, and no file that was exported has."""
    for one in facts.of(Retired):
        moves = [each for each in facts.of(Promoted) if each.region != one.region and each.at <= one.at]
        until = moves[-1].until if moves else 0.0
        kept = {each.name: each.text for each in facts.of(Kept) if each.region != one.region and each.at <= one.at}
        exported = {found for text in kept.values() for found in ROW.findall(text)}
        rows = [(row, written) for whose, row, written in _rows_of(facts, one) if whose in SALVAGED]
        lost = [row for row, written in rows if written > until and row not in exported]
        if lost:
            yield (
                one.at,
                f"the cluster in {one.region} is deleted with {len(lost)} rows that are nowhere else, as {lost[0]}",
            )


def _rows_of(facts: Facts, retired: Retired) -> Iterator[tuple[Whose, str, float]]:
    """Yields the rows that were written there since the last cluster of that region was deleted, and by whom."""
    before = [one.at for one in facts.of(Retired) if one.region == retired.region and one.at < retired.at]
    since, ended = max(before, default=0.0), {one.session: one.at for one in facts.of(SessionClosed)}
    for one in facts.of(SessionOpened):
        if one.region == retired.region and since <= one.at < retired.at:
            lasted = min(ended.get(one.session, retired.at), retired.at) - one.at
            for row in range(math.floor(lasted / ROW_EVERY_S) + 1):
                yield one.whose, f"{one.session}.{row}", one.at + row * ROW_EVERY_S


def _not_in_a_snapshot(facts: Facts) -> Iterator[tuple[float, str]]:
    """A cluster is deleted that was written after its last complete snapshot was begun."""
    for one in facts.of(Retired):
        taken = [each for each in facts.of(SnapshotTaken) if each.cluster == one.cluster and each.at <= one.at]
        begun = max((each.began for each in taken), default=-math.inf)
        last = max((written for _, _, written in _rows_of(facts, one)), default=0.0)
        if not taken or last > begun:
            yield one.at, f"the cluster in {one.region} is deleted, and no snapshot has all of it"


def _no_standby(facts: Facts) -> Iterator[tuple[float, str]]:
    """The record says that there is a standby again, and no database follows the writer."""
    for one in facts.of(Written):
        if one.before.get("protected", True) or not one.after.get("protected", True):
            continue
        other = next(region for region in facts.regions if region != one.after["writer_region"])
        if "reader" not in facts.role(other).within(one.at - ARMED_WITHIN_S, one.at):
            yield one.at, f"{one.by} says that {other} is the standby, and its database is none"


def _stands_still(facts: Facts) -> Iterator[tuple[float, str]]:
    """A re-protection that waits for nobody's answer stays where it is, though nothing fails."""
    ended = {one.run: one.at for one in facts.of(RunEnded)}
    for run in [one.run for one in facts.of(RunStarted) if one.workflow == "reprotect"]:
        entered = [(one.at, one.state) for one in facts.of(StateEntered) if one.run == run]
        for state in Course("", entered, ended.get(run, facts.end)).spans():
            for start, end in _quiet(facts, state.start, state.end):
                if end - start > STANDS_STILL_S and state.value not in ("", ASKING):
                    yield start, f"re-protection {run} stays in {state.value} for {end - start:.0f} s"


def _quiet(facts: Facts, start: float, end: float, moments: Iterable[float] = ()) -> list[tuple[float, float]]:
    """Returns the parts of that time in which nothing failed, between these moments; an answer is no failure."""
    if end <= start:
        return []
    disturbs = [one for one in facts.faults if one.value.kind not in ANSWERS and one.overlaps(start, end)]
    begins_anew = [*moments, *(edge for one in disturbs for edge in (one.start, one.end))]
    edges = sorted({start, end, *(edge for edge in begins_anew if start < edge < end)})
    return [pair for pair in pairwise(edges) if not any(one.overlaps(*pair) for one in disturbs)]


def _unexpected(facts: Facts) -> Iterator[tuple[float, str]]:
    for error in facts.history.errors:
        yield 0.0, error


CHECKS = (
    Check("P1 one writer", "no two regions have sessions that can write", _two_writers),
    Check("P1 fenced first", "RDS is asked when no application writes to the old writer", _asked_beside_an_open_writer),
    Check("P1 sign is true", "a guardian that signs that it has fenced has", _signs_what_is_not_so),
    Check("P1 closed", "nobody goes on writing where the record has no open writer", _stays_open),
    Check("P1 lease vetoes", "no failover commits to move a writer whose lease lives", _moved_under_a_lease),
    Check("P2 one move", "an epoch moves the writer once", _more_than_one_move),
    Check("P2 one run", "RDS is asked by whoever holds the lock, and it says so", _asked_without_the_lock),
    Check("P1 let in", "applications are let in where the record has the writer, and nowhere else", _let_in_elsewhere),
    Check("P1 only forward", "no lock is given back while RDS may be at work", _given_back_under_rds),
    Check(
        "P5 two observers",
        "nothing by itself moves a writer that the standby's region or its guardian finds well",
        _moves_against_an_observer,
    ),
    Check(
        "P5 lag gate", "no failover loses more than the budget unless a person accepts it", _loses_more_than_accepted
    ),
    Check("P5 person's no", "no attempt begins by itself against a person's no", _begins_against_a_no),
    Check("P5 maintenance", "nothing moves the writer by itself while a person works on it", _moves_in_a_maintenance),
    Check("P5 hold and abort", "a run goes no step further against a person's wish", _goes_on_against_a_wish),
    Check("P7 loss bounded", "no more is lost than the run's record says", _lost_more_than_said),
    Check("P7 recovered", "a run that says so is right: record, name and database agree", _not_recovered),
    Check("P7 committed", "the record names a writer that has become one", _commits_to_no_writer),
    Check("P7 people told", "people are told of every run that ends badly", _nobody_told),
    Check("P7 command works", "a command that a message gives ends well once all is repaired", _command_fails),
    Check("P7 hook told", "people are told of a hook that fails or hangs", _hook_not_told),
    Check("P9 not held up", "nothing beside a run that has moved the writer keeps it from its end", _held_up),
    Check(
        "P9 capacity",
        "RDS is asked for capacity of a writer that nobody moves, and of no other",
        _capacity_at_a_bad_moment,
    ),
    Check("P9 next attempt", "while the writer is dead another attempt always comes", _no_next_attempt),
    Check("P9 moved", "a dead writer is moved, or people are asked whether writes may be lost", _not_moved),
    Check("P10 open", "a healthy writer whose lease can be renewed is open", _closed_for_nothing),
    Check("P10 not restarted", "no healthy writer with a new lease is restarted", _restarted_for_nothing),
    Check("P10 name", "the name leads where the record says that clients belong", _led_elsewhere),
    Check("P10 served", "when all is repaired applications write in the record's writer only", _not_served),
    Check("P10 given back", "a run that does not go on keeps no healthy writer closed", _kept_closed_by_a_lock),
    Check("P7 kept", "nothing is deleted that is neither in the new writer nor in the export", _rows_not_kept),
    Check("P7 snapshot", "no cluster is deleted without a snapshot of all of it", _not_in_a_snapshot),
    Check("P7 protected", "a record that says so has a standby", _no_standby),
    Check("P9 way back", "a re-protection that nothing disturbs goes on", _stands_still),
    Check("no surprise", "no function ends in an error that it does not know", _unexpected),
)
