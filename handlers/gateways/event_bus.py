"""EventBridge: the monitor's own event, on the region's default bus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handlers.core.detection import EVENT_SOURCE, EVENT_TYPE
from handlers.core.errors import TransientFailure
from handlers.gateways.aws import client, named_errors

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient
    from types_boto3_events.type_defs import PutEventsRequestEntryTypeDef

# Whoever puts the event has an alarm and later attempts behind it, and should be on time rather than sure.
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
        entry: PutEventsRequestEntryTypeDef = {
            "Source": EVENT_SOURCE,
            "DetailType": EVENT_TYPE,
            "Detail": json.dumps(detail),
        }
        with named_errors("putting the event that the writer is down"):
            answer = self.client.put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            said = answer["Entries"][0].get("ErrorMessage", "no reason given")
            raise TransientFailure(f"putting the event that the writer is down: the bus refused it: {said}")
