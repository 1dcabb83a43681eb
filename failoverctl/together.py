"""Asks both regions at once, so that one that hangs costs nobody more than its short time limit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Answered(Generic[Answer]):
    """What one region answered, or the error that came instead."""

    def __init__(self, region: str, answer: Answer | None, error: Exception | None) -> None:
        self.region = region
        self.error = error
        self._answer = answer

    def get(self) -> Answer:
        """Returns the answer, or raises the error."""
        if self.error is not None:
            raise self.error
        return self._answer  # type: ignore[return-value]  # without an error there is an answer


def ask_each(regions: Sequence[str], ask: Callable[[str], Answer], at_most_s: float) -> Iterator[Answered[Answer]]:
    """Yields what each region answers, the first to answer first; nothing of one that is silent for ``at_most_s``.

    The threads are daemons: the end of the program does not wait for a region that hangs.
    """
    answers: queue.SimpleQueue[Answered[Answer]] = queue.SimpleQueue()

    def work(region: str) -> None:
        try:
            answers.put(Answered(region, ask(region), None))
        except Exception as error:  # noqa: BLE001 - whoever reads the answer gets it
            answers.put(Answered(region, None, error))

    for region in regions:
        threading.Thread(target=work, args=(region,), name=f"ask {region}", daemon=True).start()
    end = time.monotonic() + at_most_s
    for _ in regions:
        try:
            yield answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return
