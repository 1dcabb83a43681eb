"""The monitor, tick by tick: what its handler does in a minute's loop, under the test's control."""

from __future__ import annotations

from typing import Any

# What a monitor is made of, by the names in its module.
PARTS = ("ENVIRONMENT", "MACHINE", "CONTROL", "PROBER", "FENCE", "OTHER_REGION", "RARELY", "HERE", "PEER")


def new_watch(module: Any, **others: Any) -> Any:
    """A monitor of what its function has made, or of other parts by their names there."""
    return module.Watch(*(others.get(part, getattr(module, part)) for part in PARTS))


def tick(watcher: Any) -> None:
    """One look, and the end of what it has started beside itself."""
    watcher.tick()
    for work in list(watcher._beside._running.values()):
        work.result()
