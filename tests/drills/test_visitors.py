"""Sessions that are only held, against a real server behind the lab's network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from drills.world.certificates import create_certificates
from drills.world.clock import Clock
from drills.world.network import Address, Network, NetworkPath, address_in, free_port
from drills.world.postgres import APPLICATION, Server
from drills.world.reachability import Reachability
from drills.world.reaper import Reaper
from drills.world.visitors import CROWD, Visitors

WaitUntil = Callable[[Callable[[], object]], None]
REGION = "us-west-2"


@pytest.fixture(scope="module")
def door(make_server: Callable[[str], Server], folder: Path, reaper: Reaper) -> Iterator[tuple[Server, Address]]:
    """A server, and where its region's clients reach it."""
    server = make_server("payments-usw2")
    server.initialise()
    host = address_in([REGION], REGION, 0)
    listen = Address(host, free_port([host]))
    network = Network(
        Clock.started_now(1), create_certificates(folder, ["payments"]), folder, reaper, Reachability([REGION])
    )
    network.add(NetworkPath("the way", REGION, REGION, listen, server.address, tls=True))
    yield server, listen
    network.close()


def sessions(server: Server) -> int:
    return int(server.query("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (APPLICATION,))[0][0])


def test_a_crowd_leaves_an_application_no_connection_and_goes_when_it_is_closed(
    door: tuple[Server, Address], wait_until: WaitUntil
) -> None:
    server, way = door
    crowd = Visitors(way, server.database, APPLICATION, CROWD)
    crowd.settle()
    assert 0 < sessions(server) < CROWD
    with pytest.raises(psycopg.OperationalError, match="connection slots"):
        psycopg.connect(
            host=way.host, port=way.port, user=APPLICATION, dbname=server.database, sslmode="require", connect_timeout=5
        )
    crowd.close()
    wait_until(lambda: sessions(server) == 0)


def test_a_visitor_whose_session_is_ended_opens_another(door: tuple[Server, Address], wait_until: WaitUntil) -> None:
    server, way = door
    visitor = Visitors(way, server.database, APPLICATION, 1)
    visitor.settle()
    assert sessions(server) == 1
    first = server.query("SELECT pid FROM pg_stat_activity WHERE usename = %s", (APPLICATION,))
    server.query("SELECT pg_terminate_backend(%s)", first[0])
    wait_until(
        lambda: server.query("SELECT pid FROM pg_stat_activity WHERE usename = %s", (APPLICATION,)) not in ([], first)
    )
    visitor.close()
