"""A deployment, and ``failoverctl`` as a person calls it there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from failoverctl import command
from failoverctl.program import app
from tests.deployment import STANDBY, Deployment


@dataclass(frozen=True)
class Said:
    """What a call printed, and its exit code."""

    text: str
    code: int

    @property
    def data(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.text)


Ctl = Callable[..., Said]


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with Deployment() as deployed:
        yield deployed


@pytest.fixture
def ctl(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Call failoverctl for the deployment."""
    return calling(deployment, monkeypatch)


def calling(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """What calls failoverctl for a deployment: words as on the command line."""
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", deployment.specification.settings.environment_suffix)

    def call(*words: str, at_terminal: bool = False) -> Said:
        # Not to `sys.stdout`, to which the handlers write their logs meanwhile.
        out, somebody = io.StringIO(), SimpleNamespace(isatty=lambda: at_terminal)
        monkeypatch.setattr(command, "sys", SimpleNamespace(stdout=out, stderr=out, stdin=somebody))
        with pytest.raises(SystemExit) as ended:
            app([*words])
        return Said(out.getvalue(), int(ended.value.code or 0))

    return call


@pytest.fixture
def asking(deployment: Deployment) -> str:
    """A failover that waits for a person, because nobody knows what would be lost; its name."""
    deployment.writer_dies()
    deployment.databases.heartbeat[STANDBY] = None
    deployment.start({"mode": "failover", "started_by": "ada"}, "run-1")
    deployment.wait_for(lambda: bool(deployment.messages(STANDBY)), "nobody is asked")
    return "run-1"


@pytest.fixture
def asking_shortly(deployment: Deployment) -> str:
    """The same, by a run whose question expires as soon as it is asked."""
    deployment.nobody_answers()
    deployment.writer_dies()
    deployment.databases.heartbeat[STANDBY] = None
    deployment.start({"mode": "failover", "started_by": "ada"}, "run-1")
    return "run-1"
