"""``failoverctl abort``, ``hold``, ``release`` and ``unlock``: what a person wants of the run that holds the lock.

The run looks at the flag before each step, until RDS is asked to move the writer; from then on there is only the way
forward.
"""

from __future__ import annotations

from typing import Literal

from failoverctl.command import Session
from failoverctl.deployment import Deployment, Reading, changing
from failoverctl.errors import CannotTell, Refused
from failoverctl.runs import is_over
from failoverctl.start import Yes
from failoverctl.timeline import AnyRun, RunName
from handlers.core.claim import LATE_REQUEST_S
from handlers.core.control import Transition
from handlers.core.errors import TransientFailure
from handlers.core.lease import CLOCK_MARGIN_S
from handlers.core.move import Sight
from handlers.gateways.control_table import ControlTable
from handlers.gateways.global_database import GlobalDatabase

Wanted = Literal["hold", "abort"]

EFFECTS: dict[Wanted, dict[str, str]] = {
    "hold": {
        "checking": (
            "it waits before it commits to move, for 15 min at most, then gives the lock back; `failoverctl release` "
            "lets it go on"
        ),
        "otherwise": "it has stopped or begun to move the writer, so it does not wait: it gives the writer back",
    },
    "abort": {
        "checking": "it gives the lock back, and the writer stays",
        "otherwise": "it gives the writer back, as RDS has not been asked",
    },
}

# What becomes of automatic failover: only an abort is a person's no (`handlers.failover.release_claim`).
AUTOMATION: dict[Wanted, str] = {
    "hold": "That is no person's no: while the writer is down, the next attempt begins by itself after this run.",
    "abort": "That is a person's no: no automatic attempt begins any more in this outage.",
}


def abort(session: Session, run: AnyRun = None, *, yes: Yes = False) -> int | None:
    """Have the run that is at work give up: possible until it asks RDS to move the writer."""
    return _want(session, run, "abort", yes=yes)


def hold(session: Session, run: AnyRun = None, *, yes: Yes = False) -> int | None:
    """Have the run that is at work wait before it commits to move the writer, for 15 min at most."""
    return _want(session, run, "hold", yes=yes)


def release(session: Session, run: AnyRun = None) -> int | None:
    """Let a run go on that was asked to hold (or to abort, where it has not yet)."""
    deployment = session.deployment
    reading = deployment.read()
    held = _holder(reading, run)
    if held.wanted is None:
        raise Refused(f"nobody has asked run {held.run} to hold; `failoverctl watch {held.run}` shows how far it is")
    control = deployment.control(reading.through)
    with changing(deployment, f"letting run {held.run} go on"):
        done = control.let_run_go_on(held.run)
    if not done:
        raise Refused(f"run {held.run} does not hold the lock any more: `failoverctl show {held.run}`")
    session.say(f"Run {held.run} goes on; it was asked to {held.wanted}. Follow it: failoverctl watch {held.run}")
    session.tell({"run": held.run, "wanted": None})
    return None


def unlock(session: Session, run: RunName, *, yes: Yes = False) -> int | None:
    """Take the lock from a run that has ended, and of which nothing has come: it has not asked RDS, or in vain."""
    deployment = session.deployment
    reading = deployment.read()
    held = _holder(reading, run)
    if is_over(deployment, held.target_region, held.run) is not True:
        raise Refused(f"run {run} is not known to have ended: `failoverctl watch {run}`, or `failoverctl abort {run}`")
    asked = held.move_requests
    if asked:
        in_vain(deployment, reading)
        session.say(
            f"Run {run} ({held.mode}) has ended after {asked} requests to RDS to move the writer. RDS shows in both "
            "regions that none had any effect: both clusters are available, in their old roles."
        )
    else:
        session.say(f"Run {run} ({held.mode}, {held.phase}) has ended with the lock in its hands, and never asked RDS.")
    session.confirm("Take the lock from it?", yes=yes)
    control = deployment.control(reading.through)
    with changing(deployment, f"taking the lock from run {run}"):
        done = control.unlock_asked(run, asked) if asked else control.release(run)
    if not done:
        raise Refused(f"run {run} does not hold the lock any more, or has gone on: `failoverctl status`")
    session.say(
        f"The lock of run {run} is free; the writer's guardian lets applications in again where they were kept out."
    )
    session.tell({"unlocked": run})
    return None


