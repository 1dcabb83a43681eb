"""The writer protocol's promises over random histories: the real rules, over a model of everything around them.

Real here: `handlers.core.guardian`, `handlers.core.lease`, `handlers.core.claim`, and every change of the record: the
control table's methods and the rows that they name, evaluated in memory. The model is the rest: two clocks, one old
writer, RDS, and guardians and runs that may be cut off, late, killed and repeated. `docs/protocol` has the same
protocol for a model checker, exhaustively.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.core.claim import Claim, decide_claim, lock_for
from handlers.core.control import ControlRecord, Word, WriterSign
from handlers.core.errors import LockLost, WordLives
from handlers.core.guardian import (
    NO_LEASE,
    Own,
    Situation,
    decide,
    ill_since,
    known_lease_end,
    known_word_end,
    lift_until,
    must_fence_first,
)
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S, REST_S, TICK_S, decide_wait
from handlers.core.request import Mode, Request
from tests.control_in_memory import ControlInMemory

EAST, WEST = "us-east-1", "us-west-2"
START_S = 1_800_000_000.0
FENCE_S = 1.0  # the longest that a fence takes
STEP_S = 0.5
STOP_FOR_S = 20.0
GRACE_S = 6.0  # short, so that histories are longer than it


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
                "heartbeat": {"seq": 0, "at": START_S},
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
class Pending:
    """What a guardian is about to write, and what it saw when it decided to: its clock, and which fence stood."""

    record: ControlRecord
    own: Own
    action: str
    at: float
    fence_number: int


@dataclass
class Guardian:
    """A guardian of EAST; the model calls it at least every tick while it lives."""

    world: World
    knows: float = NO_LEASE
    word_ends: float = NO_LEASE
    last: ControlRecord | None = None
    rests: bool = False
    looked_at: float = START_S
    pending: Pending | None = None
    pending_was_refused: bool = False

    @property
    def rests_until(self) -> float:
        return max(self.knows, self.word_ends)

    def tick(self, sees_record: bool, answers: bool, own: Own) -> None:
        """One tick: ``sees_record``: reads reach the table; ``answers``: writes do, too."""
        self.look(sees_record, answers, own)
        if not self.write() and self.pending_was_refused:
            self.decide(self.read(sees_record), own, can_write=False)

    def look(self, sees_record: bool, answers: bool, own: Own) -> None:
        """A tick up to its write, before which a guardian may sleep."""
        world = self.world
        self.looked_at = world.now
        writes = self.last is not None and self.last.writer_region == EAST
        if not self.rests and must_fence_first(writes, self.rests_until, world.east()):
            world.fence()
        self.decide(self.read(sees_record), own, can_write=answers)

    def read(self, sees_record: bool) -> ControlRecord | None:
        if not sees_record:
            return None
        record, asked_at = self.world.record, self.world.east()
        self.last = record
        self.knows = known_lease_end(record, EAST, asked_at, self.knows)
        self.word_ends = known_word_end(record, EAST, asked_at)
        return record

    def decide(self, record: ControlRecord | None, own: Own, *, can_write: bool) -> None:
        world, now = self.world, self.world.east()
        decision = decide(Situation(EAST, now, record, own, self.rests_until, GRACE_S, can_write))
        self.pending, self.pending_was_refused = None, False
        if record and decision.action in ("renew", "renew unknown", "give word"):
            self.pending = Pending(record, own, decision.action, now, world.fence_number)
        elif record and record.transition and decision.action == "end stop":
            world.control.end_stop(record.transition.run)
        elif record and record.transition and decision.action == "end move":
            world.control.end_move(record.transition.run)
        elif decision.action.startswith("fence"):
            world.fence()
        if record and record.writer_region == EAST and (record.moving or record.stopping):
            world.control.sign_of_life(EAST, record, WriterSign(now, "up", fenced=world.fenced))
        self.rests = decision.action == "rest"

    def write(self) -> bool:
        """Writes what was decided on, and lifts the fence that was seen then; False when it may not."""
        world, pending, self.pending = self.world, self.pending, None
        if pending is None:
            return False
        epoch, lease, rests_until = pending.record.epoch, pending.at + LEASE_S, pending.at + REST_S
        word = Word("unknown", ill_since(pending.record, pending.at))
        self.pending_was_refused = True
        if pending.action == "give word":
            word = replace(word, rests_until=rests_until)
            if not world.control.give_word(EAST, epoch, pending.record.lease_expires_at, word):
                return False
            self.word_ends = max(self.word_ends, rests_until)
            return True
        known = pending.action == "renew"
        if not world.control.renew(EAST, epoch, lease, Beat(0, pending.at), None if known else word):
            return False
        self.knows = lease
        if known and pending.fence_number == world.fence_number and world.east() < lift_until(lease):
            world.fenced = False
        return True


@dataclass
class Run:
    """A run in WEST, which does one step at a time: a read that decides is one, the write that follows another."""

    world: World
    name: str
    mode: Mode
    resumes: str | None
    claimed: Claim | None = None
    seen: ControlRecord | None = None
    step: str = "claim"
    requests: int = 0

    @property
    def granted(self) -> Claim:
        assert self.claimed is not None
        return self.claimed

    def advance(self) -> None:
        try:
            getattr(self, self.step)()
        except LockLost:
            self.step = "release"
        except WordLives:
            """The step is done again."""

    def claim(self) -> None:
        record = self.world.record
        request = Request(self.mode, "ada", self.name, WEST, resumes=self.resumes)
        self.claimed, self.seen = decide_claim(record, request, self.name, self.world.now, cool_down_s=0), record
        self.step = "take" if self.claimed.decision == "proceed" else "end"

    def take(self) -> None:
        assert self.seen is not None
        taken = self.world.control.take(lock_for(self.granted, self.seen, self.world.now), self.seen)
        self.step = "claim" if not taken else "stop" if self.granted.mode == "switchover" else "wait"

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
        self.step = "promote"

    def be_refused(self) -> None:
        """RDS refuses a request that it has not carried out, if one is on its way; else nothing happens."""
        if self.step != "promote" or self.world.promoted:
            return
        if self.requests > 1 or not self.world.control.end_request(self.name):
            self.step = "end"  # an earlier request may be at work: only a person goes on
        else:
            self.step = "release"

    def be_told_to_wait(self) -> None:
        """RDS is busy: a failover with no other request noted goes back to looking."""
        if self.step != "promote" or self.world.promoted:
            return
        if self.requests == 1 and self.world.control.give_note_back(self.name, self.world.record.lease_expires_at):
            self.step = "wait"

    def promote(self) -> None:
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
    ["time"] * 3
    + ["guardian 0", "guardian 1"]
    + ["run 0", "run 1"] * 2
    + ["refuse 0", "refuse 1", "busy 0", "die 0", "late 1"]
)
CONNECTIONS = st.tuples(st.booleans(), st.booleans())  # reads reach the table, renewals do
CLOCK_ERRORS = st.sampled_from([-CLOCK_MARGIN_S, -CLOCK_MARGIN_S / 2, 0.0, CLOCK_MARGIN_S / 2, CLOCK_MARGIN_S])
MODES: st.SearchStrategy[Mode] = st.sampled_from(["failover", "switchover"])

WHAT_HAPPENS_TO_RUNS = {"run": Run.advance, "refuse": Run.be_refused, "busy": Run.be_told_to_wait}


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
            if woken.pending:
                woken.write()
            else:
                woken.tick(reads, renews, own)
        elif kind == "late":
            guardians[int(number)].look(reads, renews, own)
            asleep.add(int(number))
        elif kind == "die":
            guardians[int(number)] = Guardian(world, looked_at=world.now)
        else:
            WHAT_HAPPENS_TO_RUNS[kind](runs[int(number)])
        world.check()


HISTORIES = settings(max_examples=400)


@HISTORIES
@given(
    CLOCK_ERRORS,
    MODES,
    MODES,
    st.lists(st.tuples(EVENTS, CONNECTIONS, st.sampled_from(["writer", "down", "unknown"])), min_size=30, max_size=160),
)
def test_p1_p2_one_writer_and_one_move_in_any_history(
    error: float, first: Mode, second: Mode, history: list[tuple[str, tuple[bool, bool], Own]]
) -> None:
    """Even if a promotion takes no time at all, and with a second run that takes the first one's lock over."""
    world = World(error)
    play(world, [Run(world, "run-a", first, None), Run(world, "run-b", second, "run-a")], history)


