"""The lab that goes on: it is struck, mended and struck again, by the very rows of the drills' outages and troubles.

A region that has been struck comes back as it was, with its database open to its clients, whatever has become of the
writer meanwhile; the protocol has to bear that. A trouble begins when it is asked for, except one that belongs to the
beginning of a run: it waits for the next one.
"""

from __future__ import annotations

import shlex
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from drills.lab import Lab, Wishes
from drills.live.board import LOOK_SECONDS, Board, Call
from drills.outages import OUTAGES
from drills.script.person import failoverctl
from drills.script.stage import build, unsteady
from drills.show.narrator import Narrator
from drills.show.timeline import Timeline
from drills.troubles import TROUBLES, When
from drills.verdict.events import Event, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from drills.outages import Outage
    from drills.troubles import Trouble
    from drills.world.clock import Clock
    from drills.world.postgres import Binaries
    from drills.world.reaper import Reaper

# What can be done to a lab that stands: all but "nothing", and what has to be there when it is deployed.
STRIKES = {name: row for name, row in OUTAGES.items() if name != "quiet"}
WORSE = {name: row for name, row in TROUBLES.items() if row.bootstrapped}
# How often the standby's lag is asked for (real seconds).
LAG_SECONDS = 1.0


class NotNowError(Exception):
    """It cannot be done as things stand; the message says why, and what to do first."""


class ShownTimeline(Timeline):
    """The timeline in the terminal, which the page shows as well."""

    def __init__(self, clock: Clock, board: Board) -> None:
        super().__init__(clock)
        self._board = board

    def event(self, kind: Kind, text: str, detail: str = "", **more: Any) -> Event:
        """Records an event and shows it in both places; see `Timeline.event`."""
        event = super().event(kind, text, detail, at=more.get("at"))  # each strike would be the first: no zero
        self._board.line(event)
        return event


