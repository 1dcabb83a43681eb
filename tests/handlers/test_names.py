"""Names of DNS, as a function outside the VPC asks for them."""

import socket
import time
from collections.abc import Callable

import pytest

from handlers.gateways.names import has_address


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
        (lambda *_: time.sleep(0.5), True),
    ],
    ids=["has one", "has none", "has none of its kind", "no server answers", "no server answers for long"],
)
def test_p10_only_a_resolver_that_says_so_makes_a_name_have_no_address(
    resolver: Callable[..., object], has_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert has_address("payments.cluster-abc.us-west-2.rds.amazonaws.com", 0.1) is has_one


def test_p9_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: time.sleep(1.0))
    before = time.monotonic()
    has_address("payments.cluster-abc.us-west-2.rds.amazonaws.com", 0.1)
    assert time.monotonic() - before < 0.9
