"""``failoverctl approve`` and ``reject``: the answer to a run that asks people.

Nobody pastes a task token: the run's own history keeps it.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from failoverctl import runs
from failoverctl.command import Session
from failoverctl.deployment import Deployment, changing
from failoverctl.errors import Refused
from failoverctl.runs import Run
from failoverctl.start import Yes
from failoverctl.timeline import newest
from failoverctl.words import clock
from handlers.core import history
from handlers.core.control import LONGEST_REASON
from handlers.core.errors import InvalidRequest
from handlers.core.history import Question
from handlers.core.reading import Fields
from handlers.core.salvage import Salvage
from handlers.core.shape import read_as
from handlers.gateways.aws import code_of, named_errors

Asking = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="The run that asks; not needed where one run alone does.")
]
Why = Annotated[str, typer.Option("--reason", help="Why, in your words; the record and the messages have it.")]

# The error that the workflows catch as a person's no (statemachines/*.asl.json).
REFUSAL = "Refused"
# Step Functions says one of these of a token whose task is over, however it ended.
TOO_LATE = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")


def approve(session: Session, run: Asking = None, *, yes: Yes = False) -> int | None:
    """Approve what a run asks: that writes may be lost, or that the old cluster may be removed."""
    deployment = session.deployment
    asking, question = _question(deployment, run)
    session.say(*_words(asking, question))
    session.confirm("Approve it?", yes=yes)
    output = json.dumps({"approved_by": deployment.identity.name})
    _send(deployment, asking, question, "send_task_success", {"output": output})
    session.say(f"Approved by {deployment.identity.arn}. Follow it: failoverctl watch {asking.name}")
    session.tell({"run": asking.name, "approved_by": deployment.identity.name})
    return None


def reject(session: Session, run: Asking = None, *, reason: Why, yes: Yes = False) -> int | None:
    """Reject what a run asks: nothing is changed, and a failover's automatic attempts of this outage end."""
    deployment = session.deployment
    asking, question = _question(deployment, run)
    session.say(*_words(asking, question))
    session.confirm("Reject it?", yes=yes)
    cause = f"{deployment.identity.name}: {reason}"[:LONGEST_REASON]
    _send(deployment, asking, question, "send_task_failure", {"error": REFUSAL, "cause": cause})
    session.say(f"Rejected by {deployment.identity.arn}. {AFTER_REJECTION[asking.workflow]}")
    session.tell({"run": asking.name, "rejected_by": deployment.identity.name, "reason": reason})
    return None


AFTER_REJECTION = {
    "failover": "No attempt comes by itself any more in this outage; `failoverctl resume` lets them come again, and "
    "`failoverctl start --mode failover` starts one now.",
    "reprotect": "The old cluster stays as it is, fenced; `failoverctl start --mode reprotect` asks again.",
}


def _question(deployment: Deployment, name: str | None) -> tuple[Run, Question]:
    """Returns the question that is to be answered.

    Raises `Refused` where the run has asked nothing, where it is too late, and, without a name, where none or more than
    one run asks.
    """
    if name is None:
        return _only_one(deployment)
    run = runs.find(deployment, name)
    question = history.question(runs.events(deployment, run))
    if question is None:
        raise Refused(
            f"run {name} asks nothing ({run.outcome}). `failoverctl status` says what waits for a person, and "
            f"`failoverctl show {name}` how far the run is"
        )
    if question.answer is not None or run.is_over:
        raise Refused(too_late(run, question))
    return run, question


def _only_one(deployment: Deployment) -> tuple[Run, Question]:
    asking = runs.waiting(deployment, newest(deployment, 10))
    if not asking:
        raise Refused("no run asks anything; `failoverctl runs` lists the last ones")
    if len(asking) > 1:
        raise Refused(f"{len(asking)} runs ask: name one of {', '.join(run.name for run, _ in asking)}")
    return asking[0]


def too_late(run: Run, question: Question) -> str:
    """Says what became of a question that cannot be answered any more, and what to do."""
    answer, now = question.answer, time.time()
    again = (
        "`failoverctl start --mode reprotect` asks again"
        if run.workflow == "reprotect"
        else "while the writer is down the next attempt asks again within a minute (`failoverctl status`); to move the "
        "writer now and accept the loss: `failoverctl start --mode failover --accept-data-loss`"
    )
    if answer is None or answer.kind == "stopped":
        return f"run {run.name} has ended without an answer ({run.outcome}). Nothing was changed by this call; {again}"
    if answer.kind == "expired":
        return (
            f"too late: run {run.name} asked at {clock(question.asked_at, now)}, and the question expired at "
            f"{clock(answer.at, now)} without an answer. Nothing was changed; {again}"
        )
    return (
        f"somebody was there before: run {run.name} was {answer.kind} at {clock(answer.at, now)} ({answer.words}). "
        f"`failoverctl show {run.name}` says what became of it"
    )


def _words(run: Run, question: Question) -> list[str]:
    """Returns what the run asks, in lines for people."""
    asked = question.asked
    now = time.time()
    lines = [
        f"Run {run.name} asks since {clock(question.asked_at, now)}; an answer counts until "
        f"{clock(question.until, now)}."
    ]
    if run.workflow == "failover":
        claim = asked.get("claim", {})
        return [
            *lines,
            f"It would make {claim.get('target_region')} the writer, for {claim.get('writer_region')} is down.",
            f"Writes may be lost: {asked.get('lag', {}).get('reason', 'nobody knows how many')}.",
        ]
    order = asked.get("order", {})
    return [
        *lines,
        f"It would remove the old cluster in {order.get('old_region')} and build it anew as the standby of "
        f"{order.get('writer_region')} (epoch {order.get('epoch')}).",
        f"Kept of it: the snapshot {asked.get('snapshot', {}).get('name')}, and its unreplicated writes "
        f"(failoverctl salvage show {order.get('epoch')})",
        *read_as(Salvage, Fields(asked.get("salvage"), "what was salvaged", InvalidRequest)).words,
    ]


def _send(deployment: Deployment, run: Run, question: Question, command: str, answer: dict[str, Any]) -> None:
    """Gives the answer; raises `Refused` where the question has ended meanwhile."""
    client = deployment.client("stepfunctions", run.region)
    with changing(deployment, f"answering run {run.name}"), named_errors(f"answering run {run.name}"):
        try:
            getattr(client, command)(taskToken=question.token, **answer)
        except ClientError as error:
            if code_of(error) not in TOO_LATE:
                raise
            now = history.question(runs.events(deployment, run)) or question
            raise Refused(too_late(runs.find(deployment, run.name), now)) from error
