"""Names of DNS, as a function outside the VPC asks for them."""

import socket
import threading
from collections.abc import Callable

import pytest

from handlers.gateways.names import has_address

NAME = "payments.cluster-abc.us-west-2.rds.amazonaws.com"
# Only ends a test that would otherwise wait for ever; nothing is measured by it.
PATIENCE_S = 60.0


def fails(errno: int) -> Callable[..., object]:
    def ask(*_: object) -> object:
        raise socket.gaierror(errno, "made by the test")

    return ask


@pytest.mark.parametrize(
    ("resolver", "has_one"),
    [
        (lambda *_: [("10.0.0.1", 5432)], True),
        (fails(socket.EAI_NONAME), False),
        (fails(socket.EAI_NODATA), False),
        (fails(socket.EAI_AGAIN), True),
    ],
    ids=["has one", "has none", "has none of its kind", "no server answers"],
)
def test_p10_only_a_resolver_that_says_so_makes_a_name_have_no_address(
    resolver: Callable[..., object], has_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert has_address(NAME, PATIENCE_S) is has_one


def test_p9_a_resolver_that_hangs_is_not_waited_for_and_the_name_may_have_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on, waited_for = threading.Event(), []

    def hang(*_: object) -> object:
        waited_for.append(not goes_on.wait(PATIENCE_S))
        raise socket.gaierror(socket.EAI_NONAME, "made by the test")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert has_address(NAME, 0.1)
    assert not waited_for
    goes_on.set()
