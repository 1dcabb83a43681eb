"""The bank's clients: real connections that resolve the writer name and move money while a region fails.

One process per region runs that region's clients, so that they die or hang with it. A client does what a careful
application does: it resolves the name and respects its time to live, connects over verified TLS to a session that can
write, gives every transfer a unique id and repeats it under the same id until it is answered. A watchdog shuts down the
socket of an attempt that takes too long, because libpq waits for a frozen server for ever.

A client knows one host, the writer name or a cluster's endpoint, or the endpoints of both regions. Then it tries them
in the order of its list until a session can write, as libpq does with several hosts and
``target_session_attrs=read-write``.

RDS certificates carry the cluster endpoint's name, not a name of ours, so the client verifies the name at the end of
the CNAME chain. A lying name service could thus lead it to another cluster of the same authority; the private zone is
trusted not to.

Timeouts are in virtual seconds. The rate is in real transfers per second, since a machine does not work faster when the
clock does.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import psycopg

from drills.world.bank import ACCOUNTS, Event
from drills.world.clock import Clock
from drills.world.dns import Answer, ResolutionError, Resolver
from drills.world.network import Address
from drills.world.postgres import APPLICATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.world.reaper import Reaper

# A new connection across the continent takes about 0.3 s (four round trips of 64 ms and TLS).
CONNECT_TIMEOUT_SECONDS = 2.0
# The server ends a statement first; the watchdog is for servers that no longer answer.
STATEMENT_TIMEOUT_SECONDS = 2.0
ATTEMPT_TIMEOUT_SECONDS = 3.0
# For the kernel: give up on a peer that acknowledges nothing (man 7 tcp, TCP_USER_TIMEOUT).
TCP_USER_TIMEOUT_SECONDS = 3.0
# Pause after a failure, doubled up to the limit and spread at random, so that clients do not fall into step.
RETRY_PAUSE_SECONDS = 0.05
RETRY_PAUSE_LIMIT_SECONDS = 0.5
# No timeout is shorter than this in real time, however fast the clock: the machine does not work faster.
SHORTEST_TIMEOUT_REAL_SECONDS = 0.25
LARGEST_TRANSFER_CENTS = 5_000
# Real seconds between two progress lines: several for every frame that a live display draws.
PROGRESS_INTERVAL_SECONDS = 0.25
STOP_TIMEOUT_SECONDS = 10.0

# What becomes of an attempt whose server, or name service, is not there, or takes no writes.
FAILURES = (psycopg.Error, OSError, ResolutionError, TimeoutError)

TRANSFER = "SELECT transfer(%s, %s, %s, %s), current_setting('cluster_name')"


@dataclass(frozen=True)
class WorkloadSettings:
    """What one region's clients need to know."""

    region: str
    clients: int
    first_client: int
    seed: int
    transfers_per_second: float
    """Of each client, in real time."""
    hosts: tuple[str, ...]
    """Where a client looks for the writer: the names that it tries, in this order."""
    dns: Address
    port: int
    database: str
    authority: str
    events: str
    clock: Clock
    patience: float = 1.0
    """How many times as long as usual a client waits for an answer."""


@dataclass(frozen=True)
class Progress:
    """Totals since the start of one region's clients, at a real time (seconds since 1970)."""

    region: str
    t: float
    acknowledged: int
    failed: int
    cluster: str
    """The cluster that answered last; empty when the latest attempt failed."""


