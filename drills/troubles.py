"""What makes an outage worse, one row per trouble: what AWS is reported to do, or what people do, at a bad moment.

A drill takes any number of them (``--trouble``) beside its outage, or beside a switchover. The end that is demanded
stays the outage's: a trouble may make it late, never different. To add one, add a row to `TROUBLES`; `make drills` then
runs it with the outage, or the mode, that hurts most.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from drills.ends import End
from drills.outages import OUTAGES, UndemandedError, demanded_end
from drills.world.postgres import APPLICATION, OWNER
from drills.world.reachability import Fault
from drills.world.visitors import CROWD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.lab import Lab
    from drills.outages import Outage

SWITCHOVER = "switchover"

# What a service does for how long (virtual seconds).
BUSY_SECONDS = 15.0
LATE_ANSWER_SECONDS, STILL_AVAILABLE_SECONDS = 10.0, 5.0
RDS_DOWN_SECONDS = 60.0
CONTROL_BLINK_SECONDS = 15.0
PROBE_BLINK_SECONDS = 5.0
ALARMS_LATE_SECONDS = 60.0
SLOW_ANSWER_SECONDS, SLOW_SECONDS = 3.0, 60.0
MONITORS_LATE_SECONDS = 15.0
UNBOOTSTRAPPED_SECONDS = 60.0
PENDING_SECONDS = 5.0
NEVER = 1_000_000


class Phase(StrEnum):
    """Where a run is when a trouble strikes it, by its lock: ``asked`` is ``moving`` with a request to RDS noted."""

    CHECKING = "checking"
    STOPPING = "stopping"
    MOVING = "moving"
    ASKED = "asked"


class When(StrEnum):
    """From when on a trouble's seconds count."""

    DEPLOYED = "once the lab is deployed; nothing else begins for so many seconds"
    BEFORE = "so many seconds before the outage"
    OUTAGE = "the outage"
    RUN = "the start of the first run"
    PHASE = "the first moment of the phase that --phase names"
    MOVED = "the end of the move"


@dataclass(frozen=True)
class Company:
    """With what a trouble makes sense: ``words`` for people, ``fits`` for a mode and an outage, if there is one."""

    words: str
    fits: Callable[[str, Outage | None], bool]


MOVE = Company(
    "a failover that moves the writer, or a switchover",
    lambda mode, outage: mode == SWITCHOVER if outage is None else mode == "failover" and outage.moves,
)
FAILOVER = Company(
    "a failover that moves the writer", lambda mode, outage: mode == "failover" and outage is not None and outage.moves
)
ANYTHING = Company("a failover with any outage, or a switchover", lambda mode, _: mode in ("failover", SWITCHOVER))
# A database that restarts is fenced until a guardian has renewed; nobody can while the table is away, and P10 does not
# reach that far (docs/guarantees.md: "a control table that no guardian of the region can write for a whole lease").
WITHOUT_RESTART = Company(
    "a failover with any outage but restart, or a switchover",
    lambda mode, outage: mode in ("failover", SWITCHOVER) and outage is not OUTAGES["restart"],
)
QUIET = Company("outage quiet", lambda mode, outage: mode == "failover" and outage is OUTAGES["quiet"])
FAILOVER_OR_QUIET = Company(
    f"{FAILOVER.words}, or {QUIET.words}",
    lambda mode, outage: FAILOVER.fits(mode, outage) or QUIET.fits(mode, outage),
)
ONE_SWITCH = Company(
    "outage database or a switchover, after which one writer switch is left",
    lambda mode, outage: mode == SWITCHOVER if outage is None else outage is OUTAGES["database"] and mode == "failover",
)
SWITCH_ONLY = Company("a switchover", lambda mode, _: mode == SWITCHOVER)


@dataclass(frozen=True)
class Trouble:
    """One trouble.

    Attributes
    ----------
    name
        What the command line and the result call it.
    sentence
        What happens, with the writer and the standby region by name.
    begin
        Does it to the lab, at once.
    company
        With which modes and outages it goes.
    worst, beside
        The outage with which it hurts most; `SWITCHOVER` for that mode. And the troubles, by name, without which it
        could change nothing there.
    when, seconds
        When it begins.
    prepare
        Done to the lab before the outage.
    told
        What a message to people must say, beside what the outage demands: a regular expression.
    patience
        How many times as long as usual the clients wait for answers.
    bootstrapped
        Whether the databases have what the orchestrator needs before it begins.
    loses_standby
        Whether the standby region dies of it, with its clients.
    turns_back
        Whether a switchover may be given back because of it: its writer is healthy, and does not stay closed for long.
    lasts_s
        How long after its beginning it is over, if the drill has to wait for that.
    """

    name: str
    sentence: str
    begin: Callable[[Lab], object]
    company: Company
    worst: str = "kill"
    beside: tuple[str, ...] = ()
    when: When = When.BEFORE
    seconds: float = 0.0
    prepare: Callable[[Lab], object] = lambda _: None
    told: str = ""
    patience: float = 1.0
    bootstrapped: bool = True
    loses_standby: bool = False
    turns_back: bool = False
    lasts_s: float = 0.0


