"""What the figures of a drill rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.verdict.record import Record

if TYPE_CHECKING:
    from drills.outages import Outage

MODELLED = (
    "Aurora's own promotion and switchover: a stated delay, then a real PostgreSQL promotion",
    "Aurora's storage replication: PostgreSQL streaming replication over a link with the delay between the regions",
    "CloudWatch's evaluation of alarms, EventBridge, Route 53's health checks and DNS, Lambda and the RDS API: small "
    "models (drills/aws) driven by the deployed definitions",
    "the control table: one table, served where a majority of its three regions is reached",
    "the fence group: new connections wait in vain, tracked ones go on",
)
MEASURED = (
    "every write of every client, and what became of it in the databases",
    "the handlers from the built zips, and the state machine from its ASL file",
    "PostgreSQL's promotion, detection by the deployed alarms at their own periods, the switch of the writer name",
)
LIMITS = (
    "one PostgreSQL server per region, no instance failover inside a region",
    "passwords and IAM tokens are not checked by the lab's databases; TLS is",
)


class Notes(Record):
    """What the figures rest on, one sentence each."""

    measured: list[str]
    modelled: list[str]
    limits: list[str]


def notes_of(outage: Outage | None) -> Notes:
    """Returns the notes of a drill with that outage."""
    own = outage.limits if outage else ()
    return Notes(measured=list(MEASURED), modelled=list(MODELLED), limits=[*own, *LIMITS])