def in_vain(deployment: Deployment, reading: Reading) -> None:
    """Looks in both regions whether anything has come of the requests of the run that holds the lock.

    Raises
    ------
    Refused
        something has, or one may still be on its way.
    CannotTell
        RDS of one region does not say: a detach shows in the target's region only, and a switchover in both.
    """
    record = reading.record
    held = record.transition
    if held is None:
        raise Refused("nobody holds the lock any more")
    finish = f"Finish it: `failoverctl start --mode {held.mode} --resumes {held.run}`"
    noted_at = held.deadline if held.asked_at is None else held.asked_at
    left = noted_at + LATE_REQUEST_S + CLOCK_MARGIN_S - reading.now
    if left > 0:
        raise Refused(
            f"run {held.run} has asked RDS to move the writer, and a request may be on its way for {left:.0f} s more: "
            f"without the lock both regions could take writes. {finish}; or look again then"
        )
    for region in (record.writer_region, held.target_region):
        sight = _sight(deployment, region)
        expected = "primary" if region == record.writer_region else "secondary"
        if (sight.membership, sight.status, sight.at_work) != (expected, "available", None):
            raise Refused(
                f"something has come, or may come, of what run {held.run} has asked of RDS: in {region} "
                f"{sight.in_words}, and before it was an available {expected}. Without the lock both regions could "
                f"take writes. {finish}"
            )


def _sight(deployment: Deployment, region: str) -> Sight:
    """Returns what RDS shows of a region's cluster; raises `CannotTell` where it does not answer."""
    names = deployment.names
    database = GlobalDatabase(
        deployment.client("rds", region), names.global_cluster, names.cluster(region), names.cluster_arn(region)
    )
    try:
        return database.look()
    except TransientFailure as error:
        raise CannotTell(
            f"RDS in {region} does not say what has come of the request: {error}; look again later"
        ) from error


def _want(session: Session, name: str | None, wanted: Wanted, *, yes: bool) -> int | None:
    deployment = session.deployment
    reading = deployment.read()
    held = _holder(reading, name)
    _refuse_in_vain(deployment, held)
    effect = EFFECTS[wanted]["checking" if held.phase == "checking" else "otherwise"]
    session.say(f"Run {held.run} ({held.mode}, {held.phase}) is to {wanted}: {effect}.")
    session.say(AUTOMATION[wanted])
    session.confirm(f"Ask it to {wanted}?", yes=yes)
    control = deployment.control(reading.through)
    with changing(deployment, f"asking run {held.run} to {wanted}"):
        done = control.ask_run(held.run, wanted)
    if not done:
        raise Refused(f"run {held.run} does not hold the lock any more: `failoverctl show {held.run}`")
    _look_again(deployment, control, held, wanted)
    session.say(
        f"Run {held.run} is asked to {wanted} by {deployment.identity.arn}. Follow it: failoverctl watch {held.run}"
    )
    session.tell({"run": held.run, "wanted": wanted, "phase": held.phase})
    return None


def _holder(reading: Reading, name: str | None) -> Transition:
    """Returns the lock of the run that is meant; raises `Refused` where that run does not hold it."""
    held = reading.record.transition
    if held is None:
        raise Refused("no run moves the writer, so there is nothing to stop; `failoverctl runs` lists the last ones")
    if name is not None and held.run != name:
        raise Refused(f"run {name} does not hold the lock; run {held.run} does: name that one, or none")
    return held


def _refuse_in_vain(deployment: Deployment, held: Transition) -> None:
    if held.move_requests > 0:
        raise Refused(
            f"run {held.run} has asked RDS to move the writer to {held.target_region}: the only way is forward. "
            f"Follow it: `failoverctl watch {held.run}`; where it has stopped: `failoverctl start --mode {held.mode} "
            f"--resumes {held.run}`"
        )
    if is_over(deployment, held.target_region, held.run):
        raise Refused(
            f"run {held.run} has ended and heeds no flag; its lock ({held.phase}) is taken over by the next attempt, "
            f"or by `failoverctl start --mode {held.mode} --resumes {held.run}`"
        )


def _look_again(deployment: Deployment, control: ControlTable, before: Transition, wanted: Wanted) -> None:
    """Says where the run was quicker than the flag; raises `Refused` then."""
    with changing(deployment, f"looking whether run {before.run} heeds that"):
        record = control.read()
    held = record.transition
    mine = held is not None and held.run == before.run
    if record.last_run == before.run or (mine and record.only_forward):
        raise Refused(
            f"run {before.run} was quicker: it has asked RDS to move the writer, and does not {wanted} any more. "
            f"Follow it: `failoverctl watch {before.run}`"
        )
