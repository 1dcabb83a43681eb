"""Fixtures of the lab's tests, for those of the living lab."""

from __future__ import annotations

from tests.drills.conftest import wait_until

__all__ = ["wait_until"]
