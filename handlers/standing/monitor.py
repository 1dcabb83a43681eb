"""The monitor: watches the writer, publishes what it sees, and is the guardian of its own region's database.

EventBridge starts it once a minute and each run lasts a little longer, so two runs overlap and leave no gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from threading import Event, Lock, Thread
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.control import ControlRecord
from handlers.core.errors import FailoverError
from handlers.core.guardian import (
    NO_LEASE,
    Decision,
    Own,
    Situation,
    decide,
    known_lease_end,
    lift_until,
    must_fence_first,
)
from handlers.core.health import Debounce, Probe
from handlers.core.lease import LEASE_S, TICK_S
from handlers.gateways.acting import OtherRegion, PeerRoleVariables
from handlers.gateways.aws import client
from handlers.gateways.control_table import ControlTable, GuardianControlVariables
from handlers.gateways.fence import FenceFunction, FenceState, FenceVariables, Lift, PeerFenceVariables
from handlers.gateways.metrics import STANDARD_RESOLUTION_S, Value, publish
from handlers.gateways.prober import Prober, ProberVariables
from handlers.gateways.warm_up import WarmUpVariables, Workflow
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(
    GuardianControlVariables, ProberVariables, FenceVariables, PeerRoleVariables, PeerFenceVariables, WarmUpVariables
):
    """What the function reads."""

    powertools_metrics_namespace: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.through_either(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
FENCE = FenceFunction.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.of(ENVIRONMENT)
WORKFLOW = Workflow.of(ENVIRONMENT)
HERE = client("cloudwatch", ENVIRONMENT.aws_region, attempts=1)
PEER = client("cloudwatch", ENVIRONMENT.peer_region, attempts=1)

# A minute, the schedule's granularity, and a margin for a late start of the next run.
RUN_FOR_S = 66.0
# A writer in the other region answers in about 0.5 s (7 round trips of 64 ms); one in trouble may need longer
# without being down.
PEER_PROBE_TIMEOUT_S = 2.0
# The own database is some ms away, and a renewal must not wait for it for long.
OWN_PROBE_TIMEOUT_S = 1.0
# What may take longer goes beside the ticks: the heartbeat, a look at the fence, the old writer's fence, the warm-up.
BESIDE = 4
# How often the clock is looked at. The fence begins that much late at most, and has the rest of FENCE_BEFORE_S.
CLOCK_LOOK_S = 0.25
# A renewal that loses against another run of the monitor reads the record and decides once more.
DECISIONS_A_TICK = 2

Result = TypeVar("Result")

UNKNOWN = FenceState(by_sql=None, by_group=None, secondary=None, error=None)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The schedule's entry; the event carries nothing."""
    watch = Watch(ENVIRONMENT, CONTROL, PROBER, FENCE, OTHER_REGION, WORKFLOW, HERE, PEER)
    started = time.monotonic()
    ticks = 0
    with watch.clock_watched():
        while (elapsed := time.monotonic() - started) < RUN_FOR_S:
            try:
                watch.tick()
            except Exception:  # noqa: BLE001 - a guardian that ends guards nothing until the next one starts
                logger.exception("a tick failed; the next one comes")
            ticks += 1
            # Ticks keep to their grid, so that a slow one is followed by a short pause and not by a drift.
            time.sleep(max(0.0, (int(elapsed / TICK_S) + 1) * TICK_S - (time.monotonic() - started)))
    return {"ticks": ticks}


