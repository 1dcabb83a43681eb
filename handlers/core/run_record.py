"""Makes the record of a run: what was asked, seen, decided and done, when, and what it cost. Pure."""

from __future__ import annotations

from datetime import datetime

from handlers.core.claim import Claim
from handlers.core.lag import Lag
from handlers.core.lease import TICK_S
from handlers.core.outcome import FailoverEnd
from handlers.core.progress import FailoverProgress, result_of
from handlers.core.results import Lease, Phase, RecordedLag, RunRecord


def run_record(end: FailoverEnd, started_at: str, now: float) -> RunRecord:
    """Makes the record from what is known at the end; ``started_at`` is the execution's, in ISO 8601."""
    progress = end.progress
    claim, health, lag = end.claim, result_of(progress.assessment.health), result_of(progress.assessment.lag)
    commit = result_of(progress.commit)
    rpo_ms, lost = _loss(progress)
    return RunRecord(
        run=end.run,
        outcome=end.outcome,
        mode=claim.mode if claim else None,
        started_by=claim.started_by if claim else None,
        incident=claim.incident if claim else None,
        claim=claim.reason if claim else None,
        cause=health.reason if health else None,
        resumes=claim.resumes if claim else None,
        old_writer_region=claim.writer_region if claim else None,
        target_region=claim.target_region if claim else None,
        epoch_before=claim.epoch if claim else None,
        epoch_after=commit.epoch if commit else None,
        started_at=datetime.fromisoformat(started_at).timestamp(),
        ended_at=now,
        phases=[
            Phase(step.phase, step.timing.began, step.timing.ended)
            for step in progress.steps
            if step.phase and step.timing
        ],
        lag=RecordedLag(lag.lag_ms, lag.age_s, lag.budget_ms, lag.source, lag.heartbeats) if lag else None,
        gate=_gate(claim, lag, result_of(progress.lease), end.approved_by),
        approved_by=end.approved_by,
        rto_s=_outage(progress),
        rpo_ms=rpo_ms,
        rpo_resolution_ms=TICK_S * 1000,
        rpo_at_most_ms=_loss_at_most(progress),
        heartbeats_lost=lost,
        tolerated=_tolerated(progress),
        errors=end.causes,
    )


def _gate(claim: Claim | None, lag: Lag | None, lease: Lease | None, approved_by: str | None) -> str | None:
    if approved_by:
        return f"approved by {approved_by}"
    if lease is None or not lease.taken:
        return None
    if lag is not None and lag.proceed:
        return "inside budget"
    return "accepted in the request" if claim is not None and claim.accept_data_loss else None


def _outage(progress: FailoverProgress) -> float | None:
    recovery, claim = result_of(progress.recovery), result_of(progress.claim)
    if progress.fence_first is not None and progress.fence_first.timing is not None:
        began: float | None = progress.fence_first.timing.began
    else:
        began = claim.heartbeat.at if claim and claim.heartbeat else None
    return None if recovery is None or began is None else recovery.proved_at - began


def _loss(progress: FailoverProgress) -> tuple[float | None, int | None]:
    claim, promotion = result_of(progress.claim), result_of(progress.moved.promotion)
    committed = claim.heartbeat if claim else None
    survived = promotion.heartbeat if promotion else None
    if committed is None or survived is None:
        return None, None
    lost = max(0, committed.seq - survived.seq)
    return (max(0.0, committed.at - survived.at) * 1000 if lost else 0.0), lost


def _loss_at_most(progress: FailoverProgress) -> float | None:
    if progress.fence_first is not None:
        return 0.0  # a switchover waits for the last write of a writer that it has fenced
    promotion = result_of(progress.moved.promotion)
    lease = result_of(progress.approved_lease) or result_of(progress.lease)
    if promotion is None or promotion.heartbeat is None or lease is None or lease.lease_expires_at is None:
        return None
    return max(0.0, lease.lease_expires_at - promotion.heartbeat.at) * 1000


def _tolerated(progress: FailoverProgress) -> list[str]:
    fence = progress.moved.fence
    if fence is None:
        return []
    failed = fence.error.cause if fence.error else fence.result.error if fence.result else None
    return [f"fence_old_writer: {failed}"] if failed else []
