"""What a move of the writer has lost: what is measured, how finely, and what bounds it. Pure.

**The rule of the bound.** Replication carries writes in their order, so whatever is lost was committed after the newest
heartbeat that survived, and before the old writer took its last write. That last moment is known in two cases:

* A switchover fences the old writer first and waits for its last write: nothing is lost.
* The old writer was *seen* to be fenced by SQL, with no session of an application left (or to be a secondary, which
  takes no writes): nothing was written after the answer that said so.

Nothing else is evidence. A lease that is over is none: its guardian may be dead, or may have no prober to fence with. A
database that does not answer us may answer its own region. Without evidence there is no bound, and none is given.
`Loss.if_guarded_ms` is what would hold if the old region's guardian had fenced in time, and is never called a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.failover_progress import FailoverProgress
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, TICK_S
from handlers.core.progress import result_of

# Between two heartbeats nobody sees what is written.
RESOLUTION_MS = TICK_S * 1000


@dataclass(frozen=True)
class Loss:
    """What is known of a loss, in ms of writes; None where it is not known.

    Attributes
    ----------
    by_heartbeats_ms, heartbeats
        between the last heartbeat that the old writer is known to have committed and the last that the new one has.
        True to `RESOLUTION_MS`, more or less, and only as far as the old writer stopped soon after its last heartbeat.
    at_most_ms
        the bound, by the rule above.
    if_guarded_ms
        to the end of the old writer's lease.
    """

    by_heartbeats_ms: float | None = None
    heartbeats: int | None = None
    at_most_ms: float | None = None
    if_guarded_ms: float | None = None


def loss(progress: FailoverProgress) -> Loss:
    """Returns what is known of the loss at the end of a run."""
    claim, promotion = result_of(progress.claim), result_of(progress.moved.promotion)
    survived = promotion.heartbeat if promotion else None
    measured, heartbeats = _by_heartbeats(claim.heartbeat if claim else None, survived)
    if progress.fence_first is not None:
        return Loss(measured, heartbeats, 0.0, 0.0)
    lease = result_of(progress.approved_lease) or result_of(progress.lease)
    # A run that goes on where another had committed to move has not waited for the lease: it could not grow any more.
    committed = claim.lease_expires_at if claim and claim.continues else None
    return Loss(
        measured,
        heartbeats,
        _between(survived, _seen_quiet_at(progress)),
        _between(survived, lease.lease_expires_at if lease else committed),
    )


def _by_heartbeats(committed: Beat | None, survived: Beat | None) -> tuple[float | None, int | None]:
    if committed is None or survived is None:
        return None, None
    lost = max(0, committed.seq - survived.seq)
    return (max(0.0, committed.at - survived.at) * 1000 if lost else 0.0), lost


def _seen_quiet_at(progress: FailoverProgress) -> float | None:
    """Returns when the old writer was seen to take no more writes, with a margin for the two clocks."""
    fence = progress.moved.fence
    if fence is None or fence.result is None or fence.timing is None or not fence.result.writes_ended:
        return None
    return fence.timing.ended + CLOCK_MARGIN_S


def _between(survived: Beat | None, end: float | None) -> float | None:
    return None if survived is None or end is None else max(0.0, end - survived.at) * 1000
