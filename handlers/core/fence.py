"""How a region's database is kept from its applications, as it was last seen, and what may let them in. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lift:
    """What a renewed lease earns: the fence of that ``number`` may be lifted ``until`` then (seconds since 1970)."""

    number: int
    until: float


@dataclass(frozen=True)
class FenceState:
    """How a region's database is kept from its applications: by SQL, by security group; None when not known.

    ``secondary``: the cluster is a reading member of the global database, which takes no writes from anybody.
    ``error`` says what did not succeed. ``restarted``: the fence by SQL was not to be had, and RDS restarts the
    instances in its place (False: refuses to, so far), which ends all sessions and starts the server fenced;
    ``restarted_at``: when it accepted that, in seconds since 1970.
    """

    by_sql: bool | None
    by_group: bool | None
    secondary: bool | None
    error: str | None
    restarted: bool | None = None
    restarted_at: float | None = None

    @property
    def closed(self) -> bool:
        """Whether no application can write there. A group alone lets those go on who are in."""
        return bool(self.by_sql or (self.by_group and self.restarted) or self.secondary)

    @property
    def ends_writes(self) -> bool:
        """Whether nothing is written there any more: a group alone leaves open what sessions are in."""
        return bool(self.by_sql or self.secondary)

    @property
    def in_both_ways(self) -> bool:
        """Whether both fences are seen to stand."""
        return bool(self.by_sql and self.by_group)


UNSEEN = FenceState(by_sql=None, by_group=None, secondary=None, error=None)
