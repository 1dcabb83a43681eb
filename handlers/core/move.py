"""A move of the writer for which RDS was asked: what RDS shows of it, and what the run does next. Pure.

Only a session that can write says that a move is done. What RDS shows lags behind and misleads: a detached cluster may
stay a member until it is promoted, and may be ``available`` for some seconds before it is ``promoting``. It decides
about one thing, whether a request has left no trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.claim import LATE_REQUEST_S
from handlers.core.health import Membership
from handlers.core.request import Mode

# A request of which RDS has shown nothing for this long is sent again. Reports of the quiet between a detach and
# ``promoting`` speak of some seconds; sent again in between, it would be refused, and nothing lost.
ASK_AGAIN_AFTER_S = 30.0
# A writer that is down while RDS shows nothing of a switchover will not be switched over. It is also down for a moment
# when the switchover begins, which RDS then shows.
LEAVE_AFTER_S = 15.0
# Each note is one more request that may be on its way, and the writer is stopped all the while.
MOST_SWITCHOVER_REQUESTS = 2

# People are told of a move that takes long at these moments (seconds after it began), and from then on as often again.
TELL_AFTER_S, TELL_EVERY_S = 60.0, 300.0

# A cluster does not recover from these by itself (RDS guide, "Viewing DB cluster status").
FAILED_STATUSES = frozenset(
    {"inaccessible-encryption-credentials", "failed", "migration-failed", "deleting", "stopped"}
)

NextMove = Literal["wait", "ask_again", "end_switchover", "leave_to_failover"]


@dataclass(frozen=True)
class Sight:
    """What RDS shows: what this region's cluster is, its status, and what RDS does with the global database.

    ``at_work`` is RDS's word for that, such as ``pending`` or ``switching-over``; None while it does nothing.
    """

    membership: Membership
    status: str
    at_work: str | None

    @property
    def quiet(self) -> bool:
        """Whether the cluster is what it was before any request: an available secondary, and RDS does nothing."""
        return self.membership == "secondary" and self.status == "available" and self.at_work is None

    @property
    def over(self) -> bool:
        """Whether RDS shows the end of a move to this region: an available cluster that follows none."""
        return self.membership != "secondary" and self.status == "available" and self.at_work is None

    @property
    def in_words(self) -> str:
        """The sight, for people."""
        work = f", and RDS shows {self.at_work}" if self.at_work else ""
        if self.membership == "none":
            return f"the cluster is {self.status}, and in no global database{work}"
        return f"the cluster is {self.status}, a member of the global database as {self.membership}{work}"


def quiet_since(before: float | None, sight: Sight, now: float) -> float | None:
    """Since when RDS has shown nothing of a request, after one more look; None when it shows something of it.

    ``before`` is the answer to the look before, or the moment of the request.
    """
    if not sight.quiet:
        return None
    return now if before is None else before


def decide(mode: Mode, requests: int, quiet_for_s: float, writer_is_down: bool) -> tuple[NextMove, str]:
    """What a run does whose request has left no trace for ``quiet_for_s``, and why.

    ``requests``: how many were noted; ``writer_is_down``, by both observers, counts in a switchover.
    """
    switchover = mode == "switchover"
    seen = f"RDS has shown nothing of the request for {quiet_for_s:.0f} s"
    rows: tuple[tuple[bool, NextMove, str], ...] = (
        (
            switchover and writer_is_down and quiet_for_s >= LEAVE_AFTER_S,
            "leave_to_failover",
            f"{seen}, and the writer is down: only a failover can end this",
        ),
        (
            quiet_for_s >= ASK_AGAIN_AFTER_S and (not switchover or requests < MOST_SWITCHOVER_REQUESTS),
            "ask_again",
            f"{seen}: it is sent again",
        ),
        (
            switchover and quiet_for_s >= LATE_REQUEST_S,
            "end_switchover",
            f"{seen}, after {requests} requests: the writer is given back",
        ),
        (True, "wait", seen),
    )
    return next((move, why) for fits, move, why in rows if fits)


def is_time_to_tell(began: float, before: float, now: float) -> bool:
    """Whether a moment at which people are told of a move that ``began`` then lies between the two others.

    All in seconds since 1970.
    """

    def told(moment: float) -> int:
        lasted = moment - began
        return 0 if lasted < TELL_AFTER_S else 1 + int(lasted / TELL_EVERY_S)

    return told(now) > told(before)