class Workload:
    """The drill's handle on one region's clients."""

    def __init__(
        self,
        settings: WorkloadSettings,
        folder: Path,
        reaper: Reaper,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Starts the clients. ``on_progress`` is called from a thread, several times a second."""
        self.settings = settings
        self._process = reaper.start_module(
            "drills.world.workload", folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(settings)) + "\n")
        self._process.stdin.flush()
        self._killed = False
        self._reader = threading.Thread(target=_follow, args=(self._process.stdout, on_progress), daemon=True)
        self._reader.start()

    @property
    def events(self) -> Path:
        """The file of this region's events (`drills.world.bank.read_events`)."""
        return Path(self.settings.events)

    def is_running(self) -> bool:
        """Returns whether the clients' process exists (frozen clients count)."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Lets every client finish its attempt, then ends it; kills if that takes too long. Does nothing after `kill`.

        Raises
        ------
        RuntimeError
            When the clients had ended by themselves, which is a defect in the workload.
        """
        if self._killed:
            return
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_SECONDS)
        if self._process.poll():
            raise RuntimeError(f"the clients of {self.settings.region} ended by themselves: see their message above")
        self.kill()

    def kill(self) -> None:
        """Ends the clients at once, as the loss of their region does."""
        self._killed = True
        if self.is_running():
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def hang(self) -> None:
        """Freezes the clients."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets frozen clients continue."""
        self._process.send_signal(signal.SIGCONT)


def _follow(lines: TextIO, on_progress: Callable[[Progress], None]) -> None:
    for line in lines:
        on_progress(Progress(**json.loads(line)))


# ------------------------------------------------------------------------------ the workload process


class _Journal:
    """Writes events to the file, each flushed at once, and keeps the totals."""

    def __init__(self, region: str, file: TextIO) -> None:
        self.progress = Progress(region, time.time(), 0, 0, "")
        self._file = file

    def write(self, event: Event) -> None:
        self._file.write(event.to_line())
        self._file.flush()
        known, acknowledged = self.progress, event.event == "ack"
        self.progress = Progress(
            known.region,
            event.t,
            known.acknowledged + acknowledged,
            known.failed + (not acknowledged),
            event.cluster,
        )


