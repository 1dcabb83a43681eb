"""Work of the monitor that must not hold up its ticks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from handlers.core.errors import FailoverError
from handlers.machine import Machine
from handlers.telemetry import logger


class Beside:
    """Work beside the ticks: one of each kind at a time, and none waits for another."""

    def __init__(self, machine: Machine, kinds: int) -> None:
        self._pool = machine.pool(kinds)
        self._running: dict[str, Future[None]] = {}

    def start(self, kind: str, work: Callable[[], None]) -> None:
        """Starts the work unless the last of its kind is still running."""
        running = self._running.get(kind)
        if running is None or running.done():
            self._running[kind] = self._pool.submit(self._do, kind, work)

    @staticmethod
    def _do(kind: str, work: Callable[[], None]) -> None:
        try:
            work()
        except FailoverError as error:
            logger.warning("work beside the ticks failed; it will be tried again", work=kind, error=str(error))
