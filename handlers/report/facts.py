"""What is known of one run, gathered from its history and its record: all that a report of it says. Pure.

Nothing is assumed: what neither says is None or missing, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from handlers.core import history
from handlers.core.history import Entered, Event
from handlers.core.noted import Noted

Workflow = Literal["failover", "reprotect"]

# What a failover has to keep, as the project promises it (docs/guarantees.md).
RTO_TARGET_S = 60.0
RPO_TARGET_S = 1.0

# What of two records says that they are of the same outage, or of the same old writer.
SAME: Mapping[Workflow, str] = {"failover": "incident", "reprotect": "epoch"}
PERSONS = "a person"
# What of a request is a person's own risk.
NOT_WELL = {"unhealthy": ", application unhealthy", "unknown": ", application not known"}
RISKS = ("accept_data_loss", "ignore_wrong_clock", "retire_without_asking", "resumes")


@dataclass(frozen=True)
class Execution:
    """One run as Step Functions and the table of records have it; times in seconds since 1970.

    ``record`` is what is kept of it for good, None where it got no further; a run that is at work has no ``ended_at``.
    """

    run: str
    arn: str
    status: str
    started_at: float
    ended_at: float | None
    asked: Mapping[str, Any]
    record: Mapping[str, Any] | None
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Decision:
    """Who decided what, and when; ``who`` is an STS identity, or the step whose rules decided."""

    at: float
    who: str
    what: str


@dataclass(frozen=True)
class Observed:
    """What one observer said of one thing."""

    observer: str
    about: str
    said: str


@dataclass(frozen=True)
class Sent:
    """A message as it was sent: by which state, to which topics, and which of them did not take it."""

    at: float
    state: str
    subject: str
    text: str
    topics: list[str]
    failed: dict[str, str]


@dataclass(frozen=True)
class Attempt:
    """An earlier run for the same cause, and how it ended."""

    run: str
    started_at: float
    ended_at: float | None
    status: str
    why: str


@dataclass(frozen=True)
class Report:
    """One run, whole. ``outcome`` is the workflow's own word for its end, Step Functions' where it has none."""

    run: str
    workflow: Workflow
    region: str
    arn: str
    status: str
    outcome: str
    started_at: float
    ended_at: float | None
    made_at: float
    rto_target_s: float
    rpo_target_s: float
    asked: Mapping[str, Any]
    error: str | None
    record: Mapping[str, Any] | None
    noted: Noted | None
    decisions: list[Decision]
    evidence: list[Observed]
    messages: list[Sent]
    states: list[Entered]
    attempts: list[Attempt]


def _outcome(execution: Execution, noted: Noted | None) -> str:
    """Returns the workflow's own word, and that the application is not well, or not known to be, where it was noted."""
    record = execution.record or {}
    outcome = str(record.get("outcome") or execution.status.lower().replace("_", " "))
    return outcome + NOT_WELL.get((noted and noted.application) or "", "")


def report(
    workflow: Workflow,
    execution: Execution,
    events: Sequence[Event],
    earlier: Sequence[Execution],
    noted: Noted | None,
    now: float,
) -> Report:
    """Returns the report of a run.

    It is made from the run's whole history, in order, the runs that began before it, and what was noted beside its
    record, None where nobody could look.
    """
    answers = history.results(events)
    record = execution.record
    failed = ": ".join(filter(None, (execution.error, execution.cause))) or None
    return Report(
        run=execution.run,
        workflow=workflow,
        region=execution.arn.split(":")[3],
        arn=execution.arn,
        status=execution.status,
        outcome=_outcome(execution, noted),
        started_at=execution.started_at,
        ended_at=execution.ended_at,
        made_at=now,
        rto_target_s=RTO_TARGET_S,
        rpo_target_s=RPO_TARGET_S,
        asked=execution.asked,
        error=failed,
        record=record,
        noted=noted,
        decisions=_decisions(execution, events, answers, failed),
        evidence=_evidence(answers),
        messages=[_sent(each) for each in answers if each.data.get("text")],
        states=history.states(events),
        attempts=_attempts(workflow, record, earlier),
    )


