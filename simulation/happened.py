"""What happened in a history: facts of the world, each with its moment. The world writes them, the checks read them.

A fact says what was, and not what anybody knew or wanted: the checks judge the product by what it did. Moments are true
time, in seconds from the history's beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulation.faults import Fault

Way = Literal["sql", "group", "restart"]
Means = Literal["sql", "lift", "reopen", "restart", "group", "switch"]
# Whose a session is: an application's in the guarded database, its owner's, or that of a client of a second database of
# the cluster, which belongs to the master user, as the guarded one does, or to somebody else.
Whose = Literal["application", "owner", "second database", "somebody else's database"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened ``at`` that moment."""

    at: float


# --- what fails


@dataclass(frozen=True, slots=True)
class FaultBegan(Fact):
    """The fault, a row of the history's table, begins to act."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class FaultEnded(Fact):
    """It has passed; what it has done may stay."""

    fault: Fault


# --- databases and their clients


@dataclass(frozen=True, slots=True)
class RoleChanged(Fact):
    """The database in ``region`` is now a ``writer``, a ``reader``, or ``down`` (not running at all)."""

    region: str
    role: Literal["writer", "reader", "down"]


@dataclass(frozen=True, slots=True)
class Mute(Fact):
    """Whether the database in ``region`` answers nobody outside the region, though its server may run.

    It does not while it hangs or is full, nor does one whose region is isolated.
    """

    region: str
    mute: bool


@dataclass(frozen=True, slots=True)
class Answers(Fact):
    """Whether the database in ``region`` answers at once whoever asks it from the other region.

    A refusal of his login is an answer, too. A server that does not run, hangs, is full or is slow gives none at once.
    """

    region: str
    answers: bool


@dataclass(frozen=True, slots=True)
class SessionOpened(Fact):
    """A client got a session with the database in ``region`` in which it can write.

    ``epoch``: the control record's at that moment. A session writes all the time until it is closed.
    """

    region: str
    session: int
    client: str
    epoch: int
    whose: Whose = "application"


@dataclass(frozen=True, slots=True)
class SessionClosed(Fact):
    """It takes no writes any more; ``why`` in a word."""

    region: str
    session: int
    why: str


@dataclass(frozen=True, slots=True)
class Fenced(Fact):
    """Applications are kept out of the database in ``region``, in that way; of what stood already nothing is said.

    ``restart``: RDS was asked to restart its instances.
    """

    region: str
    by: Way


@dataclass(frozen=True, slots=True)
class StartedOpen(Fact):
    """The server of the writer in ``region`` has started without a fence, as one before PostgreSQL 17 does."""

    region: str


@dataclass(frozen=True, slots=True)
class Lifted(Fact):
    """They are let in again, as far as that way is concerned."""

    region: str
    by: Way


@dataclass(frozen=True, slots=True)
class Fit(Fact):
    """Whether the writer in ``region`` is one that P10 speaks of.

    It is when its database serves, a guardian is there, and the control record can be changed from there. A database
    that RDS was asked to restart would serve.
    """

    region: str
    fit: bool


@dataclass(frozen=True, slots=True)
class Guarded(Fact):
    """Whether a monitor runs in ``region`` that is not frozen, and whose clock is right.

    A region that lives on, cut off and unguarded, is the known limit of P1 (``docs/guarantees.md``).
    """

    region: str
    guarded: bool


@dataclass(frozen=True, slots=True)
class Works(Fact):
    """Whether ``means`` to close and open the database in ``region``, or to lead its clients, works.

    ``sql``: the prober runs, and may log in. ``lift``: it also answers soon enough to lift one. ``reopen``: it answers
    soon enough to open a security group behind a fence. ``restart``: RDS takes requests, and whoever asks it starts in
    time. ``group``: RDS takes them, and has no change of the security group in work. ``switch``: Route 53's checkers
    reach the region's writer switch, which reads the control record in time.
    """

    region: str
    means: Means
    works: bool


@dataclass(frozen=True, slots=True)
class Promoted(Fact):
    """The database in ``region`` has become a writer by itself, with everything that the other one had ``until`` then.

    ``until`` is a moment as ``at`` is. ``fenced``: the old writer's fence by SQL came with the data.
    """

    region: str
    until: float
    fenced: bool


@dataclass(frozen=True, slots=True)
class Replicated(Fact):
    """The database in ``region`` gets nothing more from the writer: it has what was committed ``until`` that moment.

    ``until`` is a moment as ``at`` is, and may grow when a late replication has caught up; None: it follows.
    """

    region: str
    until: float | None


@dataclass(frozen=True, slots=True)
class NameLeadsTo(Fact):
    """Clients that look the public name up are led to ``region`` from now on."""

    region: str


# --- RDS


@dataclass(frozen=True, slots=True)
class Asked(Fact):
    """A request that changes the global database reached RDS; ``run`` is who asked, as far as that is known."""

    operation: Literal["detach", "switchover"]
    region: str
    run: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class RdsBegan(Fact):
    """RDS begins to move the writer to ``region``."""

    operation: Literal["detach", "switchover"]
    region: str


@dataclass(frozen=True, slots=True)
class RdsEnded(Fact):
    """It has, or has given up."""

    operation: Literal["detach", "switchover"]
    region: str
    how: Literal["done", "cancelled"]


@dataclass(frozen=True, slots=True)
class SnapshotTaken(Fact):
    """A snapshot of the cluster ``cluster`` in ``region`` is complete, with everything that was in it at ``began``."""

    region: str
    cluster: str
    began: float


@dataclass(frozen=True, slots=True)
class Retired(Fact):
    """The cluster ``cluster`` in ``region`` is deleted, with everything in it."""

    region: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Kept(Fact):
    """A file was written to the bucket of ``region``, in place of an earlier one of that name."""

    region: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class CapacityAsked(Fact):
    """RDS was asked to change the bounds of the capacity of the cluster in ``region``."""

    region: str
    accepted: bool


# --- what programs are told

HookEnd = Literal["works", "fails", "hangs"]


@dataclass(frozen=True, slots=True)
class HookBegan(Fact):
    """A hook, ``name`` in the settings, was started in ``region``, and is to end like that."""

    region: str
    name: str
    how: HookEnd


# --- the control record


@dataclass(frozen=True, slots=True)
class Written(Fact):
    """A row of the table of transitions was carried out by ``by`` (a function in a region).

    ``before`` and ``after`` are the whole record as plain values. ``answered``: whether the writer learnt of it.
    """

    row: str
    by: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    answered: bool


@dataclass(frozen=True, slots=True)
class Refused(Fact):
    """A row's condition did not hold for the record as it stood."""

    row: str
    by: str
    answered: bool


