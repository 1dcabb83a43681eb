"""Is the application well after the writer has moved? What its alarms say, and what people are told of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from handlers.core.message import Message, command

# Alarms tell of an outage minutes late, and of its end as well: those of the outage itself must not be held against
# what came after it.
SETTLES_S = 120.0
LOOK_EVERY_S = 15.0
WATCH_FOR_S = 780.0  # Lambda's longest is 900

Health = Literal["healthy", "unhealthy", "unknown"]
HEADLINES: dict[Health, str] = {
    "healthy": "APPLICATION HEALTHY: its alarms are over",
    "unhealthy": "RECOVERED, APPLICATION UNHEALTHY: the writer has moved, and alarms of the application ring",
    "unknown": "RECOVERED, APPLICATION NOT KNOWN: nobody can tell what the application's alarms say",
}


@dataclass(frozen=True)
class Seen:
    """What a look at the alarms has found: those that ring, and those that are not there."""

    ringing: tuple[str, ...]
    missing: tuple[str, ...]

    @classmethod
    def of(cls, wanted: Sequence[str], states: Mapping[str, str]) -> Seen:
        """Returns it from the states of the alarms, by name."""
        return cls(
            tuple(name for name in wanted if states.get(name) == "ALARM"),
            tuple(name for name in wanted if name not in states),
        )

    @property
    def health(self) -> Health:
        """What it says of the application; an alarm that is not there says nothing, and does not ring."""
        return "unhealthy" if self.ringing else "unknown" if self.missing else "healthy"

    @property
    def words(self) -> str:
        """The same for people."""
        found = [f"in alarm: {', '.join(self.ringing)}"] if self.ringing else []
        found += [f"not there: {', '.join(self.missing)}"] if self.missing else []
        return "; ".join(found) or "no alarm rings"


def message(health: Health, words: str, run: str, arn: str) -> Message:
    """Says how the application is; ``arn`` is a regional one of the deployment, which the command is for."""
    return Message.of(
        [
            HEADLINES[health],
            "",
            f"The application's alarms: {words}",
            f"Run {run} has moved the writer; the database and its name are as the run's own message says.",
            *(
                ["Nothing is left to do."]
                if health == "healthy"
                else ["You are told again when the alarms are over, if that is within a quarter of an hour."]
            ),
            "What the run did:",
            command(arn, "report", run),
        ]
    )
