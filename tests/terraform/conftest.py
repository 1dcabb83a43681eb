"""The deployment whose configuration Terraform checks."""

from __future__ import annotations

import pytest

from tests.infrastructure.synthesized import Deployment, synthesized


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment outside production, with its game days."""
    return synthesized(tmp_path_factory.mktemp("terraform"), game_day={"enabled": True})
