"""Re-protection: whether it may begin, and when the old cluster may be retired. Pure: no AWS in here.

After a failover the old cluster still holds what never reached the new writer. It is fenced, kept as a snapshot, read
for those writes, and only then retired, so that a new standby can be created in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.control import LARGEST_EPOCH, ControlRecord
from handlers.core.errors import InvalidRequest
from handlers.core.lease import CLOCK_MARGIN_S
from handlers.core.reading import Fields
from handlers.core.request import LONGEST_RUN

Decision = Literal["proceed", "refused"]
DECISIONS: tuple[Decision, ...] = ("proceed", "refused")

FIELDS = ("started_by", "retire_without_asking", "resumes")


@dataclass(frozen=True)
class ReprotectionRequest:
    """What a person asks for.

    ``retire_without_asking``: the old cluster is retired without a second question. ``resumes``: name of a run that
    stopped without giving its lock back.
    """

    started_by: str
    retire_without_asking: bool = False
    resumes: str | None = None

    @classmethod
    def read(cls, data: object) -> ReprotectionRequest:
        """Reads the execution's input; `InvalidRequest` names the field, its value and the remedy."""
        fields = Fields(data, "the execution's input", InvalidRequest)
        fields.only(FIELDS)
        return cls(
            started_by=fields.line("started_by"),
            retire_without_asking=fields.flag("retire_without_asking", False),
            resumes=fields.optional_line("resumes", longest=LONGEST_RUN),
        )


@dataclass(frozen=True)
class Order:
    """The answer to a request, and what every later step works from.

    ``epoch`` is that of the failover which left the standby's place empty; ``old_region`` is where the writer was.
    """

    decision: Decision
    reason: str
    run: str
    started_by: str
    writer_region: str
    old_region: str
    epoch: int
    retire_without_asking: bool = False

    @classmethod
    def read(cls, event: object) -> Order:
        """Reads the order out of a step's event; `InvalidRequest` names what is wrong with it."""
        fields = Fields(event, "the step's event", InvalidRequest).section("order")
        return cls(
            decision=fields.choice("decision", DECISIONS),
            reason=fields.text("reason", pattern=".{1,1000}"),
            run=fields.text("run"),
            started_by=fields.text("started_by"),
            writer_region=fields.text("writer_region"),
            old_region=fields.text("old_region"),
            epoch=fields.whole("epoch", at_least=1, at_most=LARGEST_EPOCH),
            retire_without_asking=fields.flag("retire_without_asking", False),
        )


def decide_begin(record: ControlRecord, request: ReprotectionRequest, run: str, region: str, peer: str) -> Order:
    """Decides whether ``run``, in ``region``, may re-protect; read from the top, the first row that fits decides."""
    held = record.reprotection
    rows: tuple[tuple[bool, Decision, str], ...] = (
        (
            record.writer_region != region,
            "refused",
            f"{record.writer_region} is the writer; start the re-protection in the writer's region",
        ),
        (record.protected, "refused", f"{peer} is already the standby (epoch {record.epoch}); there is nothing to do"),
        (
            record.transition is not None,
            "refused",
            f"run {record.transition.run if record.transition else ''} is moving the writer",
        ),
        (held is None, "proceed", "the lock was free"),
        (held is not None and held.run == run, "proceed", "this run is re-protecting already"),
        (
            held is not None and held.run == request.resumes,
            "proceed",
            f"takes over from run {request.resumes}, as {request.started_by} asked",
        ),
        (
            True,
            "refused",
            f"run {held.run if held else ''} is re-protecting; to take over from it once it has stopped, start this "
            f'workflow with "resumes": "{held.run if held else ""}"',
        ),
    )
    decision, reason = next((decision, reason) for fits, decision, reason in rows if fits)
    return Order(decision, reason, run, request.started_by, region, peer, record.epoch, request.retire_without_asking)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a cluster, as RDS describes it. ``made_at`` in seconds since 1970; ``percent`` of it are done."""

    name: str
    resource_id: str
    status: str
    percent: int
    made_at: float


@dataclass(frozen=True)
class Retirement:
    """What is known of the old cluster when it is about to be retired.

    Attributes
    ----------
    resource_id
        of the cluster as it is now: RDS's own id, which no other cluster ever has.
    fenced_resource_id, fenced_at
        of the cluster that was fenced for the re-protection, and since when (seconds since 1970).
    fenced_by_sql, fenced_by_group
        whether it is fenced now; None when not known.
    fenced_mark, mark
        what its database was like when it was fenced for the re-protection, and what it is like now; None while it is
        not fenced, or when not asked. They differ if the fence was lifted or anything was written in between.
    is_member_beside
        the regions whose clusters share a global database with it; any of them means that it is not the old one.
    snapshot
        the one made for the re-protection; None when there is none.
    salvaged_resource_id, salvaged_at
        which cluster the unreplicated writes were exported from, and when; None when that is not complete.
    unread
        the tables that were not exported because they may not be read.
    approved_by
        who agreed; None when nobody has.
    approved_unseen
        the approval was given with the order, before anything was exported.
    """

    resource_id: str
    fenced_resource_id: str
    fenced_at: float
    fenced_by_sql: bool | None
    fenced_by_group: bool | None
    fenced_mark: str
    mark: str | None
    is_member_beside: tuple[str, ...]
    snapshot: Snapshot | None
    salvaged_resource_id: str | None
    salvaged_at: float | None
    unread: str
    approved_by: str | None
    approved_unseen: bool


def objections(known: Retirement, *, begun: bool) -> list[str]:
    """Returns why the old cluster must not be retired, in sentences; none when it may be.

    ``begun``: a run has found no objection and begun. The cluster's database may be gone by now and can no longer be
    asked anything; its snapshot can.
    """
    snapshot = known.snapshot
    earliest = known.fenced_at - CLOCK_MARGIN_S
    rows = (
        (
            known.resource_id != known.fenced_resource_id,
            f"the cluster {known.resource_id} is not the one that was fenced ({known.fenced_resource_id})",
        ),
        (bool(known.is_member_beside), f"it is in a global database with {', '.join(known.is_member_beside)}"),
        (not begun and not known.fenced_by_sql, "it is not seen to be fenced by SQL"),
        (not begun and not known.fenced_by_group, "it is not seen to be fenced by its security group"),
        (
            not begun and known.mark != known.fenced_mark,
            f"its fence was lifted, or it was written, since it was fenced ({known.fenced_mark} then, {known.mark} "
            "now): start the workflow again, which keeps and exports it anew",
        ),
        (snapshot is None, "there is no snapshot of it"),
        (
            snapshot is not None and (snapshot.status != "available" or snapshot.percent != 100),
            f"its snapshot {snapshot.name if snapshot else ''} is not complete",
        ),
        (
            snapshot is not None and snapshot.resource_id != known.resource_id,
            f"the snapshot {snapshot.name if snapshot else ''} is of another cluster",
        ),
        (
            snapshot is not None and snapshot.made_at < earliest,
            f"the snapshot {snapshot.name if snapshot else ''} is older than the fence: writes may be missing from it",
        ),
        (known.salvaged_resource_id != known.resource_id, "its unreplicated writes have not been exported"),
        (
            known.salvaged_at is not None and known.salvaged_at < earliest,
            "its unreplicated writes were exported before it was fenced",
        ),
        (not begun and known.approved_by is None, "nobody has approved it"),
        (
            not begun and bool(known.unread) and known.approved_unseen,
            f"nobody who knew of it has approved that tables were not read: {known.unread}",
        ),
    )
    return [reason for applies, reason in rows if applies]
