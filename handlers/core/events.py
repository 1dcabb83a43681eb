"""Events for programs, on the default bus of the region that puts them. Pure.

Each class is one event, named as its ``detail-type``; its fields, and what `as_detail` adds, are its ``detail``.
docs/events.md is made from them. A field is never taken away or given another meaning under the same `VERSION`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from handlers.core.claim import Claim
from handlers.core.progress import result_of

if TYPE_CHECKING:
    from handlers.core.outcome import FailoverEnd
    from handlers.core.reprotection_outcome import ReprotectionEnd

# The rule that starts a workflow matches the monitor's source only, so that no event of these ever starts one.
SOURCE = "failover.orchestrator"
VERSION = 1
ALWAYS_IN_DETAIL = ("version", "global_cluster")  # what `as_detail` adds

Run = Annotated[str, "name of the run, in Step Functions of the region that puts the event"]
Mode = Annotated[str, "`failover` or `switchover`"]
OldRegion = Annotated[str, "region of the writer before the move"]
NewRegion = Annotated[str, "region that is to become the writer, or has"]
Epoch = Annotated[int, "epoch of the writer that holds now; each move adds one"]


@dataclass(frozen=True)
class FailoverStarted:
    """A run has committed to move the writer, and moves it; put beside the move, it may arrive after its end."""

    run: Run
    mode: Mode
    old_region: OldRegion
    new_region: NewRegion
    epoch: Epoch
    started_by: Annotated[str, "who or what has started the run"]


@dataclass(frozen=True)
class FailoverWaits:
    """A run asks people whether the writes that a failover would lose may be lost; nothing has been changed."""

    run: Run
    old_region: OldRegion
    new_region: NewRegion
    epoch: Epoch
    reason: Annotated[str, "what would be lost, in words"]
    answer_by: Annotated[float, "until when an answer counts, in seconds since 1970"]


@dataclass(frozen=True)
class WriterMoved:
    """The writer is in another region; put at the end of the run, when the writer's name has led there."""

    run: Run
    mode: Mode
    old_region: OldRegion
    new_region: NewRegion
    epoch: Epoch
    proved: Annotated[bool, "whether a write through the writer's name has arrived there; else people look after it"]
    outage_s: Annotated[float | None, "from the last heartbeat, or a switchover's fence, to the proved write, in s"]
    lost_ms: Annotated[float | None, "writes lost by heartbeats, in ms; true to 2 s"]
    lost_at_most_ms: Annotated[float | None, "what bounds them, in ms; null where nothing does"]


@dataclass(frozen=True)
class Unprotected:
    """There is no standby, so that no failover is possible; after each failover, until `Protected`."""

    run: Run
    writer_region: Annotated[str, "region of the writer"]
    epoch: Epoch


@dataclass(frozen=True)
class Protected:
    """A re-protection has built a standby that replicates; the writer may be moved again."""

    run: Run
    writer_region: Annotated[str, "region of the writer"]
    standby_region: Annotated[str, "region of the standby"]
    epoch: Epoch


Event = FailoverStarted | FailoverWaits | WriterMoved | Unprotected | Protected
EVENTS: tuple[type[Event], ...] = (FailoverStarted, FailoverWaits, WriterMoved, Unprotected, Protected)


def as_detail(event: Event, global_cluster: str) -> dict[str, Any]:
    """Returns an event's ``detail``; ``global_cluster`` tells the deployments of an account apart."""
    return {"version": VERSION, "global_cluster": global_cluster, **asdict(event)}


def of_question(claim: Claim, reason: str, answer_by: float) -> Event:
    """Returns the event of a question to people."""
    return FailoverWaits(claim.run, claim.writer_region, claim.target_region, claim.epoch, reason, answer_by)


def of_failover(end: FailoverEnd) -> list[Event]:
    """Returns the events of a run of the failover workflow that has begun to move, or has ended.

    It has moved the writer as soon as it has committed that, whatever it stopped at after that.
    """
    claim, progress = end.claim, end.progress
    if claim is None:
        return []
    move = (end.run, claim.mode, claim.writer_region, claim.target_region)
    if end.outcome == "begun":
        return [FailoverStarted(*move, claim.epoch, claim.started_by)]
    if progress.commit is None or end.outcome == "lasts":
        return []
    commit, record = result_of(progress.commit), result_of(progress.record)
    epoch = commit.epoch if commit else claim.epoch + 1
    cost = (record.rto_s, record.rpo_ms, record.rpo_at_most_ms) if record else (None, None, None)
    moved = WriterMoved(*move, epoch, end.outcome == "recovered", *cost)
    return [moved] if end.is_switchover else [moved, Unprotected(end.run, claim.target_region, epoch)]


def of_reprotection(end: ReprotectionEnd) -> list[Event]:
    """Returns the event of a re-protection that has armed failover again."""
    order = end.order
    if order is None or end.outcome != "reprotected":
        return []
    return [Protected(end.run, order.writer_region, order.old_region, order.epoch)]
