"""What a row of the specification says about a function; the tables are in `failover`, `reprotection` and `standing`.

Everything that is known about a function before it is built is in its row, and nowhere else. What follows from the rows
is derived: permissions and variables in `functions`, who is trusted in `roles`, alarms in `monitoring`. A step's time
limit, and where its result is kept, are only in its workflow's ASL file, where the console shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from orchestration.settings import Settings
from orchestration.specification.model import Permission
from orchestration.specification.names import Names

# A function gets CPU in proportion to its memory. Steps on the critical path are short and mostly cold, so they get
# over half a processor to import in a fraction of a second. What nobody waits for gets less, and what runs all day the
# least there is, where it was measured to keep up: with the 7% of a processor that come with 128 MB, a tick of the
# monitor takes 0.13 s (0.11 s with 256 MB), the writer switch answers in 21 ms (as with 256), and neither uses 64 MB
# (measured against stand-ins for AWS without TLS, on one 2.5 GHz core with that quota).
HURRIED_MB = 1024
UNHURRIED_MB = 256
SMALLEST_MB = 128

# Invocations at a time that Lambda keeps free for each step of the failover: the run's own, its retry beside one that
# was given up and still runs, and the warm-up.
STEP_CONCURRENCY = 3

Conditions = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Place:
    """A region in which functions run, and the region opposite."""

    names: Names
    region: str
    peer: str


@dataclass(frozen=True)
class Grant:
    """A permission in any region: ``actions`` on what ``on`` names there, and why it is needed.

    ``tells`` are the variables that name ``on`` to a function that has the grant.
    """

    actions: tuple[str, ...]
    on: Callable[[Place], tuple[str, ...]]
    why: str
    tells: tuple[str, ...] = ()
    conditions: Callable[[Place], Conditions] | None = None

    def at(self, place: Place) -> Permission:
        """Returns the permission in one region."""
        conditions = self.conditions(place) if self.conditions else None
        return Permission(self.actions, self.on(place), self.why, conditions)


@dataclass(frozen=True)
class Row:
    """One function; ``name`` is its module in the folder of its table.

    Attributes
    ----------
    purpose
        what it is for, as the console shows it.
    may
        what it may do beyond writing its own log. Some grants say more: a function with `permissions.KEEP_TOKENS` acts
        once however often it is repeated; one with a grant to assume a role acts on the other region in that role.
    reads
        its variables besides those that its grants tell.
    concurrency
        how many invocations at a time Lambda keeps free for it, and allows it; without, it shares with all others of
        the account and region what nobody has reserved. A step of the failover has `STEP_CONCURRENCY`, unless its row
        says more.
    """

    name: str
    purpose: str
    _: KW_ONLY
    may: tuple[Grant, ...]
    reads: tuple[str, ...] = ()
    memory_mb: int = HURRIED_MB
    concurrency: int | None = None

    @property
    def variables(self) -> list[str]:
        """Every variable that it is told, by name; what only the region's stack knows is not among them."""
        return sorted({*self.reads, *(variable for grant in self.may for variable in grant.tells)})


@dataclass(frozen=True)
class Step(Row):
    """A step of a workflow."""


@dataclass(frozen=True)
class StandingFunction(Row):
    """A function that is not a step of a workflow.

    ``timeout_seconds`` is how long one invocation may take; ``wanted`` says whether these settings need it at all. For
    ``security_groups`` and ``quiet`` see `model.Function`.
    """

    _: KW_ONLY
    timeout_seconds: int
    in_vpc: bool = False
    public_url: bool = False
    quiet: bool = False
    security_groups: tuple[tuple[str, str], ...] = ()
    wanted: Callable[[Settings], bool] = lambda _: True


def only_here(place: Place) -> Conditions:
    """Returns the condition that a request goes to this region: ARNs of global clusters and metrics name none."""
    return {"StringEquals": {"aws:RequestedRegion": place.region}}