class Watch:
    """One run of the monitor: what it remembers from tick to tick."""

    def __init__(
        self,
        environment: Environment,
        control: ControlTable,
        prober: Prober,
        fence: FenceFunction,
        other_region: OtherRegion,
        workflow: Workflow,
        here: Any,
        peer: Any,
    ) -> None:
        self._environment = environment
        self._region = environment.aws_region
        self._control = control
        self._prober = prober
        self._fence = fence
        self._other_region = other_region
        self._workflow = workflow
        self._warm = False
        self._here = here
        self._peer = peer
        self._debounce = Debounce()
        self._last_known: ControlRecord | None = None
        self._lease_ends_at = NO_LEASE
        self._rests = False  # without a lease, with good reason
        self._fenced = UNKNOWN
        self._closing = Lock()
        self._probes = ThreadPoolExecutor(max_workers=2)
        self._beside = Beside(BESIDE)

    def tick(self) -> None:
        """Looks once, guards and publishes. Nothing that fails stops the watch; silence is what alarms look for."""
        self.look_at_the_clock()  # before any call that could hang
        record = self._read()
        is_writer, is_standby = self._is_writer, self._last_known is not None and not self._is_writer
        own = None if self._fenced.secondary and is_standby else self._probing("own", OWN_PROBE_TIMEOUT_S, is_writer)
        peer = self._probing("peer", PEER_PROBE_TIMEOUT_S, heartbeat=False) if is_standby else None
        reached = own.result() if own else None
        self._guard(record, reached, is_reader=own is None)
        if is_writer and reached:
            self._send_heartbeat(healthy=reached.writes)
        if peer:
            # The standby's heartbeat says that its monitor lives; whether it can take over is asked when it has to.
            self._send_heartbeat(healthy=True)
            self._publish_reach(peer.result())
        if record and record.writer_region == self._region and record.unfenced_region:
            self._beside.start("fence the old writer", lambda: self._fence_old_writer(record))

    def look_at_the_clock(self) -> None:
        """Fences a writer whose lease is about to end, whatever else the guardian waits for."""
        if not self._rests and must_fence_first(self._is_writer, self._lease_ends_at, time.time()):
            self._close(Decision("fence", "the lease ends and has not been renewed"), own="unknown")

    @contextmanager
    def clock_watched(self) -> Iterator[None]:
        """Looks at the clock often, beside the ticks: a tick that waits for answers may last longer than a lease."""
        ended = Event()

        def look() -> None:
            while not ended.wait(CLOCK_LOOK_S):
                try:
                    self.look_at_the_clock()
                except Exception:  # noqa: BLE001 - as in the handler
                    logger.exception("a look at the clock failed; the next one comes")

        Thread(target=look, daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    @property
    def _is_writer(self) -> bool:
        """Whether this region is the writer, as far as is known."""
        return self._last_known is not None and self._last_known.writer_region == self._region

    # --- looking

    def _read(self) -> ControlRecord | None:
        """The control record, and what follows from it; None when no replica shows it."""
        asked_at = time.time()
        try:
            record = self._control.read()
        except FailoverError:
            logger.exception("the control record cannot be read; the last known role holds")
            return None
        known = self._last_known
        if known is None or (known.epoch, known.writer_region) != (record.epoch, record.writer_region):
            self._fenced = UNKNOWN
        if self._fenced.secondary is None:
            self._beside.start("look at the fence", self._look_at_fence)
        self._last_known = record
        self._lease_ends_at = known_lease_end(record, self._region, asked_at, self._lease_ends_at)
        return record

    def _look_at_fence(self) -> None:
        self._fenced = self._fence.look()

    def _probing(self, target: Any, timeout_s: float, heartbeat: bool) -> Future[Probe | None]:
        """Has a database probed; a prober that fails says nothing about it (P6)."""

        def probe() -> Probe | None:
            try:
                return self._prober.probe(target, timeout_s, **(self._beat() if heartbeat else {}))
            except FailoverError:
                logger.exception("the prober gave no answer", target=target)
                return None

        return self._probes.submit(probe)

    def _beat(self) -> dict[str, Any]:
        """The work of a heartbeat, which notes the lease for guardians that start."""
        known = {} if self._lease_ends_at == NO_LEASE else {"lease": self._lease_ends_at}
        return {"heartbeat": True, **known}

    # --- guarding

    def _guard(self, record: ControlRecord | None, reached: Probe | None, *, is_reader: bool) -> None:
        """Renews, fences or rests, as `handlers.core.guardian.decide` says."""
        own: Own = "reader" if is_reader else _what(reached)
        if reached and reached.role == "writer" and reached.fenced is not None:
            self._fenced = replace(self._fenced, by_sql=reached.closed)
        if record is None and reached and reached.noted_lease and (self._last_known is None or self._is_writer):
            # What another guardian of this region knew; the record that cannot be read holds at least that.
            self._lease_ends_at = max(self._lease_ends_at, min(reached.noted_lease, time.time() + LEASE_S))
        can_renew = True
        for _ in range(DECISIONS_A_TICK):
            now = time.time()  # after the record was read: a lease counts from there
            decision = decide(Situation(self._region, now, record, own, self._lease_ends_at, can_renew))
            self._rests = decision.action == "rest"
            if decision.action == "end stop" and record and record.transition:
                run = record.transition.run
                self._try(lambda run=run: self._control.end_stop(run))  # type: ignore[misc]
                return
            if decision.action != "renew" or record is None or reached is None:
                self._close(decision, own)
                return
            renewed = self._renew(record, reached, now + LEASE_S)
            if renewed:
                return
            can_renew = renewed is not None
            record = record if renewed is None else self._read()

    def _renew(self, record: ControlRecord, reached: Probe, expires_at: float) -> bool | None:
        """Renews, and lifts an own fence after that; False: the record has changed; None: it cannot be reached."""
        if reached.heartbeat is None:
            logger.error("the writer keeps no heartbeats; run handlers/sql/monitoring.sql there as the master user")
            return None
        beat = reached.heartbeat
        renewed = self._try(lambda: self._control.renew(self._region, record.epoch, expires_at, beat))
        if renewed:
            self._lease_ends_at = expires_at
            self._lift(reached, expires_at)
        return renewed

    def _lift(self, reached: Probe, lease_ends_at: float) -> None:
        """Lifts the fence that stood before the renewal; one by security group alone gets one by SQL first."""
        if reached.fenced and reached.fence_number is not None:
            lift = Lift(reached.fence_number, lift_until(lease_ends_at))
            self._order(lambda: self._fence.lift("the writer has renewed its lease", lift))
        elif self._fenced.by_group and (now := self._try(self._fence.look)) and now.by_group:
            # Looked at once more, for another run of the monitor may have opened it; a new fence ends all sessions.
            self._order(lambda: self._fence.fence("the security group is about to be opened", group=False))

    def _close(self, decision: Decision, own: Own) -> None:
        """Fences as far as it is not done yet."""
        if decision.action not in ("fence", "fence by sql"):
            return
        group = decision.action == "fence"
        by_sql_done = self._fenced.by_sql or own == "down" or (own == "unknown" and self._fenced.by_group)
        by_group_done = self._fenced.by_group or self._fenced.secondary or not group
        # One order at a time: the tick and the look at the clock beside it would only be in each other's way.
        if not (by_sql_done and by_group_done) and self._closing.acquire(blocking=False):
            try:
                logger.warning("fencing the own database", why=decision.why)
                self._order(lambda: self._fence.fence(decision.why, group=group))
            finally:
                self._closing.release()

    def _order(self, order: Callable[[], FenceState]) -> None:
        state = self._try(order)
        if state:
            self._fenced = state
            logger.warning("the fence has changed", state=asdict(state))

    @staticmethod
    def _try(work: Callable[[], Result]) -> Result | None:
        """None when it failed; the next tick tries again."""
        try:
            return work()
        except FailoverError:
            logger.exception("the guardian could not act")
            return None

    def _fence_old_writer(self, record: ControlRecord) -> None:
        """After a failover: fences the old writer as soon as its region answers, before its database comes back."""
        region = record.unfenced_region or ""
        there = FenceFunction.there(self._other_region, self._environment, record.last_run or "monitor")
        state = there.fence(f"{self._region} is the writer (epoch {record.epoch})")
        # Not by group alone: sessions that were open before go on behind it.
        if state.by_sql or state.secondary:
            self._control.note_fenced(region, record.epoch)
            logger.warning("the old writer is fenced", region=region)

    # --- publishing

    def _publish_reach(self, reached: Probe | None) -> None:
        if reached is None:  # no metric, and so no failover
            return
        unreachable = self._debounce.saw(reached.writes)
        dimensions = {"GlobalCluster": self._environment.global_cluster}
        if not reached.writes and not self._warm:
            self._warm = True
            self._beside.start("warm the workflow up", self._workflow.warm_up)
        self._publish(
            self._here,
            dimensions,
            Value("WriterUnreachable", float(unreachable)),
            Value("WriterReachable", float(reached.writes), STANDARD_RESOLUTION_S),
        )

    def _send_heartbeat(self, *, healthy: bool) -> None:
        dimensions = {"GlobalCluster": self._environment.global_cluster, "FromRegion": self._region}
        value = Value("Heartbeat", float(healthy))
        self._beside.start("heartbeat", lambda: self._publish(self._peer, dimensions, value))

    def _publish(self, cloudwatch_client: Any, dimensions: dict[str, str], *values: Value) -> None:
        namespace = self._environment.powertools_metrics_namespace
        try:
            publish(cloudwatch_client, namespace, values, dimensions, time.time())
        except FailoverError as error:
            logger.warning("metrics were not published", metrics=[value.name for value in values], error=str(error))


class Beside:
    """Work that must not hold up the ticks: one of each kind at a time, and none waits for another."""

    def __init__(self, kinds: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=kinds)
        self._running: dict[str, Future[None]] = {}

    def start(self, kind: str, work: Callable[[], None]) -> None:
        """Starts the work unless the last of its kind still runs."""
        running = self._running.get(kind)
        if running is None or running.done():
            self._running[kind] = self._pool.submit(self._do, kind, work)

    @staticmethod
    def _do(kind: str, work: Callable[[], None]) -> None:
        try:
            work()
        except FailoverError as error:
            logger.warning("work beside the ticks failed; it is tried again", work=kind, error=str(error))


def _what(reached: Probe | None) -> Own:
    if reached is None:
        return "unknown"
    return reached.role or "down"
