"""What the steps of the failover return, where only the step knows it. Pure.

Each class is what its step returns and what the ends read again (`handlers.core.progress`), so that a field is defined
once. Results on which decisions are based are defined beside those decisions: `Claim`, `Health`, `Lag`, `Order`,
`Snapshot`, `Salvage`. The re-protection's are in `handlers.core.reprotection_results`.

Each class costs a cold start most of a millisecond, so a module has those that are needed together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.heartbeat import Beat


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
    """Of RepointDns: the name that is switched, to which region, and whether by this step or only by the commit."""

    name: str
    region: str
    engaged: bool = True


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