class LivingLab:
    """A lab with its board. Use it as a context manager: leaving it takes everything down.

    Attributes
    ----------
    board
        What the page shows.
    """

    def __init__(
        self, folder: Path, binaries: Binaries, clock: Clock, reaper: Reaper, *, seed: int, promotion_seconds: float
    ) -> None:
        """Nothing runs yet; ``promotion_seconds`` is the stated delay of Aurora's promotion."""
        self.board = Board()
        self.timeline = ShownTimeline(clock, self.board)
        self._binaries = binaries
        lasts = OUTAGES["restart"].passes_after_seconds or 0.0
        # The next outage comes when a person likes, so the alarms have to answer it whenever that is.
        wishes = Wishes("failover", seed, promotion_seconds, 1, cools_down=False, outage_seconds=lasts)
        self.lab = Lab(folder, binaries, clock, reaper, self._observe, wishes)
        trigger = self.lab.specification.regions[self.lab.standby].alarm("writer-down").name
        self._narrator = Narrator(self.timeline, clock, trigger)
        self._acting = threading.Lock()
        self._is_there = False
        self._round = 0  # grows with each mend, which ends what has been prepared before it

    def __enter__(self) -> LivingLab:
        self.timeline.__enter__()
        self.lab.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.lab.__exit__(*error)
        self.timeline.__exit__(*error)

    def is_closing(self) -> bool:
        """Returns whether the lab is being taken down."""
        return self.lab.is_closing()

    def _observe(self, happening: Any) -> None:
        self._narrator.observe(happening)
        self.board.observe(happening)

    def start(self) -> None:
        """Starts everything, and returns when clients write."""
        build(self.lab, self._binaries, self._narrator, self.timeline, "name")
        self.board.shows(self.lab)
        self._is_there = True
        for look in (self._look, self._look_at_lag):
            threading.Thread(target=look, name="live page", daemon=True).start()

    # --- what a person does to it

    def strike(self, name: str) -> None:
        """Makes an outage, by its name; one with a preparation begins with that.

        Raises
        ------
        NotNowError
            When no region is left to look at.
        """
        outage = STRIKES[name]
        with self._alone():
            regions = {"writer": self.lab.writer, "standby": self.lab.standby}
            if outage.preparation is None:
                self._strike(outage, regions)
                return
            self.timeline.event(Kind.OUTAGE, outage.preparation.sentence.format(**regions))
            outage.preparation.begin(self.lab)
            self._later(outage.preparation.seconds, lambda: self._strike(outage, regions))

    def trouble(self, name: str) -> None:
        """Begins a trouble, by its name; one that comes with a run waits for the next run. Raises as `strike` does."""
        trouble = WORSE[name]
        with self._alone():
            trouble.prepare(self.lab)
            if trouble.when is not When.RUN:
                self._begin(trouble)
                return
            self.board.troubles[name] = "waits for the next run"
            known, this_round = frozenset(self._narrator.seen.executions), self._round

        def wait() -> None:
            def ended() -> bool:
                return self.lab.is_closing() or self._round != this_round

            if self._narrator.hold_until(lambda seen: bool(seen.executions.keys() - known), ended):
                self._begin(trouble)

        threading.Thread(target=wait, name=name, daemon=True).start()

    def mend(self) -> None:
        """Ends every outage and trouble."""
        with self._acting:
            self._refuse_before_it_is_there()
            self._round += 1
            self.board.troubles.clear()
            self.timeline.event(Kind.OUTAGE, "everything is mended: what was lost comes back as it was")
            self.lab.mend()

    def call(self, words: Sequence[str]) -> Call:
        """Calls ``failoverctl --lab`` with these words, agreeing to what it would ask."""
        self._refuse_before_it_is_there()
        at, command = self.lab.clock.now(), shlex.join(["failoverctl", "--lab", *words])
        self.board.call(Call(at, command, None, ""))
        done = failoverctl(words, self.lab.file)
        call = Call(at, command, done.returncode, (done.stdout + done.stderr).strip())
        self.board.call(call)
        return call

    # --- details

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lets one person at a time act, on the region that is the writer now."""
        with self._acting:
            self._refuse_before_it_is_there()
            try:
                self.lab.follow_roles()
            except StopIteration:
                raise NotNowError("no region answers any more: mend first") from None
            yield

    def _refuse_before_it_is_there(self) -> None:
        if not self._is_there:
            raise NotNowError("the lab is being built: wait for it")

    def _strike(self, outage: Outage, regions: dict[str, str]) -> None:
        at = self.lab.clock.now()
        self.timeline.event(Kind.OUTAGE, f"{outage.name.upper()}: {outage.sentence.format(**regions)}", at=at)
        self.board.begin_outage(at)
        outage.strike(self.lab)
        self._note_the_dead()

    def _begin(self, trouble: Trouble) -> None:
        regions = {"writer": self.lab.writer, "standby": self.lab.standby}
        self.timeline.event(Kind.OUTAGE, f"{trouble.name}: {trouble.sentence.format(**regions)}")
        self.board.troubles[trouble.name] = trouble.sentence.format(**regions)
        trouble.begin(self.lab)
        self._note_the_dead()

    def _note_the_dead(self) -> None:
        for region in self.lab.settings.regions:
            if not self.lab.cloud.is_up(region):
                self.board.lost(region)

    def _later(self, seconds: float, happen: Callable[[], None]) -> None:
        """Does something after that many virtual seconds, unless everything is mended before."""
        this_round = self._round

        def unless_mended() -> None:
            with self._acting:
                if self._round == this_round:
                    happen()

        self.lab.later(seconds, unless_mended)

    def _look(self) -> None:
        """Looks at the clients again and again."""
        while not self.lab.is_closing():
            self.board.pulse(self.lab.load(), self.lab.clock.now())
            self.board.lacking = unsteady(self.lab, self._narrator.seen)
            time.sleep(LOOK_SECONDS)

    def _look_at_lag(self) -> None:
        """Asks for the lag again and again, in a thread of its own: a frozen writer does not answer."""
        while not self.lab.is_closing():
            try:
                lags = [self.lab.replication_lag(region) for region in self.lab.settings.regions]
            except (psycopg.Error, OSError):
                lags = []
            known = [self.lab.clock.to_virtual(lag.seconds) * 1000 for lag in lags if lag is not None]
            self.board.lag(known[0] if known else None)
            time.sleep(LAG_SECONDS)
