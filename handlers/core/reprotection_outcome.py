"""What people are told of a re-protection, and what is kept of it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from handlers.core.approval import answers, moment
from handlers.core.errors import InvalidRequest
from handlers.core.outcome import Message, words_of
from handlers.core.reading import Fields
from handlers.core.reprotection import Order

Outcome = Literal["reprotected", "refused", "held", "needs_person"]

HEADLINES: dict[Outcome, str] = {
    "reprotected": "Re-protected: {old} is the standby of {writer}",
    "refused": "Re-protection refused: nothing was changed",
    "held": "Re-protection held: the old cluster stays as it is",
    "needs_person": "RE-PROTECTION STOPPED: a person is needed",
}

# What is done, in order: the key that the workflow sets, and the words for it.
MILESTONES = (
    ("fenced", "the old cluster is fenced and its settings are kept"),
    ("snapshot", "its snapshot is complete"),
    ("salvage", "its unreplicated writes are exported"),
    ("approval", "its retirement is approved"),
    ("retired", "it is retired"),
    ("global_database", "the global database is made anew around the writer"),
    ("standby", "the standby is made anew"),
    ("replication", "it replicates inside the RPO budget"),
    ("armed", "failover is armed again"),
)


@dataclass(frozen=True)
class End:
    """The end of a run; ``progress`` is the workflow's data at that point, of which each part may be missing."""

    run: str
    outcome: Outcome
    progress: dict[str, Any]

    @classmethod
    def read(cls, event: object) -> End:
        """Reads the last step's event; `InvalidRequest` names what is wrong with it."""
        fields = Fields(event, "the step's event", InvalidRequest)
        outcome: Outcome = fields.choice("outcome", tuple(HEADLINES))
        return cls(fields.text("run"), outcome, dict(fields.section("progress").data))

    def part(self, key: str) -> dict[str, Any]:
        """The result of a step; empty when the run did not get so far."""
        found = self.progress.get(key)
        found = found.get("result", found) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def done(self) -> list[str]:
        """What was done, in words."""
        return [words for key, words in MILESTONES if self._is_done(key)]

    @property
    def open(self) -> list[str]:
        """What was not, or not for certain."""
        return [words for key, words in MILESTONES if not self._is_done(key)]

    def _is_done(self, key: str) -> bool:
        if key == "salvage":
            return bool(self.part(key).get("done"))
        return key in self.progress


def question(
    order: Order, snapshot: dict[str, Any], salvage: dict[str, Any], *, token: str, region: str, deadline: float
) -> Message:
    """Asks whether the old cluster may be retired: what is kept of it, and until when an answer counts."""
    lines = [
        f"RE-PROTECTION ASKS: may the old cluster in {order.old_region} be retired?",
        "",
        f"Run {order.run}, started by {order.started_by}, would remove it and make it anew as the standby of "
        f"{order.writer_region} (epoch {order.epoch}).",
        f"Kept of it: the snapshot {snapshot.get('name')}, and its unreplicated writes in {salvage.get('kept_at')}",
        *_found(salvage),
        f"Without an answer until {moment(deadline)} it stays as it is, fenced.",
        *answers("its retirement", token, region),
    ]
    return Message(lines[0], "\n".join(lines))


def message(end: End, order: Order, machines: dict[str, str]) -> Message:
    """Says how the run ended, and the command to go on.

    ``machines``: the ARN of the workflow ``reprotect`` of the writer's region and ``failover`` of the old one.
    """
    headline = HEADLINES[end.outcome].format(old=order.old_region, writer=order.writer_region)
    lines = [headline, "", f"Run {end.run} of {machines['reprotect']}, started by {order.started_by}", order.reason]
    lines += [f"Error: {words_of(end.part('error'))}"] if "error" in end.progress else []
    if end.outcome != "refused":
        lines += ["", f"Done: {'; '.join(end.done) or 'nothing'}"]
        lines += [f"Not done: {'; '.join(end.open)}"] if end.open else []
        lines += _found(end.part("salvage"))
    if end.outcome == "reprotected":
        request = {"mode": "switchover", "started_by": "<your name>"}
        lines += [
            "",
            f"The writer may stay in {order.writer_region}. To move it back to {order.old_region} without loss:",
            _start(order.old_region, machines["failover"], request),
        ]
    elif end.outcome in ("held", "needs_person"):
        request = {"started_by": "<your name>"}
        lines += [
            "",
            "Until it is done there is no standby. Every step may be repeated; go on with:",
            _start(order.writer_region, machines["reprotect"], request),
        ]
    return Message(headline[:100], "\n".join(lines))


def record(end: End, order: Order, started_at: str, ended_at: float) -> dict[str, Any]:
    """What is kept of the run: who, when, how it ended, what is left of the old cluster, and when each step ended."""
    parts = {key: end.part(key) for key, _ in MILESTONES}
    return {
        "run": end.run,
        "kind": "re-protection",
        "outcome": end.outcome,
        "started_by": order.started_by,
        "started_at": started_at,
        "ended_at": ended_at,
        "writer_region": order.writer_region,
        "old_region": order.old_region,
        "epoch": order.epoch,
        "approved_by": end.part("approval").get("approved_by"),
        "snapshot": end.part("snapshot").get("name"),
        "salvage": {
            key: parts["salvage"].get(key) for key in ("missing", "different", "uncompared", "part", "kept_at")
        },
        "steps": {key: part["timing"] for key, part in parts.items() if "timing" in part},
        "error": words_of(end.part("error")) if "error" in end.progress else None,
    }


def _found(salvage: dict[str, Any]) -> list[str]:
    if not salvage.get("done"):
        return []
    lines = [
        f"Salvage: {salvage.get('missing')} rows are missing on the new writer, {salvage.get('different')} are "
        f"different there ({salvage.get('part')} files in {salvage.get('kept_at')})"
    ]
    if salvage.get("uncompared"):
        lines.append(f"Not compared, for want of a primary key: {salvage['uncompared']} rows")
    return lines


def _start(region: str, state_machine_arn: str, request: dict[str, str]) -> str:
    return (
        f"aws stepfunctions start-execution --region {region} --state-machine-arn {state_machine_arn} "
        f"--input '{json.dumps(request)}'"
    )
