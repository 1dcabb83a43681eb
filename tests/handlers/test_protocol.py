"""The writer protocol's promises over random histories: the real rules, over a model of everything around them.

Real here: `handlers.core.guardian`, `handlers.core.lease` and `handlers.core.control`. The model is the rest: one
record with the conditions of `handlers.gateways.control_table`, two clocks, one old writer, and guardians and runs
that may be cut off, late, killed and repeated. `docs/protocol` has the same protocol for a model checker, exhaustively.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.core.claim import Claim, decide_claim, lock_for
from handlers.core.control import ControlRecord
from handlers.core.guardian import NO_LEASE, Own, Situation, decide, known_lease_end, lift_until, must_fence_first
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S, TICK_S, decide_wait
from handlers.core.request import Mode, Request

EAST, WEST = "us-east-1", "us-west-2"
START_S = 1_800_000_000.0
FENCE_S = 1.0  # the longest that a fence takes
STEP_S = 0.5


@dataclass
class World:
    """Everything that happens; ``now`` is the true time. A database takes writes unless it is fenced."""

    clock_error: float  # of EAST against WEST, s
    now: float = START_S
    record: ControlRecord = field(
        default_factory=lambda: ControlRecord(
            EAST, epoch=2, automatic_failover=True, lease_expires_at=START_S + LEASE_S, last_transition_at=START_S - 1e6
        )
    )
    fenced: bool = False
    fence_number: int = 0
    promoted: bool = False
    moves: int = 0

    def east(self) -> float:
        return self.now + self.clock_error

    # --- the conditional writes

    def renew(self, epoch: int, expires_at: float) -> bool:
        record, lock = self.record, self.record.transition
        free = lock is None or lock.phase == "checking"
        longer = record.lease_expires_at is None or record.lease_expires_at < expires_at
        if record.writer_region != EAST or record.epoch != epoch or not free or not longer:
            return False
        self.record = replace(record, lease_expires_at=expires_at)
        return True

    def change_lock(self, run: str, **changes: Any) -> bool:
        lock = self.record.transition
        if lock is None or lock.run != run:
            return False
        self.record = replace(self.record, transition=replace(lock, **changes))
        return True

    def commit(self, claim: Claim) -> bool:
        record = self.record
        if record.moving is None or record.moving.run != claim.run or record.epoch != claim.epoch:
            return False
        self.record = replace(
            record,
            writer_region=WEST,
            epoch=record.epoch + 1,
            lease_expires_at=None,
            transition=None,
            last_run=claim.run,
            last_transition_at=self.now,
        )
        self.moves += 1
        return True

    # --- what must hold

    def check(self) -> None:
        assert not (self.promoted and not self.fenced), "P1: the old writer takes writes beside the new one"
        assert self.moves <= 1, "P2: the writer moved twice"
        assert self.record.epoch == 2 + self.moves, "P2: the epoch grows by one with each change"
        assert self.promoted or self.record.writer_region == EAST, "P7: a writer that was not promoted"


@dataclass
class Guardian:
    """A guardian of EAST; the model calls it at least every tick while it lives."""

    world: World
    knows: float = NO_LEASE
    last: ControlRecord | None = None
    rests: bool = False
    looked_at: float = START_S

    def tick(self, sees_record: bool, answers: bool, own: Own) -> None:
        """One tick: ``sees_record``: reads reach the table; ``answers``: renewals do, too."""
        world = self.world
        self.looked_at = world.now
        writes = self.last is not None and self.last.writer_region == EAST
        if not self.rests and must_fence_first(writes, self.knows, world.east()):
            self.fence()
        record = world.record if sees_record else None
        if record:
            self.last = record
            self.knows = known_lease_end(record, EAST, world.east(), self.knows)
        number, now, can_renew = world.fence_number, world.east(), answers
        decision = decide(Situation(EAST, now, record, own, self.knows, can_renew))
        if decision.action == "renew" and record:
            if world.renew(record.epoch, now + LEASE_S):
                self.knows = now + LEASE_S
                if number == world.fence_number and world.east() < lift_until(self.knows):
                    world.fenced = False
        elif decision.action == "end stop":
            lock = world.record.stopping
            world.record = replace(world.record, transition=None) if lock else world.record
        elif decision.action.startswith("fence"):
            self.fence()
        self.rests = decision.action == "rest"

    def fence(self) -> None:
        self.world.fenced = True
        self.world.fence_number += 1


@dataclass
class Run:
    """A run in WEST, which does one step at a time."""

    world: World
    name: str
    mode: Mode
    resumes: str | None
    promotion_takes_s: float
    claimed: Claim | None = None
    step: str = "claim"
    moving_since: float = 0.0

    def advance(self) -> None:
        getattr(self, self.step)()

    def claim(self) -> None:
        world = self.world
        request = Request(self.mode, "ada", self.name, WEST, resumes=self.resumes)
        claim = decide_claim(world.record, request, self.name, world.now, cool_down_s=0)
        if claim.decision == "proceed":
            world.record = replace(world.record, transition=lock_for(claim, world.record, world.now))
            self.claimed = claim
            self.step = "stop" if self.mode == "switchover" else "wait"
        else:
            self.step = "end"

    def wait(self) -> None:
        assert self.claimed is not None
        decided = decide_wait(self.world.record, self.claimed, True, self.world.now)
        if decided.action == "commit":
            live = (self.world.record.lease_expires_at or 0.0) > self.world.east()
            assert not live, "I3: a live lease is overruled"
            self.world.change_lock(self.name, phase="moving")
            self.step = "move"
        elif decided.action == "go":
            self.step = "move"
        elif decided.action in ("lost", "refuse"):
            self.step = "release"

    def stop(self) -> None:
        lock = self.world.record.transition
        if lock is None or lock.run != self.name:
            self.step = "end"
        elif lock.phase == "moving":
            self.step = "move"
        else:
            self.world.change_lock(self.name, phase="stopping", stopping_until=self.world.now + 20)
            self.step = "fence"

    def fence(self) -> None:
        self.world.fenced = True
        self.world.fence_number += 1
        self.step = "move_stopped"

    def move_stopped(self) -> None:
        lock = self.world.record.stopping
        if lock is not None and lock.run == self.name and self.world.fenced:
            self.world.change_lock(self.name, phase="moving")
            self.step = "move"
        else:
            self.step = "release"

    def move(self) -> None:
        lock = self.world.record.moving
        if lock is None or lock.run != self.name:
            self.step = "end"
            return
        self.moving_since = self.world.now
        self.step = "promote"

    def promote(self) -> None:
        if self.world.now - self.moving_since > self.promotion_takes_s:
            self.world.promoted = True
            self.step = "commit"

    def commit(self) -> None:
        assert self.claimed is not None
        self.world.commit(self.claimed)
        self.step = "end"

    def release(self) -> None:
        lock = self.world.record.transition
        if lock and lock.run == self.name and not self.world.promoted and lock.phase != "moving":
            self.world.record = replace(self.world.record, transition=None)
        self.step = "end"

    def end(self) -> None:
        """Nothing is left to do."""


# --- histories

# What happens next: half a second passes, a guardian ticks, a run does a step, or it is taken over by the second one.
EVENTS = st.sampled_from(["time", "time", "time", "guardian 0", "guardian 1", "run 0", "run 1", "die 0", "sleep 1"])
CONNECTIONS = st.tuples(st.booleans(), st.booleans())  # reads reach the table, renewals do
CLOCK_ERRORS = st.sampled_from([-CLOCK_MARGIN_S, -CLOCK_MARGIN_S / 2, 0.0, CLOCK_MARGIN_S / 2, CLOCK_MARGIN_S])
MODES: st.SearchStrategy[Mode] = st.sampled_from(["failover", "switchover"])


def play(world: World, runs: list[Run], history: list[tuple[str, tuple[bool, bool], Own]]) -> None:
    """One history. A guardian that is due ticks, whatever else happens: that is the guarantee's condition."""
    guardians = [Guardian(world, knows=START_S + LEASE_S, last=world.record), Guardian(world)]
    asleep: set[int] = set()
    for event, (reads, renews), own in history:
        kind, _, number = event.partition(" ")
        if kind == "time":
            world.now += STEP_S
            for which, guardian in enumerate(guardians):
                if world.now - guardian.looked_at >= TICK_S + FENCE_S and which not in asleep:
                    guardian.tick(reads, renews, own)
        elif kind == "guardian":
            asleep.discard(int(number))
            guardians[int(number)].tick(reads, renews, own)
        elif kind == "sleep":
            asleep.add(int(number))
        elif kind == "die":
            guardians[int(number)] = Guardian(world, looked_at=world.now)
        else:
            runs[int(number)].advance()
        world.check()


