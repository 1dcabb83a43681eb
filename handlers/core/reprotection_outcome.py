"""How a run of the re-protection workflow ended, in words for people, and what is kept of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.ending import End, done_and_open
from handlers.core.message import Message, region_of, start_command, whereabouts
from handlers.core.progress import result_of
from handlers.core.reprotection import Order
from handlers.core.reprotection_progress import ReprotectionProgress
from handlers.core.timing import Timing

Outcome = Literal["reprotected", "refused", "held", "needs_person"]

HEADLINES: dict[Outcome, str] = {
    "reprotected": "Re-protected: {old} is the standby of {writer}",
    "refused": "Re-protection refused: nothing was changed",
    "held": "Re-protection held: the old cluster stays as it is",
    "needs_person": "RE-PROTECTION STOPPED: a person is needed",
}

# What is done, in order: the part of the progress that is there when it is done, and the words for it.
MILESTONES = {
    "fenced": "the old cluster is fenced and its settings are kept",
    "snapshot": "its snapshot is complete",
    "salvage": "its unreplicated writes are exported",
    "approval": "its retirement is approved",
    "retired": "it is retired",
    "global_database": "the global database is rebuilt around the writer",
    "standby": "the standby is rebuilt",
    "replication": "it replicates inside the RPO budget",
    "armed": "failover is armed again",
}
# Those of a run that found a standby there already.
OF_A_STANDBY = {part: MILESTONES[part] for part in ("replication", "armed")}


class ReprotectionEnd(End[Outcome, ReprotectionProgress]):
    """The end of a run of the re-protection workflow."""

    @classmethod
    def read(cls, event: object) -> ReprotectionEnd:
        """Reads NotifyReprotection's event; `InvalidRequest` names what is wrong with it."""
        return cls.of(event, HEADLINES, ReprotectionProgress)

    @property
    def order(self) -> Order | None:
        """What BeginReprotection answered."""
        return result_of(self.progress.order)

    @property
    def done(self) -> list[str]:
        """The milestones that are behind the run; an export counts when it is complete."""
        salvage = result_of(self.progress.salvage)
        exported = salvage is not None and salvage.done
        return [part for part in MILESTONES if part in self.progress.reached and (part != "salvage" or exported)]


def message(end: ReprotectionEnd, *, reprotect: str, failover: str) -> Message:
    """Says how the run ended, and the command to continue.

    ``reprotect`` and ``failover`` are the ARNs of the two workflows that may follow: the one of the writer's region,
    and that of the old one, which would move the writer back.
    """
    writer, old = region_of(reprotect), region_of(failover)
    order, error = end.order, end.progress.error
    lines = [HEADLINES[end.outcome].format(old=old, writer=writer), ""]
    lines += whereabouts(reprotect, end.run)
    lines += [f"Started by: {order.started_by}", order.reason] if order else []
    lines += [f"Error: {error.sentence}"] if error else []
    lines += end.gaps
    if end.outcome != "refused":
        follows = end.progress.follows
        milestones = OF_A_STANDBY if follows else MILESTONES
        lines += ["", *([follows.sentence] if follows else [])]
        lines += done_and_open(milestones, end.done, nothing="nothing", still_open="Not done")
        salvage = result_of(end.progress.salvage)
        lines += salvage.words if salvage else []
    if end.outcome == "reprotected":
        lines += [
            "",
            "At risk now: nothing.",
            f"The writer may stay in {writer}. To move it back to {old} without loss:",
            start_command(failover, {"mode": "switchover"}),
        ]
    elif end.outcome in ("held", "needs_person"):
        lines += [
            "",
            "At risk now: there is no standby until this is finished; until then, no failover is possible.",
            "Every step may be repeated; continue with:",
            start_command(reprotect, _request(end)),
        ]
    return Message.of(lines)


def _request(end: ReprotectionEnd) -> dict[str, object]:
    """Returns the request that goes on: a run that could not give its lock back has to be named."""
    kept_lock = end.progress.release_error is not None
    return {"resumes": end.run} if kept_lock else {}


@dataclass(frozen=True)
class RecordedSalvage:
    """What the record keeps of the export; see `handlers.core.salvage.Salvage`."""

    missing: int | None
    different: int | None
    uncompared: int | None
    part: int | None
    kept_at: str | None


@dataclass(frozen=True)
class ReprotectionRecord:
    """One re-protection: who, when, how it ended, what is left of the old cluster, and when each milestone was reached.

    ``started_at`` is Step Functions' own, in ISO 8601; ``ended_at`` in seconds since 1970. What was not reached is
    None.
    """

    run: str
    kind: str
    outcome: str
    started_by: str | None
    started_at: str
    ended_at: float
    writer_region: str | None
    old_region: str | None
    epoch: int | None
    approved_by: str | None
    snapshot: str | None
    salvage: RecordedSalvage
    steps: dict[str, Timing]
    error: str | None


def record(end: ReprotectionEnd, started_at: str, ended_at: float) -> ReprotectionRecord:
    """Makes the record from what is known at the end."""
    progress, order = end.progress, end.order
    snapshot, salvage = result_of(progress.snapshot), result_of(progress.salvage)
    return ReprotectionRecord(
        run=end.run,
        kind="re-protection",
        outcome=end.outcome,
        started_by=order.started_by if order else None,
        started_at=started_at,
        ended_at=ended_at,
        writer_region=order.writer_region if order else None,
        old_region=order.old_region if order else None,
        epoch=order.epoch if order else None,
        approved_by=progress.approval.approved_by if progress.approval else None,
        snapshot=snapshot.name if snapshot else None,
        salvage=RecordedSalvage(
            missing=salvage.missing if salvage else None,
            different=salvage.different if salvage else None,
            uncompared=salvage.uncompared if salvage else None,
            part=salvage.part if salvage else None,
            kept_at=salvage.kept_at if salvage else None,
        ),
        steps=progress.timings(MILESTONES),
        error=progress.error.sentence if progress.error else None,
    )
