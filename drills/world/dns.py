"""Route 53's data plane: answers for the private zone, and a resolver that honours time to live.

A model of what Route 53 answers, not of how its records are changed. Each region asks its own listener, because the
same endpoint has a different loopback address in each region (see `drills.world.network`).

Failover records follow the documented rule (Route 53 API reference, ``ResourceRecordSet``, ``Failover``): a healthy
primary is the answer whatever the secondary's health; an unhealthy primary yields to a healthy secondary; when the
secondary is unhealthy too, the primary is the answer. A record without a health check counts as healthy.

Limits: record types CNAME and A only, one value per record set, no alias records; a change of health is
seen by the next query, whereas Route 53 takes a moment to spread it.
"""

from __future__ import annotations

import socketserver
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dnslib import CNAME, QTYPE, RCODE, RR, A, DNSError, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.world.clock import Clock
    from drills.world.network import Address

# A chain of names longer than this is a loop; the lab's own has two links.
CHAIN_LIMIT = 8
# A lost query must not stall a client for long. Real time: the listener is on the same machine.
QUERY_TIMEOUT_SECONDS = 1.0


class ResolutionError(Exception):
    """A name could not be resolved; the message gives the name and the reason."""


@dataclass(frozen=True)
class RecordSet:
    """One record set of the zone, as Route 53 knows it."""

    name: str
    type: Literal["CNAME", "A"]
    value: str
    ttl_seconds: int
    failover: Literal["PRIMARY", "SECONDARY"] | None = None
    health_check: str | None = None


@dataclass(frozen=True)
class Zone:
    """The records that one region sees, and where the health of their checks is read."""

    record_sets: Sequence[RecordSet]
    is_healthy: Callable[[str], bool]

    def answer(self, name: str) -> list[RecordSet]:
        """Returns the records that answer a query for an address: CNAMEs in order, then the A record.

        Empty when the name does not exist; without an A record at the end when the chain leads outside.
        """
        chain: list[RecordSet] = []
        while len(chain) < CHAIN_LIMIT and (record := self._choose(_normal(name))):
            chain.append(record)
            if record.type == "A":
                break
            name = record.value
        return chain

    def _choose(self, name: str) -> RecordSet | None:
        """Returns the record set that Route 53 would choose among those of a name."""
        candidates = {record.failover: record for record in self.record_sets if _normal(record.name) == name}
        primary, secondary = candidates.get("PRIMARY"), candidates.get("SECONDARY")
        if primary and secondary:
            return secondary if not self._healthy(primary) and self._healthy(secondary) else primary
        return candidates.get(None) or primary or secondary

    def _healthy(self, record: RecordSet) -> bool:
        return record.health_check is None or self.is_healthy(record.health_check)


class DnsServer:
    """Answers one region's queries for the zone over UDP, in threads of this process."""

    def __init__(self, zone: Zone, address: Address) -> None:
        """Listens at once.

        Raises
        ------
        ResolutionError
            When the address is taken.
        """
        try:
            self._server = DNSServer(
                _Responder(zone),
                address=address.host,
                port=address.port,
                logger=DNSLogger(logf=lambda _: None),
                server=_Listener,
            )
        except OSError as error:
            raise ResolutionError(f"cannot answer DNS at {address.host}:{address.port}: {error.strerror}") from error
        self._server.start_thread()

    def close(self) -> None:
        """Stops answering and frees the port."""
        self._server.stop()
        self._server.server.server_close()


class _Listener(socketserver.ThreadingUDPServer):
    """Unlike the library's own, it refuses to share a port on which another drill answers."""

    daemon_threads = True


class _Responder(BaseResolver):  # type: ignore[misc]
    """Puts a zone's answers into DNS messages."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def resolve(self, request: DNSRecord, _handler: DNSHandler) -> DNSRecord:
        reply = request.reply()
        chain = self._zone.answer(str(request.q.qname))
        if not chain:
            reply.header.rcode = RCODE.NXDOMAIN
        for record in chain:
            if record.type == "CNAME":
                reply.add_answer(RR(record.name, QTYPE.CNAME, rdata=CNAME(record.value), ttl=record.ttl_seconds))
            elif request.q.qtype == QTYPE.A:
                reply.add_answer(RR(record.name, QTYPE.A, rdata=A(record.value), ttl=record.ttl_seconds))
        return reply


@dataclass(frozen=True)
class Answer:
    """Where a name leads: the last name of its CNAME chain, and that name's address."""

    canonical_name: str
    address: str


class Resolver:
    """A client's stub resolver: asks its region's listener and keeps answers for their time to live."""

    def __init__(self, server: Address, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._kept: dict[str, tuple[float, Answer]] = {}

    def resolve(self, name: str) -> Answer:
        """Returns where ``name`` leads. May block for `QUERY_TIMEOUT_SECONDS`.

        Raises
        ------
        ResolutionError
            When nothing answers in time, or the name has no address.
        """
        until, answer = self._kept.get(name, (0.0, Answer("", "")))
        if self._clock.now() < until:
            return answer
        try:
            wire = DNSRecord.question(name).send(self._server.host, self._server.port, timeout=QUERY_TIMEOUT_SECONDS)
            records = DNSRecord.parse(wire).rr
        except (OSError, DNSError) as error:
            raise ResolutionError(f"no DNS answer for {name}: {error}") from error
        if not records or records[-1].rtype != QTYPE.A:
            raise ResolutionError(f"{name} has no address in DNS")
        answer = Answer(_normal(str(records[-1].rname)), str(records[-1].rdata))
        # A chain is kept as long as its shortest-lived link.
        self._kept[name] = (self._clock.now() + min(record.ttl for record in records), answer)
        return answer


def _normal(name: str) -> str:
    return name.rstrip(".").lower()
