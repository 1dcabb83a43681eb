"""The ledger of the drill's bank, and the checker that judges a run by it.

The checker knows nothing of how the failover is done. It sees what the clients wrote down while they worked
(which transfers were acknowledged, by which cluster, when) and what the databases hold afterwards.

The books: ``transfers`` holds each transfer once, by its id. ``movements`` is an append-only journal without
any unique key, so that a transfer which was applied twice shows up there as four rows. ``accounts`` holds the
balances, which must equal the start plus the movements.

The proof of loss: the new writer's timeline history names the log position at which it left the old
writer's log (PostgreSQL documentation, "Timelines"). Transactions whose commit record lies beyond it in the
old writer's log were never replicated; they, as far as they were acknowledged, must be exactly the lost ones.
"""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drills.world.postgres import APPLICATION, PostgresError, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.world.clock import Clock

# Enough accounts that clients rarely wait for each other's rows; enough money that none runs empty.
ACCOUNTS = 1_000
START_BALANCE_CENTS = 1_000_000
MONITORING_SQL = Path(__file__).resolve().parent.parent.parent / "handlers" / "sql" / "monitoring.sql"

# Only constants of this module are put into the statements.
SCHEMA = f"""
CREATE TABLE accounts (
    id            integer PRIMARY KEY,
    balance_cents bigint NOT NULL
);
CREATE TABLE transfers (
    id           uuid PRIMARY KEY,
    source       integer NOT NULL REFERENCES accounts,
    destination  integer NOT NULL REFERENCES accounts,
    amount_cents bigint NOT NULL
);
CREATE TABLE movements (
    transfer     uuid NOT NULL,
    account      integer NOT NULL,
    amount_cents bigint NOT NULL
);
INSERT INTO accounts SELECT id, {START_BALANCE_CENTS} FROM generate_series(1, {ACCOUNTS}) AS id;

-- Applies a transfer once, however often it is asked for: 'applied' the first time, 'known' afterwards.
CREATE FUNCTION transfer(transfer_id uuid, source_id integer, destination_id integer, cents bigint)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO transfers VALUES (transfer_id, source_id, destination_id, cents) ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'known';
    END IF;
    INSERT INTO movements VALUES (transfer_id, source_id, -cents), (transfer_id, destination_id, cents);
    -- Always the lower account first, so that two transfers cannot wait for each other.
    UPDATE accounts SET balance_cents = balance_cents + CASE WHEN id = source_id THEN -cents ELSE cents END
        WHERE id = least(source_id, destination_id);
    UPDATE accounts SET balance_cents = balance_cents + CASE WHEN id = source_id THEN -cents ELSE cents END
        WHERE id = greatest(source_id, destination_id);
    RETURN 'applied';
END $$;

GRANT SELECT, INSERT ON transfers, movements TO {APPLICATION};
GRANT SELECT, UPDATE ON accounts TO {APPLICATION};
"""  # noqa: S608

BOOKS = f"""
WITH moved AS (SELECT account, sum(amount_cents) AS cents FROM movements GROUP BY account)
SELECT (SELECT sum(balance_cents)::bigint FROM accounts),
       (SELECT count(*) FROM accounts LEFT JOIN moved ON moved.account = accounts.id
         WHERE balance_cents <> {START_BALANCE_CENTS} + coalesce(cents, 0)),
       (SELECT count(*) FROM (SELECT FROM movements GROUP BY transfer HAVING count(*) > 2) AS twice)
"""  # noqa: S608
CURRENT_TIMELINE = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"


# The databases' clock, scaled like that of the drill's processes.
DRILL_NOW = """
CREATE FUNCTION drill_now() RETURNS timestamptz LANGUAGE sql AS $$
    SELECT to_timestamp({epoch!r} + (extract(epoch FROM clock_timestamp()) - {epoch!r}) * {speed!r})
$$;
"""


def install(server: Server, clock: Clock | None = None) -> None:
    """Make the books on a new writer, with the tables and grants that the orchestrator brings.

    Its heartbeats and fences carry times, which functions compare with theirs. Where these are scaled, so are those.
    """
    script = MONITORING_SQL.read_text()
    if clock is not None and clock.speed != 1:
        server.run_script(DRILL_NOW.format(epoch=clock.epoch, speed=clock.speed))
        script = script.replace("clock_timestamp()", "drill_now()")
    server.run_script(SCHEMA)
    server.run_script(script)


# --------------------------------------------------------------------------------- what clients write down


