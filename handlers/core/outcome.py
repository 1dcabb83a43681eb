"""How a run ended, in words for people. Pure: what is sent is decided here, sending it is the notify step's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields

Outcome = Literal["recovered", "rehearsed", "refused", "aborted", "needs_person"]

HEADLINES: dict[Outcome, str] = {
    "recovered": "{what} done: {target} is the writer",
    "rehearsed": "Failover rehearsed: nothing was changed",
    "refused": "{what} refused: nothing was changed",
    "aborted": "{what} aborted: the writer stays in its region",
    "needs_person": "{WHAT} STOPPED HALF WAY: a person is needed",
}

# What moves the writer, in order: the key that the workflow sets when it is done, and the words for it.
MILESTONES = (
    ("moved", "the standby's cluster is {way}, and the writer switch is engaged"),
    ("commit", "the control record names the new writer"),
    ("recovery", "a write through the public name arrived in the new writer region"),
)

LONGEST_CAUSE = 2000  # characters of an error's cause in a message; SNS takes 256 KB, a reader does not


@dataclass(frozen=True)
class End:
    """The end of a run.

    ``progress`` is the workflow's data at that point: ``claim``, ``assessment``, ``fence_first``, ``lease``,
    ``approved_lease``, ``moved``, ``commit``, ``recovery``, ``record`` and, after a failure, ``error`` or
    ``release_error``; each is there only if the run got so far.
    """

    run: str
    outcome: Outcome
    progress: dict[str, Any]

    @classmethod
    def read(cls, event: object) -> End:
        """Reads the notify step's event; `InvalidRequest` names what is wrong with it."""
        fields = Fields(event, "the step's event", InvalidRequest)
        outcome: Outcome = fields.choice("outcome", tuple(HEADLINES))
        return cls(fields.text("run"), outcome, dict(fields.section("progress").data))

    @property
    def is_duplicate(self) -> bool:
        """Whether another run has done the work or is at it, and tells people how that ends."""
        return self.outcome == "refused" and self.progress.get("claim", {}).get("decision") == "duplicate"

    @property
    def mode(self) -> str:
        """What was asked for."""
        return str(self.progress.get("claim", {}).get("mode", "failover"))

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
    what = "Switchover" if end.mode == "switchover" else "Failover"
    headline = HEADLINES[end.outcome].format(target=end.target, what=what, WHAT=what.upper())
    lines = [headline, "", f"Run {end.run} of {state_machine_arn}", *_reasons(end)]
    if end.outcome == "needs_person":
        lines += ["", *_progress(end), "", *_go_on(end, region, state_machine_arn)]
    elif end.outcome == "recovered":
        epoch = end.progress.get("commit", {}).get("result", {}).get("epoch", "unknown")
        lines += [f"Writer region: {end.target}, epoch {epoch}", *_measured(end)]
    elif end.outcome == "rehearsed":
        lines += ["", *_rehearsal(end)]
    return Message(headline[:100], "\n".join(lines))


def causes(end: End) -> list[str]:
    """The errors that the workflow caught, as sentences."""
    # Giving the lock back may fail after anything else.
    caught = (end.progress.get("error", {}), end.progress.get("release_error", {}))
    return [words_of(error) for error in caught if "Error" in error]


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
    for part in ("lease", "approved_lease"):
        lease = end.progress.get(part, {}).get("result")
        if lease:
            lines.append(f"Lease: {'go' if lease.get('proceed') else 'no go'}: {lease.get('reason')}")
    approved_by = end.progress.get("approved_lease", {}).get("result", {}).get("approved_by")
    if approved_by:
        lines.append(f"Loss approved by: {approved_by}")
    return lines + [f"Error: {cause}" for cause in causes(end)]


def _measured(end: End) -> list[str]:
    record = end.progress.get("record", {}).get("result", {})
    known = {
        "Outage, from the writer's last heartbeat to the proved write: {:.1f} s": record.get("rto_s"),
        "Lost, by heartbeats: {:.0f} ms of writes": record.get("rpo_ms"),
        "Lost at most, if the old region lived on without being seen: {:.0f} ms": record.get("rpo_at_most_ms"),
    }
    return [text.format(value) for text, value in known.items() if value is not None]


def _rehearsal(end: End) -> list[str]:
    """What a failover would do now, and how long the checks took."""
    assessment = end.progress.get("assessment", {})
    health, lag = assessment.get("health", {}), assessment.get("lag", {})
    if not health.get("proceed"):
        would = "refuse, because no failover is due"
    elif not lag.get("proceed"):
        would = "wait for the end of the writer's lease, then ask people whether the loss may be accepted"
    else:
        would = f"wait for the end of the writer's lease, then make {end.target} the writer without asking"
    timings = [part["timing"] for part in (health, lag) if "timing" in part]
    lines = [f"A failover would now {would}."]
    if timings:
        took = max(timing["ended"] for timing in timings) - min(timing["began"] for timing in timings)
        lines.append(f"The checks took {took:.1f} s; Aurora's promotion comes on top, and was not rehearsed.")
    return lines


def words_of(error: dict[str, Any]) -> str:
    """An error that the workflow caught, as a sentence."""
    return f"{error.get('Error')}: {_cause(error.get('Cause') or 'no cause given')}"


def _cause(cause: str) -> str:
    """Lambda's cause is JSON with the error's message in it; other causes are plain text."""
    try:
        return str(json.loads(cause)["errorMessage"])[:LONGEST_CAUSE]
    except (ValueError, KeyError, TypeError):
        return cause[:LONGEST_CAUSE]


def _progress(end: End) -> list[str]:
    way = "the writer by a switchover" if end.mode == "switchover" else "detached and promoted"
    done = [words.format(way=way) for key, words in MILESTONES if key in end.progress]
    open_ = [words.format(way=way) for key, words in MILESTONES if key not in end.progress]
    return [
        f"Done: {'; '.join(done) or 'nothing that is certain'}",
        f"Not done, or not certain: {'; '.join(open_)}",
    ]


def _go_on(end: End, region: str, state_machine_arn: str) -> list[str]:
    if "commit" in end.progress:
        return [
            "The writer has moved and the lock is given back; there is nothing to resume. Look at what the writer name "
            f"leads to, and write through it by hand: clients belong in {end.target}."
        ]
    mode = "switchover" if end.mode == "switchover" else "failover"
    request = json.dumps({"mode": mode, "started_by": "<your name>", "resumes": end.run})
    return [
        "Look at what failed, then go on with:",
        f"aws stepfunctions start-execution --region {region} --state-machine-arn {state_machine_arn} "
        f"--input '{request}'",
    ]
