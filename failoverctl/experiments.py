"""What ``verify`` does, where it is told to, to see what asking does not show: each leaves the deployment as it was."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from failoverctl import runs
from failoverctl.account import Account
from failoverctl.asks.moves import BY_ALARM
from failoverctl.command import Session
from failoverctl.deployment import Deployment, changing
from failoverctl.errors import CannotTell, Refused
from failoverctl.runs import Run
from failoverctl.start import Mode, plan_move, started
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.errors import TransientFailure

Found = TypeVar("Found")

LOOK_EVERY_S = 2.0
# A switchover's own limits end it before this.
SWITCHOVER_WITHIN_S = 1800.0
GUARDIAN_WITHIN_S = 60.0
# CloudWatch says a change of state to the bus at once, and the bus delivers within seconds; a run that it starts
# rehearses for half a minute.
TRIGGER_WITHIN_S = 180.0
MOST = 20  # of the newest runs that are looked at


def switch_over_and_back(session: Session, *, yes: bool) -> None:
    """Moves the writer to the standby's region and back; raises `Refused` where either run does not do it."""
    deployment = session.deployment
    home = deployment.read().record.writer_region
    there = deployment.peer(home)
    session.say(
        f"The writer is moved to {there} and back to {home}: applications cannot write for some seconds, twice."
    )
    session.confirm("Do that now?", yes=yes)
    for target in (there, home):
        _wait_for_the_guardian(deployment)
        plan = plan_move(deployment, deployment.read(), Mode.SWITCHOVER, {})
        run = started(deployment, plan, f"verify-{secrets.token_hex(4)}")
        session.say(f"Started run {run.name}, a switchover to {target}.")
        ended = _ended(deployment, run)
        if ended.outcome != "recovered":
            writer = deployment.read().record.writer_region
            raise Refused(
                f"run {run.name} ended: {ended.outcome}. The writer is in {writer}: `failoverctl show {run.name}`"
            )
        session.say(f"Run {run.name}: {ended.outcome}.")


def _wait_for_the_guardian(deployment: Deployment) -> None:
    """Waits until the writer's guardian renews: a writer that has just moved there has no lease yet."""

    def look() -> bool | None:
        reading = deployment.read()
        record, now = reading.record, reading.now
        grace = deployment.settings.thresholds.recovery_grace_s
        return guardian_seen(record, is_silent(record, now), now, grace).says == "alive" or None

    _waited_for(look, GUARDIAN_WITHIN_S, "the writer's guardian does not renew its lease: `failoverctl status`")


def _ended(deployment: Deployment, run: Run) -> Run:
    def look() -> Run | None:
        found = runs.described(deployment, run.region, run.workflow, run.name)
        return found if found is not None and found.is_over else None

    return _waited_for(look, SWITCHOVER_WITHIN_S, f"run {run.name} has not ended: `failoverctl watch {run.name}`")


def ring_the_alarm(session: Session, account: Account, *, yes: bool) -> None:
    """Sets the alarm that starts the workflow, and waits for the rehearsal that it starts.

    Raises `Refused` where the alarm would start a failover: nothing is then done.
    """
    if account.settings.trigger_mode != "rehearsal":
        raise Refused('the alarm starts a failover here: set `trigger_mode = "rehearsal"` and apply, to try it')
    region = account.peer(account.writer)
    alarm = account.names.alarm("writer-down", region)
    session.say(f"The alarm {alarm} is set to ALARM: it pages, starts a rehearsal, and goes back by itself.")
    session.confirm("Do that now?", yes=yes)
    before = {each.name for each in runs.listed(account.deployment, region, MOST)}
    with changing(account.deployment, f"setting the alarm {alarm}"):
        account.answer(
            "cloudwatch",
            region,
            "set_alarm_state",
            AlarmName=alarm,
            StateValue="ALARM",
            StateReason="failoverctl verify: does it start the workflow?",
        )

    def look() -> Run | None:
        for each in runs.listed(account.deployment, region, MOST):
            if each.name not in before and each.is_over:
                found = runs.described(account.deployment, region, each.workflow, each.name)
                if found and str((found.asked or {}).get("started_by", "")).startswith(BY_ALARM):
                    return found
        return None

    run = _waited_for(look, TRIGGER_WITHIN_S, f"no run that {alarm} started has ended within {TRIGGER_WITHIN_S:.0f} s")
    session.say(f"Run {run.name}, started by the alarm: {run.outcome}.")


def _waited_for(look: Callable[[], Found | None], at_most_s: float, otherwise: str) -> Found:
    """Returns what ``look`` finds at last; raises `CannotTell` where that is nothing."""
    end = time.monotonic() + at_most_s
    while True:
        try:
            found = look()
        except TransientFailure:  # the next look may be answered
            found = None
        if found is not None:
            return found
        if time.monotonic() >= end:
            raise CannotTell(otherwise)
        time.sleep(LOOK_EVERY_S)
