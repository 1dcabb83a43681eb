"""``failoverctl start``: says what a run would do and what it may lose, asks, and starts it.

Whether the run would be let through is asked of the workflow's own rules, before anything is started.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from failoverctl import runs
from failoverctl.command import DONE, Session
from failoverctl.deployment import Deployment, Reading, changing
from failoverctl.errors import CannotTell, Refused
from failoverctl.runs import Run
from failoverctl.timeline import follow
from handlers.core import history
from handlers.core.claim import decide_claim
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.errors import FailoverError
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S
from handlers.core.message import execution_arn
from handlers.core.reprotection import ReprotectionRequest, decide_begin
from handlers.core.request import Request
from handlers.gateways.runs import Runs
from handlers.report.facts import Workflow


class Mode(StrEnum):
    """What may be started."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    REHEARSAL = "rehearsal"
    REPROTECT = "reprotect"
    FAILBACK = "failback"


ChosenMode = Annotated[Mode, typer.Option("--mode", help="What to do with the writer.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the run until it has ended.")]
Resumes = Annotated[
    str | None, typer.Option("--resumes", metavar="RUN", help="Take over from a run that stopped half way.")
]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-data-loss", help="failover: do not ask when the lag is unknown or over the budget.")
]
WrongClock = Annotated[
    bool,
    typer.Option(
        "--ignore-wrong-clock",
        help="failover: the lease ends later than any may, and you KNOW that the old writer is dead or fenced.",
    ),
]
WithoutAsking = Annotated[
    bool, typer.Option("--retire-without-asking", help="reprotect: do not ask before the old cluster is removed.")
]

# The first step decides within a few seconds of the start; a busy control table may keep it a little longer.
DECIDED_IN_S = 20.0
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Plan:
    """What would be started: the workflow and its input, and what that means in lines for people."""

    workflow: Workflow
    region: str
    asked: Mapping[str, Any]
    words: tuple[str, ...]
    question: str


def start(
    session: Session,
    *,
    mode: ChosenMode,
    yes: Yes = False,
    watch: Watch = False,
    resumes: Resumes = None,
    accept_data_loss: AcceptLoss = False,
    ignore_wrong_clock: WrongClock = False,
    retire_without_asking: WithoutAsking = False,
) -> int | None:
    """Start a run: say what will happen and what it may lose, ask, and say what the run's first step decided."""
    deployment = session.deployment
    reading = deployment.read()
    options = {
        "resumes": resumes,
        "accept_data_loss": accept_data_loss,
        "ignore_wrong_clock": ignore_wrong_clock,
        "retire_without_asking": retire_without_asking,
    }
    asked = {name: value for name, value in options.items() if value}
    if mode is Mode.REPROTECT:
        plan = plan_reprotection(deployment, reading, asked)
    else:
        plan = plan_move(deployment, reading, mode, asked)
    session.say(*plan.words)
    session.confirm(plan.question, yes=yes)
    name = f"{mode}-{datetime.fromtimestamp(reading.now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    run = started(deployment, plan, name)
    session.say(f"Started run {name} of {plan.workflow} in {plan.region}.")
    decided = _decided(deployment, run)
    session.say(f"It was decided: {decided['decision']}: {decided.get('reason', '')}")
    if decided["decision"] != "proceed":
        raise Refused(f"run {name} changes nothing: {decided.get('reason', '')}")
    if watch:
        return follow(session, run)
    session.tell({"run": run, "decided": decided})
    session.say(f"Follow it: failoverctl watch {name}")
    return DONE


def plan_move(deployment: Deployment, reading: Reading, mode: Mode, options: Mapping[str, Any]) -> Plan:
    """Returns the plan of a run of the failover workflow; raises `Refused` where its claim would be refused."""
    record, settings = reading.record, deployment.settings
    writer, target = record.writer_region, deployment.peer(record.writer_region)
    if mode is Mode.FAILBACK and writer == settings.writer_region:
        raise Refused(
            f"{writer} is the writer already (epoch {record.epoch}), so there is nothing to fail back; to move it to "
            f"{target} use --mode switchover"
        )
    _only(mode, options, {"resumes"} | ({"accept_data_loss", "ignore_wrong_clock"} if mode is Mode.FAILOVER else set()))
    real = "switchover" if mode is Mode.FAILBACK else str(mode)
    asked = {"mode": real, "started_by": deployment.identity.name, **options}
    held = record.transition
    claim = decide_claim(
        record,
        Request.read(asked, "this run", target),
        "this run",
        reading.now,
        settings.thresholds.cool_down_minutes * 60,
        holder_is_over=None if held is None else runs.is_over(deployment, target, held.run),
    )
    if claim.decision != "proceed":
        raise Refused(f"a {mode} would be refused, so none was started: {claim.reason}{_instead(record, claim.reason)}")
    taken = f"It {claim.reason}." if held is not None and mode is not Mode.REHEARSAL else ""
    words = (f"{str(mode).capitalize()}: {writer} → {target} (epoch {record.epoch})", *filter(None, (taken,)))
    return Plan(
        "failover", target, asked, (*words, *_meaning(deployment, reading, mode, options)), f"Start the {mode}?"
    )


