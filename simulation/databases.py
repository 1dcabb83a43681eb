"""Both regions' databases, what replicates between them, and the sessions of applications.

Of PostgreSQL and of ``handlers/sql/monitoring.sql`` only what the protocol sees: who takes writes, the heartbeat row,
the fence as data that replicates, a server that starts fenced, sessions that a fence ends. Of Aurora: the standby has
what the writer committed up to a moment (`Databases.replicated_until`), and nothing of what came later. A session
writes all the time.

Beside those of applications there are other kinds of sessions, as `Whose` names them. The owner of the database is let
in behind a fence, which ends only what he had before it. A second database has no login trigger: a server that has just
started lets its clients in. A fence by SQL ends their sessions and closes it; one of somebody else it cannot close.

Limits: one server stands for a cluster; a promotion or a restart takes the time that it is given; a second database has
been there since the bootstrap, and none is created later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from simulation.happened import (
    Fenced,
    Lifted,
    Promoted,
    Replicated,
    RoleChanged,
    SessionClosed,
    SessionOpened,
    StartedOpen,
    Whose,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.world import World

Role = Literal["writer", "reader"]

SESSIONS_END_S = 0.1  # from the fence until the last session of an application has ended
LAG_S = 0.08  # of the replication, as a rule


@dataclass(frozen=True)
class Data:
    """What the orchestrator keeps in the database: the heartbeat row and the fence's. It replicates.

    ``stands_since``: when the fence was put up last, by true time. ``closes_second``: whether a second database lets
    nobody in: its connection limit is 0.
    """

    seq: int
    beat_at: float
    lease: float | None
    number: int
    fenced: bool
    admitted: int
    stands_since: float = -math.inf
    closes_second: bool = False


@dataclass(frozen=True)
class Session:
    """A client's: whose it is, since when, and what tells the client that it has ended, and why."""

    whose: Whose
    since: float
    ended: Callable[[str], None]