HISTORIES = settings(max_examples=400)


@HISTORIES
@given(
    CLOCK_ERRORS,
    MODES,
    MODES,
    st.lists(st.tuples(EVENTS, CONNECTIONS, st.sampled_from(["writer", "down"])), min_size=30, max_size=160),
)
def test_p1_p2_one_writer_and_one_move_in_any_history(
    error: float, first: Mode, second: Mode, history: list[tuple[str, tuple[bool, bool], Own]]
) -> None:
    """Even if a promotion takes no time at all, and with a second run that takes the first one's lock over."""
    world = World(error)
    play(world, [Run(world, "run-a", first, None, 0.0), Run(world, "run-b", second, "run-a", 0.0)], history)


@HISTORIES
@given(
    CLOCK_ERRORS,
    st.lists(st.tuples(EVENTS, CONNECTIONS, st.sampled_from(["writer", "down", "unknown"])), min_size=30, max_size=160),
)
def test_p1_a_guardian_that_cannot_ask_its_database_fences_before_any_real_promotion(
    error: float, history: list[tuple[str, tuple[bool, bool], Own]]
) -> None:
    """It rests while it sees the record, so it needs a tick and a fence after the run has moved on."""
    world = World(error)
    slow = TICK_S + FENCE_S
    play(world, [Run(world, "run-a", "failover", None, slow), Run(world, "run-b", "failover", "run-a", slow)], history)


