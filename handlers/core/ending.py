"""What the ends of both workflows have in common: one way to read how a run ended, and one way to tell it. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from handlers.core.errors import InvalidRequest
from handlers.core.progress import Parts
from handlers.core.reading import Fields

Outcome = TypeVar("Outcome", bound=str)
Progress = TypeVar("Progress", bound=Parts)


@dataclass(frozen=True)
class End(Generic[Outcome, Progress]):
    """The end of a run: how it ended, how far it got, and why a part of that cannot be read."""

    run: str
    outcome: Outcome
    progress: Progress
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, event: object, headlines: Mapping[Outcome, str], progress: type[Progress]) -> Self:
        """Reads the event of a workflow's last steps, whose outcomes are those of ``headlines``.

        Raises
        ------
        InvalidRequest
            the run, its outcome or its progress is missing. A malformed part of the progress is not an error; see
            `handlers.core.progress`.
        """
        fields = Fields(event, "the step's event", InvalidRequest)
        outcome = fields.choice("outcome", tuple(headlines))
        unreadable: list[str] = []
        found = progress.read(fields.section("progress"), unreadable)
        return cls(fields.text("run"), outcome, found, tuple(unreadable))

    @property
    def gaps(self) -> list[str]:
        """What the message cannot tell, as lines of it."""
        return [f"Not readable: {why}" for why in self.unreadable]


def done_and_open(milestones: Mapping[str, str], done: Container[str], *, nothing: str, still_open: str) -> list[str]:
    """Says which milestones are done and which are not.

    ``milestones``: part of the progress → the words for it. ``nothing`` stands where none is done, ``still_open``
    before those that are not.
    """
    reached = [words for part, words in milestones.items() if part in done]
    missing = [words for part, words in milestones.items() if part not in done]
    lines = [f"Done: {'; '.join(reached) or nothing}"]
    return lines + ([f"{still_open}: {'; '.join(missing)}"] if missing else [])
