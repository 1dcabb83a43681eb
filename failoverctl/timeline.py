"""``failoverctl runs``, ``show`` and ``watch``: what runs there were, and how far one is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from failoverctl import runs
from failoverctl.command import DONE, REFUSED, Session
from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, Refused
from failoverctl.runs import Run
from failoverctl.together import ask_each
from failoverctl.words import clock, date
from handlers.core import history
from handlers.core.duration import lasting
from handlers.core.errors import FailoverError, TransientFailure
from handlers.core.history import Entered, Event, Question
from handlers.core.noted import Noted

RunName = Annotated[str, typer.Argument(metavar="RUN", help="The run's name, as `failoverctl runs` lists it.")]
AnyRun = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="The run's name; without one, the run that is at work now.")
]
Most = Annotated[int, typer.Option("--most", min=1, max=100, help="How many of each region.")]

LOOK_AGAIN_S = 1.0
# One short request for each run that is listed.
OUTCOMES_S = 4.0
# So many looks in a row that get no answer end the watch: by then the region is gone, or the way to it.
LOOKS_IN_VAIN = 10
GOOD = frozenset({"recovered", "rehearsed", "reprotected"})


def list_runs(session: Session, *, most: Most = 10) -> int | None:
    """List the last runs of both regions, the newest first."""
    found = _with_outcomes(session.deployment, newest(session.deployment, most))
    table = Table(box=None, pad_edge=False)
    for title in ("Run", "Workflow", "Region", "Started (UTC)", "Lasted", "Ended"):
        table.add_column(title, no_wrap=True)
    for run in found:
        lasted = lasting(run.ended_at - run.started_at) if run.ended_at else ""
        table.add_row(run.name, run.workflow, run.region, date(run.started_at), lasted, run.outcome)
    session.show(table) if found else session.say("There have been no runs.")
    for region, why in session.deployment.silent.items():
        session.say(f"No answer from {region} ({why}): its runs are not in this list.")
    session.tell({"runs": found, "silent": session.deployment.silent})
    return None


def _with_outcomes(deployment: Deployment, found: Sequence[Run]) -> list[Run]:
    """Returns the runs with their outcomes, which a list of executions lacks; without, where that gets no answer."""

    def look(region: str) -> list[Run]:
        here = [run for run in found if run.region == region and run.is_over]
        return [runs.described(deployment, region, run.workflow, run.name) or run for run in here]

    answers = ask_each(deployment.regions, look, OUTCOMES_S)
    known = {run.arn: run for answered in answers if answered.error is None for run in answered.get()}
    return [known.get(run.arn, run) for run in found]


def newest(deployment: Deployment, most: int) -> list[Run]:
    """Returns the newest runs of the regions that answer; raises `CannotTell` where none does."""
    _ = deployment.names
    deployment.make_clients("stepfunctions")
    found: list[Run] = []
    answered_by = []
    for answered in deployment.each(lambda region: runs.listed(deployment, region, most)):
        if isinstance(answered.error, TransientFailure):
            continue
        found += answered.get()
        answered_by.append(answered.region)
    if not answered_by:
        raise CannotTell(f"no region tells its runs: {deployment.silent}; try again")
    return sorted(found, key=lambda run: -run.started_at)


def show(session: Session, run: RunName) -> int | None:
    """Show one run: who started it, what it decided, each state against its budget, and what it cost."""
    deployment = session.deployment
    try:
        found = runs.find(deployment, run)
    except Refused:
        kept = runs.kept(deployment, run)
        if kept is None:
            raise
        record, noted = kept
        session.say(*record_lines(record), *noted_lines(noted))
        session.tell({"record": record, "noted": noted})
        return None
    past = runs.events(deployment, found)
    passed, question = history.states(past), history.question(past)
    session.say(*_head(found, past))
    session.show(_table(passed, found.started_at))
    if question:
        session.say(*_question_line(found, question))
    noted = runs.noted(deployment, found.region, run)
    if found.output:
        session.say("", *record_lines(found.output))
    session.say(*noted_lines(noted))
    session.tell({"run": found, "states": passed, "question": _public(question), "noted": noted})
    return None


def watch(session: Session, run: AnyRun = None) -> int | None:
    """Follow a run, state by state, until it has ended; the exit code is 1 where it did not do what it was for."""
    deployment = session.deployment
    found = runs.find(deployment, run) if run else at_work(deployment)
    return follow(session, found)


def at_work(deployment: Deployment) -> Run:
    """Returns the run that works now: the one that holds the lock, else the newest that runs.

    Raises `Refused` where none does.
    """
    record = deployment.read().record
    holder = record.transition.run if record.transition else record.reprotection.run if record.reprotection else None
    running = [run for run in newest(deployment, 10) if not run.is_over]
    found = next((run for run in running if run.name == holder), None) or next(iter(running), None)
    if found is None:
        raise Refused("no run is at work; `failoverctl runs` lists the last ones")
    return found


def follow(session: Session, run: Run) -> int:
    """Prints each state of a run when it is entered, until the run has ended; returns the exit code."""
    ended, passed = followed(session, run)
    session.tell({"run": ended, "states": passed})
    return DONE if ended.outcome in GOOD else REFUSED


def followed(session: Session, run: Run) -> tuple[Run, Sequence[Entered]]:
    """Prints each state of a run when it is entered; returns the run when it has ended, and its states."""
    deployment, shown, in_vain = session.deployment, 0, 0
    told: Question | None = None
    session.say(f"Run {run.name} of {run.workflow} in {run.region}, started {date(run.started_at)} UTC")
    while True:
        try:
            now = runs.described(deployment, run.region, run.workflow, run.name) or run
            past = runs.events(deployment, run)
        except FailoverError as error:
            in_vain += 1
            if in_vain >= LOOKS_IN_VAIN or not isinstance(error, TransientFailure):
                raise
            time.sleep(LOOK_AGAIN_S)
            continue
        in_vain = 0
        passed = history.states(past)
        for state in passed[shown:]:
            limit = f"  (an attempt may take {lasting(state.limit_s)})" if state.limit_s else ""
            session.say(f"+{state.entered_at - run.started_at:7.1f} s  {state.name}{limit}")
        shown = len(passed)
        question = history.question(past)
        if question and question.answer is None and question != told and not now.is_over:
            session.say(*_question_line(run, question), style="bold yellow")
            told = question
        if now.is_over:
            session.say("", *record_lines(now.output or {}))
            session.say(_ending(now), style="bold green" if now.outcome in GOOD else "bold yellow")
            return now, passed
        time.sleep(LOOK_AGAIN_S)


def _head(run: Run, past: Sequence[Event]) -> list[str]:
    ended = f", ended {date(run.ended_at)}, after {lasting(run.ended_at - run.started_at)}" if run.ended_at else ""
    lines = [
        f"Run {run.name} of {run.workflow} in {run.region}: {run.outcome}",
        f"Started {date(run.started_at)}{ended}",
    ]
    asked = run.asked or {}
    if "mode" in asked or "started_by" in asked:
        lines.append(
            f"Asked for: {asked.get('mode', run.workflow)}, by {asked.get('started_by', 'nobody who is named')}"
        )
    decided = history.first_answer(past)
    if decided:
        lines.append(f"Decided: {decided['decision']}: {decided.get('reason', '')}")
    if rejected := history.rejection(past):
        lines.append(f"Failed: {rejected}")
    return [*lines, ""]


def _table(passed: Sequence[Entered], began: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (("From", "right"), ("State", "left"), ("Took", "right"), ("Budget", "right"), ("", "left")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for state in passed:
        took = "" if state.left_at is None else f"{state.left_at - state.entered_at:.1f} s"
        more = f"{state.attempts} attempts" if state.attempts > 1 else ""
        more = "; ".join(filter(None, (more, state.error or "")))
        limit = f"{state.limit_s} s" if state.limit_s else ""
        table.add_row(f"+{state.entered_at - began:.1f} s", state.name, took, limit, more)
    return table


def _question_line(run: Run, question: Question) -> list[str]:
    answer, now = question.answer, time.time()
    if answer is None and not run.is_over:
        return [f"It waits for a person until {clock(question.until, now)}: failoverctl approve {run.name} (or reject)"]
    words = f": {answer.words}, {clock(answer.at, now)}" if answer else ""
    return [f"It asked people at {clock(question.asked_at, now)}: {answer.kind if answer else 'no answer'}{words}"]


def record_lines(record: Mapping[str, Any]) -> list[str]:
    """Returns what the record of a run keeps, as far as it says anything."""
    titles = {
        "outcome": "Outcome",
        "mode": "Mode",
        "started_by": "Started by",
        "claim": "Claim",
        "cause": "Cause",
        "gate": "Gate",
        "approved_by": "Loss approved by",
        "reason": "Reason",
    }
    lines = [f"{title:<17} {record[name]}" for name, title in titles.items() if record.get(name)]
    if record.get("epoch_after"):
        lines.append(
            f"{'Writer':<17} {record.get('old_writer_region')} → {record.get('target_region')}, "
            f"epoch {record['epoch_before']} → {record['epoch_after']}"
        )
    if record.get("rto_s") is not None:
        lines.append(f"{'Outage':<17} {float(record['rto_s']):.1f} s")
    lines += [f"{'Lost':<17} {words}" for words in _lost(record)]
    return lines + [f"{'Error':<17} {error}" for error in record.get("errors") or ()]


def noted_lines(noted: Noted | None) -> list[str]:
    """Returns what was noted of a run by what runs beside the workflow, as far as anything was."""
    if noted is None:
        return ["What was noted of it beside the workflow cannot be read now."]
    return [f"{title:<17} {words}" for title, words in noted.words]


def _lost(record: Mapping[str, Any]) -> list[str]:
    """Returns what a failover has lost, as finely as it is known; nothing of a run that moved nothing by force."""
    if record.get("mode") != "failover" or record.get("epoch_after") is None:
        return []
    if record.get("rpo_ms") is None:
        return ["not known; a heartbeat is missing to compare with"]
    finely = float(record.get("rpo_resolution_ms") or 0) / 1000
    at_most = record.get("rpo_at_most_ms")
    bound = "nothing bounds it" if at_most is None else f"at most {float(at_most) / 1000:.1f} s"
    return [f"{float(record['rpo_ms']) / 1000:.1f} s of writes, true to {finely:g} s more or less; {bound}"]


def _ending(run: Run) -> str:
    return f"Ended: {run.outcome}" + (f" ({run.error})" if run.error else "")


def _public(question: Question | None) -> Mapping[str, object] | None:
    """Returns a question without its token, which is nobody's business but the answer's."""
    if question is None:
        return None
    return {name: value for name, value in vars(question).items() if name not in ("token", "asked")}
