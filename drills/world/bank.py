"""The bank whose money the drill's clients move: its books, and what the clients write down about each attempt.

The books: ``transfers`` holds each transfer once, by its id. ``movements`` is an append-only journal without
any unique key, so that a transfer which was applied twice shows up there as four rows. ``accounts`` holds the
balances, which must equal the start plus the movements. `drills.verdict.ledger` judges a run by them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from drills.world.postgres import APPLICATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drills.world.clock import Clock
    from drills.world.postgres import Server

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

# How the books' missing rows are written again: the product's setting `salvage.replay`, for the function above.
REPLAY = {"transfers": "transfer(id, source, destination, amount_cents)"}

# The databases' clock, scaled like that of the drill's processes.
DRILL_NOW = """
CREATE FUNCTION drill_now() RETURNS timestamptz LANGUAGE sql AS $$
    SELECT to_timestamp({epoch!r} + (extract(epoch FROM clock_timestamp()) - {epoch!r}) * {speed!r})
$$;
"""


def install(server: Server, clock: Clock | None = None, *, bootstrapped: bool = True) -> None:
    """Creates the books on a new writer and, unless that comes later, what the orchestrator brings (`bootstrap`)."""
    server.run_script(SCHEMA)
    if bootstrapped:
        bootstrap(server, clock)


def bootstrap(server: Server, clock: Clock | None = None) -> None:
    """Creates the tables, functions and grants that the orchestrator brings.

    The orchestrator's heartbeats and fences carry times, which functions compare with their own. Where the functions'
    times are scaled, the database's are scaled too.
    """
    script = MONITORING_SQL.read_text()
    if clock is not None and clock.speed != 1:
        server.run_script(DRILL_NOW.format(epoch=clock.epoch, speed=clock.speed))
        script = script.replace("clock_timestamp()", "drill_now()")
    server.run_script(script)


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
        """Returns the event as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def read_events(files: Iterable[Path]) -> list[Event]:
    """Reads clients' event files, in order of time. A last line that a kill cut short is left out."""
    lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
    events = [Event(**json.loads(line)) for line in lines if line.endswith("\n")]
    return sorted(events, key=lambda event: event.t)
