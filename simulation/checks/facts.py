"""The facts of a history, arranged so that a check can ask what was so at a moment, or for how long."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

from simulation.faults import BESIDE, OWNER, SECOND_DATABASE, STARTS_OPEN, Fault
from simulation.happened import (
    Answers,
    Asked,
    Ended,
    Fact,
    FaultBegan,
    FaultEnded,
    Fenced,
    Fit,
    Guarded,
    History,
    Lifted,
    Means,
    Mute,
    NameLeadsTo,
    Promoted,
    RdsBegan,
    RdsEnded,
    Replicated,
    RoleChanged,
    RunEnded,
    RunStarted,
    SessionClosed,
    SessionOpened,
    Told,
    Way,
    Works,
    Written,
)

# P1: a lease that is longer than this was written by a clock that is off (10 s, and 1 s for clocks that are right).
LONGEST_LEASE_S = 11.0
# P9: a question whether writes may be lost, and how long before it its run may have looked at the lag.
ASKS_FOR_LOSS, LOOKED_WITHIN_S = "WAITS FOR APPROVAL", 15.0
# P1, before PostgreSQL 17: how long a server that starts open may stay so beside a guardian, and how long a guardian
# may leave sessions in a region that the record has left, or in which it stops the writer, when nothing fails.
CLOSED_WITHIN_S = 20.0
# P1: how soon a guardian ends what is opened behind a fence in a database that nobody but its owner can close.
ENDED_WITHIN_S = 5.0
# What is beside the runs, and owed nothing: a promise holds whatever becomes of it.
OWED_NOTHING = {STARTS_OPEN, *BESIDE, OWNER, SECOND_DATABASE}
# Where a re-protection asks people, and what they do then.
ASKING, ANSWERS = "AskRetirement", ("person approves", "person refuses")
# How the name of a run ends that a person has started with the command of a message, and who does that.
OBEYS, OBEYING = "-obeys", "person obeys"

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

    @classmethod
    def of(cls, says: Callable[..., Any], *courses: Course) -> Course:
        """Returns what follows from several courses: what is said of their values."""
        moments = sorted({at for course in courses for at, _ in course.changes})
        values = [(at, says(*(course.at(at) for course in courses))) for at in moments]
        (_, first), *changes = [one for one, _ in changed(values)]
        return cls(first, changes, courses[0]._end)

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
        self.regions = history.regions
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

    def other(self, region: str) -> str:
        """Returns the other region."""
        return next(one for one in self.regions if one != region)

    def role(self, region: str) -> Course:
        """Whether a region's database is a writer, a reader, or down."""
        changes = [(one.at, one.role) for one in self.of(RoleChanged) if one.region == region]
        first = "writer" if self.record.at(0.0).get("writer_region") == region else "reader"
        return Course(first, changes, self.end)

    def gone(self, region: str) -> Course:
        """Whether a region's database does not run, or answers nobody outside."""
        mute = Course(False, [(one.at, one.mute) for one in self.of(Mute) if one.region == region], self.end)
        return Course.of(lambda role, is_mute: role == "down" or is_mute, self.role(region), mute)

    def found_well(self, region: str) -> Course:
        """Whether whoever asks a region's database from the other region finds a writer that no fence by SQL closes.

        That is what the first observer looks at. It does not see a security group, and whoever refuses it lives.
        """
        answers = Course(True, [(one.at, one.answers) for one in self.of(Answers) if one.region == region], self.end)
        return Course.of(
            lambda answers, role, fenced: answers and role == "writer" and not fenced,
            *(answers, self.role(region), self.fenced(region)),
        )

    def guarded(self, region: str) -> Course:
        """Whether a guardian is there."""
        return Course(True, [(one.at, one.guarded) for one in self.of(Guarded) if one.region == region], self.end)

    def fit(self, region: str) -> Course:
        """Whether there is a healthy writer there that a guardian could renew the lease of."""
        return Course(False, [(one.at, one.fit) for one in self.of(Fit) if one.region == region], self.end)

    def fenced(self, region: str, by: Way = "sql") -> Course:
        """Whether a fence by SQL, or by other means, stands in a region's database."""
        return Course(False, self._fences.get((region, by), []), self.end)

    def shut(self, region: str, at: float) -> bool:
        """Whether no application can write in a region then: its security group is closed, with nobody behind it."""
        inside = any(span.value == region and span.start <= at < span.end for span in self.sessions)
        return bool(self.fenced(region, "group").at(at)) and not inside

    @cached_property
    def _fences(self) -> dict[tuple[str, Way], list[tuple[float, bool]]]:
        """When each fence went up and came down, by its region and its way."""
        found: dict[tuple[str, Way], list[tuple[float, bool]]] = {}
        for fact in self.history.happened:
            if isinstance(fact, Fenced | Lifted | Promoted):
                by, stands = fence_of(fact)
                found.setdefault((fact.region, by), []).append((fact.at, stands))
        return found

    def works(self, region: str, means: Means) -> Course:
        """Whether those means to close and open a region's database work."""
        changes = [(one.at, one.works) for one in self.of(Works) if (one.region, one.means) == (region, means)]
        return Course(True, changes, self.end)

    def has_everything_until(self, region: str) -> Course:
        """Up to when a region's database has what the writer has committed; None while it follows."""
        return Course(None, [(one.at, one.until) for one in self.of(Replicated) if one.region == region], self.end)

    @cached_property
    def name(self) -> Course:
        """Where the public name leads."""
        first = self.record.at(0.0).get("writer_region")
        return Course(first, [(one.at, one.region) for one in self.of(NameLeadsTo)], self.end)

    @cached_property
    def closing(self) -> Course:
        """The lock that closes the writer, and for which RDS was not asked: its writer, run and phase; or None."""
        locks = [(at, _closing(record)) for at, record in self.record.changes if at >= 0.0]
        return Course(None, [one for one, _ in changed(locks)], self.end)

    @cached_property
    def belong(self) -> Course:
        """The region in which clients belong by the record: the writer's, or the target of a lock with DNS engaged."""
        belong = [(at, _clients_belong(record)) for at, record in self.record.changes]
        return Course(belong[0][1], [one for one, _ in changed(belong[1:])], self.end)

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
        fence = self.fenced(region)
        behind_a_fence = fence.at(at)
        if session.whose == "owner":
            lifts = (lifted for lifted, stands in fence.changes if lifted > at and not stands)
            return next(lifts, math.inf) if behind_a_fence else at
        ends = [self.closed_after_start(region, start) for start in self.starts(region) if start <= at]
        if session.whose == "somebody else's database" and behind_a_fence:
            ends.append(at + ENDED_WITHIN_S)
        return max([at, *ends])

    def closed_after_start(self, region: str, at: float) -> float:
        """Returns by when a guardian has closed what a server that started then keeps nobody out of.

        RDS may close the security group behind whoever has come in: only SQL ends his session then.
        """
        may = (max(at, one.start) for one in self.works(region, "sql").spans() if one.value and one.end > at)
        return next(may, self.end) + CLOSED_WITHIN_S

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
            if isinstance(fact, FaultBegan) and fact.fault.kind not in (OBEYING, *OWED_NOTHING):
                began[id(fact.fault)] = fact.at, fact.fault
            elif isinstance(fact, FaultEnded) and id(fact.fault) in began:
                since, fault = began.pop(id(fact.fault))
                spans.append(Span(since, fact.at, fault))
        return [*spans, *(Span(since, self.end, fault) for since, fault in began.values())]


