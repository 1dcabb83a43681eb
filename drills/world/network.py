"""The lab's network: every connection between regions goes through this one process.

A *path* leads from an origin region to a destination: it listens on a loopback address that only clients of the origin
use, delays the bytes in both directions as the distance between the regions would, and forwards them to the target.
Each region has a /24 of its own, so the same database has one address for each region that looks at it, and cutting the
link between two regions only means closing paths.

A path is *open*, *refusing* (nothing listens, existing connections are reset), *hanging* (it accepts, forwards nothing,
and existing connections fall silent) or *fenced* (existing connections continue, new ones wait in vain). Which of them
follows from who reaches whom (`drills.world.reachability`) and from the security group of the destination's cluster
(`Network.fence`): a group that does not admit the client drops its packets, but does not interrupt connections that it
already tracks (EC2 user guide, "Security group connection tracking").

What is modelled, and its limits:

* Distance is a constant one-way delay, without jitter, loss or a bandwidth limit. Opening a connection
  costs one round trip, as a TCP handshake does. Bytes under way when a path closes are dropped, which is the worst case
  for replication.
* A path with ``tls=True`` ends in a TLS terminator in the destination region, next to the database: it
  answers PostgreSQL's SSLRequest, presents the lab's certificate and speaks plain PostgreSQL to the server, so that a
  PostgreSQL built without TLS is also reached over verified TLS. It refuses a client that does not ask for TLS, as RDS
  does with ``rds.force_ssl``. What the server says may be held back there, as if the database were slow
  (`Network.slow_down`); the handshakes are not. Encryption on the wire and verification by the client are real; the
  server does not know the client's TLS state, and authentication is not checked.
* Loopback addresses other than 127.0.0.1 exist without configuration on Linux; elsewhere they have to be
  added to the loopback interface first.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
import struct
import subprocess
import sys
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from drills.world.reachability import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from drills.world.certificates import Certificates
    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from drills.world.reaper import Reaper

# Public measurements (for instance cloudping.co) put the round trip between us-east-1 and us-west-2 at about 64 ms;
# half of it is one way. Inside a region the delay is assumed to be 0.
ONE_WAY_DELAY_SECONDS = {frozenset({"us-east-1", "us-west-2"}): 0.032}

# Read size, and how many reads may be in transit in one direction: 16 MiB in 32 ms is 500 MB/s, so that the delay never
# limits throughput while memory stays bounded.
CHUNK_BYTES = 65_536
CHUNKS_UNDER_WAY = 256

# Below the range from which operating systems take the ports of outgoing connections (32768 and up).
PORT_RANGE = range(20_000, 32_000)
PORT_ATTEMPTS = 200

# The network process answers in milliseconds; a longer silence means that it is dead.
REPLY_TIMEOUT_SECONDS = 10.0

# PostgreSQL frontend/backend protocol, "Message Formats": both requests are eight bytes, a length and a code.
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_ENCRYPTION_REQUEST = struct.pack("!ii", 8, 80877104)
# SO_LINGER with a time of 0: closing sends a reset instead of an orderly end.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class NetworkError(Exception):
    """The lab's network could not do what it was asked to do; the message says what and why."""


class Address(NamedTuple):
    """An IPv4 address and a port."""

    host: str
    port: int


class State(StrEnum):
    """What a path does with connections."""

    OPEN = "open"
    REFUSING = "refusing"
    HANGING = "hanging"
    FENCED = "fenced"


# What a path does when its origin does not reach its destination. A region whose AWS endpoints answer 503 counts as one
# that refuses.
STATES = {Fault.REFUSE: State.REFUSING, Fault.UNAVAILABLE: State.REFUSING, Fault.HANG: State.HANGING}


@dataclass(frozen=True)
class NetworkPath:
    """A way from a region to one destination, for instance to the database cluster of another region.

    With ``tls`` it is a way to a cluster's endpoint. If it is ``guarded``, the cluster's security group may close it.
    """

    name: str
    origin: str
    destination: str
    listen: Address
    target: Address
    tls: bool = False
    guarded: bool = False


def one_way_delay_seconds(origin: str, destination: str) -> float:
    """Returns the time a byte takes between two regions, in (virtual) seconds; 0 inside a region."""
    if origin == destination:
        return 0.0
    try:
        return ONE_WAY_DELAY_SECONDS[frozenset({origin, destination})]
    except KeyError:
        raise NetworkError(
            f"no delay is known between {origin} and {destination}: add it to ONE_WAY_DELAY_SECONDS"
        ) from None


def address_in(regions: Sequence[str], origin: str, thing: int) -> str:
    """Returns the loopback address of the ``thing``-th thing as it is seen from the region ``origin``."""
    return f"127.0.{10 + regions.index(origin)}.{10 + thing}"


def free_port(hosts: Iterable[str]) -> int:
    """Returns a port that is free for TCP and UDP on every one of these addresses.

    Raises
    ------
    NetworkError
        When an address cannot be used on this machine, or no free port is found.
    """
    hosts = list(hosts)
    for port in random.SystemRandom().sample(PORT_RANGE, PORT_ATTEMPTS):
        if all(_is_free(host, port) for host in hosts):
            return port
    raise NetworkError(f"no port is free on {', '.join(hosts)} after {PORT_ATTEMPTS} attempts: stop other drills")


