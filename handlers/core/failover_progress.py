"""What the failover workflow keeps, as types; see `handlers.core.progress`. Pure.

The word beside a step is the phase that the record of the run calls it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from handlers.core.claim import Claim
from handlers.core.health import Health
from handlers.core.lag import Lag
from handlers.core.progress import Answer, CaughtError, Ended, Parts
from handlers.core.recorded import RunRecord
from handlers.core.results import (
    Commit,
    Detachment,
    Lease,
    OldWriterFence,
    Promotion,
    Recovery,
    Release,
    Repointing,
    Switchover,
)


@dataclass(frozen=True)
class Assessment(Parts):
    """What the two checks found."""

    health: Annotated[Ended[Health] | None, "check_health"] = None
    lag: Annotated[Ended[Lag] | None, "verify_lag"] = None


@dataclass(frozen=True)
class Moved(Parts):
    """How the writer was moved: by a detachment, or by a switchover."""

    fence: Annotated[Ended[OldWriterFence] | None, "fence_old_writer"] = None
    detachment: Annotated[Ended[Detachment] | None, "detach_secondary"] = None
    switchover: Annotated[Ended[Switchover] | None, "switch_over"] = None
    promotion: Annotated[Ended[Promotion] | None, "promote"] = None
    dns: Annotated[Ended[Repointing] | None, "repoint_dns"] = None


@dataclass(frozen=True)
class FailoverProgress(Parts):
    """What the failover workflow keeps, in the order of a run; a group that was not reached is empty."""

    claim: Annotated[Ended[Claim] | None, "claim"] = None
    assessment: Assessment = field(default_factory=Assessment)
    fence_first: Annotated[Ended[OldWriterFence] | None, "fence_first"] = None
    lease: Annotated[Ended[Lease] | None, "wait_for_lease"] = None
    approval: Answer | None = None
    approved_lease: Annotated[Ended[Lease] | None, "ask_approval"] = None
    moved: Moved = field(default_factory=Moved)
    rds_busy: CaughtError | None = None
    commit: Annotated[Ended[Commit] | None, "commit_writer"] = None
    recovery: Annotated[Ended[Recovery] | None, "verify_recovery"] = None
    error: CaughtError | None = None
    release: Ended[Release] | None = None
    release_error: CaughtError | None = None
    record: Ended[RunRecord] | None = None
