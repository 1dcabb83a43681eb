"""A request to move the writer, as a person or the alarm's rule gives it to the workflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields

Mode = Literal["failover", "switchover", "rehearsal"]
MODES: tuple[Mode, ...] = ("failover", "switchover", "rehearsal")

FIELDS = (
    "mode",
    "started_by",
    "automatic",
    "incident",
    "target_region",
    "resumes",
    "accept_data_loss",
    "ignore_cool_down",
)


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    mode
        ``failover`` moves the writer away from a region that is down; ``switchover`` moves a healthy one and loses
        nothing; ``rehearsal`` runs every check of a failover and changes nothing.
    started_by
        who or what asks: a person's name, or the alarm.
    automatic
        an alarm asks, not a person; a pause in the control record and the cool-down apply to these only.
    incident
        names the outage; two starts with the same incident are one failover. Without one, the run is its own.
    target_region
        the region that is to become the writer: the one whose workflow this is.
    resumes
        name of a run that stopped half way, whose lock this one takes over.
    accept_data_loss
        the run does not ask a person when the lag is unknown or outside the RPO budget.
    ignore_cool_down
        the cool-down does not apply to this request.
    """

    mode: Mode
    started_by: str
    incident: str
    target_region: str
    resumes: str | None = None
    automatic: bool = False
    accept_data_loss: bool = False
    ignore_cool_down: bool = False

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
            mode=fields.choice("mode", MODES),
            started_by=fields.text("started_by"),
            incident=fields.text("incident", default=f"run {run}"),
            target_region=target,
            resumes=fields.optional_text("resumes", pattern=".{1,80}"),  # as long as Step Functions' names may be
            automatic=fields.flag("automatic", False),
            accept_data_loss=fields.flag("accept_data_loss", False),
            ignore_cool_down=fields.flag("ignore_cool_down", False),
        )
