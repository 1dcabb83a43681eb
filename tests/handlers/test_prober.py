"""Which endpoint a name leads to, and what the prober is asked. Real servers: tests/drills."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from handlers.core.commands import WARM_UP
from handlers.core.errors import InvalidRequest
from handlers.core.health import Probe
from handlers.gateways.postgres import Endpoint, UnexpectedEndpoint, endpoint_behind
from tests.deployment import STANDBY, WRITER, Deployment
from tests.deployment.functions import Context

CLUSTERS = {WRITER: "payments-use1-test", STANDBY: "payments-usw2-test"}
EAST = "payments-use1-test.cluster-c1a2b3.us-east-1.rds.amazonaws.com"
INSTANCE = "payments-0-use1-test.c1a2b3.us-east-1.rds.amazonaws.com"
Resolve = Callable[..., None]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """One for all tests here: nothing in them changes it."""
    with Deployment() as deployed:
        yield deployed


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Have every name lead along these hosts to the last one."""

    def resolve(*hosts: str) -> None:
        def gethostbyname_ex(name: str) -> tuple[str, list[str], list[str]]:
            return hosts[-1], [name, *hosts[:-1]], ["10.0.0.1"]

        monkeypatch.setattr(socket, "gethostbyname_ex", gethostbyname_ex)

    return resolve


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (EAST, WRITER),
        (EAST.upper(), WRITER),
        (f"{EAST}.", WRITER),
        ("payments-use1-test.cluster-ro-c1a2b3.us-east-1.rds.amazonaws.com", WRITER),
        ("payments-usw2-test.cluster-c1a2b3.us-west-2.rds.amazonaws.com", STANDBY),
    ],
)
def test_an_endpoint_of_a_cluster_is_known_with_its_region(host: str, region: str, resolve_to: Resolve) -> None:
    resolve_to(host, INSTANCE)  # Aurora's cluster endpoints are CNAMEs of an instance's
    endpoint = endpoint_behind("writer.test.payments.internal", CLUSTERS)
    assert endpoint == Endpoint(host.rstrip(".").lower(), region)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "writer.test.payments.internal",
        "10.0.0.1",
        "other-use1-test.cluster-c1a2b3.us-east-1.rds.amazonaws.com",
        "payments-use1-test-2.cluster-c1a2b3.us-east-1.rds.amazonaws.com",
        "xpayments-use1-test.cluster-c1a2b3.us-east-1.rds.amazonaws.com",
        "payments-use1-test.cluster-c1a2b3.us-west-2.rds.amazonaws.com",
        "payments-usw2-test.cluster-c1a2b3.us-east-1.rds.amazonaws.com",
        "payments-use1-test.cluster-c1a2b3.eu-west-1.rds.amazonaws.com",
        f"{EAST}.evil.example",
        "payments-use1-test.cluster-c1a2b3.us-east-1.rds.amazonaws.com.evil.example",
        "payments-use1-test.cluster-c1a2b3.us-east-1.rds-amazonaws.com",
        "payments-use1-test.cluster-c1a2b3.us-east-1.rdsXamazonaws.com",
        "payments-use1-test.cluster-c1.evil.us-east-1.rds.amazonaws.com",
        "payments-use1-test.cluster-.us-east-1.rds.amazonaws.com",
        "payments-use1-test.cluster-custom-c1a2b3.us-east-1.rds.amazonaws.com",
        "payments-use1-test.c1a2b3.us-east-1.rds.amazonaws.com",
        f"evil.{EAST}",
        f"{EAST}\n",
    ],
)
def test_anything_else_is_refused(host: str, resolve_to: Resolve) -> None:
    resolve_to(host)
    with pytest.raises(UnexpectedEndpoint, match="not through an endpoint of payments-use1-test, payments-usw2-test"):
        endpoint_behind("writer.test.payments.internal", CLUSTERS)


