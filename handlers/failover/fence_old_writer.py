"""FenceOldWriter: has the old writer's region keep applications away from its database.

Best effort in a failover, where that region may be gone and its guardian fences by itself; in a switchover it must
succeed before anything else is changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.errors import FailoverError, FenceFailed, Held
from handlers.core.results import OldWriterFence
from handlers.gateways.acting import OtherRegion, PeerRoleVariables
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.fence import FenceFunction, PeerFenceVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, PeerRoleVariables, PeerFenceVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.of(ENVIRONMENT)

# How long a switchover may keep the applications out before it has committed to move: two attempts of the fence and two
# of the look at it. After that, the writer's guardian takes the lock away from a run that was killed in between.
STOP_FOR_S = 20.0


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    if step.claim.mode == "switchover":
        return asdict(stop_writer(CONTROL, OTHER_REGION, ENVIRONMENT, step))
    return asdict(fence_old_writer(OTHER_REGION, ENVIRONMENT, step))


def stop_writer(
    control: ControlTable, other_region: OtherRegion, environment: PeerFenceVariables, step: Step
) -> OldWriterFence:
    """Fences a healthy writer, after the record has forbidden its guardian to renew, which would lift the fence.

    Raises
    ------
    FenceFailed
        the writer is not fenced by SQL. Its security group stays, because Aurora does not switch over a cluster that
        is being modified.
    Held
        a person wants the run to hold.
    LockLost
        the run does not hold the lock, or a person wants it to abort.
    """
    record = control.read()
    lock = record.transition
    if lock is not None and lock.run == step.run and lock.phase == "checking" and lock.wanted == "hold":
        raise Held(f"a person has asked run {step.run} to hold")
    # What may fail comes before the writer is stopped.
    with _failing_the_fence(step):
        fence = FenceFunction.there(other_region, environment, step.run)
    if record.moving is None or record.moving.run != step.run:  # a resumed run may be further
        control.begin_stop(step.run, step.claim.epoch, time.time() + STOP_FOR_S)
    with _failing_the_fence(step):
        state = fence.fence(_reason(step), group=False)
    if not state.ends_writes:
        raise FenceFailed(f"the writer in {step.claim.writer_region} is not fenced by SQL: {state.error}")
    logger.info("the old writer's fence", state=asdict(state))
    return OldWriterFence(state.closed, state.error, writes_ended=state.ends_writes)


def fence_old_writer(other_region: OtherRegion, environment: PeerFenceVariables, step: Step) -> OldWriterFence:
    """Orders the fence there, by SQL and by security group, and tells how far that got."""
    try:
        state = FenceFunction.there(other_region, environment, step.run).fence(_reason(step), group=True)
    except FailoverError as error:
        logger.warning("the old writer's region did not answer", error=str(error))
        return OldWriterFence(False, str(error))
    logger.info("the old writer's fence", state=asdict(state))
    return OldWriterFence(state.closed, state.error, writes_ended=state.ends_writes)


def _reason(step: Step) -> str:
    return f"run {step.run} moves the writer to {step.claim.target_region}"


@contextmanager
def _failing_the_fence(step: Step) -> Iterator[None]:
    try:
        yield
    except FailoverError as error:
        raise FenceFailed(f"the fence of {step.claim.writer_region} did not answer: {error}") from error
