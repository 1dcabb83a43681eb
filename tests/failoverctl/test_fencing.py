"""``failoverctl verify --with-fence``: what logins meet behind a fence, and what is concluded from that."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from failoverctl import fencing
from tests.deployment import STANDBY, WRITER, Deployment
from tests.deployment.surroundings import surround
from tests.failoverctl.conftest import Ctl
from tests.failoverctl.test_rights import asked
from tests.failoverctl.test_verify import NOT_IN_MOTO

URL = "postgresql://verify_login@writer/payments"
BY_TRIGGER = "connection failed: FATAL:  this server is fenced from applications"
BY_RIGHT = 'connection failed: FATAL:  permission denied for database "payments"'
SILENCE = "connection timeout expired"


class World:
    """A deployment's writer as an application reaches it, and a guardian that opens it after some looks."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.refusal = BY_TRIGGER
        self.group_works = True
        self.fence_works = True
        self.guardian_lives = True
        self.guardian_after = 3  # looks
        self._looks = 0

    def connect(self, url: str, **_: Any) -> Any:
        """What psycopg's `connect` does."""
        assert url == URL
        databases = self.deployment.databases
        if not databases.admits[WRITER] and self.group_works:
            raise psycopg.OperationalError(SILENCE)
        if databases.fenced[WRITER] and self.fence_works:
            raise psycopg.OperationalError(self.refusal)
        return SimpleNamespace(close=lambda: None)

    def a_moment_passes(self, seconds: float) -> None:
        """Let the guardian look."""
        self._looks += 1
        if self.guardian_lives and self._looks % self.guardian_after == 0:
            lift = {"number": self.deployment.databases.fence_number[WRITER], "until": 4e9}
            self.deployment.call("fence", {"order": "lift", "reason": "a guardian", **lift}, WRITER)
        time.sleep(0.001)


@pytest.fixture
def world(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> World:
    surround(deployment)
    for operation in NOT_IN_MOTO:
        deployment.trouble(operation, "NotImplemented", times=1000)
    made = World(deployment)
    errors = {"OperationalError": psycopg.OperationalError, "Error": psycopg.Error}
    monkeypatch.setattr(fencing, "psycopg", SimpleNamespace(connect=made.connect, **errors))
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=made.a_moment_passes)
    monkeypatch.setattr(fencing, "time", clock)
    monkeypatch.setattr(fencing, "OPEN_WITHIN_S", 8.0)
    return made


@pytest.fixture
def seen(ctl: Ctl, world: World) -> Callable[[], dict[str, tuple[str, str]]]:
    """Level and fact of the two rows."""

    def call() -> dict[str, tuple[str, str]]:
        data = ctl("verify", "--with-fence", URL, "--yes", "--json").data
        left = {one["check"] for one in data["not_asked"]}
        found = {one["check"]: (one["level"], one["fact"]) for one in data["findings"]}
        assert not left & {"fence", "security-group"}
        return {check: found[check] for check in ("fence", "security-group")}

    return call


Seen = Callable[[], dict[str, tuple[str, str]]]


def test_a_fence_that_keeps_an_application_out_in_both_ways_is_green(seen: Seen, world: World) -> None:
    found = seen()
    assert found["fence"][0] == "ok"
    assert "the login trigger kept the role out from 0." in found["fence"][1]
    assert found["security-group"][0] == "ok"
    assert world.deployment.databases.takes_writes(WRITER)
    assert "rds:ModifyDBCluster" not in asked(world.deployment)  # the fence function does it


def test_a_login_that_no_fence_keeps_out_is_red(seen: Seen, world: World) -> None:
    world.group_works = world.fence_works = False
    found = seen()
    assert found["fence"][0] == "failing"
    assert "no login was kept out" in found["fence"][1]
    assert found["security-group"][0] == "cannot tell"


def test_a_refusal_by_a_missing_right_shows_nothing_of_the_trigger(seen: Seen, world: World) -> None:
    world.refusal = BY_RIGHT
    found = seen()
    assert found["fence"][0] == "warning"
    assert "the login trigger was not reached" in found["fence"][1]


def test_a_group_that_keeps_nobody_out_before_it_is_opened_again_is_not_green(seen: Seen, world: World) -> None:
    world.group_works = False
    level, fact = seen()["security-group"]
    assert level == "cannot tell"
    assert "it kept no connection out" in fact


def test_a_guardian_that_does_not_open_is_red_and_says_how_to(
    ctl: Ctl, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "OPEN_WITHIN_S", 0.05)
    world.guardian_lives = False
    said = ctl("verify", "--with-fence", URL, "--yes")
    assert said.code == 1
    assert "`failoverctl let-in us-east-1`" in said.text


def test_nobody_is_fenced_unasked_or_by_a_role_that_cannot_log_in(ctl: Ctl, world: World) -> None:
    number = world.deployment.databases.fence_number[WRITER]
    said = ctl("verify", "--with-fence", URL)
    assert said.code == 1
    assert "applications lose their sessions" in said.text
    assert "say --yes" in said.text
    world.deployment.databases.fenced[WRITER] = True
    said = ctl("verify", "--with-fence", URL, "--yes")
    assert said.code == 1
    assert "no login by this URL even without a fence" in said.text
    assert world.deployment.databases.fence_number[WRITER] == number
    world.refusal = "FATAL:  password authentication failed"
    said = ctl("verify", "--with-fence", URL, "--yes")
    assert said.code == 2
    assert "password authentication failed" in said.text


def test_the_writer_is_fenced_wherever_it_is(seen: Seen, world: World) -> None:
    seen()
    assert not world.deployment.databases.fence_number[STANDBY]
