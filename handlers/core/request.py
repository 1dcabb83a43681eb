"""A request to move the writer, as a person or the alarm's rule gives it to the workflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields

Mode = Literal["failover", "rehearsal"]
MODES: tuple[Mode, ...] = ("failover", "rehearsal")

FIELDS = ("mode", "started_by", "automatic", "incident", "target_region", "resumes")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    mode
        ``failover`` moves the writer; ``rehearsal`` runs every check and changes nothing.
    started_by
        who or what asks: a person's name, or the alarm.
    automatic
        an alarm asks, and no person; a pause in the control record holds for these only.
    incident
        names the outage; two starts with the same incident are one failover. Without one, the run is its own.
    target_region
        the region that is to become the writer: the one whose workflow this is.
    resumes
        name of a run that stopped half way, whose lock this one takes over.
    """

    mode: Mode
    started_by: str
    incident: str
    target_region: str
    resumes: str | None = None
    automatic: bool = False

    @classmethod
    def read(cls, data: object, run: str, region: str) -> Request:
        """Reads the execution's input.

        Raises
        ------
        InvalidRequest
            names the first field that is missing, unknown or not allowed, its value and the remedy.
        """
        fields = Fields(data, "the execution's input", InvalidRequest)
        fields.only(FIELDS)
        target = fields.text("target_region", default=region)
        if target != region:
            raise InvalidRequest(
                f"the execution's input: field 'target_region' is {target!r}, but this workflow moves the writer to "
                f"{region}; start the workflow of {target} instead, or leave the field out"
            )
        return cls(
            mode="failover" if fields.text("mode", choices=MODES) == "failover" else "rehearsal",
            started_by=fields.text("started_by"),
            incident=fields.text("incident", default=f"run {run}"),
            target_region=target,
            resumes=fields.optional_text("resumes", pattern=".{1,80}"),  # as long as Step Functions' names may be
            automatic=fields.flag("automatic", False),
        )
