"""The synthesized stacks: made once, because a process can start jsii's kernel once and it takes seconds."""

from __future__ import annotations

import pytest

from tests.infrastructure.synthesized import Deployment, synthesized


@pytest.fixture(scope="session")
def development(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment outside production."""
    return synthesized(tmp_path_factory.mktemp("development"))


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A protected deployment."""
    return synthesized(tmp_path_factory.mktemp("production"), environment="production", environment_suffix="live")


@pytest.fixture(params=["writer", "standby"])
def region(request: pytest.FixtureRequest, development: Deployment) -> str:
    """Each of the two regions in turn."""
    return str(getattr(development.settings, f"{request.param}_region"))
