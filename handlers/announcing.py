"""Beside what people are told: the control record that a message speaks of, and the same, for programs.

Nothing waits for the events on the region's bus, and nothing depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from handlers.core.errors import FailoverError
from handlers.gateways.event_bus import EventBus
from handlers.telemetry import logger

if TYPE_CHECKING:
    from handlers.core.control import ControlRecord
    from handlers.core.events import Event
    from handlers.gateways.control_table import ControlTable


def known(control: ControlTable) -> ControlRecord | None:
    """Returns the control record; None when it cannot be read, of which people are told instead."""
    try:
        return control.read()
    except FailoverError:
        logger.exception("the control record cannot be read")
        return None


def announce(region: str, global_cluster: str, events: Sequence[Event]) -> None:
    """Puts events, after people have been told: one attempt, and what fails is logged and fails nobody.

    ``global_cluster`` tells the deployments of an account apart.
    """
    if not events:
        return
    from handlers.core.events import SOURCE, as_detail  # a start that tells nobody anything is spared them

    details = [(type(event).__name__, as_detail(event, global_cluster)) for event in events]
    try:
        _bus(region).put_all("events for programs", SOURCE, details)
    except FailoverError:
        logger.exception("programs were not told", events=[kind for kind, _ in details])


@cache
def _bus(region: str) -> EventBus:
    """Returns the bus, whose client is made when there is something to tell: most runs have nothing."""
    return EventBus.of(region)
