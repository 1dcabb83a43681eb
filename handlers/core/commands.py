"""The command that each step after the claim receives from the workflow, and the one that only warms it up."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.core.claim import Claim
from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields

# The event that only starts a function; see handlers/gateways/warm_up.py.
WARM_UP = {"warm_up": True}
# The event by which `failoverctl ready` asks for the answer; see handlers/standing/readiness.py.
REPORT = {"report": True}


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
