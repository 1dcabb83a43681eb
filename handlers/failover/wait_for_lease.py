"""WaitForLease: waits until the writer's lease has ended, then commits to move the writer.

A writer that renews its lease meanwhile lives, and stops the run. Then the run waits until the old writer's guardian
has fenced, or its word is over: in most failovers there is none. In a switchover the writer has been stopped and
fenced, and its lease no longer matters.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.errors import FenceFailed, Held, InvalidRequest, LeaseLive, LockLost
from handlers.core.lease import decide_wait
from handlers.core.reading import LARGEST_WHOLE, Fields
from handlers.core.results import Lease
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.prober import STEP_INVOCATION_TIMEOUT_S, Prober, ProberVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ProberVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT, STEP_INVOCATION_TIMEOUT_S)

# One invocation waits this long and then returns to the workflow, whose retry continues; the state's own limit is 5 s.
WAIT_FOR_S = 3.0
# A look at the fenced writer in the other region: about 0.5 s (7 round trips of 64 ms).
PROBE_TIMEOUT_S = 0.9
A_MOMENT_S = 0.01  # so that the wait ends after the lease's end, and not at it
# A guardian that has fenced says so before its word ends, and ends the wait with that.
LOOK_AGAIN_S = 0.5


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`.

    It also reads ``lag``, VerifyLag's verdict, and, after a person was asked, ``approval`` with ``approved_by``.
    """
    step = Step.read(event)
    logger.append_keys(run=step.run)
    if step.claim.mode == "switchover":
        return asdict(move_stopped_writer(CONTROL, PROBER, step))
    fields = Fields(event, "the step's event", InvalidRequest)
    approved_by = approver(fields)
    inside_budget = fields.section("lag").flag("proceed", False)
    lease = wait_for_lease(
        CONTROL,
        step,
        inside_budget or step.claim.accept_data_loss or bool(approved_by),
        fields.section("lag").optional_whole("replicated_xid", at_most=LARGEST_WHOLE),
    )
    return asdict(replace(lease, approved_by=approved_by))


def approver(fields: Fields) -> str | None:
    """Returns who accepted the loss; raises `InvalidRequest` when the answer does not say."""
    if "approval" not in fields.data:
        return None
    return Fields(fields.data["approval"], "the answer to the approval", InvalidRequest).line("approved_by")


def wait_for_lease(control: ControlTable, step: Step, gate_open: bool, replicated_xid: int | None = None) -> Lease:
    """Waits for the lease's end and, with ``gate_open``, commits to move; then for the end of the guardian's word.

    ``replicated_xid``, from VerifyLag's verdict, is kept for the re-protection.

    Raises
    ------
    LeaseLive
        the lease, or the word, may be alive after ``WAIT_FOR_S`` seconds; call again.
    Held
        a person wants the run to hold; call again.
    LockLost
        another run has taken the lock over.
    """
    give_up = time.time() + WAIT_FOR_S
    committed: str | None = None  # why, once this run has
    while True:
        now = time.time()
        record = control.read()
        wait = decide_wait(record, step.claim, gate_open, now)
        lease = Lease(wait.action != "refuse", wait.action == "go", committed or wait.reason, record.lease_expires_at)
        if wait.action == "lost":
            raise LockLost(f"run {step.run} may not move the writer: {wait.reason}")
        if wait.action == "hold":
            raise Held(wait.reason)
        if wait.action in ("refuse", "go", "ask"):
            logger.info("the lease decides", action=wait.action, reason=wait.reason)
            return lease
        if wait.action == "commit" and control.begin_move(
            step.run, step.claim.epoch, record.lease_expires_at, now, replicated_xid
        ):
            committed = wait.reason
            logger.info("committed to move the writer", reason=committed)
        # Now, or if the record has changed in the meantime, it is read again at once.
        pause = wait.until - time.time() + A_MOMENT_S if wait.action == "wait" else 0.0
        if record.moving:
            pause = min(pause, LOOK_AGAIN_S)
        if time.time() + pause > give_up:
            raise LeaseLive(wait.reason)
        time.sleep(max(0.0, pause))


def move_stopped_writer(control: ControlTable, prober: Prober, step: Step) -> Lease:
    """Commits to move the writer after seeing that it is fenced.

    Raises
    ------
    FenceFailed
        the writer is not seen to be fenced.
    LockLost
        the stop took too long, and the writer's guardian ended it.
    """
    record = control.read()
    if record.moving is None or record.moving.run != step.run:
        reached = prober.probe("peer", PROBE_TIMEOUT_S)
        if not reached.closed:
            raise FenceFailed(f"the writer is not seen to be fenced: {reached.error or 'it takes writes'}")
        stopped_until = record.stopping.stopping_until if record.stopping else None
        control.begin_move_of_stopped(step.run, step.claim.epoch, stopped_until or 0.0, time.time())
    return Lease(True, True, "the writer is stopped and fenced", record.lease_expires_at)
