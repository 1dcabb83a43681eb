"""``failoverctl status``: who the writer is, whether it is protected, and what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from failoverctl.command import Session
from failoverctl.deployment import Deployment, Reading
from failoverctl.errors import CannotTell
from failoverctl.outlook import Outlook, outlook
from failoverctl.runs import Run, listed, waiting
from failoverctl.words import clock
from handlers.core.claim import automation_is_off
from handlers.core.control import ControlRecord
from handlers.core.detection import last_sign_at
from handlers.core.duration import lasting
from handlers.core.errors import FailoverError
from handlers.core.history import Question
from handlers.gateways.aws import named_errors

LAST_RUNS = 3
# Aurora publishes the lag once a minute, and CloudWatch may show it some minutes late.
LAG_OF_S = 300
COLOURS = {"automatic": "bold green", "asks": "bold yellow", "unknown": "bold yellow"}


@dataclass(frozen=True)
class Look:
    """What one region says. ``lag_ms`` is that of its own cluster as a standby, ``lag_at`` when it was measured."""

    region: str
    reading: Reading
    runs: Sequence[Run]
    waiting: Sequence[tuple[Run, Question]]
    lag_ms: float | None
    lag_at: float | None


def status(session: Session) -> int | None:
    """Say who the writer is, whether it is protected, and what would happen if its region died now."""
    deployment = session.deployment
    looks = _look_everywhere(deployment)
    if not looks:
        deployment.read()  # says why there is no answer
        raise CannotTell("no region answers in time; try again")
    reading = looks[0].reading
    record, now = reading.record, reading.now
    standby = deployment.peer(record.writer_region)
    found = {look.region: look for look in looks}
    running = [run for look in looks for run in look.runs if not run.is_over]
    lag = found.get(standby)
    view = outlook(
        record,
        deployment.settings,
        now,
        holder_is_over=_holder_is_over(record, looks),
        lag_ms=lag.lag_ms if lag else None,
        standby_answers=lag is not None,
        asks_until=_asks_until(record, looks),
    )
    session.say(view.sentence, style=COLOURS.get(view.kind, "bold red"))
    session.say("")
    for title, text in _lines(deployment, looks, reading, running):
        session.say(f"{title:<12} {text}")
    session.tell(_data(deployment, looks, reading, running, view))
    return None


def _look_everywhere(deployment: Deployment) -> list[Look]:
    """Returns what each region that answers says; raises what every region would say."""
    deployment.make_clients("sts", "dynamodb", "stepfunctions", "cloudwatch")
    looks = []
    for answered in deployment.each(lambda region: look(deployment, region)):
        if isinstance(answered.error, FailoverError):
            continue  # noted as silent; where all are, `Deployment.read` says why
        looks.append(answered.get())
    return looks


def look(deployment: Deployment, region: str) -> Look:
    """Looks at one region; raises `CannotTell` where every region would say no, else `FailoverError`."""
    deployment.who(region)
    reading = deployment.read_in(region)
    runs = listed(deployment, region, LAST_RUNS)
    lag = None
    if reading.record.writer_region != region and reading.record.protected:
        lag = _lag(deployment, region, reading.now)
    return Look(region, reading, runs, waiting(deployment, runs), *(lag or (None, None)))


def _lag(deployment: Deployment, region: str, now: float) -> tuple[float, float] | None:
    """Returns Aurora's own replication lag (ms) of a standby, and when it was measured; None where it says nothing."""
    names, end = deployment.names, datetime.fromtimestamp(now, UTC)
    with named_errors(f"reading the replication lag in {region}"):
        found = deployment.client("cloudwatch", region).get_metric_statistics(
            Namespace="AWS/RDS",
            MetricName="AuroraGlobalDBReplicationLag",
            Dimensions=[
                {"Name": "DBClusterIdentifier", "Value": names.cluster(region)},
                {"Name": "SourceRegion", "Value": deployment.peer(region)},
            ],
            StartTime=end - timedelta(seconds=LAG_OF_S),
            EndTime=end + timedelta(seconds=60),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
    newest = max(found, key=lambda point: point["Timestamp"], default=None)
    return None if newest is None else (float(newest["Maximum"]), newest["Timestamp"].timestamp())


def _holder_is_over(record: ControlRecord, looks: Sequence[Look]) -> bool | None:
    """Returns whether the run that holds the lock has ended; None where that is not seen, or nobody holds it."""
    if record.transition is None:
        return None
    return next((run.is_over for each in looks for run in each.runs if run.name == record.transition.run), None)


def _asks_until(record: ControlRecord, looks: Sequence[Look]) -> float | None:
    """Returns until when the run that holds the lock waits for a person; None where it does not."""
    held = record.transition
    asking = [question.until for each in looks for run, question in each.waiting if held and run.name == held.run]
    return asking[0] if asking else None


def _lines(
    deployment: Deployment, looks: Sequence[Look], reading: Reading, running: Sequence[Run]
) -> list[tuple[str, str]]:
    record, now = reading.record, reading.now
    standby = deployment.peer(record.writer_region)
    lag = next((each for each in looks if each.region == standby), None)
    dark = [region for region in deployment.regions if region not in {each.region for each in looks}]
    shown = sorted((run for each in looks for run in each.runs if run.is_over), key=lambda run: -run.started_at)
    lines = [
        ("Writer", f"{record.writer_region}, epoch {record.epoch}"),
        ("Lease", _lease(record, now)),
        ("Standby", _standby(record, standby, lag, now)),
        ("Automatic", _automatic(deployment, record, now)),
    ]
    if record.transition:
        held = record.transition
        asked = f"; a person wants it to {held.wanted}" if held.wanted else ""
        lines.append(("Lock", f"run {held.run} ({held.mode}, {held.phase}) since {clock(held.started_at, now)}{asked}"))
    if record.reprotection:
        held_too = record.reprotection
        lines.append(("Lock", f"run {held_too.run} re-protects since {clock(held_too.started_at, now)}"))
    for run, question in (pair for each in looks for pair in each.waiting):
        lines.append(
            (
                "Question",
                f"run {run.name} asks since {clock(question.asked_at, now)}, until {clock(question.until, now)}:"
                f" failoverctl approve {run.name}",
            )
        )
    lines += [("Running", f"{run.name} in {run.region} since {clock(run.started_at, now)}") for run in running]
    lines += [
        ("Ended", f"{run.name} in {run.region}, {run.status.lower()}, {lasting(now - (run.ended_at or now))} ago")
        for run in shown[:LAST_RUNS]
    ]
    lines += [("No answer", f"{region} ({deployment.silent.get(region, 'in time')})") for region in dark]
    return [*lines, ("You", deployment.identity.arn)]


def _lease(record: ControlRecord, now: float) -> str:
    last = last_sign_at(record)
    if last is None:
        return "none yet: the writer's guardian has not renewed since the writer was named"
    ago = f"last sign of life {lasting(now - last)} ago"
    if record.word:
        return f"its guardian says since {clock(record.word.since, now)} that the database is {record.word.says}; {ago}"
    left = (record.lease_expires_at or 0) - now
    return f"{ago}, " + (f"ends in {lasting(left)}" if left > 0 else f"ended {lasting(-left)} ago")


def _standby(record: ControlRecord, standby: str, lag: Look | None, now: float) -> str:
    if not record.protected:
        return "none: the writer is not protected (failoverctl start --mode reprotect)"
    if lag is None:
        return f"{standby}, which gives no answer"
    if lag.lag_ms is None or lag.lag_at is None:
        return f"{standby}, protected; its lag is not known"
    return f"{standby}, protected; lag {lag.lag_ms:.0f} ms, {lasting(now - lag.lag_at)} ago"


def _automatic(deployment: Deployment, record: ControlRecord, now: float) -> str:
    if deployment.settings.trigger_mode == "rehearsal":
        return "no: an alarm starts a rehearsal only (trigger_mode)"
    off = automation_is_off(record, now)
    if off is None:
        return "yes"
    maintained = record.paused is not None and record.paused.maintenance and record.paused.lasts(now)
    return f"no: {off} (failoverctl {'maintenance end' if maintained else 'resume'})"


def _data(
    deployment: Deployment, looks: Sequence[Look], reading: Reading, running: Sequence[Run], view: Outlook
) -> dict[str, object]:
    record = reading.record
    standby = deployment.peer(record.writer_region)
    lag = next((each for each in looks if each.region == standby), None)
    return {
        "outlook": view,
        "global_database": deployment.names.global_cluster,
        "writer_region": record.writer_region,
        "epoch": record.epoch,
        "now": reading.now,
        "last_sign_at": last_sign_at(record),
        "lease_expires_at": record.lease_expires_at,
        "protected": record.protected,
        "standby_region": standby if record.protected else None,
        "lag_ms": lag.lag_ms if lag else None,
        "automatic": automation_is_off(record, reading.now) is None and deployment.settings.trigger_mode == "failover",
        "automatic_off_because": automation_is_off(record, reading.now),
        "paused": record.paused,
        "lock": record.transition,
        "reprotection": record.reprotection,
        "waiting": [
            {"run": run.name, "region": run.region, "asked_at": question.asked_at, "until": question.until}
            for each in looks
            for run, question in each.waiting
        ],
        "running": running,
        "runs": [run for each in looks for run in each.runs],
        "silent": deployment.silent,
        "identity": deployment.identity.arn,
    }