def test_a_failover_and_a_switchover_reach_their_end_when_nothing_is_in_the_way() -> None:
    """The histories above are not safe by doing nothing."""
    for mode, own in (("failover", "down"), ("switchover", "writer")):
        world = World(clock_error=0.0)
        run = Run(world, "run-a", mode, None, 0.0)  # type: ignore[arg-type]
        steps = [("run 0", (True, True), own), ("time", (True, True), own)] * 60
        play(world, [run, Run(world, "run-b", "failover", None, 0.0)], steps)  # type: ignore[arg-type]
        assert world.promoted
        assert world.record.writer_region == WEST
        assert world.record.epoch == 3


def test_a_healthy_writer_keeps_its_role_and_stays_open() -> None:
    world = World(clock_error=0.0)
    steps = [
        ("run 0", (True, True), "writer"),
        ("time", (True, True), "writer"),
        ("guardian 0", (True, True), "writer"),
    ]
    play(world, [Run(world, "run-a", "failover", None, 0.0)] * 2, steps * 60)  # type: ignore[arg-type]
    assert not world.promoted
    assert not world.fenced
    assert world.record.transition is None


def test_a_switchover_that_was_killed_while_it_stopped_the_writer_does_not_keep_it_closed() -> None:
    world = World(clock_error=0.0)
    run = Run(world, "run-a", "switchover", None, 0.0)
    for _ in range(3):  # claims, stops, fences; then it is killed
        run.advance()
    fenced_at_first = world.fenced
    assert fenced_at_first
    steps = [("time", (True, True), "writer"), ("guardian 0", (True, True), "writer")]
    play(world, [run, run], steps * 60)  # type: ignore[arg-type]
    assert not world.fenced
    assert world.record.transition is None
