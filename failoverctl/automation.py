"""``failoverctl pause`` and ``resume``: whether attempts to move the writer begin by themselves.

A person's start is never held up by either, and what RDS has been asked for is finished all the same.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from failoverctl.command import Session
from failoverctl.deployment import changing
from failoverctl.errors import Refused
from failoverctl.start import Yes
from failoverctl.words import clock
from handlers.core.control import Pause
from handlers.core.duration import DAY, HOUR, MINUTE, lasting
from handlers.core.overdue import LONGEST_S

Lasts = Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 45m, 2h, 1h30m. One day at most.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in your words; `status` and the messages have it.")]

UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1.0}


def pause(session: Session, *, lasts: Lasts, reason: Why, yes: Yes = False) -> int | None:
    """Pause automatic failover, for maintenance of the writer; it comes again by itself."""
    seconds = duration(lasts)
    deployment = session.deployment
    reading = deployment.read()
    record, until = reading.record, reading.now + seconds
    if record.paused and record.paused.maintenance and record.paused.lasts(reading.now):
        raise Refused(
            f"{record.paused.by} maintains the writer until {clock(record.paused.until, reading.now)}, and nothing "
            "begins by itself until then; for longer: `failoverctl maintenance begin`"
        )
    session.say(
        f"Until {clock(until, reading.now)} no attempt to move the writer begins by itself, also when "
        f"{record.writer_region} dies; a person may start one at any time."
    )
    if record.transition:
        session.say(f"Run {record.transition.run} is at work and goes on: `failoverctl abort` stops it.")
    session.confirm(f"Pause automatic failover for {lasting(seconds)}?", yes=yes)
    wanted = Pause.of(deployment.identity.name, round(reading.now, 3), round(until, 3), reason, before=record.paused)
    with changing(deployment, "pausing automatic failover"):
        done = deployment.control(reading.through).pause(record, wanted)
    if not done:
        raise Refused("the writer has moved, or somebody else has paused it, meanwhile: look with `failoverctl status`")
    session.say(
        f"Paused by {deployment.identity.arn} until {clock(until, reading.now)}. It ends by itself, or by "
        "failoverctl resume"
    )
    session.tell({"paused": wanted})
    return None


def resume(session: Session) -> int | None:
    """Let automatic failover come again: end a pause, and take back a person's no to this outage."""
    deployment = session.deployment
    reading = deployment.read()
    record = reading.record
    no, paused = record.ended_by_person, record.paused is not None or not record.automatic_failover
    if no is None and not paused:
        raise Refused("automatic failover is on: nobody has paused it, or said no to this outage")
    control, ended = deployment.control(reading.through), []
    with changing(deployment, "letting automatic failover come again"):
        if paused:
            ended.append(control.resume(record))
        if no is not None:
            ended.append(control.take_no_back(record.epoch, no))
    if not all(ended):
        raise Refused("somebody has paused it anew, or the writer has moved, meanwhile: look with `failoverctl status`")
    session.say(f"Automatic failover comes again, by {deployment.identity.arn}. Look: failoverctl status")
    session.tell({"automatic": True})
    return None


def duration(text: str) -> float:
    """Returns a duration in s; raises `Refused` where it is none, or too long."""
    found = re.findall(r"(\d{1,6})([dhms])", text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise Refused(f"{text!r} is no duration; give one such as 45m, 2h or 1h30m")
    seconds = sum(int(number) * UNITS[unit] for number, unit in found)
    if not 0 < seconds <= LONGEST_S:  # who wants more wants another deployment: trigger_mode = "rehearsal"
        raise Refused(
            f"a pause lasts one day at most, and {text} is {lasting(seconds)}; to have people start every failover, "
            'set trigger_mode = "rehearsal" in the settings and deploy'
        )
    return seconds
