"""``failoverctl maintenance begin`` and ``end``: a person works on the writer, and nothing is to come of it.

A maintenance is a pause that begins only while no run is at work, and that somebody is meant to end. Nothing else
changes: a guardian that reads the record closes no database that is down, and one that is cut off from the record
fences as ever, since a person may start a failover at any time (docs/protocol, `MAINTENANCE_RESTS`).
"""

from __future__ import annotations

from failoverctl.automation import Lasts, Why, duration
from failoverctl.command import Session
from failoverctl.deployment import Reading, changing
from failoverctl.errors import Refused
from failoverctl.start import Yes
from failoverctl.words import clock
from handlers.core.control import ControlRecord, Pause
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.duration import lasting


def begin(session: Session, *, lasts: Lasts, reason: Why, yes: Yes = False) -> int | None:
    """Say that you are about to work on the writer: no failover by itself until then; or say it for longer."""
    seconds = duration(lasts)
    deployment = session.deployment
    reading = deployment.read()
    record, until = reading.record, reading.now + seconds
    _refuse_beside(record, until, reading.now)
    for line in _expected(record, until, reading.now):
        session.say(line)
    if why := _ill(session, reading):
        session.say(f"But {record.writer_region} is not well now: {why}.", style="bold yellow")
    session.confirm(f"Begin a maintenance of {lasting(seconds)}?", yes=yes)
    wanted = Pause.of(
        deployment.identity.name,
        round(reading.now, 3),
        round(until, 3),
        reason,
        maintenance=True,
        before=record.paused,
    )
    with changing(deployment, "beginning a maintenance"):
        done = deployment.control(reading.through).pause(record, wanted)
    if not done:
        raise Refused(
            "a run has begun, or somebody has paused automatic failover, meanwhile: look with `failoverctl status`"
        )
    session.say(
        f"In maintenance by {deployment.identity.arn} until {clock(until, reading.now)}. When you are done: "
        "failoverctl maintenance end"
    )
    session.tell({"maintenance": wanted})
    return None


def end(session: Session, *, yes: Yes = False) -> int | None:
    """Say that the work is done: automatic failover comes again at once, and moves a writer that is down."""
    deployment = session.deployment
    reading = deployment.read()
    record = reading.record
    if record.paused is None or not record.paused.maintenance:
        raise Refused("nobody maintains the writer; `failoverctl resume` ends a pause")
    if why := _ill(session, reading):
        session.say(
            f"{record.writer_region} is not well: {why}. A failover to {deployment.peer(record.writer_region)} begins "
            "as soon as both observers find it down; `failoverctl maintenance begin` gives it more time.",
            style="bold yellow",
        )
        session.confirm("End the maintenance all the same?", yes=yes)
    with changing(deployment, "ending the maintenance"):
        done = deployment.control(reading.through).end_maintenance(record)
    if not done:
        raise Refused("somebody has begun another one, or the writer has moved, meanwhile: `failoverctl status`")
    session.say(
        f"The maintenance of {record.paused.by} is over, by {deployment.identity.arn}. Look: failoverctl status"
    )
    session.tell({"maintenance": None})
    return None


def _refuse_beside(record: ControlRecord, until: float, now: float) -> None:
    """Raises `Refused` where a run is at work, or somebody wants automation to stay off for longer."""
    held = record.transition
    if held is not None:
        raise Refused(
            f"run {held.run} holds the lock and could still move the writer under your hands: wait for its end "
            f"(`failoverctl watch {held.run}`), have it give up (`failoverctl abort {held.run}`), or, where it has "
            f"ended, take the lock from it (`failoverctl unlock {held.run}`)"
        )
    if record.reprotection is not None:
        run = record.reprotection.run
        raise Refused(f"run {run} builds the standby: wait for its end (`failoverctl watch {run}`)")
    pause = record.paused
    if pause is not None and not pause.maintenance and pause.until > until:
        raise Refused(
            f"{pause.by} has paused automatic failover until {clock(pause.until, now)}, which is longer: end that "
            "first (`failoverctl resume`), or maintain within it"
        )


def _expected(record: ControlRecord, until: float, now: float) -> list[str]:
    writer = record.writer_region
    lines = [
        f"Until {clock(until, now)} no failover begins by itself, also when {writer} is down or dies; a person may "
        "start one at any time.",
        f"A restart or an upgrade of the database of {writer} closes nothing. Its applications wait until it answers "
        "again, and 2 s more. Only a guardian that is cut off from the control record still fences.",
    ]
    if record.paused and record.paused.lasts(until):
        lines.append(
            f"The maintenance of {record.paused.by} would have lasted until {clock(record.paused.until, now)}."
        )
    if not record.protected:
        lines.append("There is no standby: nothing could take over in any case.")
    return lines


def _ill(session: Session, reading: Reading) -> str | None:
    """Returns why the writer is not known to be well, as its guardian says it; None when it is."""
    record, now = reading.record, reading.now
    if record.word is not None:
        return f"its guardian says since {clock(record.word.since, now)} that its database is {record.word.says}"
    grace_s = session.deployment.settings.thresholds.recovery_grace_s
    seen = guardian_seen(record, is_silent(record, now), now, grace_s)
    return None if seen.says == "alive" else seen.reason
