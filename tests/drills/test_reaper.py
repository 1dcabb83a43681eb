"""Whatever becomes of the drill, nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from drills.world.network import free_port
from drills.world.reaper import REPOSITORY, reap

WaitUntil = Callable[[Callable[[], object]], None]

# A drill in short: PostgreSQL with a session, a frozen process, and one that was never named to the reaper.
DRILL = """
    import os, signal, subprocess, sys, tempfile, time
    from pathlib import Path
    from drills.world.network import Address
    from drills.world.postgres import Server, find_binaries
    from drills.world.reaper import Reaper

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    reaper = Reaper()
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    reaper.folder(folder)
    address = Address("127.0.0.1", int(sys.argv[1]))
    server = Server("payments", "payments", find_binaries(folder), folder, address, reaper)
    server.initialise()
    session = server.connect()
    frozen = reaper.start(["sleep", "1000"], folder)
    frozen.send_signal(signal.SIGSTOP)
    subprocess.Popen(["sleep", "1000"], cwd=folder, start_new_session=True)
    print(folder, reaper._process.pid, flush=True)
    {ending}
"""


def inhabitants(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def start_drill(ending: str) -> tuple[subprocess.Popen[str], int, Path, int]:
    port = free_port(["127.0.0.1"])
    script = textwrap.dedent(DRILL).replace("{ending}", ending)
    drill = subprocess.Popen(
        [sys.executable, "-c", script, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        start_new_session=True,
    )
    assert drill.stdout is not None
    folder, reaper = drill.stdout.readline().split()
    return drill, port, Path(folder), int(reaper)


def assert_nothing_left(port: int, folder: Path, reaper: int, wait_until: WaitUntil) -> None:
    wait_until(lambda: not psutil.pid_exists(reaper))
    assert inhabitants(folder) == []
    assert not folder.exists()
    assert port_is_free(port)


def port_is_free(port: int) -> bool:
    return not any(
        connection.laddr and connection.laddr.port == port
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN"
    )


def test_a_killed_drill_leaves_no_process_port_or_folder(wait_until: WaitUntil) -> None:
    drill, port, folder, reaper = start_drill("time.sleep(1000)")
    assert len(inhabitants(folder)) > 4, "PostgreSQL and the sleepers should run before the kill"
    drill.kill()
    drill.communicate()
    assert_nothing_left(port, folder, reaper, wait_until)


def test_a_drill_that_crashes_leaves_nothing(wait_until: WaitUntil) -> None:
    drill, port, folder, reaper = start_drill("raise SystemError('crash')")
    _, message = drill.communicate()
    assert "crash" in message
    assert_nothing_left(port, folder, reaper, wait_until)


def test_ctrl_c_ends_the_drill_but_not_the_reaper(wait_until: WaitUntil) -> None:
    drill, port, folder, reaper = start_drill("time.sleep(1000)")
    os.killpg(drill.pid, signal.SIGINT)  # what a terminal does
    os.kill(reaper, signal.SIGINT)
    drill.communicate()
    assert_nothing_left(port, folder, reaper, wait_until)


def test_a_normal_end_returns_when_everything_is_gone(wait_until: WaitUntil) -> None:
    drill, port, folder, reaper = start_drill("reaper.close()")
    drill.communicate()
    assert drill.returncode == 0
    assert_nothing_left(port, folder, reaper, wait_until)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"], cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def test_another_process_with_a_reused_number_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    long_ago = psutil.Process(sleeper.pid).create_time() - 3600
    assert reap({sleeper.pid: long_ago}, [], spare=set(), since=time.time()) == []
    assert sleeper.poll() is None


def test_the_named_process_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    created = psutil.Process(sleeper.pid).create_time()
    assert reap({sleeper.pid: created}, [], spare=set(), since=time.time()) == []
    assert sleeper.wait() == -signal.SIGKILL


def test_a_terminal_that_was_open_before_the_drill_survives(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    reap({}, [tmp_path], spare=set(), since=time.time() + 3600)
    assert sleeper.poll() is None


def test_a_process_outside_the_folders_survives(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    inside = tmp_path / "run"
    inside.mkdir()
    reap({}, [inside], spare=set(), since=0.0)
    assert sleeper.poll() is None
    assert not inside.exists()


def test_spared_processes_survive(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    reap({}, [tmp_path], spare={sleeper.pid}, since=0.0)
    assert sleeper.poll() is None
