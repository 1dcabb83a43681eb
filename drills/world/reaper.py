"""The reaper: whatever becomes of the drill, no process, port or folder of it stays behind.

It is a small process of its own, started first and joined to the drill by a pipe. The drill names
every process and folder it makes, one line each. When the pipe ends, for whatever reason (a normal end,
Ctrl-C, a crash, SIGKILL), the reaper kills every named process with its descendants, and every process
whose working folder lies in a named folder, and then removes the folders.

The rule about working folders closes two gaps: a drill killed between starting a process and naming it,
and PostgreSQL's backends, which outlive a killed parent. So the lab starts every process with its working
folder inside the run's folder (`Reaper.start` does).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A killed process disappears in milliseconds; the rest is for a machine that is very busy.
REAP_DEADLINE_SECONDS = 20.0
# Short enough that the end of a drill feels immediate, long enough not to load the machine.
REAP_PAUSE_SECONDS = 0.05
# A process's time of creation is derived from the machine's boot time, which moves with clock corrections.
CREATION_TOLERANCE_SECONDS = 2.0

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class Reaper:
    """The drill's handle on its reaper, and the one place where the lab starts processes."""

    def __init__(self) -> None:
        """Starts the reaper process. Do this before anything else is made."""
        # A session of its own: Ctrl-C in the terminal must not reach it.
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(os.getpid())],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )

    def folder(self, folder: Path) -> None:
        """Names a folder: removed at the end, with every process that works inside it."""
        self._tell({"folder": str(folder.resolve())})

    def process(self, pid: int) -> None:
        """Names a process: killed at the end, with its descendants.

        Its time of creation is sent along, so that a later process with the same number is left alone.
        A process that has already ended is ignored.
        """
        try:
            self._tell({"process": pid, "created": psutil.Process(pid).create_time()})
        except psutil.NoSuchProcess:
            return

    def start(self, command: Sequence[str], folder: Path, **options: Any) -> subprocess.Popen[str]:
        """Starts a command in a session of its own, with ``folder`` as working folder, and names it.

        ``options`` go to `subprocess.Popen` (pipes, environment, user). Pipes are text, line by line.
        """
        process = subprocess.Popen(list(command), cwd=folder, start_new_session=True, text=True, bufsize=1, **options)
        self.process(process.pid)
        return process

    def start_module(self, module: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
        """Starts ``python -m module`` of this repository like `start`."""
        search = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": search}
        return self.start([sys.executable, "-m", module], folder, env=environment, **options)

    def close(self) -> None:
        """Ends everything that was named, and returns when nothing of it is left.

        Raises
        ------
        RuntimeError
            When the reaper could not remove everything; its own message on stderr says what is left.
        """
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise RuntimeError("the reaper could not end every process of the drill: see its message above")

    def _tell(self, line: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(line) + "\n").encode())
        self._process.stdin.flush()


def reap(processes: Mapping[int, float], folders: Sequence[Path], spare: set[int], since: float) -> list[int]:
    """Kills the named processes and all that belongs to them, then removes the folders.

    Parameters
    ----------
    processes : mapping of int to float
        Process id and time of creation.
    folders : sequence of Path
        Folders to empty of processes and to remove.
    spare : set of int
        Process ids that are never killed (the reaper and the drill).
    since : float
        Start of the drill (seconds since 1970): a process older than that is never killed for working in a
        folder, so that a terminal in which somebody looks at the run survives.

    Returns
    -------
    list of int
        The processes that would not die before the deadline; empty when all is well.
    """
    deadline = time.monotonic() + REAP_DEADLINE_SECONDS
    while (left := list(_living(processes, folders, spare, since))) and time.monotonic() < deadline:
        for process in left:  # frozen first, so that none can start another while the others are killed
            _signal(process, signal.SIGSTOP)
        for process in left:
            _signal(process, signal.SIGKILL)
        time.sleep(REAP_PAUSE_SECONDS)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return [process.pid for process in left]


def _living(
    processes: Mapping[int, float], folders: Sequence[Path], spare: set[int], since: float
) -> Iterator[psutil.Process]:
    """Yields each living process that is named, descends from a named one, or works in a named folder."""
    found: dict[int, psutil.Process] = {}
    for pid, created in processes.items():
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - created) < CREATION_TOLERANCE_SECONDS:
                found |= {member.pid: member for member in [process, *process.children(recursive=True)]}
        except psutil.Error:
            continue
    for process in psutil.process_iter():
        try:
            works_in = Path(process.cwd())
            started = process.create_time()
        except (psutil.Error, OSError):
            continue
        if started > since - CREATION_TOLERANCE_SECONDS and any(works_in.is_relative_to(each) for each in folders):
            found[process.pid] = process
    for pid, process in found.items():
        if pid not in spare and _is_alive(process):
            yield process


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.Error):  # gone already is what is wanted
        process.send_signal(number)


def main() -> int:
    """Reads names from stdin until it ends, then reaps. The argument is the drill's process id."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    since = time.time()
    processes: dict[int, float] = {}
    folders: list[Path] = []
    for text in sys.stdin:
        line = json.loads(text)
        if "folder" in line:
            folders.append(Path(line["folder"]))
        else:
            processes[line["process"]] = line["created"]
    left = reap(processes, folders, spare={os.getpid(), int(sys.argv[1])}, since=since)
    kept = [str(folder) for folder in folders if folder.exists()]
    if left or kept:
        sys.stderr.write(f"reaper: could not end processes {left} or remove folders {kept}; do it by hand\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
