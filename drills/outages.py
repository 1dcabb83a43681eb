"""What can fail in a drill, one row per outage, and the end that the design then demands.

Everything that a drill knows about an outage is in its row: what people read about it, what it does to the lab, and
what it demands. To add one, add a row to `OUTAGES`; `make drills` then runs it in every mode that takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from drills.ends import End
from drills.world.reachability import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from drills.lab import Lab

NO_OUTAGE = "none"
CIRCLE = "circle"
MODES = ("failover", "switchover", "rehearsal", CIRCLE)
APPROVALS = ("yes", "no", "never")
# What fails by default; in the other modes nothing does. A region that was cut off has surely written what nobody else
# has, and comes back with it: that shows what a circle is about.
USUAL = {"failover": "kill", CIRCLE: "isolate"}

# The standby is this far behind when the region dies: far beyond the RPO budget of 1 s, and soon reached.
LAG_SECONDS = 10.0
# How long the link is cut before the region dies, too: longer than any detection takes.
FADING_SECONDS = 60.0


@dataclass(frozen=True)
class Preparation:
    """What is done before the outage, which then meets a lab that is no longer well.

    Attributes
    ----------
    begin
        Does it, and returns at once.
    sentence
        What happens, with the writer and the standby region by name.
    waiting
        Completes "waiting for ...".
    seconds
        How long to wait before the outage (virtual seconds).
    """

    begin: Callable[[Lab], None]
    sentence: str
    waiting: str
    seconds: float


@dataclass(frozen=True)
class Outage:
    """One way in which a region can fail.

    Attributes
    ----------
    name
        What the command line and the result call it.
    sentence
        What happens, with the writer and the standby region by name.
    strike
        Does it to the lab, at once.
    demanded
        The end that section 9 of the design demands of a failover.
    demanded_unapproved
        The end that it demands when the person who is asked does not approve; None when nobody is asked.
    told
        What a message to people must say where nothing moves, or where everything waits for them: a regular expression.
        Empty where nothing asks for people.
    passes_after_seconds
        How long it lasts, if it passes by itself and ``--for`` says nothing else (virtual seconds). The drill then
        watches as long as it always does where nothing must move.
    clients_lost
        Which region's clients can no longer write through the name: ``writer``, ``standby`` or neither.
    clients_die
        Whether those clients are dead, so that they stay lost when the region comes back.
    goes_round
        Whether a circle can continue after it: the old region comes back with a database that can be read.
    surely_loses
        Whether the old writer acknowledges writes that nobody else has. A region that dies loses what was on the wire,
        now and then nothing; one that is cut off goes on for some seconds.
    preparation
        What is done to the lab before it.
    limits
        What the figures of this outage cannot be better than, one sentence each.
    """

    name: str
    sentence: str
    strike: Callable[[Lab], None]
    demanded: End
    demanded_unapproved: End | None = None
    told: str = ""
    passes_after_seconds: float | None = None
    clients_lost: Literal["writer", "standby"] | None = None
    clients_die: bool = False
    goes_round: bool = False
    surely_loses: bool = False
    preparation: Preparation | None = None
    limits: tuple[str, ...] = ()

    @property
    def asks_person(self) -> bool:
        """Whether the run waits for a person's approval."""
        return self.demanded_unapproved is not None

    @property
    def moves(self) -> bool:
        """Whether the writer has to move."""
        return self.demanded is End.FAILED_OVER

    def loses_clients(self, *, comes_back: bool) -> bool:
        """Returns whether a region's clients cannot write through the name when everything is over."""
        return self.clients_lost is not None and (self.clients_die or not comes_back)


