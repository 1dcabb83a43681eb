"""Faults of the endpoint, against a real server and real requests."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from drills.aws.faults import Faults
from drills.world.reachability import OUTSIDE, Fault, Reachability

WaitUntil = Callable[[Callable[[], object]], None]

EAST, WEST = "us-east-1", "us-west-2"


class Endpoint:
    """A server that answers "fine", behind the fault layer."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.reachability = Reachability([EAST, WEST])
        # The key is the region's name, or somebody outside.
        self.faults = Faults(self._answer, self.reachability, lambda key: key if key in (EAST, WEST) else OUTSIDE)
        self._server = make_server("127.0.0.1", 0, self._notice, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def get(self, region: str | None, service: str = "dynamodb", key: str = "KEY") -> tuple[int, bytes]:
        scope = f"AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, SignedHeaders=host"
        with closing(http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=30)) as connection:
            connection.request("GET", "/", headers={"Authorization": scope} if region else {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def close(self) -> None:
        self.reachability.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _notice(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.arrived.append(environ.get("HTTP_AUTHORIZATION", ""))
        return self.faults(environ, start_response)

    @staticmethod
    def _answer(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"fine"]


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


def test_without_a_fault_every_region_answers(endpoint: Endpoint) -> None:
    assert [endpoint.get(region) for region in (EAST, WEST, None)] == [(200, b"fine")] * 3


def test_a_refusing_region_drops_the_connection_and_the_other_answers(endpoint: Endpoint) -> None:
    endpoint.reachability.take_down(EAST, Fault.REFUSE)
    with pytest.raises(ConnectionError):
        endpoint.get(EAST)
    assert endpoint.get(WEST) == (200, b"fine")
    endpoint.reachability.bring_back(EAST)
    assert endpoint.get(EAST) == (200, b"fine")


def test_services_without_regions_fail_with_us_east_1(endpoint: Endpoint) -> None:
    endpoint.reachability.take_down(EAST, Fault.REFUSE)
    with pytest.raises(ConnectionError):
        endpoint.get(EAST, "route53")  # signed for us-east-1 wherever the caller is


def test_an_unavailable_region_answers_503(endpoint: Endpoint) -> None:
    endpoint.reachability.take_down(WEST, Fault.UNAVAILABLE)
    assert endpoint.get(WEST)[0] == 503


@pytest.mark.parametrize("release", ["heal", "close", "refuse"])
def test_a_hanging_region_answers_nobody_until_it_changes(
    endpoint: Endpoint, wait_until: WaitUntil, release: str
) -> None:
    endpoint.reachability.take_down(EAST, Fault.HANG)
    with ThreadPoolExecutor() as threads:
        hanging = threads.submit(endpoint.get, EAST)
        wait_until(lambda: endpoint.arrived)
        assert endpoint.get(WEST) == (200, b"fine")
        assert not hanging.done()
        if release == "close":
            endpoint.reachability.close()
        else:
            (
                endpoint.reachability.bring_back(EAST)
                if release == "heal"
                else endpoint.reachability.take_down(EAST, Fault.REFUSE)
            )
        with pytest.raises(ConnectionError):
            hanging.result()


def test_a_cut_way_hangs_for_callers_on_either_side_and_for_nobody_else(
    endpoint: Endpoint, wait_until: WaitUntil
) -> None:
    endpoint.reachability.cut(EAST, WEST)
    with ThreadPoolExecutor() as threads:
        across = [threads.submit(endpoint.get, called, key=caller) for caller, called in ((EAST, WEST), (WEST, EAST))]
        wait_until(lambda: len(endpoint.arrived) == len(across))
        assert endpoint.get(EAST, key=EAST) == (200, b"fine")
        assert endpoint.get(WEST) == (200, b"fine")
        assert not any(one.done() for one in across)
        endpoint.reachability.close()


def test_an_isolated_region_answers_its_own_callers(endpoint: Endpoint, wait_until: WaitUntil) -> None:
    endpoint.reachability.isolate(EAST)
    assert endpoint.get(EAST, key=EAST) == (200, b"fine")
    with ThreadPoolExecutor() as threads:
        outside = threads.submit(endpoint.get, EAST)
        wait_until(lambda: len(endpoint.arrived) == 2)
        assert endpoint.get(WEST) == (200, b"fine")
        endpoint.reachability.mend()
        endpoint.reachability.close()
        with pytest.raises(ConnectionError):
            outside.result()
