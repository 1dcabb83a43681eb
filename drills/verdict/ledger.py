"""The checker that judges a run by the books of the drill's bank (`drills.world.bank`).

The checker knows nothing of how the failover is done. It sees what the clients wrote down while they worked
(which transfers were acknowledged, by which cluster, when) and what the databases hold afterwards.

The proof of loss: what the old writer committed and never replicated (`drills.world.divergence`) must be, as far as it
was acknowledged, exactly what is lost.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from drills.world.bank import ACCOUNTS, START_BALANCE_CENTS
from drills.world.divergence import find_divergence

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from drills.world.bank import Event
    from drills.world.clock import Clock
    from drills.world.postgres import Server

# Only constants of the bank are put into the statement.
BOOKS = f"""
WITH moved AS (SELECT account, sum(amount_cents) AS cents FROM movements GROUP BY account)
SELECT (SELECT sum(balance_cents)::bigint FROM accounts),
       (SELECT count(*) FROM accounts LEFT JOIN moved ON moved.account = accounts.id
         WHERE balance_cents <> {START_BALANCE_CENTS} + coalesce(cents, 0)),
       (SELECT count(*) FROM (SELECT FROM movements GROUP BY transfer HAVING count(*) > 2) AS twice)
"""  # noqa: S608


# --------------------------------------------------------------------------------- the outage, from events


@dataclass(frozen=True)
class Outage:
    """When writing stopped and when it resumed, over all clients that live on. Real seconds since 1970."""

    started: float
    recovered: float
    resumed: dict[int, float]


def measure_outage(events: Sequence[Event], before: str, after: str) -> Outage | None:
    """Returns the outage between two writers; None when the writer did not change or nothing failed.

    It starts when the first write that failed for good was begun: each client's attempts between its last
    acknowledgement by ``before`` and its first by ``after`` count. Taking the beginning of the attempt makes an outage
    that refuses comparable with one that hangs. It ends with the first acknowledgement by ``after``. Clients that never
    reached ``after`` (they died with their region) are left out.
    """
    if before == after:
        return None
    resumed: dict[int, float] = {}
    for event in events:
        if event.event == "ack" and event.cluster == after:
            resumed.setdefault(event.client, event.t)
    started: dict[int, float] = {}
    for event in events:
        if event.client not in resumed or event.t > resumed[event.client]:
            continue
        if event.event == "fail":
            started.setdefault(event.client, event.began)
        elif event.cluster == before:
            started.pop(event.client, None)  # it recovered by itself: not this outage
    if not started:
        return None
    return Outage(min(started.values()), min(resumed.values()), resumed)


# --------------------------------------------------------------------------------- the judgement


@dataclass(frozen=True)
class Judgement:
    """What a run did to the money. Durations are in virtual seconds, times real seconds since 1970.

    ``gap_seconds`` is the time in which neither writer acknowledged anything: from the old one's last acknowledgement
    to the new one's first. ``both_wrote`` counts the old one's acknowledgements after that.
    """

    acknowledged: int
    failed_attempts: int
    lost: int
    duplicated: int
    unreplicated: int
    rpo_seconds: float
    rto_seconds: float | None
    resumption_median_seconds: float | None
    resumption_last_seconds: float | None
    gap_seconds: float | None
    both_wrote: int
    outage_started: float | None
    outage_ended: float | None
    divergence_position: str | None
    invariants: dict[str, bool]
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns the judgement as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Books:
    """What the books of a writer say about themselves."""

    total_cents: int
    wrong_balances: int
    duplicated: int

    def findings(self) -> dict[str, str]:
        """Returns what is wrong with them, by invariant, in words; empty where nothing is wrong."""
        surplus = self.total_cents - ACCOUNTS * START_BALANCE_CENTS
        return {
            "nothing_duplicated": _problem(self.duplicated, "transfers were applied more than once"),
            "sum_unchanged": _problem(surplus, "cents more than at the start are in the accounts"),
            "balances_match_movements": _problem(self.wrong_balances, "balances differ from start plus movements"),
        }


def read_books(server: Server) -> Books:
    """Adds up the books of a writer."""
    return Books(*server.query(BOOKS)[0])


def transfers_on(server: Server) -> set[str]:
    """Returns the ids of the transfers that a server has."""
    return {row[0] for row in server.query("SELECT id::text FROM transfers")}


def judge(
    events: Sequence[Event], before: Server, after: Server, clock: Clock, clients: Container[int] | None = None
) -> Judgement:
    """Judges a run by its clients' events and its databases, after the clients have stopped.

    Parameters
    ----------
    events : sequence of Event
        All clients' events, in order of time (`read_events`).
    before, after : Server
        The writer before and after the run; the same server when the writer did not move. ``after`` is
        revived if it is frozen or dead. ``before``, if it is another, is killed, read and left stopped; if it
        follows ``after``, it gave its role away in an orderly way and must lack nothing: it is left alone.
    clock : Clock
        Turns measured seconds into virtual ones.
    clients : container of int, optional
        The clients by which the outage is measured; all of them by default.
    """
    after.revive()
    acknowledged = {event.id: event for event in events if event.event == "ack"}
    present = transfers_on(after)
    lost = acknowledged.keys() - present
    books = read_books(after)
    divergence = find_divergence(before, after) if before is not after and not before.is_standby else None
    unreplicated = divergence.unreplicated if divergence else frozenset()
    measured = events if clients is None else [event for event in events if event.client in clients]
    outage = measure_outage(measured, before.name, after.name)
    resumptions = [clock.to_virtual(t - outage.started) for t in outage.resumed.values()] if outage else []
    both_wrote = acknowledged_late(events, before.name, after.name)
    between = gap(events, before.name, after.name)

    # What the old writer committed without an answer and the new one was then asked for again is not lost.
    answered_before = {event.id for event in acknowledged.values() if event.cluster == before.name}
    unexplained = lost ^ (answered_before & unreplicated)
    findings = {
        **books.findings(),
        "lost_were_not_replicated": _problem(
            len(unexplained),
            f"transfers were lost though replicated, or kept though not: {sorted(unexplained)[:3]}",
        ),
        "one_writer": _problem(
            both_wrote, f"transfers were acknowledged by {before.name} after {after.name} had taken over"
        ),
    }
    return Judgement(
        acknowledged=len(acknowledged),
        failed_attempts=sum(event.event == "fail" for event in events),
        lost=len(lost),
        duplicated=books.duplicated,
        unreplicated=len(unreplicated),
        rpo_seconds=clock.to_virtual(lost_span(acknowledged.values(), lost, before.name)),
        rto_seconds=clock.to_virtual(outage.recovered - outage.started) if outage else None,
        resumption_median_seconds=statistics.median(resumptions) if outage else None,
        resumption_last_seconds=max(resumptions) if outage else None,
        gap_seconds=None if between is None else clock.to_virtual(between),
        both_wrote=both_wrote,
        outage_started=outage.started if outage else None,
        outage_ended=outage.recovered if outage else None,
        divergence_position=divergence.position if divergence else None,
        invariants={name: not problem for name, problem in findings.items()},
        problems=[problem for problem in findings.values() if problem],
    )


def _problem(count: int, sentence: str) -> str:
    return f"{count} {sentence}" if count else ""


def lost_span(acknowledged: Iterable[Event], lost: set[str], before: str) -> float:
    """Returns the real seconds from the earliest lost acknowledgement to the old writer's last one."""
    times = [event.t for event in acknowledged if event.cluster == before]
    lost_times = [event.t for event in acknowledged if event.id in lost]
    return max(times, default=0.0) - min(lost_times) if lost_times else 0.0


