"""Applications: clients that want a session in which they can write, always.

One in each region connects by the public name, as DNS answers it (TTL 5 s); one in each region lists both regional
endpoints and takes the one that writes (``target_session_attrs=read-write``). Whoever has no session tries again and
again; whoever has one keeps it until the server ends it, or the path to it is cut.

Limits: a session that a cut path has left behind counts as ended at once, for nobody can write through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simulation.world import World

TTL_S = 5.0
TRIES_AGAIN_S = (0.3, 1.2)
GIVES_UP_S = 2.0  # how long an attempt to connect may hang


class Application:
    """One client, at ``home``."""

    def __init__(self, world: World, home: str, connects: Literal["by name", "to either"]) -> None:
        self._world = world
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
        if self.session is not None:
            return
        hangs = False
        for region in [self._by_name()] if self.connects == "by name" else world.regions:
            way = world.network.reaches(self.home, region)
            if way == "open" and world.faults.acting("database hangs", region):
                way = "hangs"
            if way == "open" and world.databases.of[region].admits and not world.faults.acting("database full", region):
                self.session = (region, world.databases.of[region].open_session(self.name, self._ended))
                return
            hangs = hangs or way == "hangs"
        self._again(GIVES_UP_S if hangs else world.chance.uniform(*TRIES_AGAIN_S))

    def _by_name(self) -> str:
        now = self._world.time.now
        if self._answer is None or now >= self._answer[1]:
            self._answer = (self._world.dns.leads_to, now + TTL_S)
        return self._answer[0]

    def _ended(self, _why: str) -> None:
        self.session = None
        self._again(self._world.chance.uniform(*TRIES_AGAIN_S))

    def stir(self) -> None:
        """Looks whether the path to its session is still there, after anything that may have changed that."""
        if self.session is not None and self._world.network.reaches(self.home, self.session[0]) != "open":
            region, number = self.session
            self._world.databases.of[region].close_session(number, "path cut")