class Database:
    """The cluster of ``region``."""

    def __init__(self, world: World, region: str, role: Role, data: Data) -> None:
        self._world = world
        self.region = region
        self.role: Role = role
        self.runs = True
        self.exists = True  # its cluster has an instance
        self.drained = False  # a writer that RDS has stopped, to switch it over
        self.server = 1  # which start of the server this is
        self.group_closed = False
        self.own = data  # a reader's is `Databases.data_of`
        self.log: list[tuple[float, Data]] = [(world.time.now, data)]
        self.sessions: dict[int, Session] = {}
        # When each session began and ended that has written what is here, since 1970; of a reader nothing. A second
        # database is not salvaged, and left out.
        self.written: dict[int, tuple[float, float]] = {}
        self.lifts = 0
        self.stubborn: dict[int, str] = {}  # sessions that do not end when they are told to, and what they were told

    @property
    def takes_writes(self) -> bool:
        """Whether a session in it can write."""
        return self.runs and self.role == "writer" and not self.drained

    @property
    def is_fenced(self) -> bool:
        """As the SQL function: a server that has started since it was admitted is fenced, where it can be."""
        since_its_start = self.role == "writer" and self.own.admitted != self.server and not self._starts_open
        return self.own.fenced or since_its_start

    @property
    def _starts_open(self) -> bool:
        """Whether it is of a PostgreSQL before 17, which has no login triggers."""
        return self._world.faults.acting("starts open", "") is not None

    def admits(self, whose: Whose = "application") -> bool:
        """Whether somebody who connects now gets a session in which he can write."""
        fenced = {"application": self.is_fenced, "second database": self.own.closes_second}.get(whose, False)
        return self.takes_writes and not fenced and not self.group_closed

    def write(self, data: Data) -> None:
        """Commits."""
        self.own = data
        now = self._world.time.now
        self.log.append((now, data))
        if len(self.log) > 400:
            del self.log[:200]

    # --- sessions

    def application_sessions(self) -> list[int]:
        """As the SQL function: all but the owner's that he has opened behind the fence that stands.

        Where it stands because the server has started, that is every one of his: none is older than the start.
        """
        fenced, since = self.is_fenced, self.own.stands_since
        return [
            number
            for number, one in self.sessions.items()
            if not (fenced and one.whose == "owner" and one.since > since)
        ]

    def open_session(self, client: str, ended: Callable[[str], None], whose: Whose = "application") -> int:
        """Gives a client a session; ``ended`` is told why when it has ended."""
        world = self._world
        number = world.next_session()
        self.sessions[number] = Session(whose, world.time.now, ended)
        if whose in ("application", "owner"):
            self.written[number] = (world.time.now, math.inf)
        if world.faults.acting("session will not end", self.region):
            self.stubborn[number] = ""
        world.tell(SessionOpened(world.at, self.region, number, client, world.table.item["epoch"], whose))
        return number

    def close_session(self, number: int, why: str) -> None:
        """Ends one."""
        session = self.sessions.pop(number, None)
        self.stubborn.pop(number, None)
        if session is not None:
            if number in self.written:
                self.written[number] = (session.since, self._world.time.now)
            self._world.tell(SessionClosed(self._world.at, self.region, number, why))
            session.ended(why)

    def end_sessions(self, why: str, *, by_force: bool = True) -> bool:
        """Ends all; without force, as the fence does, neither the owner's behind it nor those that will not end.

        Returns whether none is left that a fence has to end.
        """
        for number in list(self.sessions) if by_force else self.application_sessions():
            if by_force or number not in self.stubborn:
                self.close_session(number, why)
            else:
                self.stubborn[number] = why
        return not self.application_sessions()

    def end_stubbornness(self) -> None:
        """The sessions that would not end are as others are again; those that were told to end do so."""
        told, self.stubborn = self.stubborn, {}
        for number, why in told.items():
            if why:
                self.close_session(number, why)

    # --- the fence

    def fence(self) -> None:
        """As ``fence_application``."""
        was, own, now = self.is_fenced, self.own, self._world.time.now
        self.write(replace(own, number=own.number + 1, fenced=True, stands_since=now, closes_second=True))
        if not was:
            self._world.tell(Fenced(self._world.at, self.region, "sql"))
            self._world.judge_fit()

    def lift(self, number: int, until: float) -> bool:
        """As ``lift_fence``; the server's clock is right."""
        if not self.is_fenced or number != self.own.number or self._world.time.now >= until:
            return False
        self.write(replace(self.own, fenced=False, admitted=self.server, closes_second=False))
        self.lifts += 1
        self._world.tell(Lifted(self._world.at, self.region, "sql"))
        return True

    def set_group(self, *, closed: bool) -> None:
        """Changes the security group: it meets new connections only."""
        if closed != self.group_closed:
            self.group_closed = closed
            self._world.tell((Fenced if closed else Lifted)(self._world.at, self.region, "group"))
            self._world.stir()

    # --- what happens to it

    def stop(self, why: str, *, for_good: bool = False) -> None:
        """The server is gone, with all its sessions."""
        self.exists = self.exists and not for_good
        if self.runs:
            self._world.databases.freeze_replication()
            self.runs = False
            self.end_sessions(why)
            self._world.tell(RoleChanged(self._world.at, self.region, "down"))
            self._world.stir()

    def start(self) -> None:
        """The server is there again; a writer starts fenced, unless it is of a PostgreSQL before 17."""
        if not self.runs and self.exists:
            self.runs = True
            self.server += 1
            self._world.tell(RoleChanged(self._world.at, self.region, self.role))
            if self.role == "writer" and self.is_fenced:
                self._world.tell(Fenced(self._world.at, self.region, "sql"))
            elif self.role == "writer":
                self._world.tell(StartedOpen(self._world.at, self.region))
            self._world.stir()


