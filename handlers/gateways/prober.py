"""Asks the region's prober, the one function inside the VPC, to connect to a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from handlers.core.environment import Variables
from handlers.core.errors import FailoverError
from handlers.core.health import Installed, Probe
from handlers.core.heartbeat import END_OF_TIME_S, LARGEST_SEQUENCE, Beat
from handlers.core.reading import Fields
from handlers.gateways.acting import OtherRegion
from handlers.gateways.aws import client, invoke

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

# `writer`: the public name. `own`, `own_reader`, `peer`: the endpoints of this region's and the other region's cluster.
# `own_instances`: this region's instances, one after another, for one of them is the writer before the cluster's
# endpoint says so.
Target = Literal["writer", "own", "own_instances", "own_reader", "peer"]

# Longer than the prober's own limit on the database (see handlers/standing/prober.py) plus a cold start in a VPC.
INVOCATION_TIMEOUT_S = 6.0
# The steps before the move probe with less than a second for the database, and their own time is limited to 5 s.
STEP_INVOCATION_TIMEOUT_S = 3.0
# How long the region's own database may take where only its life is asked, by the guardian's look and by a lift: one
# that is overloaded takes seconds for an answer, and its applications wait as long without harm. A kept session has 80%
# of this (see handlers/gateways/kept_session.py), so that answers of 3 s say that it lives. Two ticks and one such
# answer are still well inside the lease.
OWN_PROBE_TIMEOUT_S = 4.5
# How long the other region's writer may take, whose life the standby's guardian asks for: it answers in about 0.5 s
# (7 round trips of 64 ms); one in trouble may need longer without being down.
PEER_PROBE_TIMEOUT_S = 2.0
SLOWEST_PROBE_MS = 3_600_000


class ProbeFailed(FailoverError):
    """The prober gave no answer that can be read: nothing is known of the database, least of all that it is down."""


class ProberVariables(Variables):
    """This region's prober."""

    prober_function: str


class PeerProberVariables(Variables):
    """The other region's prober."""

    peer_prober_function: str


class Prober:
    """The function ``function`` as its callers see it."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    @classmethod
    def of(cls, environment: ProberVariables, timeout_s: float = INVOCATION_TIMEOUT_S) -> Prober:
        """Returns the prober that a function's environment names. One attempt: its callers look again by themselves."""
        return cls(
            client("lambda", environment.aws_region, read_timeout_s=timeout_s, attempts=1),
            environment.prober_function,
        )

    @classmethod
    def there(cls, other_region: OtherRegion, environment: PeerProberVariables, run: str) -> Prober:
        """Returns the other region's prober, in the role for it."""
        return cls(
            other_region.client("lambda", run, read_timeout_s=INVOCATION_TIMEOUT_S), environment.peer_prober_function
        )

    def probe(self, target: Target, timeout_s: float, **work: Any) -> Probe:
        """Connects to ``target`` and says what was reached, within ``timeout_s`` seconds for the database.

        ``work`` is what the prober does on a writer there (see `handlers.standing.prober.Work`): ``proof``,
        ``heartbeat`` and ``lease``, ``fence``, ``lift_fence``; on a reader, ``lag``; on either, ``installed``.

        Raises
        ------
        TransientFailure
            Lambda did not answer, or the prober failed or ran out of time: nothing is known of the database.
        ProbeFailed
            the answer cannot be read.
        """
        event = {"target": target, "timeout_s": timeout_s, **work}
        fields = Fields(invoke(self._client, self._function, event), "the prober's answer", ProbeFailed)
        role = fields.optional_text("role", pattern="writer|reader")
        return Probe(
            target=fields.text("target"),
            role="writer" if role == "writer" else "reader" if role else None,
            region=fields.optional_text("region"),
            error=fields.optional_text("error", pattern="(?s).{1,1000}"),
            elapsed_ms=fields.number("elapsed_ms", at_least=0, at_most=SLOWEST_PROBE_MS),
            heartbeat=Beat.read_optional(fields, "heartbeat"),
            noted_lease=fields.optional_number("noted_lease", at_least=0, at_most=END_OF_TIME_S),
            fenced=fields.optional_flag("fenced"),
            fence_number=fields.optional_whole("fence_number", at_most=LARGEST_SEQUENCE),
            open_sessions=fields.optional_whole("open_sessions", at_most=LARGEST_SEQUENCE),
            oldest_xid=fields.optional_whole("oldest_xid", at_most=LARGEST_SEQUENCE),
            replicated_until=fields.optional_number("replicated_until", at_least=0, at_most=END_OF_TIME_S),
            refused=fields.optional_text("refused"),
            installed=Installed.read_optional(fields, "installed"),
        )
