"""The runbook of break-glass in a lab of its own: a process has one AWS, which two labs would share."""

from __future__ import annotations

import pytest

from tests.faults.test_runbooks import a_lab

pytestmark = pytest.mark.drill


def test_the_workflow_itself_is_down() -> None:
    """A pause keeps the workflow from being quicker, and the writer's region hangs."""
    with a_lab() as night:
        night.wait_until_steady()
        assert night.ctl(["pause", "--for", "1h", "--reason", "a test", "--yes"]).code == 0
        night.living.strike("hang")
        night.wait(lambda: night.ctl(["break-glass", "--dry-run"]).code == 0, lambda: "the lease does not end")
        night.follow("break-glass.md", "The workflow itself is down")
        lab = night.living.lab
        night.wait(lambda: lab.load().commits_per_second["us-west-2"] > 0, lambda: f"nobody writes: {lab.load()}")