def fence_of(fact: Fenced | Lifted | Promoted) -> tuple[Way, bool]:
    """Returns of which fence a fact tells, and whether that stands from then on.

    One by SQL is data, and replicates: a database that is promoted has the old writer's, or none.
    """
    return ("sql", fact.fenced) if isinstance(fact, Promoted) else (fact.by, isinstance(fact, Fenced))


def may_open(record: Mapping[str, Any], region: str) -> bool:
    """Whether the record lets applications into a region: the writer's unless a run stops it, or a move's target."""
    lock = record.get("transition") or {"phase": "checking", "target_region": ""}
    if lock["phase"] == "checking":
        return bool(record["writer_region"] == region)
    return bool(lock["phase"] == "moving" and lock["target_region"] == region)


def commits_to_a_failover(one: Written) -> str:
    """Returns the run that commits with this write to move the writer in a failover; empty when none does."""
    before, after = one.before.get("transition"), one.after.get("transition")
    commits = after is not None and fails_over(after) and (before is None or before["phase"] != "moving")
    return after["run"] if after is not None and commits else ""


def fails_over(lock: Mapping[str, Any] | None) -> bool:
    """Whether a lock is that of a failover that has committed to move."""
    return lock is not None and (lock["mode"], lock["phase"]) == ("failover", "moving")


def changed(values: list[tuple[float, Value]]) -> Iterator[tuple[tuple[float, Value], Value | None]]:
    """Yields the values that differ from the one before, each with that one."""
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


def quiet(facts: Facts, start: float, end: float, moments: Iterable[float] = ()) -> list[tuple[float, float]]:
    """Returns the parts of that time in which nothing failed, between these moments; an answer is no failure."""
    if end <= start:
        return []
    disturbs = [one for one in facts.faults if one.value.kind not in ANSWERS and one.overlaps(start, end)]
    begins_anew = [*moments, *(edge for one in disturbs for edge in (one.start, one.end))]
    edges = sorted({start, end, *(edge for edge in begins_anew if start < edge < end)})
    return [pair for pair in pairwise(edges) if not any(one.overlaps(*pair) for one in disturbs)]
