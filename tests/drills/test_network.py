"""The lab's network: delay, refusal, silence and TLS on the way between regions."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from drills.world.certificates import Certificates, create_certificates
from drills.world.clock import Clock
from drills.world.network import (
    GSS_ENCRYPTION_REQUEST,
    SSL_REQUEST,
    Address,
    Network,
    NetworkError,
    NetworkPath,
    State,
    address_in,
    free_port,
    one_way_delay_seconds,
)
from drills.world.reachability import Fault, Reachability
from drills.world.reaper import Reaper

EAST, WEST = "us-east-1", "us-west-2"
REGIONS = (EAST, WEST)
NAME = "payments-use1.example.rds.amazonaws.com"
# A connection attempt or a read that gets nothing for so long is silent; locally an answer takes microseconds.
SILENCE_SECONDS = 0.3
PATIENCE_SECONDS = 30.0

Ways = dict[tuple[str, str], NetworkPath]  # by where they begin and where they end


class Echo:
    """A server that sends back what it receives, and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            while data := connection.recv(65_536):
                self.received += data
                connection.sendall(data)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept that a thread waits in
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as server:
        yield server


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    return create_certificates(folder, [NAME])


@pytest.fixture
def reachability() -> Reachability:
    return Reachability(REGIONS)


@pytest.fixture
def make_network(
    certificates: Certificates, folder: Path, reaper: Reaper, reachability: Reachability
) -> Iterator[Callable[[float], Network]]:
    made = []

    def make(speed: float) -> Network:
        made.append(Network(Clock.started_now(speed), certificates, folder, reaper, reachability))
        return made[-1]

    yield make
    for network in made:
        network.close()


@pytest.fixture
def network(make_network: Callable[[float], Network]) -> Network:
    return make_network(1_000.0)


def path(target: Address, origin: str = EAST, destination: str = EAST, *, tls: bool = False) -> NetworkPath:
    host = address_in(REGIONS, origin, REGIONS.index(destination))
    listen = Address(host, free_port([host]))
    return NetworkPath(f"{origin} to {destination}", origin, destination, listen, target, tls)


def connect(address: Address) -> socket.socket:
    connection = socket.create_connection(address, timeout=PATIENCE_SECONDS)
    connection.settimeout(PATIENCE_SECONDS)
    return connection


def exchange(connection: socket.socket, data: bytes = b"money") -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send one of PostgreSQL's requests about encryption; the answer is one byte."""
    connection.sendall(request)
    return receive(connection, 1)


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := connection.recv(65_536)):
        data += chunk
    return data


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE_SECONDS)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_SECONDS)
    return False


def test_an_open_path_carries_bytes_both_ways(network: Network, echo: Echo) -> None:
    way = path(echo.address)
    network.add(way)
    with connect(way.listen) as connection:
        assert exchange(connection) == b"money"


def test_a_refusing_path_resets_connections_and_takes_no_new_ones(network: Network, echo: Echo) -> None:
    way = path(echo.address)
    network.add(way)
    with connect(way.listen) as connection:
        exchange(connection)
        network.set_paths(State.REFUSING, [way.name])
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(way.listen)


def test_a_refusing_path_can_open_again(network: Network, echo: Echo) -> None:
    way = path(echo.address)
    network.add(way)
    network.set_paths(State.REFUSING, [way.name])
    network.set_paths(State.OPEN, [way.name])
    with connect(way.listen) as connection:
        assert exchange(connection) == b"money"


def test_a_hanging_path_accepts_and_stays_silent_until_it_opens(network: Network, echo: Echo) -> None:
    way = path(echo.address)
    network.add(way)
    with connect(way.listen) as existing:
        exchange(existing)
        network.set_paths(State.HANGING, [way.name])
        existing.sendall(b"unheard")
        with connect(way.listen) as fresh:
            fresh.sendall(b"unheard")
            assert is_silent(existing)
            assert is_silent(fresh)
            assert echo.received == b"money"
            network.set_paths(State.OPEN, [way.name])
            assert receive(existing, 7) == b"unheard"
            assert receive(fresh, 7) == b"unheard"


def test_a_dead_server_behind_an_open_path_looks_dead(network: Network, echo: Echo) -> None:
    way = path(echo.address)
    network.add(way)
    echo.close()
    # The reset may come while the connection is made.
    with pytest.raises(ConnectionResetError), connect(way.listen) as connection:
        connection.recv(1)


@pytest.fixture
def ways(network: Network, echo: Echo) -> Ways:
    """A path from each region to each, all to the same server."""
    made = {(origin, end): path(echo.address, origin, end) for origin in REGIONS for end in REGIONS}
    for way in made.values():
        network.add(way)
    return made


def test_a_region_takes_down_every_path_that_touches_it(
    network: Network, reachability: Reachability, ways: Ways
) -> None:
    reachability.take_down(EAST, Fault.REFUSE)
    network.apply()
    assert reachable(ways) == {(WEST, WEST)}
    reachability.bring_back(EAST)
    network.apply()
    assert reachable(ways) == set(ways)


def test_a_cut_link_leaves_both_regions_alive_inside(network: Network, reachability: Reachability, ways: Ways) -> None:
    with connect(ways[WEST, EAST].listen) as across, connect(ways[EAST, EAST].listen) as inside:
        assert exchange(across) == exchange(inside) == b"money"
        reachability.cut(EAST, WEST)
        network.apply()
        assert exchange(inside) == b"money"
        across.sendall(b"money")
        across.settimeout(0.2)
        with pytest.raises(TimeoutError):  # silence, not a reset
            across.recv(1)
        with connect(ways[WEST, EAST].listen) as late:
            late.settimeout(0.2)
            late.sendall(b"money")
            with pytest.raises(TimeoutError):
                late.recv(1)
        reachability.mend()
        network.apply()
        across.settimeout(PATIENCE_SECONDS)
        assert receive(across, len(b"money")) == b"money"