def _rds_is_slow(lab: Lab) -> None:
    behaviour = lab.cloud.database.behaviour
    behaviour.answers_after_s = LATE_ANSWER_SECONDS
    behaviour.available_for_s = STILL_AVAILABLE_SECONDS
    behaviour.lists_until_promoted = True


def _rds_is_busy(lab: Lab) -> None:
    lab.cloud.database.behaviour.busy_until = lab.clock.now() + BUSY_SECONDS


def _rds_never_answers(lab: Lab) -> None:
    lab.cloud.database.behaviour.unanswered = NEVER


def _rds_is_down(lab: Lab) -> None:
    lab.cloud.database.behaviour.down_until[lab.standby] = lab.clock.now() + RDS_DOWN_SECONDS


def _rds_gives_up(lab: Lab) -> None:
    """A switchover whose target dies is taken to be cancelled; AWS does not say what becomes of it."""
    behaviour = lab.cloud.database.behaviour
    behaviour.pending_for_s, behaviour.cancels = PENDING_SECONDS, NEVER


def _control_table_fails(lab: Lab) -> None:
    lab.cloud.control_table.failing_until = lab.clock.now() + CONTROL_BLINK_SECONDS


_ROWS = (
    Trouble(
        name="rds-busy",
        sentence=f"RDS refuses to move the writer for {BUSY_SECONDS:g} s: a cluster is busy",
        begin=_rds_is_busy,
        company=MOVE,
        when=When.RUN,
        turns_back=True,
    ),
    Trouble(
        name="rds-slow",
        sentence=f"RDS answers after {LATE_ANSWER_SECONDS:g} s, lists a detached cluster until it is promoted, and "
        f"shows it as available for {STILL_AVAILABLE_SECONDS:g} s",
        begin=_rds_is_slow,
        company=MOVE,
    ),
    Trouble(
        name="rds-lost",
        sentence="RDS does what it is asked and never answers",
        begin=_rds_never_answers,
        company=MOVE,
    ),
    Trouble(
        name="rds-down",
        sentence=f"the RDS API of {{standby}} answers 503 for {RDS_DOWN_SECONDS:g} s",
        begin=_rds_is_down,
        company=ANYTHING,
        when=When.OUTAGE,
    ),
    Trouble(
        name="control-blink",
        sentence=f"the control table answers 500 for {CONTROL_BLINK_SECONDS:g} s",
        begin=_control_table_fails,
        company=WITHOUT_RESTART,
        when=When.OUTAGE,
        seconds=8.0,  # when the verdict is about to be "down", or the run has just claimed
    ),
    Trouble(
        name="probe-blink",
        sentence=f"the database of {{standby}} gives its region no answer for {PROBE_BLINK_SECONDS:g} s",
        begin=lambda lab: lab.silence_standby(PROBE_BLINK_SECONDS),
        company=MOVE,
        when=When.RUN,
    ),
    Trouble(
        name="event-lost",
        sentence="the monitor's own event never arrives",
        begin=lambda lab: lab.cloud.lose_events_of_ours(),
        company=FAILOVER,
    ),
    Trouble(
        name="bus-down",
        sentence="EventBridge delivers no event at all",
        begin=lambda lab: lab.cloud.lose_every_event(),
        company=FAILOVER,
    ),
    Trouble(
        name="alarm-late",
        sentence=f"CloudWatch sees metrics {ALARMS_LATE_SECONDS:g} s late",
        begin=lambda lab: lab.cloud.alarms.see_late(ALARMS_LATE_SECONDS),
        company=FAILOVER,
        # With its own event the monitor is quicker than any alarm. Without both, its next attempt has to do the work.
        beside=("event-lost",),
    ),
    Trouble(
        name="switch-down",
        sentence="the writer switch of {standby}, the writer region now, answers nothing any more",
        begin=lambda lab: lab.cloud.stop_function(lab.standby, "writer_switch"),
        company=ONE_SWITCH,
        worst="database",
        when=When.MOVED,
        seconds=30.0,
        lasts_s=60.0,
    ),
    Trouble(
        name="crowded",
        sentence="all connections of the database of {writer} are in use",
        begin=lambda lab: lab.visit(APPLICATION, CROWD),
        company=ANYTHING,
        worst="isolate",
        seconds=5.0,
    ),
    Trouble(
        name="slow-database",
        sentence=f"each answer of the database of {{writer}} takes {SLOW_ANSWER_SECONDS:g} s for {SLOW_SECONDS:g} s",
        begin=lambda lab: lab.slow_down_writer(SLOW_ANSWER_SECONDS, SLOW_SECONDS),
        company=QUIET,
        worst="quiet",
        when=When.OUTAGE,
        patience=5.0,
        lasts_s=SLOW_SECONDS,
    ),
    Trouble(
        name="owner-logged-in",
        sentence="the owner of the database of {writer} is logged in",
        begin=lambda lab: lab.visit(OWNER, 1),
        company=ANYTHING,
        worst="restart",
    ),
    Trouble(
        name="early-person",
        sentence="a person starts a failover",
        begin=lambda lab: lab.start_by_hand("failover"),
        company=FAILOVER,
        when=When.OUTAGE,
        seconds=3.0,
    ),
    Trouble(
        name="run-stopped",
        sentence="somebody stops the run by hand",
        begin=lambda lab: lab.stop_run(),
        company=MOVE,
        when=When.PHASE,
    ),
    Trouble(
        name="target-lost",
        sentence="{standby}, which is to take over, dies",
        begin=lambda lab: lab.lose(lab.standby, Fault.REFUSE),
        company=SWITCH_ONLY,
        worst=SWITCHOVER,
        when=When.PHASE,
        prepare=_rds_gives_up,
        loses_standby=True,
    ),
    Trouble(
        name="monitor-refused",
        sentence="both databases refuse the monitor's login",
        begin=lambda lab: lab.refuse_monitor(),
        company=QUIET,
        worst="quiet",
        when=When.OUTAGE,
        told=r"\blog(ged)? ?in",
        lasts_s=90.0,  # its alarm has a period of a minute
    ),
    Trouble(
        name="blind",
        sentence="the prober of {writer} dies",
        begin=lambda lab: lab.cloud.stop_function(lab.writer, "prober"),
        company=FAILOVER_OR_QUIET,
        worst="isolate",
        seconds=5.0,
    ),
    Trouble(
        name="monitors-late",
        sentence=f"each run of a monitor starts up to {MONITORS_LATE_SECONDS:g} s late, at random",
        begin=lambda lab: lab.cloud.start_schedules_late(MONITORS_LATE_SECONDS),
        company=ANYTHING,
        worst="quiet",
        when=When.DEPLOYED,
    ),
    Trouble(
        name="late-bootstrap",
        sentence="the databases are bootstrapped, a while after the deployment",
        begin=lambda lab: lab.bootstrap(),
        company=QUIET,
        worst="quiet",
        when=When.DEPLOYED,
        seconds=UNBOOTSTRAPPED_SECONDS,
        bootstrapped=False,
    ),
)
TROUBLES = {row.name: row for row in _ROWS}


def at_its_worst(trouble: Trouble) -> list[str]:
    """Returns the arguments of the drill in which a trouble hurts most."""
    what = ["--mode", SWITCHOVER] if trouble.worst == SWITCHOVER else ["--outage", trouble.worst]
    return [*what, *(word for name in (trouble.name, *trouble.beside) for word in ("--trouble", name))]


def demanded_with(mode: str, outage: Outage | None, approve: str, troubles: Sequence[Trouble]) -> End:
    """Returns the end that is demanded of an outage with these troubles: its own, or either one of a switchover.

    One that is broken off, or that finds RDS busy, may be finished or given back.

    Raises
    ------
    UndemandedError
        When the design demands no end for the outage, or a trouble does not go with it.
    """
    end = demanded_end(mode, outage, approve)
    for trouble in troubles:
        if not trouble.company.fits(mode, outage):
            raise UndemandedError(f"trouble {trouble.name} goes with {trouble.company.words}")
    if end is End.SWITCHED_OVER and any(trouble.when is When.PHASE or trouble.turns_back for trouble in troubles):
        return End.SETTLED
    return end