class _Client:
    """One client: transfers one after the other, each repeated until it is answered."""

    def __init__(self, number: int, settings: WorkloadSettings, journal: _Journal, stopping: asyncio.Event) -> None:
        self._number = number
        self._settings = settings
        self._journal = journal
        self._stopping = stopping
        self._resolver = Resolver(settings.dns, settings.clock)
        # The transfers depend only on the seed; the pauses have their own source.
        self._transfers = random.Random(f"{settings.seed}/{number}")  # noqa: S311 - not for secrets
        self._pauses = random.Random(f"pauses/{settings.seed}/{number}")  # noqa: S311 - not for secrets
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def run(self) -> None:
        """Works until the workload stops."""
        due = time.monotonic()
        while not self._stopping.is_set():
            await self._answered(self._next_transfer())
            # Pauses as between independent customers, so that they do not fall into step. A client that fell behind
            # does not catch up: customers do not queue their requests.
            due = max(due + self._pauses.expovariate(self._settings.transfers_per_second), time.monotonic())
            await self._wait(due - time.monotonic())
        await self._disconnect()

    def _next_transfer(self) -> tuple[uuid.UUID, int, int, int]:
        draw = self._transfers
        source, destination = draw.sample(range(1, ACCOUNTS + 1), 2)
        return (
            uuid.UUID(int=draw.getrandbits(128), version=4),
            source,
            destination,
            draw.randint(1, LARGEST_TRANSFER_CENTS),
        )

    async def _answered(self, transfer: tuple[uuid.UUID, int, int, int]) -> None:
        """Repeats one transfer until a cluster has answered it, or the workload stops."""
        pause = RETRY_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.time()
            try:
                cluster = await self._attempt(transfer)
            except FAILURES as error:
                self._note(transfer, began, error=_describe(error))
                await self._disconnect()
                await self._wait(self._settings.clock.to_real(pause * self._pauses.uniform(0.5, 1)))
                pause = min(2 * pause, RETRY_PAUSE_LIMIT_SECONDS)
            else:
                self._note(transfer, began, cluster=cluster)
                return

    async def _attempt(self, transfer: tuple[uuid.UUID, int, int, int]) -> str:
        """Does one transfer and returns the name of the cluster that answered."""
        if self._connection is None:
            self._connection = await self._find_writer()
        watchdog = asyncio.get_running_loop().call_later(
            self._real_timeout(ATTEMPT_TIMEOUT_SECONDS * self._settings.patience),
            _shut_down,
            self._connection.fileno(),
        )
        try:
            row = await (await self._connection.execute(TRANSFER, transfer)).fetchone()
        finally:
            watchdog.cancel()
        assert row is not None
        return str(row[1])

    async def _find_writer(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        """Returns a session that can write, on the first host that gives one; raises the last host's error."""
        *others, last = self._settings.hosts
        for host in others:
            with suppress(*FAILURES):
                return await self._open(host)
        return await self._open(last)

    async def _open(self, host: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        async with asyncio.timeout(self._real_timeout(CONNECT_TIMEOUT_SECONDS * self._settings.patience)):
            return await self._connect(await asyncio.to_thread(self._resolver.resolve, host))

    async def _connect(self, answer: Answer) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        return await psycopg.AsyncConnection.connect(
            host=answer.canonical_name,
            hostaddr=answer.address,
            port=self._settings.port,
            user=APPLICATION,
            dbname=self._settings.database,
            autocommit=True,
            sslmode="verify-full",
            sslrootcert=self._settings.authority,
            gssencmode="disable",
            target_session_attrs="read-write",
            tcp_user_timeout=round(self._real_timeout(TCP_USER_TIMEOUT_SECONDS) * 1000),
            keepalives_idle=1,
            keepalives_interval=1,
            keepalives_count=2,
            options=f"-c statement_timeout={round(self._real_timeout(STATEMENT_TIMEOUT_SECONDS) * 1000)}",
        )

    def _real_timeout(self, virtual_seconds: float) -> float:
        return max(self._settings.clock.to_real(virtual_seconds), SHORTEST_TIMEOUT_REAL_SECONDS)

    async def _disconnect(self) -> None:
        if self._connection:
            await self._connection.close()
            self._connection = None

    async def _wait(self, real_seconds: float) -> None:
        """Waits, but no longer than until the workload stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), max(0.0, real_seconds))

    def _note(
        self, transfer: tuple[uuid.UUID, int, int, int], began: float, cluster: str = "", error: str = ""
    ) -> None:
        outcome = "fail" if error else "ack"
        region = self._settings.region
        self._journal.write(
            Event(time.time(), began, self._number, region, str(transfer[0]), outcome, cluster, error)  # type: ignore[arg-type]
        )


def _describe(error: BaseException) -> str:
    first_line = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def _shut_down(descriptor: int) -> None:
    """Shuts down a socket that libpq owns: its wait ends with an error, and libpq still closes it itself."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)


async def _run(settings: WorkloadSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The drill closes our stdin to stop us; if it dies, the same happens.
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stopping.set)), daemon=True).start()
    with Path(settings.events).open("a") as file:
        journal = _Journal(settings.region, file)
        numbers = range(settings.first_client, settings.first_client + settings.clients)
        async with asyncio.TaskGroup() as tasks:
            for number in numbers:
                tasks.create_task(_Client(number, settings, journal, stopping).run())
            tasks.create_task(_report(journal, stopping))
        _tell(journal.progress)  # what the clients finished after they were told to stop


async def _report(journal: _Journal, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), PROGRESS_INTERVAL_SECONDS)
        _tell(journal.progress)


def _tell(progress: Progress) -> None:
    """Passes the totals on to the drill."""
    sys.stdout.write(json.dumps(asdict(progress)) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Reads the settings from the first line of stdin and works until stdin ends."""
    values = json.loads(sys.stdin.readline())
    values["dns"] = Address(*values["dns"])
    values["clock"] = Clock(**values["clock"])
    values["hosts"] = tuple(values["hosts"])
    asyncio.run(_run(WorkloadSettings(**values)))


if __name__ == "__main__":
    main()
