"""The monitor: watches the writer, publishes what it sees, and is the guardian of its own region's database.

EventBridge starts it once a minute and each run lasts a little longer, so two runs overlap and leave no gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.beside import Beside
from handlers.core.control import ControlRecord
from handlers.core.errors import FailoverError, Misconfigured
from handlers.core.fence import FenceState
from handlers.core.guardian import NO_LEASE, Own
from handlers.core.guardian_state import (
    Act,
    Change,
    ClockSeen,
    DatabaseProbed,
    EndMove,
    EndStop,
    EndSwitchover,
    FenceSeen,
    GiveWord,
    GuardianState,
    Learnt,
    LeaseRenewed,
    LiftFence,
    LookAtFence,
    LookAtRds,
    LookedAround,
    Orders,
    PutFenceUp,
    RdsSeen,
    RecordRead,
    Renew,
    SignLife,
    TakeNoBack,
    WordGiven,
    step,
)
from handlers.core.health import Probe, known_of
from handlers.core.lease import CLOCK_MARGIN_S, SAME_LEASE_S, TICK_S, clock_error
from handlers.gateways.acting import OtherRegion, PeerRoleVariables
from handlers.gateways.aws import client
from handlers.gateways.control_table import ControlTable, GuardianControlVariables
from handlers.gateways.fence import FenceFunction, FenceVariables, PeerFenceVariables
from handlers.gateways.metrics import STANDARD_RESOLUTION_S, Publisher, Value
from handlers.gateways.prober import OWN_PROBE_TIMEOUT_S, PEER_PROBE_TIMEOUT_S, Prober, ProberVariables
from handlers.machine import Machine
from handlers.rarely_asked import RarelyAsked, RarelyAskedVariables
from handlers.standby import Standby, StandbyVariables
from handlers.telemetry import instrumented, logger


class Environment(
    GuardianControlVariables,
    ProberVariables,
    FenceVariables,
    PeerRoleVariables,
    PeerFenceVariables,
    StandbyVariables,
    RarelyAskedVariables,
):
    """What the function reads."""

    powertools_metrics_namespace: str


ENVIRONMENT = Environment.read()
MACHINE = Machine()
CONTROL = ControlTable.through_either(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
FENCE = FenceFunction.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.of(ENVIRONMENT)
RARELY = RarelyAsked(ENVIRONMENT)
HERE = client("cloudwatch", ENVIRONMENT.aws_region, attempts=1)
PEER = client("cloudwatch", ENVIRONMENT.peer_region, attempts=1)

# A minute, the schedule's granularity, and a margin for a late start of the next run. A guardian goes on for longer
# where it sees that the next one is later than that: nobody else has renewed the lease.
RUN_FOR_S = 66.0
BEARS_LATE_S = 15.0
# A tick waits this long for its own database's answer and then goes on, so that the record is read every 2 s; a later
# answer is the next tick's, and until it is there the last one counts if it was "down", and else nothing is known.
OWN_PATIENCE_S = 1.0
# What may take longer runs beside the ticks: four metrics, a look at the fence, the old writer's fence, the warm-up,
# an attempt, a look at RDS.
BESIDE = 9
# How often the clock is looked at. The fence begins at most that late, and has the rest of FENCE_BEFORE_S.
CLOCK_LOOK_S = 0.25
# How soon the guardian of a database that is down looks again: a run that moves the writer waits for what it says then.
LOOK_AGAIN_S = 0.5
A_MOMENT_S = 0.01  # so that a tick comes after the end of the grace, and not at it
# A write that loses, to another run of the monitor or to a run that moves the writer, is followed by another look at
# the record and another decision; so is the end of a lock, after which the writer is opened at once.
DECISIONS_A_TICK = 4

Result = TypeVar("Result")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for the schedule; nothing in the event is read."""
    watch = Watch(ENVIRONMENT, MACHINE, CONTROL, PROBER, FENCE, OTHER_REGION, RARELY, HERE, PEER)
    started = MACHINE.monotonic()
    ticks = 0
    with watch.clock_watched():
        while (elapsed := MACHINE.monotonic() - started) < RUN_FOR_S + (BEARS_LATE_S if watch.is_alone else 0.0):
            try:
                watch.tick()
            except Exception:  # noqa: BLE001 - a guardian that ends guards nothing until the next one starts
                logger.exception("a tick failed; the next one will try again")
            ticks += 1
            # Ticks start on a fixed grid: a slow tick shortens the next pause instead of delaying all later ticks.
            pause_s = (int(elapsed / TICK_S) + 1) * TICK_S - (MACHINE.monotonic() - started)
            MACHINE.sleep(max(0.0, watch.shortened(pause_s)))
    return {"ticks": ticks}