def _is_free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with closing(socket.socket(socket.AF_INET, kind)) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if "assign" in str(error):
                    raise NetworkError(
                        f"the address {host} does not exist on this machine: add it to the loopback interface"
                        f" (macOS: sudo ifconfig lo0 alias {host})"
                    ) from None
                return False
    return True


class Network:
    """The drill's handle on the network process. Every method returns when the change is in force."""

    def __init__(
        self, clock: Clock, certificates: Certificates, folder: Path, reaper: Reaper, reachability: Reachability
    ) -> None:
        """Starts the network process; ``folder`` is its working folder."""
        self._clock = clock
        self._reachability = reachability
        self._paths: dict[str, NetworkPath] = {}
        self._fenced: set[str] = set()
        self._held: set[str] = set()
        self._shut: set[str] = set()
        self._lock = threading.Lock()
        self._process = reaper.start_module(
            "drills.world.network", folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._ask(command="certificate", certificate=str(certificates.certificate), key=str(certificates.key))

    def add(self, path: NetworkPath) -> None:
        """Adds a path, open.

        Raises
        ------
        NetworkError
            When its listening address is taken, or the distance between the regions is not known.
        """
        delay = self._clock.to_real(one_way_delay_seconds(path.origin, path.destination))
        self._ask(
            command="path",
            name=path.name,
            listen=path.listen,
            target=path.target,
            tls=path.tls,
            delay_seconds=delay,
        )
        self._paths[path.name] = path

    def apply(self) -> None:
        """Puts every path into the state that follows from who reaches whom and from the fences."""
        names: dict[State, list[str]] = {}
        for path in self._paths.values():
            fault = self._reachability.fault(path.origin, path.destination)
            names.setdefault(self._state(path, fault), []).append(path.name)
        for state, paths in names.items():
            self.set_paths(state, paths)

    def fence(self, region: str, *, fenced: bool) -> None:
        """Closes the guarded paths to a region's cluster to new connections, or opens them again."""
        (self._fenced.add if fenced else self._fenced.discard)(region)
        self.apply()

    def shut(self, destination: str, *, shut: bool) -> None:
        """Has every path to a region's database refuse, as if no server listened there, or ends that."""
        (self._shut.add if shut else self._shut.discard)(destination)
        self.apply()

    def hold(self, name: str) -> None:
        """Lets one path hang, whatever else is reached, as a congested link does."""
        self._held.add(name)
        self.apply()

    def release(self, name: str) -> None:
        """Ends `hold`; what waited goes on."""
        self._held.discard(name)
        self.apply()

    def release_all(self) -> None:
        """Ends every `hold`."""
        self._held.clear()
        self.apply()

    def is_fenced(self, region: str) -> bool:
        """Whether a region's cluster takes no new connections."""
        return region in self._fenced

    def slow_down(self, destination: str, seconds: float) -> None:
        """Holds back each answer of a region's database for that long (virtual seconds); 0 ends it."""
        names = [path.name for path in self._paths.values() if path.tls and path.destination == destination]
        self._ask(command="slow", names=sorted(names), seconds=self._clock.to_real(seconds))

    def set_paths(self, state: State, names: Iterable[str]) -> None:
        """Puts the named paths into a state."""
        self._ask(command="state", state=state, names=sorted(names))

    def _state(self, path: NetworkPath, fault: Fault | None) -> State:
        if fault is not None:
            return STATES[fault]
        if path.destination in self._shut:
            return State.REFUSING
        if path.name in self._held:
            return State.HANGING
        return State.FENCED if path.guarded and path.destination in self._fenced else State.OPEN

    def close(self) -> None:
        """Ends the network process and, with it, every path."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _ask(self, **command: Any) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            watchdog = threading.Timer(REPLY_TIMEOUT_SECONDS, self._process.kill)
            watchdog.start()
            try:
                self._process.stdin.write(json.dumps(command) + "\n")
                reply = self._process.stdout.readline()
            except OSError:
                reply = ""
            finally:
                watchdog.cancel()
        if not reply:
            raise NetworkError(
                f"the network process is gone (exit status {self._process.poll()}): start the drill again"
            )
        problem = json.loads(reply)["problem"]
        if problem:
            raise NetworkError(problem)


# ------------------------------------------------------------------------------ the network process


@dataclass
class _Way:
    """A path inside the network process, with its listener and its connections."""

    listen: Address
    target: Address
    delay_seconds: float
    certificate: ssl.SSLContext | None
    answers_after_seconds: float = 0.0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    admitting: asyncio.Event = field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def change(self, state: State) -> None:
        """Changes what the path does with connections."""
        _set(self.flowing, state in (State.OPEN, State.FENCED))
        _set(self.admitting, state is State.OPEN)
        if state is State.REFUSING:
            if self.server:
                self.server.close()
                self.server = None
            for writer in self.writers:
                _reset(writer)
            for task in self.tasks:
                task.cancel()
            return
        if not self.server:
            self.server = await asyncio.start_server(self._accept, *self.listen, limit=CHUNK_BYTES)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.writers.add(writer)
        try:
            await self.admitting.wait()
            await asyncio.sleep(2 * self.delay_seconds)
            await self._relay(reader, writer)
        except OSError:
            _reset(writer)
        except asyncio.CancelledError:
            pass  # the path closed: the connection has been reset
        finally:
            self.tasks.discard(task)
            self.writers.discard(writer)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.certificate:
            near, far = socket.socketpair()
            # Connect first, so that a dead server looks dead and not like a failing TLS handshake.
            server = await asyncio.open_connection(*self.target, limit=CHUNK_BYTES)
            client = await _streams_for_accepted(far)
            terminator = asyncio.create_task(_terminate_tls(*client, *server, self.certificate, self._answer_time))
            far_reader, far_writer = await asyncio.open_connection(sock=near, limit=CHUNK_BYTES)
        else:
            terminator = None
            far_reader, far_writer = await asyncio.open_connection(*self.target, limit=CHUNK_BYTES)
        self.writers.add(far_writer)
        try:
            await _until_first_ends(self._carry(reader, far_writer), self._carry(far_reader, writer))
        finally:
            self.writers.discard(far_writer)
            far_writer.close()
            if terminator:
                terminator.cancel()

    def _answer_time(self) -> float:
        return self.answers_after_seconds

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries the bytes of one direction, each chunk delayed by the distance, until they end."""
        if not self.delay_seconds:
            while data := await reader.read(CHUNK_BYTES):
                await self.flowing.wait()
                writer.write(data)
                await writer.drain()
            return
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)
        delivery = asyncio.create_task(self._deliver(under_way, writer))
        try:
            clock = asyncio.get_running_loop()
            data = b"-"
            while data:
                data = await reader.read(CHUNK_BYTES)
                await under_way.put((clock.time() + self.delay_seconds, data))
            await delivery
        finally:
            delivery.cancel()

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock.time())
            await self.flowing.wait()
            if not data:
                return
            writer.write(data)
            await writer.drain()


