"""Who reaches whom, and the calls of AWS's APIs on the way.

A path leads from one place to another, and may be cut one way or both. A new connection needs both ways. A client that
has kept a connection may still be heard where it can no longer be answered: what it asked for is done, and it never
learns of it.

Limits: there is no bandwidth. A call takes a time of its own, drawn anew for each; the SDK's pause before a second
attempt is what its documentation says (AWS SDKs guide, "Retry behavior", standard mode).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from simulation.stand_ins import (
    BotoCoreError,
    Client,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    refusal,
)

if TYPE_CHECKING:
    from simulation.world import World

# Round trips, in seconds: inside a region, and between two (us-east-1 and us-west-2 are about 64 ms apart).
NEAR_S, FAR_S = 0.004, 0.064
# What keeps a whole region from everybody else.
CUTS_OFF = ("isolated", "region dead")
# How often a client has kept a connection from its last call.
KEPT_CONNECTION = 0.5
# Requests that change nothing, and are as good as answered when they are sent.
ONLY_LOOK = frozenset({"get_item", "assume_role", "describe_execution", "put_metric_data", "publish"})
# The services whose API may be away by itself, by the names of the faults.
AWAY = {"rds": "rds away", "stepfunctions": "states away", "s3": "bucket away"}

Way = Literal["open", "hangs", "refuses"]


class Reply(NamedTuple):
    """What a service answers, and how long that takes it, in seconds."""

    value: Any
    after_s: float = 0.0


# A service: takes the caller's region, the client and the request; answers, or raises AWS's error.
Service = Callable[[str, Client, str, dict[str, Any]], Reply]


class Network:
    """The paths between regions, and the services that are behind them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.services: dict[str, Service] = {}
        self.calls = 0

    def way(self, here: str, there: str) -> Way:
        """Returns whether something that is sent from ``here`` arrives ``there``."""
        faults = self._world.faults
        if here == there or not faults.any:
            return "open"
        for kind, where in (
            ("cut", f"{here}->{there}"),
            *((kind, where) for kind in CUTS_OFF for where in (here, there)),
        ):
            fault = faults.acting(kind, where)
            if fault is not None:
                return "refuses" if fault.how.get("refuses") else "hangs"
        return "open"

    def reaches(self, here: str, there: str) -> Way:
        """Returns what becomes of a new connection, which needs both ways."""
        known = self._world.faults.follows
        way: Way | None = known.get((here, there))
        if way is None:
            way = self.way(here, there)
            known[here, there] = way = self.way(there, here) if way == "open" else way
        return way

    def round_trip(self, here: str, there: str) -> float:
        """Returns how long one takes now, in seconds."""
        usual = NEAR_S if here == there else FAR_S
        return usual * self._world.chance.uniform(0.8, 1.6)

    def call(self, client: Client, operation: str, request: dict[str, Any]) -> Any:
        """Carries a call of the product's code out, as the SDK does: with its time limits and attempts."""
        self._compare(client, operation, request)
        for attempt in range(client.attempts):
            if attempt:
                self._world.time.sleep(self._world.chance.random() * 2 ** (attempt - 1))
            try:
                return self._try(client, operation, request)
            except (BotoCoreError, ClientError) as error:
                if attempt + 1 == client.attempts or not _is_retried(error):
                    raise
        raise AssertionError

    def _compare(self, client: Client, operation: str, request: dict[str, Any]) -> None:
        """Notes an error where a function asks for what its role does not allow."""
        world = self._world
        role = client.role or world.time.process.role
        if role and (denied := world.product.rights.denied(role, client.service, client.region, operation, request)):
            world.defect(f"{role} may not {denied}")

    def _try(self, client: Client, operation: str, request: dict[str, Any]) -> Any:
        world = self._world
        here, there = world.time.process.region, client.region
        self.calls += 1
        way = self.reaches(here, there)
        kept = way != "open" and self.way(here, there) == "open" and world.chance.random() < KEPT_CONNECTION
        if way != "open" and not kept:
            self._fail(client, way)
        if client.service in AWAY and world.faults.acting(AWAY[client.service], there):
            world.time.sleep(self.round_trip(here, there))
            raise refusal("ServiceUnavailable", operation, status=503)
        trip = self.round_trip(here, there)
        began = world.time.now
        if operation not in ONLY_LOOK:  # what changes something does so when it arrives
            world.time.sleep(trip / 2)
            trip /= 2
        try:
            reply = self.services[client.service](here, client, operation, request)
        except ClientError:
            raise
        except Exception as error:
            # Somewhere a pool of the product would keep it, and nobody would ever ask.
            world.defect(f"the world's {client.service} broke at {operation}: {type(error).__name__}: {error}")
            raise
        left = trip + reply.after_s
        if kept or (way == "open" and self._is_cut(there, here)):
            left = client.read_s + 1
        limit = began + client.read_s - world.time.now
        if left > limit:
            world.time.sleep(max(0.0, limit))
            raise ReadTimeoutError(f"no answer of {client.service} in {there} within {client.read_s:.0f} s")
        world.time.sleep(left)
        return reply.value

    def _is_cut(self, here: str, there: str) -> bool:
        return here != there and self.way(here, there) != "open"

    def _fail(self, client: Client, way: Way) -> None:
        if way == "refuses":
            self._world.time.sleep(NEAR_S)
            raise EndpointConnectionError(f"could not connect to {client.service} in {client.region}")
        self._world.time.sleep(client.connect_s)
        raise ConnectTimeoutError(f"connecting to {client.service} in {client.region} timed out")


def _is_retried(error: BotoCoreError | ClientError) -> bool:
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return (
            status >= 500
            or "Throttl" in error.response["Error"]["Code"]
            or "TooMany" in error.response["Error"]["Code"]
        )
    return True