class Databases:
    """Both, and the replication between them."""

    def __init__(self, world: World, writer: str, standby: str) -> None:
        self._world = world
        now = world.time.now
        data = Data(seq=100, beat_at=now - 1, lease=now + 9, number=0, fenced=False, admitted=1)
        self.of = {
            writer: Database(world, writer, "writer", data),
            standby: Database(world, standby, "reader", data),
        }
        self._others = {writer: self.of[standby], standby: self.of[writer]}
        self.leader: str | None = writer  # whom the other one follows; None once they are apart
        self._broken_since: float | None = None
        self._arrived = 0.0  # what the standby has it keeps
        self._noted: float | None = None  # up to when it has everything, as `Replicated` said last

    def other(self, region: str) -> Database:
        """Returns the database of the other region."""
        return self._others[region]

    # --- replication

    def stir(self) -> None:
        """Looks whether replication works, after anything that may have changed that."""
        leader = self.leader
        if leader is None:
            return
        writer, reader = self.of[leader], self.other(leader)
        works = writer.runs and reader.runs and self._world.network.reaches(leader, reader.region) == "open"
        if works:
            self._broken_since = None
        elif self._broken_since is None:
            self._broken_since = self._world.time.now
        self._note(reader.region)

    def _note(self, reader: str) -> None:
        """Writes down up to when the standby has everything, where that has changed; while it follows, that it does."""
        until = None if self._broken_since is None else self.replicated_until()
        if until != self._noted:
            self._noted = until
            shown = None if until is None else until - self._world.began
            self._world.tell(Replicated(self._world.at, reader, shown))

    def freeze_replication(self) -> None:
        """One of them is about to stop: what is on its way does not arrive."""
        if self.leader is not None and self._broken_since is None:
            self._broken_since = self._world.time.now

    def replicated_until(self) -> float:
        """Returns up to when the standby has the writer's commits."""
        late = self._world.faults.acting("replication late", "")
        lag = late.how["lag"] if late is not None else LAG_S
        now = self._world.time.now if self._broken_since is None else self._broken_since
        self._arrived = max(self._arrived, now - lag)
        return self._arrived

    def data_of(self, database: Database) -> Data:
        """Returns what a database holds now."""
        if self.leader is None or database.region == self.leader:
            return database.own
        until = self.replicated_until()
        log = self.of[self.leader].log
        for at, data in reversed(log):
            if at <= until:
                return data
        return log[0][1]

    def promote(self, region: str) -> None:
        """Makes the reader a writer of its own, with what it has."""
        database = self.of[region]
        if database.role == "writer":
            return
        until, data = self.replicated_until(), self.data_of(database)
        leader = self.other(region)
        database.written = {
            number: (start, min(end, until)) for number, (start, end) in leader.written.items() if start <= until
        }
        self.leader = None
        database.role, database.drained = "writer", False
        database.server += 1
        database.own = data
        database.log = [(self._world.time.now, data)]
        self._world.tell(Promoted(self._world.at, region, until - self._world.began, database.is_fenced))
        self._world.tell(RoleChanged(self._world.at, region, "writer"))
        self._world.stir()

    def rebuild(self, region: str, leader: str, *, group_closed: bool) -> None:
        """Makes a reader of the leader out of a cluster that is new; it runs when it has an instance."""
        database = self.of[region]
        database.role, database.drained, database.group_closed = "reader", False, group_closed
        database.own, database.lifts = self.of[leader].own, 0
        self.leader, self._broken_since, self._arrived = leader, self._world.time.now, self._world.time.now
        self._world.stir()

    def drain(self, region: str) -> None:
        """A switchover stops the writer; the standby gets everything."""
        database = self.of[region]
        database.drained = True
        database.end_sessions("switched over")
        self._arrived = self._world.time.now
        self._world.stir()

    def follow(self, region: str) -> None:
        """The old writer follows the new one."""
        database = self.of[region]
        database.role, database.drained = "reader", False
        database.server += 1
        self.leader = self.other(region).region
        self._broken_since = None
        self._world.tell(RoleChanged(self._world.at, region, "reader"))
        self._world.stir()