class Watch:
    """One run of the monitor. What it remembers and decides as a guardian is `handlers.core.guardian_state`."""

    def __init__(
        self,
        environment: Environment,
        machine: Machine,
        control: ControlTable,
        prober: Prober,
        fence: FenceFunction,
        other_region: OtherRegion,
        rarely: RarelyAsked,
        here: Any,
        peer: Any,
    ) -> None:
        self._environment = environment
        self._region = environment.aws_region
        self._machine = machine
        self._control = control
        self._prober = prober
        self._fence = fence
        self._other_region = other_region
        self._rarely = rarely
        self._asked: Future[Probe | None] | None = None  # the own database, with no answer so far
        self._own: Own = "unknown"
        self._renewed: float | None = None  # until when this run has renewed the lease
        self.is_alone = False  # whether nobody else has, since
        self._clock_is_wrong = False
        self._was_refused = False  # by the writer's database, since this run began
        self._is_nowhere = False  # whether no replica had a record when none was last read
        self._read_at = (0.0, 0.0)  # when the record was last asked for, by the clock and by what no correction touches
        self._state = GuardianState(self._region, float(environment.recovery_grace_s))
        self._learning = machine.lock()
        self._closing = machine.lock()
        self._probes = machine.pool(2)
        self._beside = Beside(machine, BESIDE)
        dimensions = {"GlobalCluster": environment.global_cluster}
        self._metrics = self._publisher(here, dimensions)
        self._heartbeat = self._publisher(peer, dimensions | {"FromRegion": self._region})
        self._standby = Standby.of(environment, machine, self._beside, self._metrics, rarely)

    def _publisher(self, cloudwatch_client: Any, dimensions: dict[str, str]) -> Publisher:
        namespace = self._environment.powertools_metrics_namespace
        return Publisher(cloudwatch_client, namespace, dimensions, self._machine.now, self._beside.start)

    def tick(self) -> None:
        """Looks once, guards and publishes. Nothing that fails stops the watch; silence is what alarms look for."""
        self.look_at_the_clock()  # before any call that could hang
        record = self._read()
        if record and record.lease_expires_at and self._renewed:
            self.is_alone = abs(record.lease_expires_at - self._renewed) < SAME_LEASE_S
        state = self._state
        is_reader = state.is_standby and bool(state.fence.secondary)
        own = None if is_reader else self._asked or self._ask_own(state)
        peer = self._probing("peer", PEER_PROBE_TIMEOUT_S, heartbeat=False) if state.is_standby else None
        reached = self._answer(own, state) if own else None
        self._guard(record, reached, "reader" if is_reader else self._own)
        if state.is_writer and reached:
            self._send_heartbeat(healthy=reached.writes and not self._clock_is_wrong)
        if peer:
            # The standby's heartbeat says that its monitor lives; whether it can take over is asked when it has to.
            self._send_heartbeat(healthy=True)
            reached = peer.result()
            self._standby.look(record, reached)
        if reached:  # of the writer, whichever region it is in
            self._tell_refused(refused=reached.refused is not None)
        if record and record.writer_region == self._region and record.unfenced_region:
            self._beside.start("fence the old writer", lambda: self._fence_old_writer(record))

    def _tell_refused(self, *, refused: bool) -> None:
        """Has people told that the writer refuses the monitor, and that it does no longer.

        An alarm takes silence for none, and a metric that is published all day is paid for all day.
        """
        self._was_refused |= refused
        if self._was_refused:
            self._metrics.say(Value("MonitorRefused", float(refused), STANDARD_RESOLUTION_S))

    def shortened(self, pause_s: float) -> float:
        """Returns the pause before the next tick, ``pause_s`` at most: less where an outage would last as much longer.

        That is while this region's writer is down, and in the standby when the other's guardian has given its database
        the time that a recovery takes.
        """
        if self._state.is_writer and self._own == "down":
            return min(pause_s, LOOK_AGAIN_S)
        record = self._state.record
        if self._state.is_standby and record and record.word:
            grace_ends_in = record.word.since + self._environment.recovery_grace_s - self._machine.now()
            return min(pause_s, grace_ends_in + A_MOMENT_S) if grace_ends_in > 0 else pause_s
        return pause_s

    def look_at_the_clock(self) -> None:
        """Fences a writer whose lease is about to end, whatever else the guardian waits for."""
        if orders := self._learn(ClockSeen(self._machine.now())):
            self._obey(orders)

    @contextmanager
    def clock_watched(self) -> Iterator[None]:
        """Looks at the clock often, beside the ticks: a tick that waits for answers may last longer than a lease."""
        ended = self._machine.event()

        def look() -> None:
            while not ended.wait(CLOCK_LOOK_S):
                try:
                    self.look_at_the_clock()
                except Exception:  # noqa: BLE001 - as in the handler
                    logger.exception("a look at the clock failed; the next one will try again")

        self._machine.background(look)
        try:
            yield
        finally:
            ended.set()

    def _learn(self, learnt: Learnt) -> Orders:
        """Takes in what was learnt and returns what to do about it. Threads learn one after another."""
        with self._learning:
            self._state, orders = step(self._state, learnt)
        return orders

    # --- looking

    def _read(self) -> ControlRecord | None:
        """Returns the control record; None when no replica shows it."""
        asked_at = self._machine.now()
        self._read_at = (asked_at, self._machine.monotonic())
        try:
            record = self._control.read()
        except FailoverError as error:
            logger.exception("the control record cannot be read; the last known role still applies")
            self._is_nowhere = isinstance(error, Misconfigured) and self._control.is_nowhere()
            return None
        self._look_at_own_clock(asked_at)
        for look in self._learn(RecordRead(record, asked_at)):
            if not isinstance(look, Change):
                self._beside.start(type(look).__name__, partial(self._act, look))
        return record

    def _look_at_own_clock(self, asked_at: float) -> None:
        """Compares this machine's clock with that of the table's region, after a read that began at ``asked_at``."""
        said = self._control.answered_at
        error = 0.0 if said is None else clock_error(asked_at, self._machine.now(), said)
        self._clock_is_wrong = error > CLOCK_MARGIN_S
        if self._clock_is_wrong:
            logger.error("this machine's clock is wrong: it renews no lease and gives no word", seconds=error)

    def _has_jumped(self, now: float) -> bool:
        """Whether this machine's clock was set since the record was asked for, when it was compared: now is wrong."""
        asked_at, then = self._read_at
        jumped_s = (now - asked_at) - (self._machine.monotonic() - then)
        if abs(jumped_s) <= CLOCK_MARGIN_S:
            return False
        logger.error("this machine's clock was set: it renews no lease and gives no word", seconds=jumped_s)
        return True

    def _probing(self, target: Any, timeout_s: float, *, heartbeat: bool) -> Future[Probe | None]:
        """Probes a database; a prober that fails says nothing about it (P6)."""

        def probe() -> Probe | None:
            try:
                return self._prober.probe(target, timeout_s, **(self._beat() if heartbeat else {}))
            except FailoverError:
                logger.exception("the prober gave no answer", target=target)
                return None

        return self._probes.submit(probe)

    def _ask_own(self, state: GuardianState) -> Future[Probe | None]:
        return self._probing("own", OWN_PROBE_TIMEOUT_S, heartbeat=state.is_writer)

    def _answer(self, asked: Future[Probe | None], state: GuardianState) -> Probe | None:
        """Returns what the own database has answered and notes what that says of it; None when it has not yet.

        An answer that was asked for in the tick before is older than this tick. So the database is asked again, and
        the late answer counts only if the new one is late, too.
        """
        give_up = self._machine.now() + OWN_PATIENCE_S
        late = asked is self._asked
        self._asked = asked
        try:
            reached = asked.result(OWN_PATIENCE_S)
        except TimeoutError:
            self._own = "down" if self._own == "down" else "unknown"
            return None
        self._asked = self._ask_own(state) if late else None
        if self._asked:
            with suppress(TimeoutError):
                reached = self._asked.result(max(0.0, give_up - self._machine.now()))
                self._asked = None
        self._own = _what(reached)
        return reached

    def _beat(self) -> dict[str, Any]:
        """Returns the work of a heartbeat, which also notes the lease for guardians that start later."""
        ends_at = self._state.rests_until
        return {"heartbeat": True, **({} if ends_at == NO_LEASE else {"lease": ends_at})}

    # --- guarding

    def _guard(self, record: ControlRecord | None, reached: Probe | None, own: Own) -> None:
        """Renews, fences or rests, as `handlers.core.guardian.decide` says."""
        if reached:
            self._learn(DatabaseProbed(reached, record is not None, self._machine.now()))
        # What a wrong clock writes holds for too long, or not at all: another run of the monitor has another machine.
        can_write = True
        for _ in range(DECISIONS_A_TICK):
            now = self._machine.now()  # after the record was read: a lease counts from there
            self._clock_is_wrong = self._clock_is_wrong or self._has_jumped(now)
            can_write = can_write and not self._clock_is_wrong
            nowhere = record is None and self._is_nowhere
            orders = self._learn(LookedAround(now, record, own, reached, can_write, nowhere))
            changed = self._obey(orders, reached)
            if changed is True:
                return
            if changed is False:
                record = self._read()
            can_write = changed is not None

    def _obey(self, orders: Orders, reached: Probe | None = None) -> bool | None:
        """Does what follows from what was learnt; what fails is logged, and the next tick tries again.

        Returns False when another decision is due: the record has changed, or a fence stands now of which the sign of
        life, for which a run waits, has not said it yet. None when a write of the record, without which the guardian
        has to fence, got no answer.
        """
        done: bool | None = True
        before = self._state.fence
        for order in orders:
            if isinstance(order, Change):
                done = self._change(order, reached)
            else:
                self._act(order)
        signed = any(isinstance(order, SignLife) for order in orders)
        return False if signed and self._state.fence != before else done

    def _change(self, order: Change, reached: Probe | None) -> bool | None:
        """Changes the record, and returns what `_obey` does; the end of a lock is a change that asks for a decision."""
        match order:
            case Renew():
                return self._renew(order, reached)
            case GiveWord():
                return self._give_word(order)
            case SignLife(record, sign):
                self._try(lambda: self._control.sign_of_life(self._region, record, sign))
                return True
            case EndStop(run):
                return not self._try(lambda: self._control.end_stop(run))
            case EndMove(run):
                return not self._try(lambda: self._control.end_move(run))
            case EndSwitchover(run, requests):
                return not self._try(lambda: self._control.end_switchover(run, requests))

    def _act(self, order: Act) -> None:
        match order:
            case PutFenceUp():
                self._put_fence_up(order)
            case LiftFence(lift):
                self._see(lambda: self._fence.lift("the writer has renewed its lease", lift))
            case LookAtFence(to_open):
                self._see(self._fence.look, to_open=to_open)
            case LookAtRds(run, requests):
                self._look_at_rds(run, requests)
            case TakeNoBack(epoch, no):
                if self._try(lambda: self._control.take_no_back(epoch, no)):
                    logger.warning("the writer has recovered: automatic attempts are possible again", said_by=no.by)

    def _renew(self, order: Renew, reached: Probe | None) -> bool | None:
        """Renews, then lifts a fence of its own; False when the record has changed, None when it cannot be reached."""
        beat = order.beat
        if beat is None:
            logger.error("the writer keeps no heartbeats; run handlers/sql/monitoring.sql there as the master user")
            return None
        renewed = self._try(
            lambda: self._control.renew(
                self._region, order.epoch, order.expires_at, beat, order.word, renewing_since=order.renewing_since
            )
        )
        if renewed:
            self._renewed = order.expires_at
            self._obey(self._learn(LeaseRenewed(order.expires_at, reached)))
        return renewed

    def _give_word(self, order: GiveWord) -> bool | None:
        """Gives the word to rest by; False when the record has changed, None when it cannot be reached."""
        given = self._try(lambda: self._control.give_word(self._region, order.epoch, order.lease, order.word))
        if given and order.word.rests_until is not None:
            self._learn(WordGiven(order.word.rests_until))
        return given

    def _put_fence_up(self, order: PutFenceUp) -> None:
        # One at a time: the tick and the look at the clock beside it would only get in each other's way.
        if self._closing.acquire(blocking=False):
            try:
                logger.warning("fencing this region's own database", why=order.why)
                self._see(
                    lambda: self._fence.fence(
                        order.why, group=order.with_group, lease=order.lease, lifted_at=order.lifted_at
                    )
                )
            finally:
                self._closing.release()

    def _look_at_rds(self, run: str, requests: int) -> None:
        """Sees whether RDS shows anything of a switchover; what cannot be seen counts as something."""
        database = self._rarely.database
        silent = self._try(lambda: database.at_work() is None and database.membership() == "primary")
        self._learn(RdsSeen(run, requests, bool(silent), self._machine.now()))

    def _see(self, order: Callable[[], FenceState], *, to_open: bool = False) -> None:
        """Has the fence function look or act, and remembers what it saw."""
        asked_at = self._machine.now()
        seen = self._try(order)
        if seen is None:
            return
        before = self._state.fence
        follows = self._learn(FenceSeen(seen, asked_at, to_open))
        if seen != before:
            logger.warning("the fence has changed", state=asdict(seen))
        self._obey(follows)

    @staticmethod
    def _try(work: Callable[[], Result]) -> Result | None:
        """Does the work; None when it failed, and the next tick tries again."""
        try:
            return work()
        except FailoverError:
            logger.exception("the guardian could not act")
            return None

    def _fence_old_writer(self, record: ControlRecord) -> None:
        """Fences the old writer after a failover, as soon as its region answers and before its database comes back."""
        region = record.unfenced_region or ""
        there = FenceFunction.there(self._other_region, self._environment, record.last_run or "monitor")
        state = there.fence(f"{self._region} is the writer (epoch {record.epoch})")
        if state.ends_writes:
            self._control.note_fenced(region, record.epoch)
            logger.warning("the old writer is fenced", region=region)

    def _send_heartbeat(self, *, healthy: bool) -> None:
        """Tells the other region's alarm, which pages people, and decides nothing."""
        self._heartbeat.say(Value("Heartbeat", float(healthy)))


def _what(reached: Probe | None) -> Own:
    """What a guardian knows of its database; one that lives and refuses the monitor could not be asked."""
    if reached is not None and reached.role is not None:
        return reached.role
    return "down" if known_of(reached) == "down" else "unknown"
