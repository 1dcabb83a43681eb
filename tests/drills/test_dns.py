"""Route 53's data plane and a client's resolver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dnslib import QTYPE, DNSRecord

from drills.world.clock import Clock
from drills.world.dns import Answer, DnsServer, RecordSet, ResolutionError, Resolver, Zone
from drills.world.network import Address, free_port

WRITER = "writer.payments.internal"
EAST, WEST = "payments-use1.example.rds.amazonaws.com", "payments-usw2.example.rds.amazonaws.com"

PRIMARY = RecordSet(WRITER, "CNAME", EAST, 5, "PRIMARY", "switch")
SECONDARY = RecordSet(WRITER, "CNAME", WEST, 5, "SECONDARY", "other")
ENDPOINTS = [RecordSet(EAST, "A", "127.0.10.10", 5), RecordSet(WEST, "A", "127.0.10.11", 5)]


def zone(healthy: set[str], *records: RecordSet) -> Zone:
    return Zone([*(records or (PRIMARY, SECONDARY)), *ENDPOINTS], healthy.__contains__)


@pytest.mark.parametrize(
    ("healthy", "answered"),
    [
        ({"switch", "other"}, EAST),
        ({"switch"}, EAST),
        ({"other"}, WEST),
        (set[str](), EAST),
    ],
    ids=["both healthy", "primary healthy", "secondary healthy", "neither: the last resort is the primary"],
)
def test_failover_records_follow_route_53s_rule(healthy: set[str], answered: str) -> None:
    assert [record.name for record in zone(healthy).answer(WRITER)] == [WRITER, answered]


def test_a_secondary_without_a_health_check_counts_as_healthy() -> None:
    unchecked = RecordSet(WRITER, "CNAME", WEST, 5, "SECONDARY")
    assert zone(set(), PRIMARY, unchecked).answer(WRITER)[-1].value == "127.0.10.11"


def test_names_are_compared_without_case_and_final_dot() -> None:
    assert zone({"switch"}).answer(WRITER.upper() + ".")[-1].value == "127.0.10.10"


def test_a_loop_of_names_ends() -> None:
    loop = zone(
        set(), RecordSet("a.internal", "CNAME", "b.internal", 5), RecordSet("b.internal", "CNAME", "a.internal", 5)
    )
    assert loop.answer("a.internal")


class Time:
    """Real time in the hands of the test."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("drills.world.clock.time.time", time)
    return time


@pytest.fixture
def serve() -> Iterator[Callable[[Zone], Address]]:
    servers = []

    def start(zone: Zone) -> Address:
        address = Address("127.0.0.1", free_port(["127.0.0.1"]))
        servers.append(DnsServer(zone, address))
        return address

    yield start
    for server in servers:
        server.close()


def test_an_address_query_is_answered_with_the_whole_chain(serve: Callable[[Zone], Address]) -> None:
    address = serve(zone({"switch"}))
    reply = DNSRecord.parse(DNSRecord.question(WRITER).send(*address, timeout=5))
    assert [(str(record.rname).rstrip("."), QTYPE[record.rtype], record.ttl) for record in reply.rr] == [
        (WRITER, "CNAME", 5),
        (EAST, "A", 5),
    ]


def test_an_ipv6_query_gets_the_name_but_no_address(serve: Callable[[Zone], Address]) -> None:
    address = serve(zone({"switch"}))
    reply = DNSRecord.parse(DNSRecord.question(WRITER, "AAAA").send(*address, timeout=5))
    assert [QTYPE[record.rtype] for record in reply.rr] == ["CNAME"]


def test_each_region_sees_its_own_address_of_the_same_endpoint(serve: Callable[[Zone], Address], time: Time) -> None:
    elsewhere = Zone([PRIMARY, SECONDARY, RecordSet(EAST, "A", "127.0.11.10", 5)], {"switch"}.__contains__)
    clock = Clock(1, 0.0)
    assert Resolver(serve(zone({"switch"})), clock).resolve(WRITER) == Answer(EAST, "127.0.10.10")
    assert Resolver(serve(elsewhere), clock).resolve(WRITER) == Answer(EAST, "127.0.11.10")


def test_the_resolver_keeps_an_answer_for_its_virtual_time_to_live(
    serve: Callable[[Zone], Address], time: Time
) -> None:
    healthy = {"switch", "other"}
    resolver = Resolver(serve(zone(healthy)), Clock(speed=10, epoch=1_000.0))
    assert resolver.resolve(WRITER).canonical_name == EAST
    healthy.remove("switch")
    time.now += 0.49
    assert resolver.resolve(WRITER).canonical_name == EAST, "4.9 of 5 virtual seconds have passed"
    time.now += 0.02
    assert resolver.resolve(WRITER).canonical_name == WEST


def test_an_unknown_name_is_an_error_that_names_it(serve: Callable[[Zone], Address]) -> None:
    resolver = Resolver(serve(zone({"switch"})), Clock(1, 0.0))
    with pytest.raises(ResolutionError, match=r"nobody\.internal has no address"):
        resolver.resolve("nobody.internal")


def test_a_chain_that_leads_nowhere_is_an_error(serve: Callable[[Zone], Address]) -> None:
    resolver = Resolver(serve(Zone([RecordSet(WRITER, "CNAME", "gone.example", 5)], lambda _: True)), Clock(1, 0.0))
    with pytest.raises(ResolutionError, match="has no address"):
        resolver.resolve(WRITER)


def test_a_silent_name_service_is_an_error_and_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drills.world.dns.QUERY_TIMEOUT_SECONDS", 0.05)
    resolver = Resolver(Address("127.0.0.1", free_port(["127.0.0.1"])), Clock(1, 0.0))
    with pytest.raises(ResolutionError, match=f"no DNS answer for {WRITER}"):
        resolver.resolve(WRITER)


def test_a_taken_port_is_an_error_that_names_it(serve: Callable[[Zone], Address]) -> None:
    taken = serve(zone(set()))
    with pytest.raises(ResolutionError, match=f"cannot answer DNS at 127.0.0.1:{taken.port}"):
        DnsServer(zone(set()), taken)
