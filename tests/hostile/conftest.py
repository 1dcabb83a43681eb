"""A deployment for every test, and ``failoverctl`` as a person calls it there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment import Deployment
from tests.failoverctl.conftest import Ctl, calling


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with Deployment() as deployed:
        yield deployed


@pytest.fixture
def ctl(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Ctl:
    return calling(deployment, monkeypatch)
