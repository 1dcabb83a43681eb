"""The command that each step after the claim receives from the workflow."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.control import Claim
from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields


@dataclass(frozen=True)
class Step:
    """Which run asks, and what it has claimed."""

    run: str
    claim: Claim

    @classmethod
    def read(cls, event: object) -> Step:
        """Reads a step's event; `InvalidRequest` names what is wrong with it."""
        fields = Fields(event, "the step's event", InvalidRequest)
        return cls(run=fields.text("run"), claim=Claim.read(fields.section("claim")))
