"""A deployment for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment import Deployment


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with Deployment() as deployed:
        yield deployed
