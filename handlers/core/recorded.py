"""The record of a run, as RecordRun keeps and returns it; `handlers.core.run_record` makes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A step of a run, by the name that the record has for it, and when it ran (seconds since 1970)."""

    phase: str
    began: float
    ended: float


@dataclass(frozen=True)
class RecordedLag:
    """What the record of a run keeps of VerifyLag's verdict; see `handlers.core.lag.Lag`."""

    lag_ms: float | None
    age_s: float | None
    budget_ms: int
    source: str
    heartbeats: int | None


@dataclass(frozen=True)
class RunRecord:
    """Of RecordRun: one run, for people, programs and auditors.

    Times are in seconds since 1970. What was not reached is None; nothing is assumed.

    Attributes
    ----------
    claim
        what Claim found: why the run was allowed to proceed or, for a duplicate, which run has done the work.
    cause
        what CheckHealth found.
    gate
        how the lag gate opened: ``inside budget``, ``accepted in the request``, ``approved by …``; None if it did not.
    phases
        the steps that have ended, each with the phase it stands for.
    rto_s
        from the last heartbeat that the old writer is known to have committed (in a switchover: from the fence) to the
        write through the public name that proved the recovery. A heartbeat may be a tick older than the outage.
    rpo_ms, heartbeats_lost, rpo_resolution_ms, rpo_at_most_ms, rpo_if_guarded_ms
        what was lost, as `handlers.core.loss.Loss` defines it. ``rpo_ms`` is true to ``rpo_resolution_ms``, more or
        less; ``rpo_at_most_ms`` is a bound, and None where nothing bounds the loss.
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
    phases: list[Phase]
    lag: RecordedLag | None
    gate: str | None
    approved_by: str | None
    rto_s: float | None
    rpo_ms: float | None
    rpo_resolution_ms: float
    rpo_at_most_ms: float | None
    rpo_if_guarded_ms: float | None
    heartbeats_lost: int | None
    tolerated: list[str]
    errors: list[str]
