"""Both regions' databases, what replicates between them, and the sessions of applications.

Of PostgreSQL and of ``handlers/sql/monitoring.sql`` only what the protocol sees: who takes writes, the heartbeat row,
the fence as data that replicates, a server that starts fenced, sessions that a fence ends. Of Aurora: the standby has
what the writer committed up to a moment (`Databases.replicated_until`), and nothing of what came later. A session of an
application writes all the time.

Limits: one server stands for a cluster; a promotion or a restart takes the time that it is given.
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
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.world import World

Role = Literal["writer", "reader"]

SESSIONS_END_S = 0.1  # from the fence until the last session of an application has ended
LAG_S = 0.08  # of the replication, as a rule


@dataclass(frozen=True)
class Data:
    """What the orchestrator keeps in the database: the heartbeat row and the fence's. It replicates."""

    seq: int
    beat_at: float
    lease: float | None
    number: int
    fenced: bool
    admitted: int


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
        self.sessions: dict[int, Callable[[str], None]] = {}  # what tells each one's client that it has ended
        # When each session began and ended that has written what is here, since 1970; of a reader nothing.
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

    @property
    def admits(self) -> bool:
        """Whether an application that connects now gets a session in which it can write."""
        return self.takes_writes and not self.is_fenced and not self.group_closed

    def write(self, data: Data) -> None:
        """Commits."""
        self.own = data
        now = self._world.time.now
        self.log.append((now, data))
        if len(self.log) > 400:
            del self.log[:200]

    # --- sessions

    def open_session(self, client: str, ended: Callable[[str], None]) -> int:
        """Gives a client a session; ``ended`` is told why when it has ended."""
        number = self._world.next_session()
        self.sessions[number] = ended
        self.written[number] = (self._world.time.now, math.inf)
        if self._world.faults.acting("session will not end", self.region):
            self.stubborn[number] = ""
        self._world.tell(SessionOpened(self._world.at, self.region, number, client, self._world.table.item["epoch"]))
        return number

    def close_session(self, number: int, why: str) -> None:
        """Ends one."""
        ended = self.sessions.pop(number, None)
        self.stubborn.pop(number, None)
        if ended is not None:
            self.written[number] = (self.written[number][0], self._world.time.now)
            self._world.tell(SessionClosed(self._world.at, self.region, number, why))
            ended(why)

    def end_sessions(self, why: str, *, by_force: bool = True) -> bool:
        """Ends all; without force, those that will not end stay. Returns whether none is left."""
        for number in list(self.sessions):
            if by_force or number not in self.stubborn:
                self.close_session(number, why)
            else:
                self.stubborn[number] = why
        return not self.sessions

    def end_stubbornness(self) -> None:
        """The sessions that would not end are as others are again; those that were told to end do so."""
        told, self.stubborn = self.stubborn, {}
        for number, why in told.items():
            if why:
                self.close_session(number, why)

    # --- the fence

    def fence(self) -> None:
        """As ``fence_application``."""
        was = self.is_fenced
        self.write(replace(self.own, number=self.own.number + 1, fenced=True))
        if not was:
            self._world.tell(Fenced(self._world.at, self.region, "sql"))
            self._world.judge_fit()

    def lift(self, number: int, until: float) -> bool:
        """As ``lift_fence``; the server's clock is right."""
        if not self.is_fenced or number != self.own.number or self._world.time.now >= until:
            return False
        self.write(replace(self.own, fenced=False, admitted=self.server))
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
        self.leader: str | None = writer  # whom the other one follows; None once they are apart
        self._broken_since: float | None = None
        self._arrived = 0.0  # what the standby has it keeps
        self._noted: float | None = None  # up to when it has everything, as `Replicated` said last

    def other(self, region: str) -> Database:
        """Returns the database of the other region."""
        return next(one for one in self.of.values() if one.region != region)

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