_ROWS = (
    Outage(
        name="kill",
        sentence="{writer} died",
        strike=lambda lab: lab.lose(lab.writer, Fault.REFUSE),
        demanded=End.FAILED_OVER,
        clients_lost="writer",
        clients_die=True,
        goes_round=True,
    ),
    Outage(
        name="hang",
        sentence="{writer} accepted everything and answered nothing",
        # It does not go round: sessions that were open when a region froze go on for a moment when it thaws, until its
        # guardian has looked at the clock (docs/guarantees.md).
        strike=lambda lab: lab.lose(lab.writer, Fault.HANG),
        demanded=End.FAILED_OVER,
        clients_lost="writer",
    ),
    Outage(
        name="database",
        sentence="the database of {writer} failed",
        strike=lambda lab: lab.kill_database(lab.writer),
        demanded=End.FAILED_OVER,
        goes_round=True,
    ),
    Outage(
        name="isolate",
        sentence="{writer} was cut off from every other region",
        strike=lambda lab: lab.isolate(lab.writer),
        demanded=End.FAILED_OVER,
        clients_lost="writer",
        goes_round=True,
        surely_loses=True,
        limits=(
            "an isolated writer continues until its guardian fences it, some seconds after the cut: what it "
            "acknowledges meanwhile is not replicated and is lost to the new writer; it stays in the old database",
        ),
    ),
    Outage(
        name="lag",
        sentence="{standby} fell behind and {writer} died",
        strike=lambda lab: lab.lose(lab.writer, Fault.REFUSE),
        demanded=End.FAILED_OVER,
        demanded_unapproved=End.HELD,
        told="approv",
        clients_lost="writer",
        clients_die=True,
        preparation=Preparation(
            begin=lambda lab: lab.hold_replication(),
            sentence="nothing more reaches {standby}: it falls behind",
            waiting="the standby to fall behind",
            seconds=LAG_SECONDS,
        ),
        limits=("the person who accepted the loss accepted what the standby lacked",),
    ),
    Outage(
        name="link",
        sentence="{writer} and {standby} no longer saw each other",
        strike=lambda lab: lab.cut_link(),
        demanded=End.NOTHING_MOVED,
        told="does not arrive",
        clients_lost="standby",
    ),
    Outage(
        name="standby",
        sentence="{standby} died",
        strike=lambda lab: lab.lose(lab.standby, Fault.REFUSE),
        demanded=End.NOTHING_MOVED,
        told="silent|heartbeat",
        clients_lost="standby",
        clients_die=True,
    ),
    Outage(
        name="monitor",
        sentence="the monitors of both regions died",
        strike=lambda lab: lab.stop_monitors(),
        demanded=End.NOTHING_MOVED,
        told="silent|heartbeat",
    ),
    Outage(
        name="fading",
        sentence="{writer} died",
        strike=lambda lab: lab.lose(lab.writer, Fault.REFUSE),
        demanded=End.FAILED_OVER,
        demanded_unapproved=End.HELD,
        told="approv",
        clients_lost="writer",
        clients_die=True,
        preparation=Preparation(
            begin=lambda lab: lab.cut_link(),
            sentence="{writer} and {standby} no longer see each other",
            waiting="the region to follow its link",
            seconds=FADING_SECONDS,
        ),
        limits=(
            "the clients of the standby region are cut off with the link, so the RTO counts from there",
            "what the writer acknowledged after the cut is lost, which a person accepted",
        ),
    ),
    Outage(
        name="restart",
        sentence="the database of {writer} restarted",
        strike=lambda lab: lab.restart_database(lab.writer),
        demanded=End.NOTHING_MOVED,
        passes_after_seconds=6.0,
    ),
    Outage(
        name="quiet",
        sentence="nothing failed",
        strike=lambda _: None,
        demanded=End.NOTHING_MOVED,
        passes_after_seconds=0.0,
    ),
)
OUTAGES = {row.name: row for row in _ROWS}


class UndemandedError(ValueError):
    """The design demands no end for these options together; the message says which go together."""


def demanded_end(mode: str, outage: Outage | None, approve: str = "yes") -> End:
    """Returns the end that section 9 of the design demands.

    Parameters
    ----------
    mode
        One of `MODES`.
    outage
        None when everything is healthy.
    approve
        What the person who is asked does, one of `APPROVALS`.

    Raises
    ------
    UndemandedError
        When the design demands no end for them.
    """
    end = _demanded_healthy(mode) if outage is None else _demanded_of(outage, mode, approved=approve == "yes")
    if end is not None:
        return end
    failing, round_trips = ", ".join(OUTAGES), ", ".join(row.name for row in OUTAGES.values() if row.goes_round)
    raise UndemandedError(
        f"mode {mode} with outage {outage.name if outage else NO_OUTAGE} has no demanded end: a failover takes one of "
        f"the outages {failing}; a switchover takes {NO_OUTAGE}; a rehearsal takes {NO_OUTAGE} or an outage that "
        f"demands a failover; a circle takes {round_trips}, and a person who approves"
    )


def _demanded_healthy(mode: str) -> End | None:
    return {"switchover": End.SWITCHED_OVER, "rehearsal": End.REHEARSED}.get(mode)


def _demanded_of(outage: Outage, mode: str, *, approved: bool) -> End | None:
    if mode == "failover":
        return outage.demanded if approved else outage.demanded_unapproved or outage.demanded
    if mode == "rehearsal" and outage.demanded is End.FAILED_OVER:
        return End.REHEARSED
    if mode == CIRCLE and outage.goes_round and approved:
        return End.FULL_CIRCLE
    return None
