"""What the re-protection workflow keeps, as types; see `handlers.core.progress`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.lag import Lag
from handlers.core.progress import Answer, CaughtError, Ended, Parts
from handlers.core.reprotection import Order, Snapshot
from handlers.core.reprotection_results import Armed, Fenced, GlobalDatabase, OldRegion, Retired, Standby
from handlers.core.results import Release
from handlers.core.salvage import Salvage


@dataclass(frozen=True)
class ReprotectionProgress(Parts):
    """What the re-protection workflow keeps, in the order of a run."""

    order: Ended[Order] | None = None
    old_region: Ended[OldRegion] | None = None
    follows: CaughtError | None = None  # why nothing had to be kept
    fenced: Ended[Fenced] | None = None
    snapshot: Ended[Snapshot] | None = None
    salvage: Ended[Salvage] | None = None
    approval: Answer | None = None
    retired: Ended[Retired] | None = None
    global_database: Ended[GlobalDatabase] | None = None
    standby: Ended[Standby] | None = None
    replication: Ended[Lag] | None = None
    armed: Ended[Armed] | None = None
    error: CaughtError | None = None
    released: Ended[Release] | None = None
    release_error: CaughtError | None = None
