"""Idempotency tokens: a step repeated within a run acts once, as `handlers.idempotency` has it by Powertools.

Limits: the table of tokens never fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class IdempotencyAlreadyInProgressError(Exception):
    """As Powertools' error: another invocation of the same is at work."""


class Tokens:
    """The tokens of both regions' tables."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, ...], Any] = {}
        self._at_work: set[tuple[str, ...]] = set()

    def once(self, key: tuple[str, ...], work: Callable[[], Any]) -> Any:
        """Does the work, or returns what it returned the first time."""
        if key in self._done:
            return self._done[key]
        if key in self._at_work:
            raise IdempotencyAlreadyInProgressError
        self._at_work.add(key)
        try:
            self._done[key] = work()
        finally:
            self._at_work.discard(key)
        return self._done[key]
