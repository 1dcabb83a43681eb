"""The monitor: watches the writer, publishes what it sees, and is the guardian of its own region's database.

EventBridge starts it once a minute and each run lasts a little longer, so two runs overlap and leave no gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.beside import Beside
from handlers.core.control import ControlRecord
from handlers.core.errors import FailoverError
from handlers.core.fence import FenceState
from handlers.core.guardian import NO_LEASE, Own
from handlers.core.guardian_state import (
    ClockSeen,
    DatabaseProbed,
    EndStop,
    FenceSeen,
    GuardianState,
    Learnt,
    LeaseRenewed,
    LiftFence,
    LookAtFence,
    LookedAround,
    Order,
    PutFenceUp,
    RecordRead,
    Renew,
    step,
)
from handlers.core.health import Probe
from handlers.core.lease import TICK_S
from handlers.gateways.acting import OtherRegion, PeerRoleVariables
from handlers.gateways.aws import client
from handlers.gateways.control_table import ControlTable, GuardianControlVariables
from handlers.gateways.event_bus import EventBus
from handlers.gateways.fence import FenceFunction, FenceVariables, PeerFenceVariables
from handlers.gateways.metrics import Publisher, Value
from handlers.gateways.prober import Prober, ProberVariables
from handlers.gateways.runs import Runs, RunsVariables
from handlers.gateways.warm_up import WarmUpVariables, Workflow
from handlers.machine import Machine
from handlers.standby import Standby, StandbyVariables
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(
    GuardianControlVariables,
    ProberVariables,
    FenceVariables,
    PeerRoleVariables,
    PeerFenceVariables,
    RunsVariables,
    StandbyVariables,
    WarmUpVariables,
):
    """What the function reads."""

    powertools_metrics_namespace: str


ENVIRONMENT = Environment.read()
MACHINE = Machine()
CONTROL = ControlTable.through_either(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
FENCE = FenceFunction.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.of(ENVIRONMENT)
WORKFLOW = Workflow.of(ENVIRONMENT)
RUNS = Runs.of(ENVIRONMENT)
BUS = EventBus.of(ENVIRONMENT.aws_region)
HERE = client("cloudwatch", ENVIRONMENT.aws_region, attempts=1)
PEER = client("cloudwatch", ENVIRONMENT.peer_region, attempts=1)

# A minute, the schedule's granularity, and a margin for a late start of the next run.
RUN_FOR_S = 66.0
# A writer in the other region answers in about 0.5 s (7 round trips of 64 ms); one in trouble may need longer
# without being down.
PEER_PROBE_TIMEOUT_S = 2.0
# The region's own database is some ms away, and a renewal must not wait for it for long.
OWN_PROBE_TIMEOUT_S = 1.0
# What may take longer runs beside the ticks: three metrics, a look at the fence, the old writer's fence, the warm-up,
# an attempt.
BESIDE = 7
# How often the clock is looked at. The fence begins at most that late, and has the rest of FENCE_BEFORE_S.
CLOCK_LOOK_S = 0.25
# A renewal that loses to another run of the monitor reads the record and decides once more.
DECISIONS_A_TICK = 2

Result = TypeVar("Result")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for the schedule; nothing in the event is read."""
    watch = Watch(ENVIRONMENT, MACHINE, CONTROL, PROBER, FENCE, OTHER_REGION, WORKFLOW, RUNS, BUS, HERE, PEER)
    started = MACHINE.monotonic()
    ticks = 0
    with watch.clock_watched():
        while (elapsed := MACHINE.monotonic() - started) < RUN_FOR_S:
            try:
                watch.tick()
            except Exception:  # noqa: BLE001 - a guardian that ends guards nothing until the next one starts
                logger.exception("a tick failed; the next one will try again")
            ticks += 1
            # Ticks start on a fixed grid: a slow tick shortens the next pause instead of delaying all later ticks.
            MACHINE.sleep(max(0.0, (int(elapsed / TICK_S) + 1) * TICK_S - (MACHINE.monotonic() - started)))
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
        workflow: Workflow,
        runs: Runs,
        bus: EventBus,
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
        self._state = GuardianState(self._region)
        self._learning = machine.lock()
        self._closing = machine.lock()
        self._probes = machine.pool(2)
        self._beside = Beside(machine, BESIDE)
        dimensions = {"GlobalCluster": environment.global_cluster}
        self._heartbeat = self._publisher(peer, dimensions | {"FromRegion": self._region})
        self._standby = Standby.of(
            environment, machine, self._beside, self._publisher(here, dimensions), bus, runs, workflow
        )

    def _publisher(self, cloudwatch_client: Any, dimensions: dict[str, str]) -> Publisher:
        namespace = self._environment.powertools_metrics_namespace
        return Publisher(cloudwatch_client, namespace, dimensions, self._machine.now, self._beside.start)

    def tick(self) -> None:
        """Looks once, guards and publishes. Nothing that fails stops the watch; silence is what alarms look for."""
        self.look_at_the_clock()  # before any call that could hang
        record = self._read()
        state = self._state
        is_reader = state.is_standby and bool(state.fence.secondary)
        own = None if is_reader else self._probing("own", OWN_PROBE_TIMEOUT_S, heartbeat=state.is_writer)
        peer = self._probing("peer", PEER_PROBE_TIMEOUT_S, heartbeat=False) if state.is_standby else None
        reached = own.result() if own else None
        self._guard(record, reached, "reader" if is_reader else _what(reached))
        if state.is_writer and reached:
            self._send_heartbeat(healthy=reached.writes)
        if peer:
            # The standby's heartbeat says that its monitor lives; whether it can take over is asked when it has to.
            self._send_heartbeat(healthy=True)
            self._standby.look(record, peer.result())
        if record and record.writer_region == self._region and record.unfenced_region:
            self._beside.start("fence the old writer", lambda: self._fence_old_writer(record))

    def look_at_the_clock(self) -> None:
        """Fences a writer whose lease is about to end, whatever else the guardian waits for."""
        self._obey(self._learn(ClockSeen(self._machine.now())))

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

    def _learn(self, learnt: Learnt) -> Order | None:
        """Takes in what was learnt and returns what to do about it. Threads learn one after another."""
        with self._learning:
            self._state, order = step(self._state, learnt)
        return order

    # --- looking

    def _read(self) -> ControlRecord | None:
        """Returns the control record; None when no replica shows it."""
        asked_at = self._machine.now()
        try:
            record = self._control.read()
        except FailoverError:
            logger.exception("the control record cannot be read; the last known role still applies")
            return None
        order = self._learn(RecordRead(record, asked_at))
        if order:
            self._beside.start("look at the fence", lambda: self._obey(order))
        return record

    def _probing(self, target: Any, timeout_s: float, *, heartbeat: bool) -> Future[Probe | None]:
        """Probes a database; a prober that fails says nothing about it (P6)."""

        def probe() -> Probe | None:
            try:
                return self._prober.probe(target, timeout_s, **(self._beat() if heartbeat else {}))
            except FailoverError:
                logger.exception("the prober gave no answer", target=target)
                return None

        return self._probes.submit(probe)

    def _beat(self) -> dict[str, Any]:
        """Returns the work of a heartbeat, which also notes the lease for guardians that start later."""
        ends_at = self._state.lease_ends_at
        return {"heartbeat": True, **({} if ends_at == NO_LEASE else {"lease": ends_at})}

    # --- guarding

    def _guard(self, record: ControlRecord | None, reached: Probe | None, own: Own) -> None:
        """Renews, fences or rests, as `handlers.core.guardian.decide` says."""
        if reached:
            self._learn(DatabaseProbed(reached, record is not None, self._machine.now()))
        can_renew = True
        for _ in range(DECISIONS_A_TICK):
            now = self._machine.now()  # after the record was read: a lease counts from there
            order = self._learn(LookedAround(now, record, own, reached, can_renew))
            if not isinstance(order, Renew) or reached is None:
                self._obey(order)
                return
            renewed = self._renew(order, reached)
            if renewed:
                return
            can_renew = renewed is not None
            record = record if renewed is None else self._read()

    def _renew(self, order: Renew, reached: Probe) -> bool | None:
        """Renews, then lifts a fence of its own; False when the record has changed, None when it cannot be reached."""
        beat = order.beat
        if beat is None:
            logger.error("the writer keeps no heartbeats; run handlers/sql/monitoring.sql there as the master user")
            return None
        renewed = self._try(lambda: self._control.renew(self._region, order.epoch, order.expires_at, beat))
        if renewed:
            self._obey(self._learn(LeaseRenewed(order.expires_at, reached)))
        return renewed

    def _obey(self, order: Order | None) -> None:
        """Does what follows from what was learnt; what fails is logged, and the next tick tries again."""
        match order:
            case EndStop(run):
                self._try(lambda: self._control.end_stop(run))
            case PutFenceUp(why, with_group):
                # One at a time: the tick and the look at the clock beside it would only get in each other's way.
                if self._closing.acquire(blocking=False):
                    try:
                        logger.warning("fencing this region's own database", why=why)
                        self._see(lambda: self._fence.fence(why, group=with_group))
                    finally:
                        self._closing.release()
            case LiftFence(lift):
                self._see(lambda: self._fence.lift("the writer has renewed its lease", lift))
            case LookAtFence(to_open):
                self._see(self._fence.look, to_open=to_open)

    def _see(self, order: Callable[[], FenceState], *, to_open: bool = False) -> None:
        """Has the fence function look or act, and remembers what it saw."""
        seen = self._try(order)
        if seen is None:
            return
        before = self._state.fence
        follows = self._learn(FenceSeen(seen, to_open))
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
        # Not by group alone: sessions that were open before go on behind it.
        if state.by_sql or state.secondary:
            self._control.note_fenced(region, record.epoch)
            logger.warning("the old writer is fenced", region=region)

    def _send_heartbeat(self, *, healthy: bool) -> None:
        """Tells the other region's alarm, which pages people, and decides nothing."""
        self._heartbeat.say(Value("Heartbeat", float(healthy)))


def _what(reached: Probe | None) -> Own:
    if reached is None:
        return "unknown"
    return reached.role or "down"
