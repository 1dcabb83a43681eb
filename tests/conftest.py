"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import hypothesis
import pytest

from orchestration import lazy_bindings

Found = TypeVar("Found")

# .ci/run sets this to 1: there, a tool that a check needs is installed, and its absence is a failure.
REQUIRE_OPTIONAL_CHECKS_VARIABLE = "REQUIRE_OPTIONAL_CHECKS"
IN_CI = os.environ.get(REQUIRE_OPTIONAL_CHECKS_VARIABLE) == "1"

# No property may fail because the machine is busy: neither for one slow example nor for slowly made ones. In CI the
# examples are the same each time; elsewhere they differ, and find more.
hypothesis.settings.register_profile(
    "project", deadline=None, derandomize=IN_CI, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")

# Before any file of tests is imported: some import a construct, and would load all bindings in every process.
lazy_bindings.enable()

# The files that take longest, a minute and more. They begin first, so that no core waits for one of them at the end.
# The two that run a whole lab come one after the other.
LONGEST = (
    "statemachines/test_every_path.py",
    "live/test_browser.py",
    "drills/test_drill.py",
    "terraform/test_plan.py",
    "protocol/test_protocol.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and leave the others in their order."""
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(f"{item.path.parent.name}/{item.path.name}", len(LONGEST)))


@pytest.fixture(scope="session")
def optional_tool() -> Callable[[str, Found | None, str], Found]:
    """Skip a check whose tool is missing, or fail it where every check has to run.

    Call it as ``terraform = optional_tool("terraform", shutil.which("terraform"), "validates the stacks")``: the
    tool's name, what was found of it (None when nothing was) and what it is for. It returns what was found.
    """

    def require(name: str, found: Found | None, reason: str) -> Found:
        if found:
            return found
        message = f"{name} was not found; it {reason}"
        if IN_CI:
            pytest.fail(f"{message}. {REQUIRE_OPTIONAL_CHECKS_VARIABLE}=1 forbids to skip this check.")
        pytest.skip(message)

    return require