def at_the_end_of_the_lease() -> tuple[World, Run]:
    """The guardian could not renew and has fenced; a run has seen that the lease is over, and will commit to move."""
    world = World(clock_error=0.0)
    run = Run(world, "run-a", "failover", None)
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
    late.write()
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
        run = Run(world, "run-a", mode, None)  # type: ignore[arg-type]
        steps = [("run 0", (True, True), own), ("time", (True, True), own)] * 60
        play(world, [run, Run(world, "run-b", "failover", None)], steps)  # type: ignore[arg-type]
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
    play(world, [Run(world, "run-a", "failover", None)] * 2, steps * 60)  # type: ignore[arg-type]
    assert not world.promoted
    assert not world.fenced
    assert world.record.transition is None


def test_a_switchover_that_was_killed_while_it_stopped_the_writer_does_not_keep_it_closed() -> None:
    world = World(clock_error=0.0)
    run = Run(world, "run-a", "switchover", None)
    for _ in range(4):  # claims, takes the lock, stops, fences; then it is killed
        run.advance()
    stopped = world.fenced, world.record.stopping is not None
    assert stopped == (True, True)
    steps = [("time", (True, True), "writer"), ("guardian 0", (True, True), "writer")]
    play(world, [run, run], steps * 60)  # type: ignore[arg-type]
    assert not world.fenced
    assert world.record.transition is None


def test_p1_a_run_that_moves_on_asks_rds_only_when_the_guardian_that_rests_has_fenced_or_its_word_is_over() -> None:
    for guardian_goes_on in (True, False):
        world = World(clock_error=0.0)
        run = Run(world, "run-a", "failover", None)
        guardian = Guardian(world, knows=START_S + LEASE_S, last=world.record)
        for _ in range(2):  # claims, takes the lock
            run.advance()
        for _ in range(3):
            world.now += LEASE_S / 3 - STEP_S / 3
            guardian.tick(sees_record=True, answers=True, own="down")
        world.now += CLOCK_MARGIN_S + 2 * STEP_S
        for _ in range(5):  # waits, moves on; would ask RDS, which would promote at once
            run.advance()
            world.check()
        assert (run.step, world.fenced) == ("request", False)
        if guardian_goes_on:
            guardian.tick(sees_record=True, answers=True, own="down")
        else:
            world.now += REST_S
            Guardian(world, looked_at=world.now, knows=guardian.knows, last=guardian.last).tick(False, False, "down")
        run.advance()
        assert run.step == "promote"
        run.advance()
        world.check()
