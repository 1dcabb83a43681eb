"""Promote: waits until the detached cluster takes writes, as a session on it proves, and not its status."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.errors import PromotionFailed, PromotionPending, TransientFailure
from handlers.core.results import Promotion
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.prober import Prober, ProberVariables
from handlers.telemetry import instrumented, logger


@dataclass(frozen=True)
class Environment(ControlVariables, ProberVariables, GlobalDatabaseVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)

# One invocation looks for this long and then returns to the workflow, whose retry continues: a promotion may take
# minutes, and a step that is killed loses nothing. The state's own limit is 40 s.
LOOK_FOR_S = 35.0
# Each look is a session inside the region (some ms); how often to look, and how long an endpoint that does not answer
# yet can hold up a look, are part of every RTO.
LOOK_EVERY_S = 0.25
PROBE_TIMEOUT_S = 1.0
# A lift that came later than this could undo a fence that was put up for another reason.
LIFT_COUNTS_FOR_S = 3.0

# A cluster does not recover from these by itself (RDS guide, "Viewing DB cluster status").
FAILED_STATUSES = frozenset(
    {"inaccessible-encryption-credentials", "failed", "migration-failed", "deleting", "stopped"}
)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(promote(CONTROL, PROBER, DATABASE, step))


def promote(control: ControlTable, prober: Prober, database: GlobalDatabase, step: Step) -> Promotion:
    """Returns once this region's cluster endpoint reaches a writer that applications can write to.

    Raises
    ------
    PromotionPending
        it does not after ``LOOK_FOR_S`` seconds; call again.
    LockLost
        the writer is fenced, and this run no longer holds the lock.
    PromotionFailed
        RDS reports a status from which the cluster does not recover by itself.
    """
    deadline = time.monotonic() + LOOK_FOR_S
    while True:
        try:
            probe = prober.probe("own", PROBE_TIMEOUT_S)
        except TransientFailure as error:  # a prober that fails now and then is no reason to give up on a promotion
            answer = f"was not tried: {error}"
        else:
            if probe.role == "writer" and probe.fenced:
                # The old writer's fence is data and has come with it. Only the run that moves the writer lifts it.
                control.assert_moving(step.run)
                lift = {"number": probe.fence_number, "until": time.time() + LIFT_COUNTS_FOR_S}
                probe = prober.probe("own", PROBE_TIMEOUT_S, lift_fence=lift)
            if probe.writes:
                logger.info("the cluster takes writes", region=probe.region)
                return Promotion(probe.region or step.claim.target_region, probe.elapsed_ms, probe.heartbeat)
            answer = f"failed: {probe.error}" if probe.error else "reached a reader"
        if time.monotonic() >= deadline:
            break
        time.sleep(LOOK_EVERY_S)
    status = database.status()
    seen = f"its status is {status}, and a session on it {answer}"
    if status in FAILED_STATUSES:
        raise PromotionFailed(f"the detached cluster will not become a writer by itself: {seen}")
    raise PromotionPending(f"the detached cluster is not a writer yet: {seen}")