async def _terminate_tls(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server_reader: asyncio.StreamReader,
    server_writer: asyncio.StreamWriter,
    certificate: ssl.SSLContext,
    answer_time: Callable[[], float],
) -> None:
    """Stands between a PostgreSQL client that asks for TLS and a server that need not know TLS."""
    try:
        request = await reader.readexactly(len(SSL_REQUEST))
        if request == GSS_ENCRYPTION_REQUEST:
            writer.write(b"N")
            request = await reader.readexactly(len(SSL_REQUEST))
        if request != SSL_REQUEST:
            writer.write(_error_message("28000", "no pg_hba.conf entry for this host, no encryption: use TLS"))
            await writer.drain()
            return
        writer.write(b"S")
        await writer.start_tls(certificate)
        await _until_first_ends(_copy(reader, server_writer), _copy(server_reader, writer, answer_time))
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client has gone, or refused the certificate
    finally:
        server_writer.close()
        writer.close()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hold_back: Callable[[], float] = lambda: 0.0
) -> None:
    while data := await reader.read(CHUNK_BYTES):
        await asyncio.sleep(hold_back())
        writer.write(data)
        await writer.drain()


async def _until_first_ends(*directions: Any) -> None:
    """Runs both directions of a connection until one ends; then the connection is over."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _streams_for_accepted(
    connection: socket.socket,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Returns streams on the server's side of a connection (the side that may start TLS as a server)."""
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader, lambda r, w: accepted.set_result((r, w)))
    await loop.connect_accepted_socket(lambda: protocol, connection)
    return await accepted


def _set(event: asyncio.Event, wanted: bool) -> None:
    (event.set if wanted else event.clear)()


def _error_message(code: str, text: str) -> bytes:
    """Returns PostgreSQL's ErrorResponse message."""
    fields = b"".join(kind + value.encode() + b"\0" for kind, value in ((b"S", "FATAL"), (b"C", code), (b"M", text)))
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


class _Control:
    """Carries out the drill's commands, one JSON line each, and answers each with one line."""

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}
        self._certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    async def run(self) -> None:
        """Serves commands until stdin ends."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                await self._do(json.loads(line))
                problem = ""
            except OSError as error:
                problem = f"{error.strerror or error}: choose another address, or stop what uses it"
            sys.stdout.write(json.dumps({"problem": problem}) + "\n")
            sys.stdout.flush()

    async def _do(self, command: dict[str, Any]) -> None:
        match command["command"]:
            case "certificate":
                self._certificate.load_cert_chain(command["certificate"], command["key"])
            case "path":
                certificate = self._certificate if command["tls"] else None
                way = _Way(
                    Address(*command["listen"]),
                    Address(*command["target"]),
                    command["delay_seconds"],
                    certificate,
                )
                await way.change(State.OPEN)
                self._ways[command["name"]] = way
            case "state":
                for name in command["names"]:
                    await self._ways[name].change(State(command["state"]))
            case "slow":
                for name in command["names"]:
                    self._ways[name].answers_after_seconds = command["seconds"]


if __name__ == "__main__":
    asyncio.run(_Control().run())
