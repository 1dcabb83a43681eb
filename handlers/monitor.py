"""The monitor: has the database probed every 2 s and publishes what it sees, here and to the other region.

EventBridge starts it once a minute and each run lasts a little longer, so two runs overlap and leave no gap.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.environment import Environment
from handlers.core.errors import FailoverError
from handlers.core.health import Debounce
from handlers.gateways import metrics as cloudwatch
from handlers.gateways.aws import client
from handlers.gateways.control_table import ControlTable
from handlers.gateways.prober import Prober
from handlers.telemetry import instrumented, logger

ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
HERE = client("cloudwatch", ENVIRONMENT.aws_region, attempts=1)
PEER = client("cloudwatch", ENVIRONMENT.peer_region, attempts=1)

TICK_S = 2.0
# A minute, the schedule's granularity, and a margin for a late start of the next run.
RUN_FOR_S = 66.0
# A writer in the other region answers in about 0.5 s (7 round trips of 64 ms); one in trouble may need longer
# without being down.
PROBE_TIMEOUT_S = 2.0


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The schedule's entry; the event carries nothing."""
    watch = Watch(ENVIRONMENT, CONTROL, PROBER, HERE, PEER)
    started = time.monotonic()
    ticks = 0
    while (elapsed := time.monotonic() - started) < RUN_FOR_S:
        watch.tick()
        ticks += 1
        # Ticks keep to their grid, so that a slow one is followed by a short pause and not by a drift.
        time.sleep(max(0.0, (int(elapsed / TICK_S) + 1) * TICK_S - (time.monotonic() - started)))
    return {"ticks": ticks}


class Watch:
    """One run of the monitor: what it remembers from tick to tick."""

    def __init__(self, environment: Environment, control: ControlTable, prober: Prober, here: Any, peer: Any) -> None:
        self._environment = environment
        self._control = control
        self._prober = prober
        self._here = here
        self._peer = peer
        self._debounce = Debounce()
        self._writer_region: str | None = None
        # A peer that hangs must not hold up the ticks: its heartbeat is sent beside them, one at a time.
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._sending: Future[None] | None = None

    def tick(self) -> None:
        """Looks once and publishes. Nothing that fails here stops the watch; silence is what alarms look for."""
        try:
            self._writer_region = self._control.read().writer_region
        except FailoverError:
            logger.exception("the control record cannot be read; keeping the last known role")
        if self._writer_region is None:
            return
        try:
            if self._writer_region == self._environment.aws_region:
                self._watch_as_writer()
            else:
                self._watch_as_standby()
        except FailoverError:
            # A prober that fails says nothing about the writer: no metric, and so no failover (P6).
            logger.exception("this tick saw nothing")

    def _watch_as_writer(self) -> None:
        reached = self._prober.probe("own", PROBE_TIMEOUT_S)
        self._send_heartbeat(healthy=reached.role == "writer")

    def _watch_as_standby(self) -> None:
        # The standby's heartbeat says that its monitor lives; whether it can take over is asked when it has to.
        self._send_heartbeat(healthy=True)
        reached = self._prober.probe("peer", PROBE_TIMEOUT_S)
        unreachable = self._debounce.saw(reached.role == "writer")
        self._publish(
            self._here,
            "WriterUnreachable",
            float(unreachable),
            {"GlobalCluster": self._environment.global_cluster},
        )

    def _send_heartbeat(self, *, healthy: bool) -> None:
        if self._sending is not None and not self._sending.done():
            return
        dimensions = {
            "GlobalCluster": self._environment.global_cluster,
            "FromRegion": self._environment.aws_region,
        }
        self._sending = self._beside.submit(self._publish, self._peer, "Heartbeat", float(healthy), dimensions)

    def _publish(self, cloudwatch_client: Any, name: str, value: float, dimensions: dict[str, str]) -> None:
        try:
            cloudwatch.publish(
                cloudwatch_client,
                self._environment.powertools_metrics_namespace,
                name,
                value,
                dimensions,
                time.time(),
            )
        except FailoverError as error:
            logger.warning("a metric was not published", metric=name, error=str(error))