@dataclass(frozen=True)
class Event:
    """One attempt at one transfer, as its client saw it. Times are real, in seconds since 1970.

    ``cluster`` is the name that the answering server gave itself; it is empty when the attempt failed.
    """

    t: float
    began: float
    client: int
    region: str
    id: str
    event: Literal["ack", "fail"]
    cluster: str = ""
    error: str = ""

    def to_line(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def read_events(files: Iterable[Path]) -> list[Event]:
    """Read clients' event files, in order of time. A last line that a kill cut short is left out."""
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    events = [Event(**json.loads(line)) for line in lines if line.endswith("\n")]
    return sorted(events, key=lambda event: event.t)


# --------------------------------------------------------------------------------- the outage, from events


@dataclass(frozen=True)
class Outage:
    """When writing stopped and when it went on, over all clients that live on. Real seconds since 1970."""

    started: float
    recovered: float
    resumed: dict[int, float]


def measure_outage(events: Sequence[Event], before: str, after: str) -> Outage | None:
    """Return the outage between two writers; None when the writer did not change or nothing failed.

    It starts when the first write that failed for good was begun: each client's attempts between its last
    acknowledgement by ``before`` and its first by ``after`` count. Taking the begin of the attempt makes an
    outage that refuses and one that hangs comparable. It ends with the first acknowledgement by ``after``.
    Clients that never reached ``after`` (they died with their region) are left out.
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
            started.pop(event.client, None)  # it had gone on by itself: not this outage
    if not started:
        return None
    return Outage(min(started.values()), min(resumed.values()), resumed)


# --------------------------------------------------------------------------------- the proof of loss


@dataclass(frozen=True)
class Divergence:
    """Where the new writer left the old one's log, and the transfers that the old one committed beyond."""

    timeline: int
    position: str
    unreplicated: frozenset[str]


def find_divergence(before: Server, after: Server) -> Divergence:
    """Read the old writer's log and tables, and return what it committed and never replicated.

    Kills the old writer if it still runs, starts it privately (no client can reach it) to read its tables,
    and stops it.

    Raises
    ------
    PostgresError
        When the two servers' histories do not fit together, or a log cannot be read.
    """
    timeline, position = _left_at(after)
    before.kill()
    committed_beyond = _committed_transactions(before.dump_log_records(timeline, position))
    before.start(private=True)
    try:
        old_timeline = int(before.query(CURRENT_TIMELINE)[0][0], 16)
        if old_timeline != timeline:
            raise PostgresError(f"{after.name} left timeline {timeline}, but {before.name} is on {old_timeline}")
        rows = before.query("SELECT id::text, xmin::text FROM transfers")
    finally:
        before.stop()
    return Divergence(timeline, position, frozenset(row[0] for row in rows if row[1] in committed_beyond))


def _left_at(after: Server) -> tuple[int, str]:
    """Return the timeline that a promoted server left, and the log position where it left it."""
    timeline = after.query(CURRENT_TIMELINE)[0][0]
    history = after.data / "pg_wal" / f"{timeline}.history"
    if not history.exists():
        raise PostgresError(f"{after.name} was never promoted: it has no {history.name}")
    last = [line for line in history.read_text().splitlines() if line.strip()][-1]
    parent, position, _ = last.split("\t", 2)
    return int(parent), position


def _committed_transactions(records: str) -> set[str]:
    """Return the ids of the transactions with a commit record in ``pg_waldump``'s output."""
    return set(re.findall(r"tx:\s+(\d+),.*desc: COMMIT ", records))


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
        """Return the judgement as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Books:
    """What the books of a writer say of themselves."""

    total_cents: int
    wrong_balances: int
    duplicated: int

    def findings(self) -> dict[str, str]:
        """What is wrong with them by invariant, in words; empty where nothing is."""
        surplus = self.total_cents - ACCOUNTS * START_BALANCE_CENTS
        return {
            "nothing_duplicated": _problem(self.duplicated, "transfers were applied more than once"),
            "sum_unchanged": _problem(surplus, "cents more than at the start are in the accounts"),
            "balances_match_movements": _problem(self.wrong_balances, "balances differ from start plus movements"),
        }


def read_books(server: Server) -> Books:
    """Add up the books of a writer."""
    return Books(*server.query(BOOKS)[0])


def transfers_on(server: Server) -> set[str]:
    """Return the ids of the transfers that a server has."""
    return {row[0] for row in server.query("SELECT id::text FROM transfers")}


def judge(events: Sequence[Event], before: Server, after: Server, clock: Clock) -> Judgement:
    """Judge a run by its clients' events and its databases, after the clients have stopped.

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
    """
    after.revive()
    acknowledged = {event.id: event for event in events if event.event == "ack"}
    present = transfers_on(after)
    lost = acknowledged.keys() - present
    books = read_books(after)
    divergence = find_divergence(before, after) if before is not after and not before.is_standby else None
    unreplicated = divergence.unreplicated if divergence else frozenset()
    outage = measure_outage(events, before.name, after.name)
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
    """Return the real seconds from the earliest lost acknowledgement to the old writer's last one."""
    times = [event.t for event in acknowledged if event.cluster == before]
    lost_times = [event.t for event in acknowledged if event.id in lost]
    return max(times, default=0.0) - min(lost_times) if lost_times else 0.0


def acknowledged_late(events: Sequence[Event], before: str, after: str) -> int:
    """Return how many acknowledgements the old writer gave after the new one's first."""
    if before == after:
        return 0
    taken_over = _first_acknowledgement(events, after)
    return sum(e.event == "ack" and e.cluster == before and e.t > taken_over for e in events)


def gap(events: Sequence[Event], before: str, after: str) -> float | None:
    """Return the real seconds from the old writer's last acknowledgement to the new one's first; None without both."""
    last = max((e.t for e in events if e.event == "ack" and e.cluster == before), default=None)
    first = _first_acknowledgement(events, after)
    return None if before == after or last is None or first == float("inf") else first - last


def _first_acknowledgement(events: Sequence[Event], cluster: str) -> float:
    return min((e.t for e in events if e.event == "ack" and e.cluster == cluster), default=float("inf"))
