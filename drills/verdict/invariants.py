"""What must hold when a drill is over, one row per invariant: name, promise, when it is demanded, check.

A check is a pure function of what was found. To add an invariant, add a row; the result, the page and the summary then
show it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from drills.ends import End
from drills.verdict.ledger import writing_at_the_end
from drills.verdict.seen import acted, acting, done

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from drills.outages import Outage
    from drills.troubles import Trouble
    from drills.verdict.ledger import Judgement
    from drills.verdict.seen import Execution, Message
    from drills.world.bank import Event


# Promise P10: no longer than this is a healthy writer closed, whatever fails beside it (virtual seconds).
OPEN_AGAIN_SECONDS = 10.0
# Until a switchover that is broken off has given the writer back, by how far it had come: its guardian ends a lock in
# `stopping` after 20 s, in `moving` after 10 s, and once RDS was asked after RDS has shown nothing of it for 60 s. Each
# with what closing, a tick and opening take; that the last two are 15 s and 75 s is promised of a target that dies.
GIVEN_BACK_SECONDS = {"asked": 75.0, "moving": 15.0, "stopping": 25.0, "checking": OPEN_AGAIN_SECONDS}
# Attempts come after 15, 30, then every 60 s; and a start takes a moment.
NEXT_ATTEMPT_SECONDS = 75.0


@dataclass(frozen=True)
class Facts:
    """The world at the end of a drill, asked of the world itself.

    Attributes
    ----------
    writer, epoch, lock, protected, reprotecting
        What the control record says; ``lock`` is the phase of the run that holds the lock.
    name
        The region that the writer name leads to.
    standby_writes, standby_followed
        Whether the database of the region that was the standby takes writes; whether another one follows it.
    proofs
        The runs whose own write through the writer name is on the database that must have it.
    members
        The regions of the global database's members, and whether each is its writer.
    """

    writer: str
    epoch: int
    lock: str | None
    protected: bool
    reprotecting: bool
    name: str
    standby_writes: bool
    standby_followed: bool
    proofs: frozenset[str]
    members: dict[str, bool]


@dataclass(frozen=True)
class Found:
    """What was found when a drill was over, whichever drill it was."""

    judgement: Judgement
    facts: Facts
    events: Sequence[Event]
    """All that the clients wrote down."""
    runs: Sequence[Execution]
    denied: Sequence[str]
    """Requests of functions that their permissions do not allow."""
    last_seconds: float
    """How long the end of a drill is, in which clients must write (real seconds)."""


@dataclass(frozen=True)
class DrillFound(Found):
    """What was found when a drill with one move, or none, was over."""

    demanded: End
    outage: Outage | None
    writer: str
    standby: str
    """The regions in these roles when the drill began."""
    messages: Sequence[Message]
    """What people were sent after the outage, from living regions."""
    clients: frozenset[int]
    """Clients that find the writer by themselves, by its name or by the endpoints of both regions."""
    pinned: int
    """Clients of the writer's own endpoint."""
    lost: int
    """Clients that can no longer write, whatever the workflow does."""
    cluster: str
    """The cluster that writes now."""
    troubles: Sequence[Trouble]
    closed_seconds: float
    """The longest time in which the first writer answered nobody though its database was there (virtual seconds).

    Of a switchover that was broken off, the time since then.
    """
    phases: Container[str]
    """The phases in which the lock was (`drills.verdict.seen.Seen`)."""
    next_attempts_seconds: Sequence[float]
    """After each run that ended and did not do the work, how long it took until the next one began."""

    @property
    def moves(self) -> bool:
        """Whether the writer had to move, or did so where both was allowed."""
        return self.demanded in (End.FAILED_OVER, End.SWITCHED_OVER) or (
            self.demanded is End.SETTLED and self.facts.writer == self.standby
        )

    @property
    def stays(self) -> bool:
        """Whether the writer had to stay open where it was."""
        return self.demanded is End.NOTHING_MOVED or (self.demanded is End.SETTLED and not self.moves)

    @property
    def told(self) -> list[str]:
        """What people must be told, one regular expression each."""
        return told_of(self.outage, self.troubles)

    @property
    def nothing_acts(self) -> bool:
        """Whether no run was to change anything, and people had to be told."""
        return self.demanded in (End.NOTHING_MOVED, End.HELD)

    @property
    def acting(self) -> Execution | None:
        """The run that did the work."""
        return acting(self.runs)


