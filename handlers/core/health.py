"""Is the writer down? Two independent observers must say so, and the standby must be able to take over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.heartbeat import Beat
from handlers.core.request import Mode

Heartbeat = Literal["healthy", "missing", "unhealthy"]


@dataclass(frozen=True)
class Probe:
    """What the prober reached.

    ``role`` is None when the database was not reached; ``error`` says why. ``region`` is the region of the cluster
    that answered, known from its verified certificate's name. ``elapsed_ms`` is the whole probe. ``heartbeat`` is the
    newest heartbeat row there, ``noted_lease`` the end of the lease that stands beside it (seconds since 1970),
    ``fenced`` whether applications are kept out by SQL, ``fence_number`` which fence that is; None when not known.
    """

    target: str
    role: Literal["writer", "reader"] | None
    region: str | None
    error: str | None
    elapsed_ms: float
    heartbeat: Beat | None = None
    noted_lease: float | None = None
    fenced: bool | None = None
    fence_number: int | None = None

    @property
    def writes(self) -> bool:
        """Whether applications can write there: a writer that is not fenced."""
        return self.role == "writer" and not self.fenced


@dataclass(frozen=True)
class Health:
    """Evidence and verdict; ``reason`` is a sentence for people."""

    proceed: bool
    reason: str
    writer: Probe
    heartbeat: Heartbeat
    standby: Probe
    detached: bool


def judge(mode: Mode, writer: Probe, heartbeat: Heartbeat, standby: Probe, detached: bool) -> Health:
    """Decides whether a failover is due, or whether a switchover can succeed.

    Parameters
    ----------
    mode
        a rehearsal asks what a failover would.
    writer
        the standby region's own attempt to reach the writer, made just now (observer 1).
    heartbeat
        the writer region's word about itself, as this region's alarms hold it (observer 2).
    standby
        an attempt to reach this region's own database.
    detached
        whether this region's cluster has left the global database already: an earlier run went that far, so there is
        no writer to go back to and the only safe way is forward.
    """
    rows = (
        _switchover(writer, heartbeat, standby, detached)
        if mode == "switchover"
        else _failover(writer, heartbeat, standby, detached)
    )
    proceed, reason = next((proceed, reason) for fits, proceed, reason in rows if fits)
    return Health(proceed, reason, writer, heartbeat, standby, detached)


Rows = tuple[tuple[bool, bool, str], ...]


def _failover(writer: Probe, heartbeat: Heartbeat, standby: Probe, detached: bool) -> Rows:
    unreached = "it is fenced" if writer.fenced else writer.error or "its endpoint leads to a reader"
    return (
        (detached, True, "this region's cluster is detached already; the failover has to be finished"),
        (writer.writes, False, "the writer answers this region: no failover is due"),
        (
            heartbeat == "healthy",
            False,
            "the writer's own region says that it is healthy: no failover is due",
        ),
        (
            standby.role is None,
            False,
            f"this region's own database does not answer ({standby.error}): it cannot take over",
        ),
        (
            True,
            True,
            f"the writer does not answer this region ({unreached}) and its heartbeat is {heartbeat}",
        ),
    )


def _switchover(writer: Probe, heartbeat: Heartbeat, standby: Probe, detached: bool) -> Rows:
    return (
        (
            detached,
            False,
            "this region's cluster is detached: a failover has to be finished; start it with mode failover",
        ),
        (
            standby.role == "writer",
            True,
            "this region's cluster takes writes already; the switchover has to be finished",
        ),
        (
            writer.role != "writer",
            False,
            f"the writer does not answer this region ({writer.error or 'its endpoint leads to a reader'}): a "
            "switchover needs it healthy",
        ),
        (
            heartbeat != "healthy",
            False,
            f"the heartbeat of the writer's own region is {heartbeat}: a switchover needs its guardian",
        ),
        (standby.role is None, False, f"this region's own database does not answer ({standby.error})"),
        (True, True, "the writer and the standby are healthy"),
    )


@dataclass
class Debounce:
    """Turns single failed probes into a verdict: down after ``FAILURES_IN_A_ROW`` of them, up at the first success.

    A probe that could not be made says nothing about the writer and changes nothing.
    """

    failures: int = 0

    # Three, two seconds apart: one lost packet or one restarted connection is not an outage, and a true one is
    # published within 6 s, inside the first 10 s period of the alarm.
    FAILURES_IN_A_ROW = 3

    def saw(self, reached_writer: bool) -> bool:
        """Counts one probe; returns whether the writer now counts as unreachable."""
        self.failures = 0 if reached_writer else self.failures + 1
        return self.failures >= self.FAILURES_IN_A_ROW
