"""EventBridge: what is put on the region's default bus: the monitor's own event, and events for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlers.core.detection import EVENT_SOURCE, EVENT_TYPE
from handlers.core.errors import TransientFailure
from handlers.gateways.aws import client, named_errors

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient
    from types_boto3_events.type_defs import PutEventsRequestEntryTypeDef

# Whoever puts an event has other ways of being heard, and should be on time rather than sure.
READ_TIMEOUT_S = 1


@dataclass(frozen=True)
class EventBus:
    """The default bus of this region."""

    client: EventBridgeClient

    @classmethod
    def of(cls, region: str) -> EventBus:
        """Returns the bus of a region."""
        return cls(client("events", region, read_timeout_s=READ_TIMEOUT_S, attempts=1))

    def put(self, detail: Mapping[str, Any]) -> None:
        """Puts the event that the writer is down; raises `TransientFailure` when the bus does not take it."""
        self.put_all("the event that the writer is down", EVENT_SOURCE, [(EVENT_TYPE, detail)])

    def put_all(self, what: str, source: str, events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Puts events, each a detail type and a detail; ``what`` names them in the error.

        Raises
        ------
        TransientFailure
            the bus does not take one of them.
        """
        entries: list[PutEventsRequestEntryTypeDef] = [
            {"Source": source, "DetailType": kind, "Detail": json.dumps(detail)} for kind, detail in events
        ]
        with named_errors(f"putting {what}"):
            answer = self.client.put_events(Entries=entries)
        if answer["FailedEntryCount"]:
            said = next((one["ErrorMessage"] for one in answer["Entries"] if "ErrorMessage" in one), "no reason given")
            raise TransientFailure(f"putting {what}: the bus refused it: {said}")