F = TypeVar("F", contravariant=True)


@dataclass(frozen=True)
class Invariant(Generic[F]):
    """One promise.

    Attributes
    ----------
    name
        Its key in result.json.
    meaning
        What it promises, for people.
    check
        Whether it holds.
    when
        Whether it is demanded at all.
    """

    name: str
    meaning: str
    check: Callable[[F], bool]
    when: Callable[[F], bool] = lambda _: True


def from_the_books(name: str, meaning: str) -> Invariant[Found]:
    """Returns the row of a promise that the ledger's judgement has already checked."""
    return Invariant(name, meaning, lambda found: found.judgement.invariants[name])


def is_bounded(rpo_seconds: float, run: Execution | None) -> bool:
    """Returns whether no write was lost that is older than a run's record says may be lost."""
    return run is not None and run.bound_ms is not None and rpo_seconds * 1000 <= run.bound_ms


NOTHING_DUPLICATED = from_the_books("nothing_duplicated", "no transfer was applied twice")
SUM_UNCHANGED = from_the_books("sum_unchanged", "the accounts hold exactly the money they held at the start")
BALANCES_MATCH_MOVEMENTS = from_the_books("balances_match_movements", "every balance is its start plus its movements")
NAME_LEADS_TO_WRITER = Invariant[Found](
    "name_leads_to_writer",
    "the writer name leads to the region that the control record names",
    lambda found: found.facts.name == found.facts.writer,
)
LEAST_PRIVILEGE = Invariant[Found](
    "least_privilege",
    "no function asked for anything that its permissions do not allow",
    lambda found: not found.denied,
)


def _record_names_writer(found: DrillFound) -> bool:
    expected = (found.standby, 2) if found.moves else (found.writer, 1)
    # A lock in `checking` closes nothing; its deadline ends it, or the next run.
    harmless = (None, "checking") if found.demanded is End.SETTLED else (None,)
    return (found.facts.writer, found.facts.epoch) == expected and found.facts.lock in harmless


def _loss_was_bounded(found: DrillFound) -> bool:
    return bool(acted(found.runs)) and is_bounded(found.judgement.rpo_seconds, found.acting)


def _recovery_proved(found: DrillFound) -> bool:
    return found.acting is not None and found.acting.name in found.facts.proofs


def _clients_recovered(found: DrillFound) -> bool:
    recovered = {each.client for each in found.events if each.event == "ack" and each.cluster == found.cluster}
    return len(recovered & found.clients) == len(found.clients) - found.lost


def _standby_untouched(found: DrillFound) -> bool:
    roles = {found.writer: True, found.standby: False}
    return not found.facts.standby_writes and found.facts.members == roles


def _old_writer_follows(found: DrillFound) -> bool:
    roles = {found.writer: False, found.standby: True}
    return found.facts.members == roles and found.facts.standby_followed


def told_of(outage: Outage | None, troubles: Sequence[Trouble]) -> list[str]:
    """What people must be told of these, one regular expression each."""
    words = [outage.told if outage else "", *(trouble.told for trouble in troubles)]
    return [each for each in words if each]


def was_told(words: str, messages: Iterable[Message]) -> bool:
    """Whether people were sent a message that ``words``, a regular expression, fits."""
    return any(re.search(words, f"{each.subject} {each.text}", re.IGNORECASE) for each in messages)


def _people_told(found: DrillFound) -> bool:
    return all(was_told(words, found.messages) for words in found.told)


def _one_run(found: DrillFound) -> bool:
    """A trouble may have ended attempts before the one that did the work; without one, no other may have acted."""
    return len(done(found.runs)) == 1 if found.troubles else len(acted(found.runs)) == 1


def _others_name_it(found: DrillFound) -> bool:
    doing = found.acting
    if doing is None or not _one_run(found):
        return False
    others = (run for run in found.runs if run is not doing and not (run.ended_at or math.inf) < doing.started_at)
    return all(run.status == "SUCCEEDED" and doing.name in str(run.output) for run in others)


