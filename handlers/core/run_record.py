"""The record of a run: what was asked, seen, decided and done, when, and what it cost. Pure.

Times are in seconds since 1970. What was not reached is None; nothing is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handlers.core.lease import TICK_S
from handlers.core.outcome import End, causes

# The steps in the order of a run, and where the workflow keeps their results.
PHASES = (
    ("claim", ("claim",)),
    ("check_health", ("assessment", "health")),
    ("verify_lag", ("assessment", "lag")),
    ("fence_first", ("fence_first", "result")),
    ("wait_for_lease", ("lease", "result")),
    ("ask_approval", ("approved_lease", "result")),
    ("fence_old_writer", ("moved", "fence", "result")),
    ("detach_secondary", ("moved", "detachment")),
    ("switch_over", ("moved", "switchover")),
    ("promote", ("moved", "promotion")),
    ("repoint_dns", ("moved", "dns")),
    ("commit_writer", ("commit", "result")),
    ("verify_recovery", ("recovery", "result")),
)


@dataclass(frozen=True)
class RunRecord:
    """One run, for people, programs and auditors.

    Attributes
    ----------
    claim
        what Claim found: why the run might go on or, for a duplicate, which run has done the work.
    cause
        what CheckHealth found.
    gate
        how the lag gate opened: ``inside budget``, ``accepted in the request``, ``approved by …``; None if it did not.
    phases
        of each step that has ended: ``phase``, ``began``, ``ended``.
    rto_s
        from the last heartbeat that the old writer is known to have committed (in a switchover: from the fence) to the
        write through the public name that proved the recovery. A heartbeat may be a tick older than the outage.
    rpo_ms, heartbeats_lost
        between the last heartbeat that the old writer is known to have committed and the last that the new one has.
        Writes after that heartbeat, of ``rpo_resolution_ms`` at most, are not seen by it.
    rpo_at_most_ms
        from that last heartbeat of the new writer to the end of the old writer's lease. A region that was cut off and
        lived on may have written until then, and nobody outside it can know.
    tolerated
        calls that failed and did not stop the run.
    """

    run: str
    outcome: str
    mode: str | None
    started_by: str | None
    incident: str | None
    claim: str | None
    cause: str | None
    resumes: str | None
    old_writer_region: str | None
    target_region: str | None
    epoch_before: int | None
    epoch_after: int | None
    started_at: float
    ended_at: float
    phases: list[dict[str, Any]]
    lag: dict[str, Any] | None
    gate: str | None
    approved_by: str | None
    rto_s: float | None
    rpo_ms: float | None
    rpo_resolution_ms: float
    rpo_at_most_ms: float | None
    heartbeats_lost: int | None
    tolerated: list[str]
    errors: list[str]


def run_record(end: End, started_at: str, now: float) -> RunRecord:
    """Makes the record out of the workflow's data at the end; ``started_at`` is the execution's, in ISO 8601."""
    claim = end.progress.get("claim", {})
    lag = _found(end, "assessment", "lag")
    approved_by = _found(end, "approved_lease", "result").get("approved_by")
    rpo_ms, lost = _loss(end)
    return RunRecord(
        run=end.run,
        outcome=end.outcome,
        mode=claim.get("mode"),
        started_by=claim.get("started_by"),
        incident=claim.get("incident"),
        claim=claim.get("reason"),
        cause=_found(end, "assessment", "health").get("reason"),
        resumes=claim.get("resumes"),
        old_writer_region=claim.get("writer_region"),
        target_region=claim.get("target_region"),
        epoch_before=claim.get("epoch"),
        epoch_after=_found(end, "commit", "result").get("epoch"),
        started_at=datetime.fromisoformat(started_at).timestamp(),
        ended_at=now,
        phases=_phases(end),
        lag={name: lag[name] for name in ("lag_ms", "age_s", "budget_ms", "source", "heartbeats") if name in lag}
        or None,
        gate=_gate(claim, lag, approved_by, _found(end, "lease", "result")),
        approved_by=approved_by,
        rto_s=_outage(end),
        rpo_ms=rpo_ms,
        rpo_resolution_ms=TICK_S * 1000,
        rpo_at_most_ms=_loss_at_most(end),
        heartbeats_lost=lost,
        tolerated=_tolerated(end),
        errors=causes(end),
    )


def _found(end: End, *path: str) -> dict[str, Any]:
    """What the workflow keeps under that path; empty when the run did not get there."""
    found: Any = end.progress
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _phases(end: End) -> list[dict[str, Any]]:
    timed = ((phase, _found(end, *path).get("timing")) for phase, path in PHASES)
    return [{"phase": phase, **timing} for phase, timing in timed if timing]


def _gate(claim: dict[str, Any], lag: dict[str, Any], approved_by: str | None, lease: dict[str, Any]) -> str | None:
    if approved_by:
        return f"approved by {approved_by}"
    if not lease.get("taken"):
        return None
    if lag.get("proceed"):
        return "inside budget"
    return "accepted in the request" if claim.get("accept_data_loss") else None


def _outage(end: End) -> float | None:
    proved_at = _found(end, "recovery", "result").get("proved_at")
    fenced = _found(end, "fence_first", "result", "timing").get("began")
    last_beat = _found(end, "claim", "heartbeat").get("at")
    began = fenced if fenced is not None else last_beat
    return None if proved_at is None or began is None else proved_at - began


def _loss(end: End) -> tuple[float | None, int | None]:
    committed = _found(end, "claim", "heartbeat")
    survived = _found(end, "moved", "promotion", "heartbeat")
    if not committed or not survived:
        return None, None
    lost = max(0, committed["seq"] - survived["seq"])
    return (max(0.0, committed["at"] - survived["at"]) * 1000 if lost else 0.0), lost


def _loss_at_most(end: End) -> float | None:
    if _found(end, "fence_first"):
        return 0.0  # a switchover waits for the last write of a writer that it has fenced
    survived = _found(end, "moved", "promotion", "heartbeat").get("at")
    lease = _found(end, "approved_lease", "result") or _found(end, "lease", "result")
    expires_at = lease.get("lease_expires_at")
    return None if survived is None or expires_at is None else max(0.0, expires_at - survived) * 1000


def _tolerated(end: End) -> list[str]:
    fence = _found(end, "moved", "fence")
    failed = fence.get("Cause") or _found(end, "moved", "fence", "result").get("error")
    return [f"fence_old_writer: {failed}"] if failed else []
