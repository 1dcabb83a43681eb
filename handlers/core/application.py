"""Is the application well after the writer has moved? What its alarms say, and what people are told of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
LEFT_TO_DO: dict[Health, str] = {
    "healthy": "Nothing is left to do.",
    "unhealthy": "You are told again when the alarms are over, if that is within a quarter of an hour.",
    "unknown": "Nobody looks any longer: look at the application yourself. An alarm that has no data where all is well "
    "needs treat_missing_data = notBreaching.",
}


@dataclass(frozen=True)
class Seen:
    """What a look at the alarms has found, by name; ``error`` says why they could not be seen.

    Attributes
    ----------
    ringing
        those in alarm, and those that were and have not been OK since: what has lost its data has not recovered.
    silent
        those without data. An application that is dead publishes nothing, so that this vouches for nothing.
    missing
        those that are not there.
    """

    ringing: tuple[str, ...]
    silent: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    error: str | None = None

    @classmethod
    def of(cls, wanted: Sequence[str], states: Mapping[str, str], rang: Collection[str] = ()) -> Seen:
        """Returns it from the states of the alarms; ``rang`` are those that rang at the look before."""
        not_over = {name for name in rang if states.get(name) != "OK"}
        return cls(
            tuple(name for name in wanted if states.get(name) == "ALARM" or name in not_over),
            tuple(name for name in wanted if states.get(name) == "INSUFFICIENT_DATA"),
            tuple(name for name in wanted if name not in states),
        )

    @property
    def health(self) -> Health:
        """What it says of the application: well is only what every alarm says is well."""
        return "unhealthy" if self.ringing else "unknown" if self.silent or self.missing or self.error else "healthy"

    @property
    def words(self) -> str:
        """The same for people."""
        found = [
            f"{title}: {', '.join(names)}"
            for title, names in (("in alarm", self.ringing), ("no data", self.silent), ("not there", self.missing))
            if names
        ]
        return "; ".join([*found, *filter(None, (self.error,))]) or "no alarm rings"


def is_news(health: Health, told: Health, *, last: bool) -> bool:
    """Returns whether people are to be told; ``told`` is what they were told last, "healthy" where nothing.

    What is not known may be an alarm that has no data yet, or a look that failed: that is news at the ``last`` look.
    """
    return health != told and (health != "unknown" or last)


def message(health: Health, words: str, run: str, arn: str) -> Message:
    """Says how the application is; ``arn`` is a regional one of the deployment, which the command is for."""
    return Message.of(
        [
            HEADLINES[health],
            "",
            f"The application's alarms: {words}",
            f"Run {run} has moved the writer; the database and its name are as the run's own message says.",
            LEFT_TO_DO[health],
            "What the run did:",
            command(arn, "report", run),
        ]
    )
