"""A request to move the writer, as a person, a rule or the monitor gives it to the workflow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from handlers.core.errors import InvalidRequest
from handlers.core.heartbeat import END_OF_TIME_S
from handlers.core.reading import LARGEST_WHOLE, Fields

Mode = Literal["failover", "switchover", "rehearsal"]
MODES: tuple[Mode, ...] = ("failover", "switchover", "rehearsal")

LONGEST_RUN = 80  # characters that the name of an execution may have (Step Functions API reference, StartExecution)

FIELDS = (
    "mode",
    "started_by",
    "automatic",
    "epoch",
    "attempt",
    "asked_at",
    "incident",
    "target_region",
    "resumes",
    "accept_data_loss",
    "ignore_cool_down",
    "ignore_wrong_clock",
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
        an alarm or the monitor asks, not a person; a pause in the control record and the cool-down apply to these only.
    epoch
        the epoch that it was asked in, if the asker knew it: an automatic start of another one comes too late.
    attempt
        which of the automatic starts for its outage this is, from 1; None when the asker does not count.
    asked_at
        when it was asked for (seconds since 1970), if that is known: an automatic start that has been long on its way
        comes too late.
    incident
        names the outage; two starts with the same incident are one failover. Without one, a person's run is its own;
        automatic starts are of the incident that the claim gives them.
    target_region
        the region that is to become the writer: the one whose workflow this is.
    resumes
        name of a run that stopped half way, whose lock this one takes over.
    accept_data_loss
        the run does not ask a person when the lag is unknown or outside the RPO budget.
    ignore_cool_down
        the cool-down does not apply to this request.
    ignore_wrong_clock
        a lease that ends later than any may does not stop the run. Only for a person who knows that the old writer is
        dead or fenced: it cannot be told from the control record, and if the old writer lives there may be two.
    """

    mode: Mode
    started_by: str
    incident: str
    target_region: str
    resumes: str | None = None
    automatic: bool = False
    accept_data_loss: bool = False
    ignore_cool_down: bool = False
    ignore_wrong_clock: bool = False
    epoch: int | None = None
    attempt: int | None = None
    asked_at: float | None = None

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
        target = fields.line("target_region", default=region)
        if target != region:
            raise InvalidRequest(
                f"the execution's input: field 'target_region' is {target!r}, but this workflow moves the writer to "
                f"{region}; start the workflow of {target} instead, or leave the field out"
            )
        automatic = fields.flag("automatic", False)
        return cls(
            mode=fields.choice("mode", MODES),
            started_by=fields.line("started_by"),
            incident=_incident(fields, f"run {run}"),
            target_region=target,
            resumes=fields.optional_line("resumes", longest=LONGEST_RUN),
            automatic=automatic,
            accept_data_loss=_of_a_person(fields, "accept_data_loss", automatic),
            ignore_cool_down=fields.flag("ignore_cool_down", False),
            ignore_wrong_clock=_of_a_person(fields, "ignore_wrong_clock", automatic),
            epoch=fields.optional_whole("epoch", at_most=LARGEST_WHOLE),
            attempt=fields.optional_whole("attempt", at_most=LARGEST_WHOLE),
            asked_at=_moment(fields, "asked_at"),
        )


def incident_of(epoch: int) -> str:
    """The incident of every automatic start in an epoch: the outage of that epoch's writer."""
    return f"epoch {epoch}"


def _incident(fields: Fields, default: str) -> str:
    """Returns the incident; nobody may use the name of an outage of which automation may still have to take care."""
    incident = fields.line("incident", default=default)
    if re.fullmatch(r"epoch \d+", incident):
        raise fields.error(
            f"{fields.name}: field 'incident' is {incident!r}, as the automatic starts of an epoch are named; give "
            "another name, or leave the field out"
        )
    return incident


def _of_a_person(fields: Fields, field: str, automatic: bool) -> bool:
    """Returns a flag by which somebody answers for a danger: a person does, never an automatic start."""
    accepted = fields.flag(field, False)
    if accepted and automatic:
        raise fields.error(f"{fields.name}: field {field!r} is True in an automatic start; only a person may say so")
    return accepted


def _moment(fields: Fields, field: str) -> float | None:
    """Returns a moment such as ``2026-01-02T03:04:05Z``, as EventBridge gives it, in seconds since 1970."""
    text = fields.optional_text(field, pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise fields.error(f"{fields.name}: field {field!r} is {text!r}: {error}; give a moment that exists") from None
    if not 0 <= moment <= END_OF_TIME_S:
        raise fields.error(f"{fields.name}: field {field!r} is {text!r}; give a moment between 1970 and 2100")
    return moment
