"""Promote: waits until the cluster takes writes, as a session on it proves, for as long as Aurora takes.

The workflow calls it again and again. Meanwhile it looks at what RDS shows, for a request that has left no trace has to
be sent again, and a switchover of which nothing comes has to be ended.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.control import ControlRecord, Transition
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.errors import (
    InvalidRequest,
    LockLost,
    PromotionFailed,
    SwitchoverRejected,
    TransientFailure,
    WriterLost,
)
from handlers.core.health import Probe
from handlers.core.heartbeat import END_OF_TIME_S
from handlers.core.move import (
    FAILED_STATUSES,
    LEAVE_AFTER_S,
    NextMove,
    Sight,
    decide,
    is_time_to_tell,
    quiet_since,
)
from handlers.core.reading import Fields
from handlers.core.results import Promotion
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.prober import Prober, ProberVariables, Target
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ProberVariables, GlobalDatabaseVariables):
    """What this step reads."""


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
PROBER = Prober.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT)

# One invocation looks for this long and then returns to the workflow, which calls it again: a step that is killed loses
# nothing. The state's own limit is 16 s, of which a probe and a look at RDS may take 9.
LOOK_FOR_S = 6.0
INSTANCES: Target = "own_instances"
ENDPOINT: Target = "own"
# Each look asks every instance, inside the region (some ms); how often to look, and how long one that does not answer
# can hold up a look, are part of every RTO.
LOOK_EVERY_S = 0.25
PROBE_TIMEOUT_S = 1.0
LOOK_AT_RDS_EVERY_S = 2.0
# Once RDS has shown the end of the move for so long, the cluster's endpoint is asked in turn with the instances: the
# writer may be one that nobody has named, or logins by an instance's name may be refused. Not before, for RDS may show
# a cluster as available before it promotes it, and a resolver that is asked too early keeps that there is no address.
OVER_FOR_S = 4.0
# A lift that came later than this could undo a fence that was put up for another reason.
LIFT_COUNTS_FOR_S = 3.0


@dataclass(frozen=True)
class Earlier:
    """What is known from before: since when RDS shows nothing of the request, and when the last look was (s)."""

    quiet_since: float | None
    looked_until: float | None

    @classmethod
    def read(cls, fields: Fields) -> Earlier:
        """Reads ``request``, the answer of the step that asked RDS, and ``before``, that of the look before."""
        asked, before = (_result(fields.section(name)) for name in ("request", "before"))
        looks_on = before.data.get("next") == "wait"
        return cls(
            _moment(before, "quiet_since") if looks_on else _moment(asked, "asked_at"),
            _moment(before, "looked_until"),
        )


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`, and `Earlier` for what else it reads."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    earlier = Earlier.read(Fields(event, "the step's event", InvalidRequest))
    return asdict(promote(CONTROL, PROBER, DATABASE, step, earlier))


def promote(control: ControlTable, prober: Prober, database: GlobalDatabase, step: Step, earlier: Earlier) -> Promotion:
    """Looks until this region's cluster takes writes, its request has to be sent again, or ``LOOK_FOR_S`` is over.

    Raises
    ------
    LockLost
        this run no longer holds the lock.
    PromotionFailed
        RDS reports a status from which the cluster does not recover by itself.
    SwitchoverRejected
        nothing comes of the switchover; the lock is given back.
    WriterLost
        nothing comes of the switchover, and the writer is down; the lock stays.
    """
    quiet, rds_shows = earlier.quiet_since, "RDS does not say what it does"
    deadline, next_look = time.monotonic() + LOOK_FOR_S, time.monotonic()
    over_since, target = math.inf, INSTANCES

    def result(what: Literal["done", "wait", "ask_again"], seen: str, probe: Probe | None, tell: bool) -> Promotion:
        region = probe.region if probe and probe.region else step.claim.target_region
        took, beat = (probe.elapsed_ms, probe.heartbeat) if probe else (0.0, None)
        return Promotion(what, seen, quiet, time.time(), tell, region, took, beat)

    while True:
        probe, answer = reach(control, prober, step, target)
        if probe is not None and probe.writes:
            logger.info("the cluster takes writes", region=probe.region)
            return result("done", answer, probe, tell=False)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + LOOK_AT_RDS_EVERY_S
            sight = see(database)
            if sight is not None:
                quiet, rds_shows = quiet_since(quiet, sight, time.time()), sight.in_words
                over_since = min(over_since, time.monotonic()) if sight.over else math.inf
                if quiet is not None and next_move(control, prober, step, time.time() - quiet) == "ask_again":
                    return result("ask_again", rds_shows, probe, tell=False)
        if time.monotonic() >= deadline:
            break
        is_over = time.monotonic() - over_since >= OVER_FOR_S
        target = ENDPOINT if is_over and target == INSTANCES else INSTANCES
        time.sleep(LOOK_EVERY_S)
    seen = f"{rds_shows}; a session on it {answer}"
    logger.info("the cluster does not take writes yet", seen=seen)
    return result("wait", seen, probe, tell=takes_long(control, step, earlier.looked_until))


def reach(control: ControlTable, prober: Prober, step: Step, target: Target) -> tuple[Probe | None, str]:
    """Asks ``target`` whether it can be written to; returns what answered, and it in words.

    The cluster's endpoint may have no address yet, or lead elsewhere, when one of its instances takes writes already.
    """
    try:
        probe = prober.probe(target, PROBE_TIMEOUT_S)
    except TransientFailure as error:  # a prober that fails now and then is no reason to give up on a promotion
        return None, f"was not tried: {error}"
    if probe.role == "writer" and probe.fenced:
        # The old writer's fence is data and has come with it. Only the run that moves the writer lifts it.
        control.assert_moving(step.run)
        lift = {"number": probe.fence_number, "until": time.time() + LIFT_COUNTS_FOR_S}
        probe = prober.probe(target, PROBE_TIMEOUT_S, lift_fence=lift)
    if probe.writes:
        return probe, "can write"
    return probe, f"failed: {probe.error}" if probe.error else "reached a reader"


def see(database: GlobalDatabase) -> Sight | None:
    """Returns what RDS shows of the move; None when it does not answer, which says nothing.

    Raises `PromotionFailed` where that is a state from which the cluster does not recover by itself.
    """
    try:
        sight = database.look()
    except TransientFailure as error:
        logger.warning("RDS does not say what it does", error=str(error))
        return None
    if sight.status in FAILED_STATUSES:
        raise PromotionFailed(f"the cluster will not become a writer by itself: {sight.in_words}")
    return sight


def next_move(control: ControlTable, prober: Prober, step: Step, quiet_for_s: float) -> NextMove:
    """Decides what becomes of a request that has left no trace, and ends a switchover of which nothing comes."""
    if quiet_for_s < LEAVE_AFTER_S:
        return "wait"
    try:
        record, lock = held_lock(control, step.run)
        is_down = step.claim.mode == "switchover" and not guardian_lives(record) and not answers(prober)
        move, why = decide(step.claim.mode, lock.move_requests, quiet_for_s, is_down)
        if move == "end_switchover" and control.end_switchover(step.run, lock.move_requests):
            raise SwitchoverRejected(why)
    except TransientFailure as error:
        logger.warning("what comes next is decided later", error=str(error))
        return "wait"
    if move == "leave_to_failover":
        raise WriterLost(why)
    logger.info("RDS shows nothing of the request", next=move, why=why)
    return move


def takes_long(control: ControlTable, step: Step, looked_until: float | None) -> bool:
    """Returns whether it is time to tell people, for the first time or again, how long the promotion takes."""
    try:
        _, lock = held_lock(control, step.run)
    except TransientFailure as error:
        logger.warning("the control record was not read", error=str(error))
        return False
    return is_time_to_tell(lock.began_at, looked_until or lock.began_at, time.time())


def held_lock(control: ControlTable, run: str) -> tuple[ControlRecord, Transition]:
    """Returns the record and in it the lock of this run; raises `LockLost` when another run has it, or none."""
    record = control.read()
    if record.transition is None or record.transition.run != run:
        raise LockLost(f"run {run} does not hold the lock any more; it must not change anything")
    return record, record.transition


def guardian_lives(record: ControlRecord) -> bool:
    """Returns whether the old writer's guardian, which signs the lock while it may not renew, says that it lives.

    A word of it is from before the lock, and does not count.
    """
    now = time.time()
    return guardian_seen(record, is_silent(record, now), now, math.inf).says not in ("silent", "says down")


def answers(prober: Prober) -> bool:
    """Returns whether the old writer's database answers this region, or nobody could ask it."""
    try:
        return prober.probe("peer", PROBE_TIMEOUT_S).role is not None
    except TransientFailure as error:
        logger.warning("the prober gave no answer", error=str(error))
        return True


def _result(kept: Fields) -> Fields:
    """Returns what a step returned, out of what the workflow keeps of it; empty when it failed, or has not run."""
    return kept.section("result") if "result" in kept.data else Fields({}, kept.name, kept.error)


def _moment(fields: Fields, field: str) -> float | None:
    return fields.optional_number(field, at_least=0, at_most=END_OF_TIME_S)
