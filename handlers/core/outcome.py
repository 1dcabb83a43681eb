"""How a run ended, in words for people. Pure: what is sent is decided here, sending it is the notify step's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields

Outcome = Literal["recovered", "rehearsed", "refused", "aborted", "needs_person"]

HEADLINES: dict[Outcome, str] = {
    "recovered": "Failover done: {target} is the writer",
    "rehearsed": "Failover rehearsed: nothing was changed",
    "refused": "Failover refused: nothing was changed",
    "aborted": "Failover aborted: nothing was changed",
    "needs_person": "FAILOVER STOPPED HALF WAY: a person is needed",
}

# What moves the writer, in order: the key that the workflow sets when it is done, and the words for it.
MILESTONES = (
    ("moved", "the standby's cluster is detached and promoted, and the writer switch is engaged"),
    ("commit", "the control record names the new writer"),
    ("recovery", "a write through the public name arrived in the new writer region"),
)

LONGEST_CAUSE = 2000  # characters of an error's cause in a message; SNS takes 256 KB, a reader does not


@dataclass(frozen=True)
class End:
    """The end of a run.

    ``progress`` is the workflow's data at that point: ``claim``, ``assessment``, ``moved``, ``commit``, ``recovery``
    and, after a failure, ``error`` or ``release_error``; each is there only if the run got so far.
    """

    run: str
    outcome: Outcome
    progress: dict[str, Any]

    @classmethod
    def read(cls, event: object) -> End:
        """Reads the notify step's event; `InvalidRequest` names what is wrong with it."""
        fields = Fields(event, "the step's event", InvalidRequest)
        named = fields.text("outcome", choices=tuple(HEADLINES))
        outcome: Outcome = next(known for known in HEADLINES if known == named)
        return cls(fields.text("run"), outcome, dict(fields.section("progress").data))

    @property
    def target(self) -> str:
        """The region that was to become the writer."""
        return str(self.progress.get("claim", {}).get("target_region", "the standby region"))


@dataclass(frozen=True)
class Message:
    """A message to people; the subject has at most 100 ASCII characters (SNS API reference, Publish)."""

    subject: str
    text: str


def message(end: End, region: str, state_machine_arn: str) -> Message:
    """Says how the run ended, why, what was done and what was not, and the command to go on."""
    headline = HEADLINES[end.outcome].format(target=end.target)
    lines = [headline, "", f"Run {end.run} of {state_machine_arn}", *_reasons(end)]
    if end.outcome == "needs_person":
        lines += [
            "",
            *_progress(end),
            "",
            "Look at what failed, then go on with:",
            _resume(end, region, state_machine_arn),
        ]
    elif end.outcome == "recovered":
        epoch = end.progress.get("commit", {}).get("result", {}).get("epoch", "unknown")
        lines += [f"Writer region: {end.target}, epoch {epoch}"]
    return Message(headline[:100], "\n".join(lines))


def _reasons(end: End) -> list[str]:
    claim = end.progress.get("claim", {})
    assessment = end.progress.get("assessment", {})
    lines = []
    if claim:
        lines += [f"Started by: {claim.get('started_by')}", f"Incident: {claim.get('incident')}"]
        lines += [f"Claim: {claim.get('reason')}"]
    for title, part in (("Health", "health"), ("Replication lag", "lag")):
        if part in assessment:
            verdict = "go" if assessment[part].get("proceed") else "no go"
            lines.append(f"{title}: {verdict}: {assessment[part].get('reason')}")
    # A claim that failed left its error as the whole of the data; giving the lock back may fail after anything else.
    for error in (end.progress, end.progress.get("error", {}), end.progress.get("release_error", {})):
        if "Error" in error:
            lines.append(f"Error: {error['Error']}: {_cause(str(error.get('Cause', '')))}")
    return lines


def _cause(cause: str) -> str:
    """Lambda's cause is JSON with the error's message in it; other causes are plain text."""
    try:
        return str(json.loads(cause)["errorMessage"])[:LONGEST_CAUSE]
    except (ValueError, KeyError, TypeError):
        return cause[:LONGEST_CAUSE]


def _progress(end: End) -> list[str]:
    done = [words for key, words in MILESTONES if key in end.progress]
    open_ = [words for key, words in MILESTONES if key not in end.progress]
    return [
        f"Done: {'; '.join(done) or 'nothing that is certain'}",
        f"Not done, or not certain: {'; '.join(open_)}",
    ]


def _resume(end: End, region: str, state_machine_arn: str) -> str:
    request = json.dumps({"mode": "failover", "started_by": "<your name>", "resumes": end.run})
    return (
        f"aws stepfunctions start-execution --region {region} --state-machine-arn {state_machine_arn} "
        f"--input '{request}'"
    )
