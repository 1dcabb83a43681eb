"""Is the writer down? Two independent observers must say so, and the standby must be able to take over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from handlers.core.answers import Known
from handlers.core.heartbeat import Beat
from handlers.core.reading import LARGEST_WHOLE, Fields
from handlers.core.request import Mode

Membership = Literal["secondary", "primary", "none"]  # of a region's cluster in the global database
Guardian = Literal["alive", "silent", "says down", "unknown"]  # `unknown` moves nothing


class GlobalSeen(NamedTuple):
    """The global database: what this region's cluster is in it, what RDS does with it, and its engine's version."""

    membership: Membership
    at_work: str | None
    engine_version: str


@dataclass(frozen=True)
class Installed:
    """What the bootstrap has left in a database, and what became of it since.

    ``missing``: functions that are not there. ``login_trigger``: whether the one that closes a server which starts is
    enabled; None before PostgreSQL 17, which has none. ``reserved_connections``: how many are kept for the monitor.
    ``other_databases``: those beside the guarded one. ``not_closed``: those that a fence cannot close. ``passing``:
    roles that it does not keep out of the guarded one.
    """

    missing: tuple[str, ...]
    login_trigger: bool | None
    reserved_connections: int
    other_databases: tuple[str, ...] = ()
    not_closed: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()

    @classmethod
    def read_optional(cls, fields: Fields, field: str) -> Installed | None:
        """Reads it out of the prober's answer; None when that does not say."""
        if fields.data.get(field) is None:
            return None
        found = fields.section(field)
        return cls(
            found.texts("missing"),
            found.optional_flag("login_trigger"),
            found.whole("reserved_connections", at_most=LARGEST_WHOLE),
            found.texts("other_databases"),
            found.texts("not_closed"),
            found.texts("passing"),
        )


@dataclass(frozen=True)
class Probe:
    """What the prober reached.

    ``role`` is None when it was not told what the database is; ``error`` says why. ``refused`` says why it lives all
    the same: the answer was about the monitor, and people have to be told of it. ``region`` is the region of the
    cluster that answered, known from its verified certificate's name. ``elapsed_ms`` is the whole probe. ``heartbeat``
    is the newest heartbeat row there, ``noted_lease`` the end of the lease that stands beside it (seconds since 1970),
    ``fenced`` whether applications are kept out by SQL, ``fence_number`` which fence that is, ``open_sessions`` how
    many of theirs there are all the same, ``oldest_xid`` the id below which every transaction has ended there,
    ``replicated_until`` up to when a reader has the writer's commits (seconds since 1970), ``installed`` what the
    bootstrap has left there; None when not known, or not asked.
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
    open_sessions: int | None = None
    oldest_xid: int | None = None
    replicated_until: float | None = None
    refused: str | None = None
    installed: Installed | None = None

    @property
    def known(self) -> Known:
        """What the answer says of the database; a prober that gives none says nothing, see `known_of`."""
        return "up" if self.role or self.refused else "down"

    @property
    def closed(self) -> bool:
        """Whether no application can write there, nor one that was connected before the fence."""
        return self.role == "reader" or (self.role == "writer" and bool(self.fenced) and self.open_sessions == 0)

    @property
    def writes(self) -> bool:
        """Whether applications can write there: a writer that is not fenced."""
        return self.role == "writer" and not self.fenced


@dataclass(frozen=True)
class GuardianSeen:
    """What the record shows of the writer's guardian, in a word and in a clause for people."""

    says: Guardian
    reason: str


def writer_seen(reached: Probe | None) -> Known:
    """What the first observer knows of the writer: whether applications could write there.

    A fenced writer and a reader count as down, for they do not; one that refuses the monitor lives. ``reached`` is None
    when the prober gave no answer, which says nothing (P6).
    """
    if reached is None:
        return "unknown"
    return "up" if reached.writes or (reached.role is None and reached.known == "up") else "down"


def known_of(reached: Probe | None) -> Known:
    """What is known of a database; ``reached`` is None when its prober gave no answer."""
    return reached.known if reached else "unknown"


@dataclass(frozen=True)
class Evidence:
    """What is known of both databases.

    Attributes
    ----------
    writer
        the standby region's own attempt to reach the writer, made just now (observer 1).
    guardian
        the writer's guardian, as the control record shows it (observer 2).
    standby
        an attempt to reach this region's own database.
    membership
        what this region's cluster is in the global database.
    """

    writer: Probe
    guardian: GuardianSeen
    standby: Probe
    membership: Membership


@dataclass(frozen=True)
class Health:
    """Verdict and evidence; ``reason`` is a sentence for people."""

    proceed: bool
    reason: str
    evidence: Evidence


def judge(mode: Mode, evidence: Evidence, *, only_forward: bool) -> Health:
    """Decides whether a failover is due, or whether a switchover can succeed.

    A rehearsal asks what a failover would. ``only_forward``: an earlier run has asked RDS to move the writer, so there
    may be no writer to go back to, and the only safe way is forward.
    """
    rows = _switchover(evidence, only_forward) if mode == "switchover" else _failover(evidence, only_forward)
    proceed, reason = next((proceed, reason) for fits, proceed, reason in rows if fits)
    return Health(proceed, reason, evidence)


Rows = tuple[tuple[bool, bool, str], ...]

NO_STANDBY: dict[Membership, str] = {
    "primary": "this region's cluster is the global database's primary, not a standby of the writer",
    "none": "this region's cluster is no member of the global database",
}


def _failover(seen: Evidence, only_forward: bool) -> Rows:
    unreached = "it is fenced" if seen.writer.fenced else seen.writer.error or "its endpoint leads to a reader"
    return (
        (only_forward, True, "RDS has been asked to move the writer already; the failover has to be finished"),
        (seen.writer.writes, False, "the writer answers this region: no failover is due"),
        (
            seen.writer.role is None and seen.writer.known == "up",
            False,
            f"the writer lives: it {seen.writer.refused}; no failover is due",
        ),
        (
            seen.membership != "secondary",
            False,
            f"{NO_STANDBY.get(seen.membership)}: it cannot take over before it has been re-protected",
        ),
        (
            seen.guardian.says in ("alive", "unknown"),
            False,
            f"the writer does not answer this region, but {seen.guardian.reason}: no failover is due",
        ),
        (
            seen.standby.role is None,
            False,
            f"this region's own database does not answer ({seen.standby.error}): it cannot take over",
        ),
        (
            True,
            True,
            f"the writer does not answer this region ({unreached}), and {seen.guardian.reason}",
        ),
    )


def _switchover(seen: Evidence, only_forward: bool) -> Rows:
    return (
        (
            only_forward and seen.membership == "none",
            False,
            "this region's cluster is detached: a failover has to be finished; start it with mode failover",
        ),
        (only_forward, True, "RDS has been asked to move the writer already; the switchover has to be finished"),
        (
            seen.membership != "secondary",
            False,
            f"{NO_STANDBY.get(seen.membership)}: nothing can be switched over to it before it has been re-protected",
        ),
        (
            seen.writer.role != "writer",
            False,
            f"the writer does not answer this region ({seen.writer.error or 'its endpoint leads to a reader'}): a "
            "switchover needs it healthy",
        ),
        (
            seen.guardian.says != "alive",
            False,
            f"{seen.guardian.reason}: a switchover needs the writer's guardian",
        ),
        (seen.standby.role is None, False, f"this region's own database does not answer ({seen.standby.error})"),
        (True, True, "the writer and the standby are healthy"),
    )