def plan_reprotection(deployment: Deployment, reading: Reading, options: Mapping[str, Any]) -> Plan:
    """Returns the plan of a re-protection; raises `Refused` where it would be refused."""
    record = reading.record
    writer, old = record.writer_region, deployment.peer(record.writer_region)
    _only(Mode.REPROTECT, options, {"resumes", "retire_without_asking"})
    asked = {"started_by": deployment.identity.name, **options}
    order = decide_begin(record, ReprotectionRequest.read(asked), "this run", writer, old)
    if order.decision != "proceed":
        raise Refused(f"a re-protection would be refused, so none was started: {order.reason}")
    removal = "without asking again" if options.get("retire_without_asking") else "once a person has agreed"
    words = (
        f"Re-protection: {old} is to be the standby of {writer} (epoch {record.epoch})",
        f"What will happen: it waits for {old}, fences its cluster, keeps a snapshot of it and the writes that never "
        f"reached {writer}, removes the cluster {removal}, and builds it anew as the standby.",
        "What it may lose: nothing of the writer. Of the old cluster remain the snapshot and what was salvaged.",
    )
    return Plan("reprotect", writer, asked, words, "Start the re-protection?")


def _meaning(deployment: Deployment, reading: Reading, mode: Mode, options: Mapping[str, Any]) -> list[str]:
    """Returns what a run of that mode will do and what it may lose, as things stand."""
    record, settings = reading.record, deployment.settings
    writer, target = record.writer_region, deployment.peer(record.writer_region)
    grace = settings.thresholds.recovery_grace_s
    guardian = guardian_seen(record, is_silent(record, reading.now), reading.now, grace)
    lives = guardian.says == "alive"
    if mode is Mode.REHEARSAL:
        return ["What will happen: every check of a failover, and nothing is changed.", "What it may lose: nothing."]
    if mode in (Mode.SWITCHOVER, Mode.FAILBACK):
        warning = [] if lives else [f"As things stand it will be refused, for {guardian.reason}: a failover moves it."]
        return [
            f"What will happen: {writer} is stopped and fenced, {target} takes over when it has every write; "
            "applications cannot write for some seconds.",
            "What it may lose: nothing.",
            *warning,
        ]
    budget = settings.thresholds.rpo_budget_ms
    loss = (
        "every write that has not reached it, however many: you accept that now."
        if options.get("accept_data_loss")
        else f"writes of the last moment before the outage, {budget} ms of them at most; over that, or where nobody "
        "knows, the run asks a person first."
    )
    as_it_stands = [f"As things stand it will be refused, for {guardian.reason}: a switchover moves a healthy writer."]
    return [
        f"What will happen: once two observers agree that {writer} is down and its lease has ended (up to "
        f"{LEASE_S + CLOCK_MARGIN_S:.0f} s), {target} is detached, promoted, and made the writer.",
        f"What it may lose: {loss}",
        f"Afterwards there is no standby until a re-protection (failoverctl start --mode {Mode.REPROTECT}).",
        *(as_it_stands if lives else []),
    ]


def _only(mode: Mode, options: Mapping[str, Any], allowed: set[str]) -> None:
    """Refuses an option that means nothing in this mode: it must not pass as heard."""
    for name in options:
        if name not in allowed:
            raise Refused(f"--{name.replace('_', '-')} means nothing with --mode {mode}; leave it out")


def _instead(record: Any, reason: str) -> str:
    """Returns what to do instead where the workflow's own reason does not say it as a verb."""
    if not record.protected:
        return ". Build a standby: `failoverctl start --mode reprotect`"
    held = record.transition
    if held is not None and held.run in reason:
        return f". Follow it: `failoverctl watch {held.run}`; take over once it has stopped: --resumes {held.run}"
    return ""


def started(deployment: Deployment, plan: Plan, name: str) -> Run:
    """Starts the run; raises `Refused`, or `CannotTell` where nobody knows whether it was started."""
    arn = runs.machine_arn(deployment.names, plan.workflow, plan.region)
    with changing(deployment, f"starting run {name} in {plan.region}"):
        if not Runs(deployment.client("stepfunctions", plan.region), arn).start(name, plan.asked):
            raise Refused(f"there has been a run {name} already: call the command again")
    return Run(name, plan.workflow, plan.region, execution_arn(arn, name), "RUNNING", time.time())


def _decided(deployment: Deployment, run: Run) -> Mapping[str, Any]:
    """Returns what the run's first step decided; raises `CannotTell` where it says nothing in time."""
    end = time.monotonic() + DECIDED_IN_S
    while time.monotonic() < end:
        try:
            past = runs.events(deployment, run)
        except FailoverError:
            past = []
        if found := history.first_answer(past):
            return found
        if rejected := history.rejection(past):
            raise CannotTell(
                f"run {run.name} failed before it said what it decided ({rejected}): `failoverctl show {run.name}`"
            )
        time.sleep(LOOK_AGAIN_S)
    raise CannotTell(f"run {run.name} was started and has not decided anything yet: `failoverctl watch {run.name}`")
