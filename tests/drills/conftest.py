"""Real servers for the tests of the lab: one PostgreSQL installation, one folder and one reaper per module."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drills.world import bank
from drills.world.network import Address, free_port
from drills.world.postgres import GOOD_MAJOR_VERSION, Binaries, Server, find_binaries
from drills.world.reaper import Reaper
from orchestration.settings import Database

# Only ends a test that would otherwise wait for ever; nothing is measured by it.
PATIENCE_SECONDS = 30.0

LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def reaper() -> Iterator[Reaper]:
    reaper = Reaper()
    yield reaper
    reaper.close()


@pytest.fixture(scope="module")
def folder(reaper: Reaper) -> Path:
    """A short folder that other accounts may enter: pytest's own is neither."""
    made = Path(tempfile.mkdtemp(prefix="drill-"))
    reaper.folder(made)
    return made


@pytest.fixture(scope="module")
def binaries(folder: Path) -> Binaries:
    return find_binaries(folder)


@pytest.fixture(scope="module")
def make_server(folder: Path, binaries: Binaries, reaper: Reaper) -> Callable[[str], Server]:
    def make(name: str) -> Server:
        address = Address(LOOPBACK, free_port([LOOPBACK]))
        return Server(name, "payments", binaries, folder, address, reaper, Database().reserved_connections)

    return make


@pytest.fixture(scope="module")
def server(make_server: Callable[[str], Server]) -> Iterator[Server]:
    """A writer with the bank and the monitoring schema, for modules that do not set up one of their own."""
    server = make_server("payments-use1")
    if server.binaries.major < GOOD_MAJOR_VERSION:
        pytest.skip(f"PostgreSQL {server.binaries.version} has no login triggers; 17 or later is needed")
    server.initialise()
    bank.install(server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object]], None]:
    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)

    return wait