def test_a_held_path_hangs_alone(network: Network, ways: Ways) -> None:
    network.hold(ways[WEST, EAST].name)
    with connect(ways[WEST, EAST].listen) as held:
        held.settimeout(0.2)
        held.sendall(b"money")
        with pytest.raises(TimeoutError):
            held.recv(1)
    del ways[WEST, EAST]
    assert reachable(ways) == set(ways)


def test_a_fence_keeps_new_connections_out_and_leaves_the_others_alone(
    network: Network, echo: Echo, certificates: Certificates
) -> None:
    guarded = replace(path(echo.address, tls=True), guarded=True)
    other = path(echo.address, WEST, EAST)
    network.add(guarded)
    network.add(other)
    with connect(guarded.listen) as connection:
        assert ask(connection, SSL_REQUEST) == b"S"
        with trusting(certificates).wrap_socket(connection, server_hostname=NAME) as tracked:
            network.fence(EAST, fenced=True)
            assert exchange(tracked) == b"money"
            with connect(guarded.listen) as late:
                late.settimeout(0.2)
                late.sendall(SSL_REQUEST)
                with pytest.raises(TimeoutError):
                    late.recv(1)
                with connect(other.listen) as replication:  # no client's way: no security group guards it
                    assert exchange(replication) == b"money"
                network.fence(EAST, fenced=False)
                late.settimeout(PATIENCE_SECONDS)
                assert late.recv(1) == b"S"


def reachable(ways: Ways) -> set[tuple[str, str]]:
    found = set()
    for ends, way in ways.items():
        with suppress(ConnectionRefusedError), connect(way.listen) as connection:
            assert exchange(connection) == b"money"
            found.add(ends)
    return found


def test_distance_delays_every_byte(make_network: Callable[[float], Network], echo: Echo) -> None:
    way = path(echo.address, WEST, EAST)
    make_network(1.0).add(way)
    one_way = one_way_delay_seconds(WEST, EAST)
    with connect(way.listen) as connection:
        for round_trips in (2, 1):  # opening the connection costs one as well
            began = time.monotonic()
            exchange(connection)
            assert time.monotonic() - began >= round_trips * 2 * one_way


def test_distance_does_not_limit_throughput(make_network: Callable[[float], Network], echo: Echo) -> None:
    """At a tenth of the speed a byte needs 0.32 s. Sent one read after the other, 8 MiB would need 40 s."""
    way = path(echo.address, WEST, EAST)
    make_network(0.1).add(way)
    data = b"x" * 8 * 2**20
    with connect(way.listen) as connection:
        threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        assert receive(connection, len(data)) == data
        assert time.monotonic() < deadline


def trusting(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.authority)


def test_tls_ends_at_the_destination_and_the_server_sees_plain_bytes(
    network: Network, echo: Echo, certificates: Certificates
) -> None:
    way = path(echo.address, tls=True)
    network.add(way)
    with connect(way.listen) as connection:
        assert ask(connection, GSS_ENCRYPTION_REQUEST) == b"N"
        assert ask(connection, SSL_REQUEST) == b"S"
        with trusting(certificates).wrap_socket(connection, server_hostname=NAME) as secure:
            assert exchange(secure) == b"money"
    assert echo.received == b"money"


def test_a_client_can_tell_that_the_certificate_is_for_another_name(
    network: Network, echo: Echo, certificates: Certificates
) -> None:
    way = path(echo.address, tls=True)
    network.add(way)
    with connect(way.listen) as connection:
        ask(connection, SSL_REQUEST)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            trusting(certificates).wrap_socket(connection, server_hostname="writer.payments.internal")


def test_a_client_without_tls_is_refused_with_postgresqls_error(network: Network, echo: Echo) -> None:
    way = path(echo.address, tls=True)
    network.add(way)
    with connect(way.listen) as connection:
        connection.sendall(b"\0\0\0\x08\0\x03\0\0")
        assert b"C28000\0" in receive(connection, 1_000)
    assert echo.received == b""


def test_a_busy_address_is_an_error_and_the_network_goes_on(network: Network, echo: Echo) -> None:
    busy = path(echo.address)
    network.add(busy)
    with pytest.raises(NetworkError, match=r"[Aa]ddress already in use.*choose another address"):
        network.add(busy)
    another = path(echo.address)
    network.add(another)
    with connect(another.listen) as connection:
        assert exchange(connection) == b"money"


def test_an_unknown_distance_is_an_error_that_says_where_to_add_it() -> None:
    with pytest.raises(NetworkError, match="no delay is known between eu-west-1 and us-east-1: add it to"):
        one_way_delay_seconds("eu-west-1", EAST)


def test_a_dead_network_process_is_an_error_and_does_not_block(network: Network, echo: Echo) -> None:
    network.close()
    with pytest.raises(NetworkError, match="network process is gone"):
        network.add(path(echo.address))


def test_each_region_sees_the_same_thing_at_an_address_of_its_own() -> None:
    assert address_in(REGIONS, EAST, 1) != address_in(REGIONS, WEST, 1)


def test_a_port_that_is_taken_on_one_of_the_addresses_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_port(["127.0.0.1"]), free_port(["127.0.0.1"])
    monkeypatch.setattr("drills.world.network.random.SystemRandom.sample", lambda *_: [taken, free])
    with socket.create_server(("127.0.0.1", taken)):
        assert free_port(["127.0.0.2", "127.0.0.1"]) == free


def test_an_address_that_does_not_exist_here_is_an_error_with_the_remedy() -> None:
    with pytest.raises(NetworkError, match="add it to the loopback interface"):
        free_port(["192.0.2.1"])
