"""ReleaseClaim: gives the lock back, and the writer switch with it, when the writer has not moved."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.claim import Claim
from handlers.core.control import PersonsNo
from handlers.core.errors import HalfWay, InvalidRequest
from handlers.core.reading import ANY_TEXT, Fields
from handlers.core.results import Release
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)

REFUSED = "Refused"  # the error with which a person answers no, by the command in the question


@dataclass(frozen=True)
class Ending:
    """The run that ends, the epoch that it has claimed (None where it never got that far), and a person's no to it."""

    run: str
    epoch: int | None
    refusal: str | None

    @classmethod
    def read(cls, event: object) -> Ending:
        """Reads the step's event: ``run``, and ``progress``, what the workflow keeps of it."""
        fields = Fields(event, "the step's event", InvalidRequest)
        progress = fields.section("progress")
        claim = Claim.read(progress.section("claim")) if "claim" in progress.data else None
        error = progress.section("error") if "error" in progress.data else None
        refused = error is not None and error.data.get("Error") == REFUSED
        cause = error.text("Cause", pattern=ANY_TEXT, default="") if error and refused else None
        return cls(fields.text("run"), claim.epoch if claim else None, cause)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `Ending`."""
    ending = Ending.read(event)
    logger.append_keys(run=ending.run)
    return asdict(release_claim(CONTROL, ending))


def release_claim(control: ControlTable, ending: Ending) -> Release:
    """Gives the lock back if the run holds it; a person's no to the run is kept, and ends the automatic attempts.

    A rejected question and an abort are a no. A hold is none, however the run ends: whoever wants a run to wait, and
    does not come back to it, has not refused the failover of a writer that is down.

    The old writer's guardian then renews its lease again and, after that, lifts its own fence.

    Raises
    ------
    HalfWay
        RDS was asked to move the writer and may be doing so: without the lock, both regions could take writes. Or
        another run has taken the lock over.
    """
    record = control.read()
    lock = record.transition
    mine = lock is not None and lock.run == ending.run
    if ending.epoch is not None:
        refusal = ending.refusal
        if lock is not None and mine and lock.wanted == "abort" and not lock.move_requests:
            refusal = f"asked run {ending.run} to abort"
        if refusal is not None:
            control.say_no(ending.epoch, PersonsNo.of("a person", time.time(), refusal))
            logger.info("noted a person's no", reason=refusal)
        if record.epoch != ending.epoch or (lock is not None and not mine):
            other = lock.run if lock is not None and not mine else record.last_run
            raise HalfWay(f"run {other} has taken the lock over from run {ending.run}, and finishes the work or has")
    if control.release(ending.run):
        logger.info("gave the lock back")
        return Release(True)
    if mine:
        raise HalfWay(
            f"run {ending.run} keeps the lock: RDS was asked to move the writer and may be doing so; start a run that "
            "resumes this one"
        )
    logger.info("held no lock")
    return Release(False)
