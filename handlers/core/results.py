"""What the steps of both workflows return, where only the step knows it. Pure.

Each class is what its step returns and what the ends read again (`handlers.core.progress`), so that a field is defined
once. Results on which decisions are based are defined beside those decisions: `Claim`, `Health`, `Lag`, `Order`,
`Snapshot`, `Salvage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.heartbeat import Beat


@dataclass(frozen=True)
class Timing:
    """When a step ran (seconds since 1970); `handlers.telemetry` adds it to each result."""

    began: float
    ended: float


# --- of the failover workflow


@dataclass(frozen=True)
class Lease:
    """Of WaitForLease. ``proceed``: the writer is not known to live. ``taken``: the run has committed to move it.

    ``lease_expires_at`` in seconds since 1970; ``approved_by``: who accepted the loss, None where nobody had to.
    """

    proceed: bool
    taken: bool
    reason: str
    lease_expires_at: float | None
    approved_by: str | None = None


@dataclass(frozen=True)
class OldWriterFence:
    """Of FenceOldWriter: whether applications are kept from the old writer, as far as this region knows.

    ``error`` says what did not succeed. ``writes_ended``: no application can have written there after this step: it is
    fenced by SQL and no session is left, or it is a secondary. A security group alone leaves open sessions.
    """

    fenced: bool
    error: str | None
    writes_ended: bool = False


@dataclass(frozen=True)
class Detachment:
    """Of DetachSecondary: when RDS was asked (seconds since 1970).

    ``doubt`` says why it is not known whether RDS is at work; None where RDS has taken the request.
    """

    cluster: str
    asked_at: float
    doubt: str | None


@dataclass(frozen=True)
class Switchover:
    """Of SwitchOver; as `Detachment`."""

    cluster: str
    asked_at: float
    doubt: str | None


@dataclass(frozen=True)
class Promotion:
    """Of Promote: what comes next, and why.

    Attributes
    ----------
    next
        ``done``: the cluster takes writes; ``wait``: look on; ``ask_again``: the request has left no trace, and is to
        be sent again.
    seen
        what was seen, in a sentence for people.
    quiet_since
        since when RDS has shown nothing of the request; None where it has, or where nobody has looked.
    looked_until
        when the last look was (seconds since 1970).
    tell
        whether it is time to tell people how long this takes.
    region, probe_ms, heartbeat
        of the new writer: its region, what the last look at it took, and its newest heartbeat of the old writer.
    """

    next: Literal["done", "wait", "ask_again"]
    seen: str
    quiet_since: float | None
    looked_until: float
    tell: bool
    region: str
    probe_ms: float
    heartbeat: Beat | None


@dataclass(frozen=True)
class Repointing:
    """Of RepointDns: the name that is switched, and to which region."""

    name: str
    region: str


@dataclass(frozen=True)
class Commit:
    """Of CommitWriter: the writer region and epoch that hold from now on."""

    writer_region: str
    epoch: int


@dataclass(frozen=True)
class Recovery:
    """Of VerifyRecovery, the proof: which region took the write, and when (seconds since 1970)."""

    region: str
    proved_at: float


@dataclass(frozen=True)
class Release:
    """Of ReleaseClaim and EndReprotection; ``released`` is False when the run held no lock, which is just as good."""

    released: bool


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


# --- of the re-protection workflow


@dataclass(frozen=True)
class OldRegion:
    """Of WaitForOldRegion.

    ``retiring``: a run has begun to remove the old cluster, or has removed it; there is no way back.
    """

    retiring: bool
    reason: str


@dataclass(frozen=True)
class Fenced:
    """Of VerifyFenced: since when the old cluster has been fenced for the re-protection (seconds since 1970).

    ``kept_at``: where its settings are kept.
    """

    fenced_at: float
    kept_at: str


@dataclass(frozen=True)
class Retired:
    """Of RetireOldCluster: the old cluster that is gone."""

    resource_id: str
    approved_by: str | None


@dataclass(frozen=True)
class GlobalDatabase:
    """Of BuildGlobalDatabase: the global database and its primary."""

    identifier: str
    primary: str


@dataclass(frozen=True)
class Standby:
    """Of BuildStandby: the new cluster and its instances."""

    cluster: str
    resource_id: str
    instances: list[str]


@dataclass(frozen=True)
class Armed:
    """Of ArmFailover.

    ``automatic_failover`` is False while a person has paused it; re-protection leaves that as it is.
    """

    automatic_failover: bool
