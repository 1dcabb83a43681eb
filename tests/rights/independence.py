"""Which endpoints each workflow asks, from the journeys that play it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestration.specification.workflows import FAILOVER_ASL, REPROTECT_ASL, definition, tasks
from tests.deployment import STANDBY, WRITER
from tests.deployment.rights import Call
from tests.rights.journeys import travel


@dataclass(frozen=True)
class Workflow:
    """A table of the page: the steps of ``path`` (of the monitor, without one) in ``region``, as a journey played it.

    However the steps of ``best_effort`` end, they lead on to the same.
    """

    title: str
    about: str
    journey: str
    path: Path | None
    region: str
    best_effort: frozenset[str] = frozenset({"notify", "record_run"})

    @property
    def steps(self) -> list[str]:
        """Its steps, in the order of the file."""
        return [step for _, step, _ in tasks(definition(self.path))] if self.path else ["monitor"]


@dataclass(frozen=True)
class Row:
    """What a step asks one region for, in one role."""

    step: str
    region: str
    role: str
    actions: tuple[str, ...]


DETECTION = Workflow(
    "Detection",
    f"What the standby's monitor in {STANDBY} asks for, tick by tick, while {WRITER} is lost. Requests to {WRITER} are "
    "made beside the ticks, which do not wait for them.",
    "the writer dies and the monitors move it",
    None,
    STANDBY,
)
FAILOVER = Workflow(
    "Failover",
    f"From {WRITER}, whose every endpoint refuses, to {STANDBY}.",
    "p4: every endpoint of the failed region refuses and the standby becomes the writer",
    FAILOVER_ASL,
    STANDBY,
    frozenset({"fence_old_writer", "notify", "record_run"}),
)
SWITCHOVER = Workflow(
    "Switchover",
    f"From {WRITER} to {STANDBY}, both alive: the writer is stopped first, and RDS takes the request in the region of "
    "the primary only.",
    "a healthy writer is switched over",
    FAILOVER_ASL,
    STANDBY,
)
REPROTECTION = Workflow(
    "Re-protection",
    f"Of {STANDBY}, the writer, by a new standby in {WRITER}, which has come back: nobody waits for this workflow, and "
    "it waits for that region.",
    "a re-protection and a failback",
    REPROTECT_ASL,
    STANDBY,
)
FAILBACK = Workflow(
    "Failback",
    f"A switchover from {STANDBY} back to {WRITER}.",
    "a re-protection and a failback",
    FAILOVER_ASL,
    WRITER,
)
WORKFLOWS = (DETECTION, FAILOVER, SWITCHOVER, REPROTECTION, FAILBACK)


def calls(workflow: Workflow) -> list[Call]:
    """What a workflow's steps asked for, in its region's functions or in roles that these have taken on."""
    steps = set(workflow.steps)
    played = travel(workflow.journey).calls
    return [call for call in played if call.step in steps and call.caller_region == workflow.region]


def rows(workflow: Workflow) -> list[Row]:
    """What a workflow asks, in the order of its steps in the file."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for call in calls(workflow):
        found.setdefault((call.step, call.region, call.role), set()).add(call.action)
    ordered = sorted(found.items(), key=lambda one: (workflow.steps.index(one[0][0]), one[0]))
    return [Row(step, region, role, tuple(sorted(actions))) for (step, region, role), actions in ordered]
