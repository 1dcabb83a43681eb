"""``failoverctl abort``, ``hold``, ``release`` and ``unlock``: what a person wants of the run that holds the lock.

The run looks at the flag before each step, until RDS is asked to move the writer; from then on there is only the way
forward.
"""

from __future__ import annotations

from typing import Literal

from failoverctl.command import Session
from failoverctl.deployment import Deployment, Reading, changing
from failoverctl.errors import Refused
from failoverctl.runs import is_over
from failoverctl.start import Yes
from failoverctl.timeline import AnyRun, RunName
from handlers.core.control import Transition
from handlers.gateways.control_table import ControlTable

Wanted = Literal["hold", "abort"]

EFFECTS: dict[Wanted, dict[str, str]] = {
    "hold": {
        "checking": "it waits before it commits to move, for 15 min at most; `failoverctl release` lets it go on",
        "otherwise": "it has stopped or begun to move the writer, so it does not wait: it gives the writer back",
    },
    "abort": {
        "checking": "it gives the lock back, and the writer stays",
        "otherwise": "it gives the writer back, as RDS has not been asked",
    },
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
    """Take the lock from a run that has ended and never asked RDS; the next run would take it over as well."""
    deployment = session.deployment
    reading = deployment.read()
    held = _holder(reading, run)
    if held.move_requests > 0:
        raise Refused(
            f"run {run} has asked RDS to move the writer, which may come to pass at any moment: without the lock both "
            f"regions could take writes. Finish it: `failoverctl start --mode {held.mode} --resumes {run}`; where RDS "
            "refuses for good, docs/runbooks/stuck.md says whom to call"
        )
    if is_over(deployment, held.target_region, held.run) is not True:
        raise Refused(f"run {run} is not known to have ended: `failoverctl watch {run}`, or `failoverctl abort {run}`")
    session.say(f"Run {run} ({held.mode}, {held.phase}) has ended with the lock in its hands, and never asked RDS.")
    session.confirm("Take the lock from it?", yes=yes)
    with changing(deployment, f"taking the lock from run {run}"):
        done = deployment.control(reading.through).release(run)
    if not done:
        raise Refused(f"run {run} does not hold the lock any more: `failoverctl status`")
    session.say(
        f"The lock of run {run} is free; the writer's guardian lets applications in again where they were kept out."
    )
    session.tell({"unlocked": run})
    return None


def _want(session: Session, name: str | None, wanted: Wanted, *, yes: bool) -> int | None:
    deployment = session.deployment
    reading = deployment.read()
    held = _holder(reading, name)
    _refuse_in_vain(deployment, held)
    effect = EFFECTS[wanted]["checking" if held.phase == "checking" else "otherwise"]
    session.say(f"Run {held.run} ({held.mode}, {held.phase}) is to {wanted}: {effect}.")
    if wanted == "abort":
        session.say("That is a person's no: no automatic attempt begins any more in this outage.")
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