def acknowledged_late(events: Sequence[Event], before: str, after: str) -> int:
    """Returns how many acknowledgements the old writer gave after the new one's first."""
    if before == after:
        return 0
    taken_over = _first_acknowledgement(events, after)
    return sum(e.event == "ack" and e.cluster == before and e.t > taken_over for e in events)


def gap(events: Sequence[Event], before: str, after: str) -> float | None:
    """Returns the real seconds from the old writer's last acknowledgement to the new one's first; None without both."""
    last = max((e.t for e in events if e.event == "ack" and e.cluster == before), default=None)
    first = _first_acknowledgement(events, after)
    return None if before == after or last is None or first == float("inf") else first - last


def longest_silence(events: Sequence[Event], cluster: str, away: Sequence[tuple[float, float]]) -> float:
    """Returns the longest time in which a cluster answered no client though its database was there (real seconds).

    Counted from its first answer to the last event of all. ``away`` are the times in which the database was not there.
    """
    answered = [event.t for event in events if event.event == "ack" and event.cluster == cluster]
    if not answered:
        return 0.0
    ends = [*answered[1:], max(event.t for event in events)]
    longest = 0.0
    for began, ended in zip(answered, ends, strict=True):
        gone = sum(max(0.0, min(ended, back) - max(began, left)) for left, back in away)
        longest = max(longest, ended - began - gone)
    return longest


def rto_of(events: Iterable[Event], before: str, after: str, clients: Container[int], clock: Clock) -> float | None:
    """Returns the virtual seconds without a write, of these clients alone; None where there was no outage for them."""
    outage = measure_outage([event for event in events if event.client in clients], before, after)
    return clock.to_virtual(outage.recovered - outage.started) if outage else None


def _first_acknowledgement(events: Sequence[Event], cluster: str) -> float:
    return min((e.t for e in events if e.event == "ack" and e.cluster == cluster), default=float("inf"))


def writing_at_the_end(events: Iterable[Event], until: float, seconds: float) -> set[int]:
    """Returns the clients that were answered in the last real seconds before ``until`` (seconds since 1970)."""
    return {event.client for event in events if event.event == "ack" and event.t > until - seconds}