def _stayed_open(found: DrillFound) -> bool:
    return found.closed_seconds <= closed_at_most(found)


def closed_at_most(found: DrillFound) -> float:
    """Returns how long a writer that stays may have answered nobody (virtual seconds)."""
    if found.demanded is End.NOTHING_MOVED:
        return OPEN_AGAIN_SECONDS
    return next((seconds for phase, seconds in GIVEN_BACK_SECONDS.items() if phase in found.phases), OPEN_AGAIN_SECONDS)


def _writes_went_on(found: DrillFound) -> bool:
    last = max((each.t for each in found.events if each.event == "ack"), default=0.0)
    writing = writing_at_the_end(found.events, last, found.last_seconds)
    return len(writing) == len(found.clients) + found.pinned - found.lost


INVARIANTS: tuple[Invariant[DrillFound], ...] = (
    NOTHING_DUPLICATED,
    SUM_UNCHANGED,
    BALANCES_MATCH_MOVEMENTS,
    from_the_books("lost_were_not_replicated", "the lost writes are exactly those that had not reached the standby"),
    from_the_books("one_writer", "nothing was acknowledged by the old writer once the new one had taken over"),
    Invariant(
        "record_names_writer",
        "the control record names the writer, its epoch, and holds no lock",
        _record_names_writer,
    ),
    NAME_LEADS_TO_WRITER,
    LEAST_PRIVILEGE,
    Invariant(
        "nothing_lost",
        "no acknowledged write is missing",
        lambda found: found.judgement.lost == 0,
        when=lambda found: found.demanded is not End.FAILED_OVER,
    ),
    Invariant(
        "loss_was_bounded",
        "no write was lost that is older than the run's record says may be lost",
        _loss_was_bounded,
        when=lambda found: found.demanded is End.FAILED_OVER,
    ),
    Invariant(
        "recovery_proved",
        "the workflow's own write through the writer name is on the new writer",
        _recovery_proved,
        when=lambda found: found.moves,
    ),
    Invariant(
        "clients_recovered",
        "every client that outlived the outage writes again, through the writer name",
        _clients_recovered,
        when=lambda found: found.moves,
    ),
    Invariant(
        "standby_untouched",
        "the standby is still a standby and a member of the global database",
        _standby_untouched,
        when=lambda found: not found.moves,
    ),
    Invariant(
        "old_writer_follows",
        "the old writer is a standby of the new one and a member of the global database",
        _old_writer_follows,
        when=lambda found: found.moves and found.demanded is not End.FAILED_OVER,
    ),
    Invariant(
        "no_run_moved",
        "no run changed anything: each was refused, or none was started",
        lambda found: not acted(found.runs),
        when=lambda found: found.nothing_acts,
    ),
    Invariant(
        "people_told",
        "people in a region that lives were sent the reason",
        _people_told,
        when=lambda found: bool(found.told) and found.nothing_acts,
    ),
    Invariant(
        "one_run",
        "one run did the work, and no other changed anything",
        _one_run,
        when=lambda found: not found.nothing_acts and found.demanded is not End.SETTLED,
    ),
    Invariant(
        "others_name_it",
        "every other run that had not ended before ended in success and named the one that did the work",
        _others_name_it,
        when=lambda found: not found.nothing_acts and found.demanded is not End.SETTLED,
    ),
    Invariant(
        "next_attempt_came",
        f"after each attempt that failed, the next came by itself, within {NEXT_ATTEMPT_SECONDS:g} s",
        lambda found: all(seconds <= NEXT_ATTEMPT_SECONDS for seconds in found.next_attempts_seconds),
        when=lambda found: found.demanded is End.FAILED_OVER,
    ),
    Invariant(
        "writer_stayed_open",
        "the writer, which stays, never left all its clients without an answer for long",
        _stayed_open,
        when=lambda found: found.stays,
    ),
    Invariant(
        "writes_went_on",
        "every client that reaches the writer wrote on until the end",
        _writes_went_on,
        when=lambda found: found.stays,
    ),
)
