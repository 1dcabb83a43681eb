"""Applications: clients that want a session in which they can write, always.

One in each region connects by the public name, as DNS answers it (TTL 5 s); one in each region lists both regional
endpoints and takes the one that writes (``target_session_attrs=read-write``). Whoever has no session tries again and
again; whoever has one keeps it until the server ends it, or the path to it is cut.

In some histories others do the same (`Visitors`): the owner of the database, at the endpoint of one region, or, in each
region, a client of a second database of the cluster. They have a chance of their own, so that a seed's history stays
what it is for everybody else.

Limits: a session that a cut path has left behind counts as ended at once, for nobody can write through it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Literal

from simulation.faults import OWNER, SECOND_DATABASE, Fault

if TYPE_CHECKING:
    from simulation.happened import Whose
    from simulation.world import World

TTL_S = 5.0
TRIES_AGAIN_S = (0.3, 1.2)
GIVES_UP_S = 2.0  # how long an attempt to connect may hang


Connects = Literal["by name", "to either", "to its own"]


class Application:
    """One client, at ``home``."""

    def __init__(
        self, world: World, home: str, connects: Connects, whose: Whose = "application", chance: Random | None = None
    ) -> None:
        self._world = world
        self._chance = chance or world.chance
        self._whose: Whose = whose
        self._left = False
        self.home = home
        self.connects = connects
        self.name = f"{connects} in {home}"
        self.session: tuple[str, int] | None = None
        self._answer: tuple[str, float] | None = None  # where the name leads, and until when that is kept
        self._again(0.0)

    def _again(self, seconds: float) -> None:
        self._world.time.after(seconds, self._try)

    def _try(self) -> None:
        world = self._world
        if self.session is not None or self._left:
            return
        hangs = False
        for region in self._endpoints():
            way = world.network.reaches(self.home, region)
            if way == "open" and world.faults.acting("database hangs", region):
                way = "hangs"
            database, full = world.databases.of[region], world.faults.acting("database full", region)
            if way == "open" and database.admits(self._whose) and not full:
                self.session = (region, database.open_session(self.name, self._ended, self._whose))
                return
            hangs = hangs or way == "hangs"
        self._again(GIVES_UP_S if hangs else self._chance.uniform(*TRIES_AGAIN_S))

    def _endpoints(self) -> tuple[str, ...]:
        if self.connects == "by name":
            return (self._by_name(),)
        return (self.home,) if self.connects == "to its own" else self._world.regions

    def _by_name(self) -> str:
        now = self._world.time.now
        if self._answer is None or now >= self._answer[1]:
            self._answer = (self._world.dns.leads_to, now + TTL_S)
        return self._answer[0]

    def _ended(self, _why: str) -> None:
        self.session = None
        self._again(self._chance.uniform(*TRIES_AGAIN_S))

    def leave(self) -> None:
        """Ends its session, and wants no other."""
        self._left = True
        if self.session is not None:
            region, number = self.session
            self._world.databases.of[region].close_session(number, "left")

    def stir(self) -> None:
        """Looks whether the path to its session is still there, after anything that may have changed that."""
        if self.session is not None and self._world.network.reaches(self.home, self.session[0]) != "open":
            region, number = self.session
            self._world.databases.of[region].close_session(number, "path cut")


class Visitors:
    """The clients of a history that are no applications of the guarded database."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = Random(f"visitors {seed}")  # noqa: S311 - nothing secret
        self._here: dict[int, list[Application]] = {}

    def come(self, fault: Fault) -> None:
        """They want their sessions from now on, if it is they whom ``fault`` brings."""
        if fault.kind == OWNER:
            self._here[id(fault)] = [Application(self._world, fault.where, "to its own", "owner", self._chance)]
        elif fault.kind == SECOND_DATABASE:
            whose: Whose = "somebody else's database" if fault.how["of somebody else"] else "second database"
            self._here[id(fault)] = [
                Application(self._world, home, "to either", whose, self._chance) for home in self._world.regions
            ]

    def go(self, fault: Fault) -> None:
        """They leave."""
        for one in self._here.pop(id(fault), ()):
            one.leave()

    def stir(self) -> None:
        """As `Application.stir`."""
        for one in [each for visitors in self._here.values() for each in visitors]:
            one.stir()