# --- runs and people


@dataclass(frozen=True, slots=True)
class RunStarted(Fact):
    """An execution of a workflow began, in ``region``, with that input."""

    run: str
    region: str
    workflow: Literal["failover", "reprotect"]
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StateEntered(Fact):
    """An execution entered ``state`` of its definition from ``before``, empty at a beginning.

    ``by`` says what led there, as in `simulation.interpreter.Transition`.
    """

    run: str
    state: str
    before: str
    by: str


@dataclass(frozen=True, slots=True)
class RunEnded(Fact):
    """An execution is over; ``output`` is the run's record where it succeeded."""

    run: str
    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    output: Any
    error: str | None


@dataclass(frozen=True, slots=True)
class Told(Fact):
    """People were told, through the topic of ``region``."""

    region: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Approved(Fact):
    """A person has said yes to what ``run`` asked: the loss of writes, or a retirement."""

    run: str


@dataclass(frozen=True, slots=True)
class PersonDid(Fact):
    """A person did something: ``what`` is a sentence."""

    what: str


# --- the end


@dataclass(frozen=True, slots=True)
class Ended(Fact):
    """How the world stands when the history ends, after everything has been repaired and left alone for a while.

    ``roles``: what each region's database is; ``open_to``: which of them take writes of applications that connect now;
    ``used``: in which of them applications have sessions.
    """

    record: Mapping[str, Any]
    roles: Mapping[str, str]
    open_to: tuple[str, ...]
    used: tuple[str, ...]
    name_leads_to: str


@dataclass(frozen=True)
class History:
    """What happened in the two regions with these faults, which with the seed determine it to the letter."""

    seed: int
    regions: tuple[str, ...]
    faults: tuple[Fault, ...]
    happened: tuple[Fact, ...]
    errors: tuple[str, ...] = field(default=())  # of the world itself, or of a function that ended in none it knows
