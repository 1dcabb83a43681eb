"""The example applications (`examples/applications`), run as they are against the lab's databases.

Each is a process of its own that finds the writer as its driver does: through the operating system's resolver. The
lab's names are in the lab's own DNS only, so every program has an ``/etc/hosts`` of its own (a bind mount in a mount
namespace, for which Linux asks no privileges), and `Hosts` keeps that file as a resolver of the region would answer:
each name for its time to live. The first name of a line is the one at the end of the CNAME chain, as in DNS.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.world.dns import ResolutionError, Resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.world.clock import Clock
    from drills.world.network import Address
    from drills.world.reaper import Reaper

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples" / "applications"
SCHEMA = EXAMPLES / "payments.sql"
# Real seconds between two looks at whether an answer's time to live has ended.
LOOK_SECONDS = 0.2
# The file is written in place, for it is mounted; of one length, so that nobody reads half of it.
HOSTS_BYTES = 4096
PREPARE_TIMEOUT_SECONDS = 300.0
STOP_TIMEOUT_SECONDS = 5.0
IN_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


class LackingError(Exception):
    """A program cannot be run on this machine; the message says what it lacks."""


@dataclass(frozen=True)
class Program:
    """One of the examples.

    ``command`` takes the folder of the sources and one for what is made of them, sees to it that the program's
    dependencies are there, and returns its command; it raises `LackingError` when this machine lacks something.
    """

    name: str
    folder: str
    command: Callable[[Path, Path], list[str]]


@dataclass(frozen=True)
class Without:
    """A program in which one setting is not as it is recommended: ``text`` of ``file`` reads ``instead``."""

    setting: str
    file: str
    text: str
    instead: str = ""

    def apply(self, folder: Path) -> None:
        """Changes the copy of the program in ``folder``.

        Raises
        ------
        ValueError
            When the program does not have that text exactly once.
        """
        file = folder / self.file
        source = file.read_text(encoding="utf-8")
        if source.count(self.text) != 1:
            raise ValueError(f"{self.file} has {source.count(self.text)} times {self.text!r}, and should have it once")
        file.write_text(source.replace(self.text, self.instead), encoding="utf-8")


def _python(script: str, *packages: str) -> Callable[[Path, Path], list[str]]:
    def command(folder: Path, _scratch: Path) -> list[str]:
        for package in packages:
            if find_spec(package) is None:
                raise LackingError(f"the Python package {package} is not installed")
        return [sys.executable, str(folder / script)]

    return command


def _node(folder: Path, _scratch: Path) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise LackingError("there is no Node.js (node and npm) here")
    modules = EXAMPLES / "node" / "node_modules"
    if not modules.exists():
        _prepare([npm, "ci", "--silent", "--no-audit", "--no-fund"], EXAMPLES / "node")
    if folder != EXAMPLES / "node":
        (folder / "node_modules").symlink_to(modules)
    return [node, str(folder / "payments.mjs")]


def _java(folder: Path, scratch: Path) -> list[str]:
    java, javac, maven = (shutil.which(program) for program in ("java", "javac", "mvn"))
    if not java or not javac:
        raise LackingError("there is no JDK (java and javac) here")
    jars = _jars()
    if not all(jar.exists() for jar in jars):
        if not maven:
            raise LackingError("there is no Maven (mvn) here, nor the jars of pom.xml")
        _prepare([maven, "--quiet", "--batch-mode", "dependency:resolve"], EXAMPLES / "java")
    path = os.pathsep.join(map(str, jars))
    classes = scratch / "classes"
    _prepare([javac, "-cp", path, "-d", str(classes), "Payments.java"], folder)
    return [java, "-cp", f"{classes}{os.pathsep}{path}", "Payments"]


def _go(folder: Path, scratch: Path) -> list[str]:
    go = shutil.which("go")
    if not go:
        raise LackingError("there is no Go (go) here")
    # Beside the copy of go.mod go writes the sums of what it has fetched.
    modules = shutil.copy(folder / "go.mod", scratch)
    program = scratch / "payments"
    _prepare([go, "build", "-mod=mod", f"-modfile={modules}", "-o", str(program), "."], folder)
    return [str(program)]


def _jars() -> list[Path]:
    """Returns where Maven keeps what pom.xml names, whether it is there or not."""
    pom = (EXAMPLES / "java" / "pom.xml").read_text(encoding="utf-8")
    named = re.findall(
        r"<dependency>\s*<groupId>(.+?)</groupId>\s*<artifactId>(.+?)</artifactId>\s*<version>(.+?)</version>", pom
    )
    kept = Path.home() / ".m2" / "repository"
    return [kept.joinpath(*group.split("."), name, version, f"{name}-{version}.jar") for group, name, version in named]


def _prepare(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=PREPARE_TIMEOUT_SECONDS
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["no word"]
        raise LackingError(f"{Path(command[0]).name} {command[1]} failed: {said[-1][:200]}")


PROGRAMS = {
    program.name: program
    for program in (
        Program("psycopg", "python", _python("with_psycopg.py", "psycopg")),
        Program("psycopg_pool", "python", _python("with_psycopg_pool.py", "psycopg_pool")),
        Program("SQLAlchemy", "python", _python("with_sqlalchemy.py", "sqlalchemy")),
        Program("node-postgres", "node", _node),
        Program("JDBC, HikariCP", "java", _java),
        Program("pgx", "go", _go),
    )
}


@dataclass(frozen=True)
class Chosen:
    """A program to run: how it finds the writer ("name" or "hosts"), and with which setting changed, if any."""

    program: Program
    find: str
    without: Without | None = None

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.program.name} by {self.find}" + (f", {self.without.setting}" if self.without else "")


def command_of(chosen: Chosen, scratch: Path) -> list[str]:
    """Returns the command of a program; one with a changed setting is copied into ``scratch`` before.

    Raises
    ------
    LackingError
        When this machine lacks what the program needs.
    """
    folder = EXAMPLES / chosen.program.folder
    if chosen.without:
        copy = scratch / "source"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        chosen.without.apply(copy)
        folder = copy
    return chosen.program.command(folder, scratch)


def can_be_named() -> str | None:
    """Returns None where a program can have an ``/etc/hosts`` of its own, else what this machine lacks."""
    if not shutil.which(IN_A_NAMESPACE[0]):
        return "there is no unshare (util-linux) here"
    tried = subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no mount namespace is to be had here: {tried.stderr.strip()}"


class Hosts:
    """The names of a region as its resolver answers them, in the form of ``/etc/hosts``."""

    def __init__(self, file: Path, dns: Address, clock: Clock, names: Sequence[str]) -> None:
        """Writes the file, and keeps it until `close`."""
        self.file = file
        self._resolver = Resolver(dns, clock)
        self._names = names
        self._closing = threading.Event()
        self._lines: dict[str, str] = {}
        file.write_bytes(b"\n" * HOSTS_BYTES)
        self._write()
        self._thread = threading.Thread(target=self._keep, name="hosts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops keeping the file."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self._write()

    def _write(self) -> None:
        for name in self._names:
            with suppress(ResolutionError):
                answer = self._resolver.resolve(name)
                self._lines[name] = f"{answer.address} {answer.canonical_name} {name}\n"
        text = "127.0.0.1 localhost\n" + "".join(self._lines.values())
        with self.file.open("r+b") as kept:
            kept.write(text.encode().ljust(HOSTS_BYTES, b"\n"))


@dataclass(frozen=True)
class Attempt:
    """One attempt at a payment, as the program wrote it down: a real time, the payer, the key, and what came of it."""

    t: float
    payer: int
    key: str
    answer: str | None = None
    error: str | None = None


class Application:
    """The handle on one running program."""

    def __init__(self, chosen: Chosen, folder: Path, hosts: Path, settings: dict[str, str], reaper: Reaper) -> None:
        """Starts the program; raises `LackingError` when this machine lacks what it needs."""
        self.chosen = chosen
        folder.mkdir()
        command = command_of(chosen, folder)
        self._lines = folder / "attempts.jsonl"
        self._said = folder / "said.txt"
        mounted = [*IN_A_NAMESPACE, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts), *command]
        with self._lines.open("w") as lines, self._said.open("w") as said:
            self._process = reaper.start(
                mounted,
                folder,
                stdin=subprocess.PIPE,
                stdout=lines,
                stderr=said,
                env={**os.environ, **settings, "PAYMENTS_FIND": chosen.find},
            )

    def attempts(self) -> list[Attempt]:
        """Returns what it has done so far."""
        lines = self._lines.read_text(encoding="utf-8").splitlines(keepends=True)
        found: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
        return [Attempt(**line) for line in found]

    def stop(self) -> str:
        """Ends it, and returns what it said on stderr; one that hangs is killed."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return self._said.read_text(encoding="utf-8")