def test_a_dot_in_a_clusters_name_stands_for_itself(resolve_to: Resolve) -> None:
    resolve_to("paymentsXuse1.cluster-c1a2b3.us-east-1.rds.amazonaws.com")
    with pytest.raises(UnexpectedEndpoint):
        endpoint_behind("writer", {WRITER: "payments.use1"})


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "the prober's event is None; it must be a JSON object"),
        ([], "the prober's event is []; it must be a JSON object"),
        ({}, "field 'target' is missing; give one of writer, own, own_reader, peer, own_instances"),
        (
            {"target": "localhost", "timeout_s": 1},
            "field 'target' is 'localhost'; give one of writer, own, own_reader, peer, own_instances",
        ),
        ({"target": "own"}, "field 'timeout_s' is None; give a number"),
        ({"target": "own", "timeout_s": 0}, "field 'timeout_s' is 0; give a number from 0.1 to 5"),
        ({"target": "own", "timeout_s": 60}, "field 'timeout_s' is 60; give a number from 0.1 to 5"),
        ({"target": "own", "timeout_s": "1"}, "field 'timeout_s' is '1'; give a number"),
        ({"target": "writer", "timeout_s": 1, "proof": 5}, "the prober's event, proof is 5; it must be a JSON object"),
        (
            {"target": "writer", "timeout_s": 1, "proof": {"run": "run-1"}},
            "proof: field 'epoch' is None; give a number",
        ),
        ({"target": "writer", "timeout_s": 1, "proof": {"epoch": 2}}, "proof: field 'run' is missing"),
        ({"target": "writer", "timeout_s": 1, "proof": {"run": "run-1", "epoch": 0}}, "proof: field 'epoch' is 0"),
        ({"target": "own", "timeout_s": 1, "heartbeat": 1}, "field 'heartbeat' is 1; give true or false"),
        ({"target": "own", "timeout_s": 1, "lift_fence": "no"}, "lift_fence is 'no'; it must be a JSON object"),
        ({"target": "own", "timeout_s": 1, "fence": True}, "field 'fence' is True; give a text"),
        ({"target": "own", "timeout_s": 1, "fence": ""}, "field 'fence' is ''; give a text"),
        (
            {"target": "own", "timeout_s": 1, "fense": "x"},
            "unknown field 'fense'; remove it, known are fence, heartbeat",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_malformed_event_is_refused_before_anything_is_connected(
    event: Any, message: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        pytest.fail("a name was resolved")

    monkeypatch.setattr(socket, "gethostbyname_ex", no_network)
    with pytest.raises(InvalidRequest) as raised:
        deployment.call("prober", event)
    assert message in str(raised.value)


def test_a_warm_up_connects_to_nothing(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        pytest.fail("a name was resolved")

    monkeypatch.setattr(socket, "gethostbyname_ex", no_network)
    assert deployment.call("prober", WARM_UP) == {}


def test_a_name_that_cannot_be_resolved_is_an_answer(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "gethostbyname_ex", unknown)
    answer = deployment.call("prober", {"target": "peer", "timeout_s": 1})
    assert (answer["target"], answer["role"], answer["region"]) == ("peer", None, None)
    assert answer["error"] == "gaierror: [Errno -2] Name or service not known"


def test_a_look_alike_is_never_connected_to(deployment: Deployment, resolve_to: Resolve) -> None:
    resolve_to(f"{EAST}.evil.example")
    with pytest.raises(UnexpectedEndpoint, match=r"writer\.test\.payments\.internal leads to .*evil\.example"):
        deployment.call("prober", {"target": "writer", "timeout_s": 1})


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("writer", "writer.test.payments.internal"),
        ("own_reader", "usw2-ro.test.payments.internal"),
        ("peer", "use1.test.payments.internal"),
    ],
)
def test_every_target_is_a_name_of_the_zone(
    target: str, name: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def note(host: str) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "gethostbyname_ex", note)
    deployment.call("prober", {"target": target, "timeout_s": 1})
    assert asked == [name]
    assert name in {record.name for record in deployment.specification.zone.records}


class Region:
    """The standby's cluster as it becomes the writer: what its names lead to, and what answers there."""

    HASH = "c1a2b3.us-west-2.rds.amazonaws.com"
    WRITER_ENDPOINT = f"payments-usw2-test.cluster-{HASH}"
    INSTANCES = (f"payments-0-usw2-test.{HASH}", f"payments-1-usw2-test.{HASH}")

    def __init__(self, prober: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self._prober = prober
        self.resolved: list[str] = []
        self.connected: list[tuple[str, float]] = []
        self.roles: dict[str, str] = {}  # by host; one without a role has no address
        self.endpoint_leads_to = ""
        self.fenced = False
        self.sessions: list[Any] = []
        self.open = 0  # sessions that are kept after the last question
        monkeypatch.setattr(socket, "gethostbyname_ex", self._resolve)
        monkeypatch.setattr(prober.postgres, "connect", self._connect)
        monkeypatch.setattr(prober.postgres, "standing", lambda session, **_: session.found)

    def _resolve(self, name: str) -> tuple[str, list[str], list[str]]:
        self.resolved.append(name)
        if name == "usw2-ro.test.payments.internal":
            return self.INSTANCES[0], [name, f"payments-usw2-test.cluster-ro-{self.HASH}"], ["10.0.0.1"]
        if name == "usw2.test.payments.internal" and self.endpoint_leads_to:
            return self.endpoint_leads_to, [name, self.WRITER_ENDPOINT], ["10.0.0.1"]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def _connect(self, endpoint: Endpoint, _: Any, seconds: float, __: Any) -> Any:
        self.connected.append((endpoint.host, seconds))
        role = self.roles.get(self.endpoint_leads_to if endpoint.host == self.WRITER_ENDPOINT else endpoint.host)
        if role is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if role not in ("writer", "reader"):
            raise TimeoutError(role)
        found = self._prober.postgres.Standing(role == "writer", fenced=self.fenced)
        self.sessions.append(mock.Mock(endpoint=endpoint, found=found))
        return self.sessions[-1]

    def look(self, target: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._prober.handler({"target": target, "timeout_s": 1}, Context("prober", 8))
        self.open = sum(not session.close.called for session in self.sessions)
        return answer

    def ask(self, target: str) -> dict[str, Any]:
        answer = self.look(target)
        for kept in self._prober.KEPT.values():
            kept.close()
        return answer


@pytest.fixture
def standby(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    with deployment.lambdas.environment(STANDBY, "prober") as prober:
        yield Region(prober, monkeypatch)


@pytest.mark.parametrize("writer", [0, 1])
def test_p9_a_new_writer_is_found_by_its_instance_and_its_endpoint_is_not_looked_up(
    writer: int, standby: Region
) -> None:
    """RDS publishes the endpoint late; a resolver that was asked for it would keep its absence."""
    standby.roles = dict.fromkeys(Region.INSTANCES, "reader") | {Region.INSTANCES[writer]: "writer"}
    answer = standby.ask("own_instances")
    assert (answer["role"], answer["region"], answer["error"]) == ("writer", STANDBY, None)
    assert set(standby.resolved) == {"usw2-ro.test.payments.internal"}


@pytest.mark.parametrize(("fenced", "kept"), [(True, 2), (False, 0)])
def test_p10_sessions_with_the_instances_take_no_connection_when_the_promotion_is_over(
    fenced: bool, kept: int, standby: Region
) -> None:
    standby.roles = {Region.INSTANCES[0]: "reader", Region.INSTANCES[1]: "writer"}
    standby.fenced = fenced  # until that is lifted, the same session is asked again
    standby.ask("own_instances")
    assert standby.open == kept


@pytest.mark.parametrize(("fenced", "kept"), [(True, 3), (False, 1)])
def test_p10_sessions_with_the_instances_take_no_connection_when_the_endpoint_leads_to_the_writer(
    fenced: bool, kept: int, standby: Region
) -> None:
    standby.roles = {Region.INSTANCES[0]: "reader", Region.INSTANCES[1]: "writer"}
    standby.fenced = fenced  # until that is lifted, the run that moves the writer asks the instances
    for _ in range(2):
        assert (standby.look("own")["role"], standby.open) == ("writer", 2)
    standby.endpoint_leads_to = Region.INSTANCES[1]
    assert (standby.ask("own")["role"], standby.open) == ("writer", kept)
    assert len(standby.sessions) == 3


@pytest.mark.parametrize("other", ["timed out", None])
def test_p9_an_instance_that_does_not_answer_leaves_time_for_the_next(other: str | None, standby: Region) -> None:
    standby.roles = {Region.INSTANCES[1]: "writer"} | ({Region.INSTANCES[0]: other} if other else {})
    assert standby.ask("own_instances")["role"] == "writer"
    (_, first_s), (_, second_s) = standby.connected
    assert first_s <= 0.5 < second_s


def test_before_the_promotion_the_instances_are_readers_and_the_endpoint_is_left_alone(standby: Region) -> None:
    standby.roles = {Region.INSTANCES[0]: "timed out", Region.INSTANCES[1]: "reader"}
    assert standby.ask("own_instances")["role"] == "reader"
    standby.roles = dict.fromkeys(Region.INSTANCES, "timed out")
    answer = standby.ask("own_instances")
    assert (answer["role"], answer["error"]) == (None, "TimeoutError: timed out")
    assert set(standby.resolved) == {"usw2-ro.test.payments.internal"}


def test_instances_of_other_names_are_asked_through_the_cluster(standby: Region) -> None:
    standby.endpoint_leads_to = "mydb.c1a2b3.us-west-2.rds.amazonaws.com"
    standby.roles = {standby.endpoint_leads_to: "writer"}
    assert standby.ask("own_instances")["role"] == "writer"


@pytest.mark.parametrize("endpoint", ["has no address", "leads to a reader"])
def test_p10_a_writer_whose_endpoint_is_late_is_not_down_for_its_guardian(endpoint: str, standby: Region) -> None:
    standby.roles = {Region.INSTANCES[0]: "reader", Region.INSTANCES[1]: "writer"}
    standby.endpoint_leads_to = "" if endpoint == "has no address" else Region.INSTANCES[0]
    answer = standby.ask("own")
    assert (answer["role"], answer["region"], answer["error"]) == ("writer", STANDBY, None)


def test_p10_the_endpoint_has_all_the_time_there_is_and_a_silent_one_is_down(standby: Region) -> None:
    """An instance that answers is not asked for it: whoever cannot connect by the endpoint has no writer."""
    standby.endpoint_leads_to = "silent"
    standby.roles = {"silent": "timed out"} | dict.fromkeys(Region.INSTANCES, "writer")
    answer = standby.ask("own")
    assert (answer["role"], answer["error"]) == (None, "TimeoutError: timed out")
    ((host, seconds),) = standby.connected
    assert (host, seconds > 0.9) == (Region.WRITER_ENDPOINT, True)


def test_a_standby_of_which_every_endpoint_leads_to_a_reader_is_one(standby: Region) -> None:
    standby.endpoint_leads_to = Region.INSTANCES[0]
    standby.roles = dict.fromkeys(Region.INSTANCES, "reader")
    assert standby.ask("own")["role"] == "reader"


def test_no_address_at_all_is_an_answer(standby: Region) -> None:
    answer = standby.ask("own")
    assert (answer["role"], answer["error"]) == (None, "gaierror: [Errno -2] Name or service not known")


def test_p1_a_fence_behind_which_sessions_do_not_end_is_not_reported_as_closed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that were opened after the look, and before the fence, are in no count."""
    with deployment.lambdas.environment(WRITER, "prober") as prober:
        monkeypatch.setattr(prober.postgres, "fence", lambda session, reason: False)
        before = prober.postgres.Standing(writer=True, fenced=False, fence_number=1, open_sessions=0)
        found, error = prober.do(mock.Mock(), prober.Work(fence="the test"), before, 1.0)
    assert error == "sessions of applications do not end"
    probe = Probe("own", "writer", WRITER, error, 1.0, fenced=found.fenced, open_sessions=found.open_sessions)
    assert (probe.fenced, probe.closed) == (True, False)


def test_p10_a_fence_that_was_lifted_meanwhile_is_reported_as_that(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployment.lambdas.environment(WRITER, "prober") as prober:
        monkeypatch.setattr(prober.postgres, "fence", lambda session, reason: None)
        before = prober.postgres.Standing(writer=True, fenced=False, fence_number=1, open_sessions=0)
        found, error = prober.do(mock.Mock(), prober.Work(fence="the test"), before, 1.0)
    assert (found.fenced, found.open_sessions, error) == (False, None, "the fence was lifted meanwhile")
