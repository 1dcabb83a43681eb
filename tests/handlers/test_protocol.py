"""The writer protocol's promises over random histories: the real rules, over a model of everything around them.

Real here: `handlers.core.guardian`, `handlers.core.lease`, `handlers.core.claim`, and every change of the record: the
control table's methods and the rows that they name, evaluated in memory. The model is the rest: two clocks, one old
writer, RDS, and guardians and runs that may be cut off, late, killed and repeated. `docs/protocol` has the same
protocol for a model checker, exhaustively.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.core.claim import Claim, decide_claim, lock_for
from handlers.core.control import ControlRecord
from handlers.core.errors import LockLost
from handlers.core.guardian import NO_LEASE, Own, Situation, decide, known_lease_end, lift_until, must_fence_first
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S, TICK_S, decide_wait
from handlers.core.request import Mode, Request
from tests.control_in_memory import ControlInMemory

EAST, WEST = "us-east-1", "us-west-2"
START_S = 1_800_000_000.0
FENCE_S = 1.0  # the longest that a fence takes
STEP_S = 0.5
STOP_FOR_S = 20.0


@dataclass
class World:
    """Everything that happens; ``now`` is the true time. A database takes writes unless it is fenced."""

    clock_error: float  # of EAST against WEST, s
    now: float = START_S
    control: ControlInMemory = field(
        default_factory=lambda: ControlInMemory(
            {
                "writer_region": EAST,
                "epoch": 2,
                "automatic_failover": True,
                "lease_expires_at": START_S + LEASE_S,
                "last_transition_at": START_S - 1e6,
            }
        )
    )
    fenced: bool = False
    fence_number: int = 0
    promoted: bool = False
    moves: int = 0

    def east(self) -> float:
        return self.now + self.clock_error

    @property
    def record(self) -> ControlRecord:
        return self.control.read()

    def fence(self) -> None:
        self.fenced = True
        self.fence_number += 1

    # --- what must hold

    def check(self) -> None:
        assert not (self.promoted and not self.fenced), "P1: the old writer takes writes beside the new one"
        assert self.moves <= 1, "P2: the writer moved twice"
        assert self.record.epoch == 2 + self.moves, "P2: the epoch grows by one with each change"
        assert self.promoted or self.record.writer_region == EAST, "P7: a writer that was not promoted"


@dataclass(frozen=True)
class Renewal:
    """What a guardian saw when it decided to renew: the epoch, its clock, and which fence stood."""

    epoch: int
    at: float
    fence_number: int


@dataclass
class Guardian:
    """A guardian of EAST; the model calls it at least every tick while it lives."""

    world: World
    knows: float = NO_LEASE
    last: ControlRecord | None = None
    rests: bool = False
    looked_at: float = START_S
    renewal: Renewal | None = None  # decided on, and on its way

    def tick(self, sees_record: bool, answers: bool, own: Own) -> None:
        """One tick: ``sees_record``: reads reach the table; ``answers``: renewals do, too."""
        self.look(sees_record, answers, own)
        self.renew()

    def look(self, sees_record: bool, answers: bool, own: Own) -> None:
        """A tick up to its renewal, before which a guardian may sleep."""
        world = self.world
        self.looked_at = world.now
        writes = self.last is not None and self.last.writer_region == EAST
        if not self.rests and must_fence_first(writes, self.knows, world.east()):
            world.fence()
        record = world.record if sees_record else None
        if record:
            self.last = record
            self.knows = known_lease_end(record, EAST, world.east(), self.knows)
        now = world.east()
        decision = decide(Situation(EAST, now, record, own, self.knows, can_renew=answers))
        self.renewal = None
        if decision.action == "renew" and record:
            self.renewal = Renewal(record.epoch, now, world.fence_number)
        elif decision.action == "end stop" and record and record.transition:
            world.control.end_stop(record.transition.run)
        elif decision.action.startswith("fence"):
            world.fence()
        self.rests = decision.action == "rest"

    def renew(self) -> None:
        """Renews, if that was decided, and lifts the fence that was seen then."""
        world, renewal, self.renewal = self.world, self.renewal, None
        if renewal is None:
            return
        lease = renewal.at + LEASE_S
        if world.control.renew(EAST, renewal.epoch, lease, Beat(0, renewal.at)):
            self.knows = lease
            if renewal.fence_number == world.fence_number and world.east() < lift_until(lease):
                world.fenced = False


@dataclass
class Run:
    """A run in WEST, which does one step at a time: a read that decides is one, the write that follows another."""

    world: World
    name: str
    mode: Mode
    resumes: str | None
    promotion_takes_s: float
    claimed: Claim | None = None
    seen: ControlRecord | None = None
    step: str = "claim"
    requests: int = 0
    requested_at: float = 0.0

    @property
    def granted(self) -> Claim:
        assert self.claimed is not None
        return self.claimed

    def advance(self) -> None:
        try:
            getattr(self, self.step)()
        except LockLost:
            self.step = "release"

    def claim(self) -> None:
        record = self.world.record
        request = Request(self.mode, "ada", self.name, WEST, resumes=self.resumes)
        self.claimed, self.seen = decide_claim(record, request, self.name, self.world.now, cool_down_s=0), record
        self.step = "take" if self.claimed.decision == "proceed" else "end"

    def take(self) -> None:
        assert self.seen is not None
        taken = self.world.control.take(lock_for(self.granted, self.seen, self.world.now), self.seen)
        self.step = "claim" if not taken else "stop" if self.mode == "switchover" else "wait"

    def wait(self) -> None:
        self.seen = self.world.record
        decided = decide_wait(self.seen, self.granted, True, self.world.now)
        if decided.action != "wait":
            self.step = {"commit": "begin_move", "go": "request"}.get(decided.action, "release")

    def begin_move(self) -> None:
        assert self.seen is not None
        self.step = "wait"
        live = (self.world.record.lease_expires_at or 0.0) > self.world.east()
        if self.world.control.begin_move(self.name, self.granted.epoch, self.seen.lease_expires_at, self.world.now):
            assert not live, "I3: a live lease is overruled"
            self.step = "request"

    def stop(self) -> None:
        lock = self.world.record.moving
        if lock is None or lock.run != self.name:
            self.world.control.begin_stop(self.name, self.granted.epoch, self.world.now + STOP_FOR_S)
        self.step = "fence"

    def fence(self) -> None:
        self.world.fence()
        self.step = "see_stop"

    def see_stop(self) -> None:
        self.seen = self.world.record
        self.step = "see_fence"

    def see_fence(self) -> None:
        self.step = "move_stopped" if self.world.fenced else "release"

    def move_stopped(self) -> None:
        assert self.seen is not None
        until = self.seen.stopping.stopping_until if self.seen.stopping else None
        self.world.control.begin_move_of_stopped(self.name, self.granted.epoch, until or 0.0, self.world.now)
        self.step = "request"

    def request(self) -> None:
        """Notes the request and sends it; from here RDS promotes when it likes, whoever holds the lock."""
        self.requests = self.world.control.begin_request(self.name, self.world.now)
        self.requested_at = self.world.now
        self.step = "promote"

    def be_refused(self) -> None:
        """RDS refuses a request that it has not carried out, if one is on its way; else nothing happens."""
        if self.step != "promote" or self.world.promoted:
            return
        if self.requests > 1 or not self.world.control.end_request(self.name):
            self.step = "end"  # an earlier request may be at work: only a person goes on
        else:
            self.step = "release"

    def promote(self) -> None:
        if self.world.now - self.requested_at > self.promotion_takes_s:
            self.world.promoted = True
            self.step = "commit"

    def commit(self) -> None:
        before = self.world.record.epoch
        self.step = "end"
        self.world.moves += self.world.control.commit(self.granted, self.world.now) - before

    def release(self) -> None:
        self.world.control.release(self.name)
        self.step = "end"

    def end(self) -> None:
        """Nothing is left to do."""


# --- histories

# What happens next: half a second passes, a guardian ticks, a run does a step, or it is taken over by the second one.
EVENTS = st.sampled_from(
    ["time"] * 3 + ["guardian 0", "guardian 1"] + ["run 0", "run 1"] * 2 + ["refuse 0", "refuse 1", "die 0", "late 1"]
)
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
            woken = guardians[int(number)]
            asleep.discard(int(number))
            if woken.renewal:
                woken.renew()
            else:
                woken.tick(reads, renews, own)
        elif kind == "late":
            guardians[int(number)].look(reads, renews, own)
            asleep.add(int(number))
        elif kind == "die":
            guardians[int(number)] = Guardian(world, looked_at=world.now)
        elif kind == "refuse":
            runs[int(number)].be_refused()
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


def at_the_end_of_the_lease() -> tuple[World, Run]:
    """The guardian could not renew and has fenced; a run has seen that the lease is over, and will commit to move."""
    world = World(clock_error=0.0)
    run = Run(world, "run-a", "failover", None, 0.0)
    run.advance()
    run.advance()
    world.now += LEASE_S + CLOCK_MARGIN_S + STEP_S
    Guardian(world, knows=START_S + LEASE_S, last=world.record).tick(sees_record=False, answers=False, own="unknown")
    run.advance()
    assert (world.fenced, run.step) == (True, "begin_move")
    return world, run


def test_p1_a_renewal_that_comes_after_the_commit_to_move_does_not_open_the_old_writer() -> None:
    world, run = at_the_end_of_the_lease()
    late = Guardian(world)
    late.look(sees_record=True, answers=True, own="writer")
    for _ in range(2):  # commits to move, asks RDS
        run.advance()
    late.renew()
    world.promoted = True
    world.check()


def test_i3_a_commit_to_move_that_comes_after_a_renewal_does_not_overrule_it() -> None:
    world, run = at_the_end_of_the_lease()
    Guardian(world).tick(sees_record=True, answers=True, own="writer")
    run.advance()
    assert (world.record.moving, world.fenced) == (None, False)


def test_p1_a_run_that_fails_while_rds_may_promote_keeps_the_old_writer_closed() -> None:
    world, run = at_the_end_of_the_lease()
    for _ in range(2):  # commits to move, asks RDS
        run.advance()
    run.release()
    Guardian(world).tick(sees_record=True, answers=True, own="writer")
    world.promoted = True
    world.check()


def test_a_run_that_rds_refuses_gives_the_writer_back() -> None:
    world, run = at_the_end_of_the_lease()
    for _ in range(2):  # commits to move, asks RDS
        run.advance()
    run.be_refused()
    run.advance()
    Guardian(world).tick(sees_record=True, answers=True, own="writer")
    assert (world.record.transition, world.fenced) == (None, False)


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
    for _ in range(4):  # claims, takes the lock, stops, fences; then it is killed
        run.advance()
    stopped = world.fenced, world.record.stopping is not None
    assert stopped == (True, True)
    steps = [("time", (True, True), "writer"), ("guardian 0", (True, True), "writer")]
    play(world, [run, run], steps * 60)  # type: ignore[arg-type]
    assert not world.fenced
    assert world.record.transition is None