def _decisions(
    execution: Execution, events: Sequence[Event], answers: Sequence[history.Result], failed: str | None
) -> list[Decision]:
    """Returns who decided what, in order: who asked for the run, its steps' own rules, and people's answers."""
    asked = execution.asked
    by = str(asked.get("started_by", "nobody who is named"))
    what = f"asked for: {asked.get('mode', 're-protection')}"
    risks = [f"{name.replace('_', ' ')}: {asked[name]}" for name in RISKS if asked.get(name)]
    found = [Decision(execution.started_at, by, "; ".join([what, *risks]))]
    for each in answers:
        if each.state in history.FIRST_ANSWERS and "decision" in each.data:
            found.append(Decision(each.at, each.state, f"{each.data['decision']}: {each.data.get('reason', '')}"))
        elif isinstance(each.data.get("proceed"), bool):
            word = "go on" if each.data["proceed"] else "do not go on"
            found.append(Decision(each.at, each.state, f"{word}: {each.data.get('reason', '')}"))
    for question in history.questions(events):
        found.append(Decision(question.asked_at, question.state, _asked(question.asked)))
        if question.answer:
            who = question.answer.words if question.answer.kind == "approved" else PERSONS
            words = "" if question.answer.kind == "approved" else f": {question.answer.words}"
            found.append(Decision(question.answer.at, who, f"{question.answer.kind}{words}"))
    if execution.status == "ABORTED":
        found.append(
            Decision(
                execution.ended_at or execution.started_at,
                f"{PERSONS}, whom CloudTrail names (StopExecution)",
                f"stopped the execution{f': {failed}' if failed else ''}",
            )
        )
    return sorted(found, key=lambda each: each.at)


def _asked(asked: Mapping[str, Any]) -> str:
    lag = asked.get("lag")
    if isinstance(lag, Mapping):
        return f"asked people whether writes may be lost: {lag.get('reason', 'nobody knows how many')}"
    return "asked people whether the old cluster may be retired"


def _evidence(answers: Sequence[history.Result]) -> list[Observed]:
    """Returns what both observers, the standby, RDS and the heartbeats said when it was decided."""
    found: list[Observed] = []
    lag: list[Observed] = []
    for each in answers:
        evidence = each.data.get("evidence")
        if isinstance(evidence, Mapping):
            guardian = _section(evidence, "guardian")
            found += [
                Observed("1: this region's own probe", "the writer", _probed(_section(evidence, "writer"))),
                Observed("2: the writer's guardian", "the writer", f"{guardian.get('says')}: {guardian.get('reason')}"),
                Observed("this region's own probe", "the standby", _probed(_section(evidence, "standby"))),
                Observed("RDS", "this region's cluster", f"in the global database: {evidence.get('membership')}"),
            ]
        if "budget_ms" in each.data:
            lag.append(Observed(str(each.data.get("source")), "replication lag", str(each.data.get("reason"))))
    return found + lag


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _probed(probe: Mapping[str, Any]) -> str:
    reached = f"reached a {probe['role']} in {probe.get('region')}" if probe.get("role") else "reached nothing"
    why = probe.get("refused") or probe.get("error")
    fenced = ", fenced" if probe.get("fenced") else ""
    took = f" after {float(probe['elapsed_ms']):.0f} ms" if probe.get("elapsed_ms") is not None else ""
    return f"{reached}{fenced}{took}{f': {why}' if why else ''}"


def _sent(result: history.Result) -> Sent:
    data = result.data
    return Sent(
        result.at,
        result.state,
        str(data.get("subject", "")),
        str(data["text"]),
        [str(topic) for topic in data.get("sent", ())],
        {str(topic): str(why) for topic, why in _section(data, "failed").items()},
    )


def _attempts(workflow: Workflow, record: Mapping[str, Any] | None, earlier: Sequence[Execution]) -> list[Attempt]:
    """Returns those of the earlier runs that were for the same outage, or of the same old writer; the oldest first."""
    about = (record or {}).get(SAME[workflow])
    same = [one for one in earlier if about is not None and (one.record or {}).get(SAME[workflow]) == about]
    return [
        Attempt(one.run, one.started_at, one.ended_at, str((one.record or {}).get("outcome") or one.status), _why(one))
        for one in sorted(same, key=lambda one: one.started_at)
    ]


def _why(one: Execution) -> str:
    record = one.record or {}
    reasons = [*(record.get("errors") or ()), record.get("error"), one.cause, record.get("cause"), record.get("claim")]
    return next((str(reason) for reason in reasons if reason), "")
