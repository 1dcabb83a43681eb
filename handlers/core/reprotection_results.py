"""What the steps of the re-protection return; see `handlers.core.results`. Pure."""

from __future__ import annotations

from dataclasses import dataclass


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
