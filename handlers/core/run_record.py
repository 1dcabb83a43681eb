"""Makes the record of a run: what was asked, seen, decided and done, when, and what it cost. Pure."""

from __future__ import annotations

from datetime import datetime

from handlers.core.claim import Claim
from handlers.core.failover_progress import FailoverProgress
from handlers.core.lag import Lag
from handlers.core.loss import RESOLUTION_MS, loss
from handlers.core.outcome import FailoverEnd
from handlers.core.progress import result_of
from handlers.core.recorded import Phase, RecordedLag, RunRecord
from handlers.core.results import Lease


def run_record(end: FailoverEnd, started_at: str, now: float) -> RunRecord:
    """Makes the record from what is known at the end; ``started_at`` is the execution's, in ISO 8601."""
    progress = end.progress
    claim, health, lag = end.claim, result_of(progress.assessment.health), result_of(progress.assessment.lag)
    commit = result_of(progress.commit)
    lost = loss(progress)
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
        rpo_ms=lost.by_heartbeats_ms,
        rpo_resolution_ms=RESOLUTION_MS,
        rpo_at_most_ms=lost.at_most_ms,
        rpo_if_guarded_ms=lost.if_guarded_ms,
        heartbeats_lost=lost.heartbeats,
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


def _tolerated(progress: FailoverProgress) -> list[str]:
    fence = progress.moved.fence
    if fence is None:
        return []
    failed = fence.error.cause if fence.error else fence.result.error if fence.result else None
    return [f"fence_old_writer: {failed}"] if failed else []
