"""The faults of a history: a table, one row each, drawn from the seed.

`KINDS` is the alphabet. Each kind says where it may strike, for how long, and by how much. What it does is asked for
where it acts, by `Faults.acting`; what it does once, when it begins or ends, is in `simulation.world`. None excuses
anything: what a promise does not cover is a fact of the world, whatever has led to it (`simulation.checks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes
    ----------
    kind
        its name in `KINDS`.
    where
        the region that it strikes, or a path with an arrow (``us-west-2->us-east-1``: nothing that is sent that way
        arrives); empty where it strikes none in particular.
    start, lasts
        seconds from the history's beginning.
    how
        what else its kind says of it, by name.
    """

    kind: str
    where: str
    start: float
    lasts: float
    how: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What may fail.

    Attributes
    ----------
    name
        in words, as a story tells it.
    strikes
        a region, a path between two places, or everything.
    longest
        for how many seconds at most.
    how
        the least and the most of what else has to be said of it.
    often
        how often it is drawn, compared with the others.
    """

    name: str
    strikes: Literal["region", "path", "all"]
    longest: float
    how: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    often: int = 2


STARTS_OPEN = "starts open"
TWICE = "invoked twice"
OWNER, SECOND_DATABASE = "owner logged in", "second database"
# How far a run has come for which a person waits who watches it, and what that person does then.
GETS_TO = ("checking", "stopping", "moving", "asked RDS")
DOES = ("stop", "stop and pause", "abort", "hold")
YES_OR_NO: tuple[float, float] = (0, 1)
REFUSES = {"refuses": YES_OR_NO}

KINDS = (
    # --- regions and paths; the third region holds the table's witness
    Kind("region dead", "region", 90, REFUSES, often=6),
    Kind("cut", "path", 60, REFUSES, often=6),
    Kind("isolated", "region", 60, REFUSES, often=4),
    Kind("unreachable", "region", 40, REFUSES),  # for Route 53's checkers
    # --- the control table
    Kind("table away", "region", 60, {"hangs": YES_OR_NO}, often=4),
    Kind("table writes away", "region", 60),
    Kind("table answers lost", "region", 30),
    Kind("table conflicts", "region", 30),
    # --- functions, and the machines that they run on
    Kind("cold starts", "region", 60, {"takes": (1, 6)}),
    Kind("throttled", "region", 40, {"share": (0.2, 1)}),
    Kind(TWICE, "region", 110, {"share": (0.1, 1), "within": (0.1, 3)}, often=0),  # drawn by itself (`twice`)
    Kind("frozen", "region", 40, often=3),  # the monitor, all of it
    Kind("fence frozen", "region", 40),  # one invocation
    Kind("step frozen", "region", 30),  # one invocation
    Kind("monitor missing", "region", 130),
    Kind("monitor late", "region", 90, {"takes": (1, 15)}),
    Kind("clock wrong", "region", 90, {"error": (-1, 1)}, often=3),
    Kind("clock far off", "region", 60, {"error": (-3600, 3600)}),
    # --- databases and their probers
    Kind("database down", "region", 70, often=6),
    Kind("database restarts", "region", 8, often=3),
    Kind("crash loop", "region", 80, {"up": (3, 15), "down": (3, 15)}),
    Kind("database hangs", "region", 60, often=3),
    Kind("database slow", "region", 60, {"takes": (0.3, 4)}),
    Kind("database full", "region", 60),
    Kind("refuses the monitor", "region", 90, {"kept": YES_OR_NO}),
    Kind("session will not end", "region", 120),
    Kind("prober away", "region", 60),
    Kind("prober slow", "region", 60, {"takes": (0.5, 6)}),
    Kind("replication late", "all", 90, {"lag": (0.5, 8)}),
    # --- RDS, as `drills.aws.rds_behaviour` has it
    Kind("rds away", "region", 60, often=3),
    Kind("rds busy", "region", 60, often=4),
    Kind("rds throttles", "region", 40),
    Kind("rds late", "all", 60, {"takes": (1, 20)}),
    Kind("rds lost", "all", 40, often=3),
    Kind("rds unanswered", "all", 60, often=3),
    Kind("rds lists", "all", 120),
    Kind("rds shows available", "all", 120, {"takes": (1, 20)}),
    Kind("rds pending", "all", 120, {"takes": (1, 30)}),
    Kind("rds cancels", "all", 120),
    Kind("promotion takes", "all", 120, {"takes": (0.05, 90)}),
    Kind("group change late", "region", 90, {"takes": (1, 20)}),
    # --- alarms and the bus
    Kind("bus loses", "region", 90),
    Kind("bus late", "region", 90, {"takes": (1, 60)}),
    Kind("bus repeats", "region", 120),
    Kind("alarm flaps", "region", 120),
    Kind("states away", "region", 60),
    Kind("bucket away", "region", 60, often=0),
    # --- people; who starts a run may do so in either region
    Kind("person fails over", "region", 1, {"accepts loss": YES_OR_NO, "ignores cool-down": YES_OR_NO}, often=3),
    Kind("person switches over", "region", 1, often=4),
    Kind("person rehearses", "region", 1, often=1),
    Kind("person resumes", "region", 1, {"switchover": YES_OR_NO}, often=3),
    Kind("person stops a run", "all", 1, often=3),
    Kind("person wants a run to abort", "all", 1),
    Kind("person holds a run", "all", 40),
    Kind("person says no", "all", 40),
    Kind("person pauses", "all", 60, {"resumes": YES_OR_NO}),
    Kind("person turns automation off", "all", 40),
    Kind("person unlocks", "all", 1),
    Kind("person approves", "all", 90, {"takes": (1, 40)}),
    Kind("person refuses", "all", 90, {"takes": (1, 40)}),
    Kind("person obeys", "all", 1, often=0),  # the last command that a message gave, when everything is well again
    # --- the way back, in histories that have one (`way_back`)
    Kind("person re-protects", "all", 1, {"asks": YES_OR_NO, "resumes": YES_OR_NO}, often=0),
    # --- what a deployment is, and what stands beside its runs: drawn by themselves (`beside`)
    Kind(STARTS_OPEN, "all", 180, often=0),  # an adopted database before PostgreSQL 17, all the time
    Kind("hook hangs", "region", 110, often=0),
    Kind("hook fails", "region", 110, often=0),
    Kind("capacity refused", "region", 110, {"as": (0, 2.99)}, often=0),  # busy, throttled, or for good
    Kind("capacity takes", "region", 110, {"takes": (5, 60)}, often=0),
    # --- clients that are no applications of the guarded database: drawn by themselves (`visited`)
    Kind(OWNER, "region", 110, often=0),  # he comes back whenever his session ends
    Kind(SECOND_DATABASE, "all", 180, {"of somebody else": YES_OR_NO}, often=0),  # all the time
    # --- people with `failoverctl`, who are drawn by themselves (`by_hand`)
    Kind("person maintains", "all", 60, {"ends": YES_OR_NO, "two": YES_OR_NO}, often=0),
    Kind("person lets in", "region", 1, often=0),
    # until it gets somewhere, and then stops it, or wants it to abort or to hold (`simulation.people`)
    Kind(
        "person watches a run",
        "all",
        60,
        {"gets to": (0, 3.99), "after": (0, 4), "does": (0, 3.99), "resumes": YES_OR_NO},
        often=0,
    ),
    Kind(
        "person breaks the glass",
        "all",
        60,
        {
            "clock": (-0.7, 0.7),
            "right": YES_OR_NO,
            "ahead": (0, 12),
            "resumes": YES_OR_NO,
            "shut": YES_OR_NO,
            "after": (1, 40),
        },
        often=0,
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}

# Every fault is over by then, so that what follows shows whether the product finds its way back.
FIRST_AT_S, LAST_AT_S, OVER_BY_S = 6.0, 50.0, 110.0
MOST_FAULTS = 4
# In a long history an outage goes on nearly to its end, with everything else well.
LONG_S, LEFT_S = 300.0, 20.0
# What may keep the first attempts of such an outage from moving the writer, in the standby's region.
OBSTACLES = (
    "rds busy",
    "rds away",
    "states away",
    "throttled",
    "table away",
    "bus loses",
    "isolated",
    "monitor missing",
)
# A database that runs, and serves nobody.
SERVES_NOBODY = ("database hangs", "database full")
# In so many long histories the outage is one of a database whose server runs, and which nobody outside can use.
MUTE, MUTES = 0.5, (*SERVES_NOBODY, "isolated")
# In so many of the others a person does at last what the last message says.
OBEDIENT = 0.4
# So many histories have something that moves the writer, or may seem to have to, beside what else is drawn; in so many
# everything begins at about the same moment; so many cuts are cuts both ways.
OUTAGES, TOGETHER, BOTH_WAYS = 0.7, 0.6, 0.6


# So many histories have a person with `failoverctl` in it, who comes around the moment of some fault; in so many
# maintenances the database is restarted.
BY_HAND = {"person maintains": 2, "person lets in": 1, "person breaks the glass": 2, "person watches a run": 4}
WITH_HANDS, AROUND_S, RESTARTED, SWITCHED = 0.35, (-8.0, 30.0), 0.5, 0.5


def draw(chance: Random, writer: str, standby: str, witness: str, *, long: bool) -> tuple[Fault, ...]:
    """Returns the faults of a history: one to six, which begin together or one after another."""
    regions, places = (writer, standby), (writer, standby, witness)
    paths = [f"{here}->{there}" for here in places for there in places if here != there]
    kinds = chance.choices(KINDS, [kind.often for kind in KINDS], k=chance.randint(1, MOST_FAULTS))
    drawn = [
        _row(chance, kind, chance.choice({"region": regions, "path": paths, "all": ("",)}[kind.strikes]))
        for kind in kinds
    ]
    if chance.random() < OUTAGES:
        name = chance.choice(("region dead", "database down", "isolated", "frozen", "cut", "person switches over"))
        where = {"cut": f"{writer}->{standby}", "person switches over": standby}.get(name, writer)
        drawn.append(_row(chance, BY_NAME[name], where))
    if chance.random() < TOGETHER:
        moment = chance.uniform(FIRST_AT_S, LAST_AT_S)
        drawn = [_at(fault, round(moment + chance.uniform(0, 12), 2)) for fault in drawn]
    for cut in [fault for fault in drawn if fault.kind == "cut" and chance.random() < BOTH_WAYS]:
        here, there = cut.where.split("->")
        drawn.append(replace(cut, where=f"{there}->{here}"))
    if long:
        outage = _row(chance, BY_NAME[chance.choice(("region dead", "database down"))], writer)
        obstacle = _row(chance, BY_NAME[chance.choice(OBSTACLES)], standby)
        drawn.append(replace(outage, lasts=round(LONG_S - LEFT_S - outage.start, 2)))
        drawn.append(_at(obstacle, round(outage.start + chance.uniform(-5, 15), 2)))
    elif chance.random() < OBEDIENT:
        drawn.append(Fault("person obeys", "", round(OVER_BY_S + chance.uniform(2, 10), 2), 1.0))
    return _in_order(drawn)


def mute(chance: Random, others: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Returns the faults of a long history with another outage in the place of its long one, if there is one."""
    if chance.random() >= MUTE:
        return others
    kind = BY_NAME[chance.choice(MUTES)]
    outage = max(others, key=lambda fault: fault.start + fault.lasts)
    how = _row(chance, kind, outage.where).how
    return _in_order([*(fault for fault in others if fault is not outage), replace(outage, kind=kind.name, how=how)])


def by_hand(chance: Random, others: tuple[Fault, ...], writer: str, standby: str) -> tuple[Fault, ...]:
    """Returns the faults of a history with those of a person who uses `failoverctl`, if there is one."""
    if chance.random() >= WITH_HANDS:
        return others
    kind = BY_NAME[chance.choices(list(BY_HAND), list(BY_HAND.values()))[0]]
    where = chance.choice((writer, standby)) if kind.strikes == "region" else ""
    moment = chance.choice(others).start + chance.uniform(*AROUND_S)
    added = [_at(_row(chance, kind, where), round(min(max(moment, FIRST_AT_S), OVER_BY_S - 15), 2))]
    if kind.name == "person maintains" and chance.random() < RESTARTED:
        restart = _row(chance, BY_NAME["database restarts"], writer)
        added.append(_at(restart, round(added[0].start + chance.uniform(3, 12), 2)))
    if kind.name == "person watches a run" and chance.random() < SWITCHED:
        switches = _row(chance, BY_NAME["person switches over"], standby)
        added.append(_at(switches, round(added[0].start + chance.uniform(0, 5), 2)))
    return _in_order([*others, *added])


# In so many histories nobody can ask a writer that lives: its guardian's prober is away, and the standby is cut off
# from it. That lasts longer than its guardian's grace, and RDS is quick.
UNASKED, UNASKED_FROM_S, UNASKED_LASTS_S, QUICKLY_S = 0.06, (6.0, 20.0), (50.0, 90.0), (0.05, 3.0)


def unasked(chance: Random, others: tuple[Fault, ...], writer: str, standby: str) -> tuple[Fault, ...]:
    """Returns the faults of a history with those that keep everybody from asking the writer, if there are any."""
    if chance.random() >= UNASKED:
        return others
    start, lasts = round(chance.uniform(*UNASKED_FROM_S), 2), round(chance.uniform(*UNASKED_LASTS_S), 2)
    refuses = {"refuses": float(chance.randint(0, 1))}
    added = [
        Fault("prober away", writer, start, lasts),
        *(Fault("cut", path, start, lasts, refuses) for path in (f"{writer}->{standby}", f"{standby}->{writer}")),
        Fault("promotion takes", "", start, lasts, {"takes": round(chance.uniform(*QUICKLY_S), 2)}),
    ]
    return _in_order([*others, *(_at(fault, start) for fault in added)])


# What is too rare where each fault is drawn by itself, in so many histories each. A switchover is stopped while it
# stops the writer, and automation is paused, so that nobody goes on with it. Or the record takes no writes for a little
# longer than a lease, and RDS closes the security group long after the guardian has lifted its fence again.
SELDOM, STOPPED_WITHIN_S, NO_WRITES_S, CLOSED_AFTER_S = 0.03, 1.0, (8.0, 14.0), (10.0, 20.0)


def seldom(chance: Random, others: tuple[Fault, ...], writer: str, standby: str) -> tuple[Fault, ...]:
    """Returns the faults of a history with those that only matter together, if there are any."""
    drawn, start = chance.random(), round(chance.uniform(FIRST_AT_S, LAST_AT_S), 2)
    added: list[Fault] = []
    if drawn < SELDOM:
        after = round(chance.uniform(0, STOPPED_WITHIN_S), 2)
        how = {"gets to": float(GETS_TO.index("stopping")), "does": float(DOES.index("stop and pause"))}
        added = [
            Fault("person switches over", standby, start, 1.0),
            Fault("person watches a run", "", start, LAST_AT_S, {**how, "after": after, "resumes": 1.0}),
        ]
    elif drawn < 2 * SELDOM:
        lasts = round(chance.uniform(*NO_WRITES_S), 2)
        late = {"takes": round(chance.uniform(*CLOSED_AFTER_S), 2)}
        added = [
            *(Fault("table writes away", region, start, lasts) for region in (writer, standby)),
            Fault("group change late", writer, start, lasts, late),
        ]
    return _in_order([*others, *added])


# In so many histories the writer's first guardian begins by a clock that is ahead, and fences. The clock is set back
# before the lease ends, and RDS closes the security group long after the lift, before another guardian has begun.
SET_BACK, AHEAD_S, SET_BACK_AFTER_S = 0.03, (60.0, 3600.0), (2.0, 6.0)


def set_back(chance: Random, others: tuple[Fault, ...], writer: str) -> tuple[Fault, ...]:
    """Returns the faults of a history with those of a guardian whose clock is set back, if there is one."""
    if chance.random() >= SET_BACK:
        return others
    lasts, ahead = round(chance.uniform(*SET_BACK_AFTER_S), 2), round(chance.uniform(*AHEAD_S), 2)
    added = [
        Fault("clock far off", writer, 0.0, lasts, {"error": ahead}),
        Fault("group change late", writer, 0.0, lasts, {"takes": round(chance.uniform(*CLOSED_AFTER_S), 2)}),
    ]
    return _in_order([*others, *added])


# So many databases are adopted ones before PostgreSQL 17; in so many histories a hook, or the change of the capacity,
# goes wrong where the writer is moved to.
OLDER, GOES_WRONG_BESIDE = 0.12, 0.3
BESIDE = ("hook hangs", "hook fails", "capacity refused", "capacity takes")


def beside(
    chance: Random, others: tuple[Fault, ...], writer: str, standby: str, *, over_by: float, lasts: float
) -> tuple[Fault, ...]:
    """Returns the faults of a history with those of what is beside its runs, and of what its database is."""
    added = [Fault(STARTS_OPEN, "", 0.0, lasts + 1.0)] if chance.random() < OLDER else []
    if chance.random() < GOES_WRONG_BESIDE:
        kind, start = chance.choice(BESIDE), round(chance.uniform(FIRST_AT_S, LAST_AT_S), 2)
        row = _row(chance, BY_NAME[kind], standby if chance.random() < 0.8 else writer)
        added.append(replace(row, start=start, lasts=round(over_by - start, 2)))
    return _in_order([*others, *added])


# So many histories have invocations that are carried out twice, and so long before everything is over that may begin.
INVOKED_TWICE, BEFORE_OVER_S = 0.12, 60.0


def twice(chance: Random, others: tuple[Fault, ...], writer: str, standby: str, *, over_by: float) -> tuple[Fault, ...]:
    """Returns the faults of a history with that of a region whose functions are invoked twice, if there is one."""
    if chance.random() >= INVOKED_TWICE:
        return others
    fault = _row(chance, BY_NAME[TWICE], chance.choice((writer, standby)))
    start = round(chance.uniform(FIRST_AT_S, over_by - BEFORE_OVER_S), 2)
    return _in_order([*others, replace(fault, start=start, lasts=round(min(fault.lasts, over_by - start), 2))])


# In so many histories the owner of the database is logged in, and in as many the cluster has a second database. The
# owner comes before or soon after something fails, mostly where the writer is at first.
VISITED, COMES_S, STAYS_AT_LEAST_S, WHERE_THE_WRITER_IS = 0.1, (-15.0, 10.0), 15.0, 0.7


def visited(
    chance: Random, others: tuple[Fault, ...], writer: str, standby: str, *, over_by: float, lasts: float
) -> tuple[Fault, ...]:
    """Returns the faults of a history with the clients that are no applications of the guarded database, if any."""
    added = []
    if chance.random() < VISITED:
        moment = chance.choice(others).start + chance.uniform(*COMES_S)
        start = round(min(max(moment, 1.0), over_by - 2 * STAYS_AT_LEAST_S), 2)
        where = writer if chance.random() < WHERE_THE_WRITER_IS else standby
        added.append(Fault(OWNER, where, start, round(chance.uniform(STAYS_AT_LEAST_S, over_by - start), 2)))
    if chance.random() < VISITED:
        row = _row(chance, BY_NAME[SECOND_DATABASE], "")
        added.append(replace(row, start=0.0, lasts=lasts + 1.0))
    return _in_order([*others, *added])


# A history with a way back: the first part of it brings a failover, and after it people re-protect, once or again and
# again, while other things fail, and fail back.
WAY_BACK_S, WAY_BACK_OVER_BY_S = 560.0, 470.0
OUTAGE_LASTS_S = (12.0, 60.0)
REPROTECTED_AT_S = ((95.0, 140.0), (200.0, 300.0), (330.0, 400.0))
APPROVED, FAILED_BACK, BY_BREAK_GLASS, BY_RESUME = 0.85, 0.7, 0.15, 0.1
# What may fail in the meantime, beside all else; but nothing that is drawn by itself (``often`` is 0).
ON_THE_WAY_BACK = ("bucket away", "rds busy", "rds away", "rds lost", "rds unanswered", "rds late", "database restarts")


def way_back(chance: Random, others: tuple[Fault, ...], writer: str, standby: str) -> tuple[Fault, ...]:
    """Returns the faults of a history with a way back, in which one or two of the ``others`` may act as well."""
    outage = _row(chance, BY_NAME[chance.choice(("region dead", "database down", "isolated"))], writer)
    drawn = [replace(outage, start=round(chance.uniform(6, 30), 2), lasts=round(chance.uniform(*OUTAGE_LASTS_S), 2))]
    if chance.random() < BY_RESUME:  # what moves the writer is a switchover, as which nobody ends it
        switches = _later(chance, "person switches over", standby, drawn[0].start)
        resumes = _later(chance, "person resumes", standby, switches.start + chance.uniform(3, 10))
        slow = _later(chance, "promotion takes", "", 1.0)
        drawn = [switches, replace(resumes, how={"switchover": 0.0}), replace(slow, lasts=OUTAGE_LASTS_S[1])]
    elif chance.random() < BY_BREAK_GLASS:  # no function runs there, and people fail over from a machine of theirs
        drawn.append(Fault("throttled", standby, drawn[0].start, OUTAGE_LASTS_S[1], {"share": 1.0}))
        breaks = _later(chance, "person breaks the glass", "", drawn[0].start + chance.uniform(2, 15))
        drawn.append(replace(breaks, how={**breaks.how, "right": 1.0}))
    early = [fault for fault in others if not fault.kind.startswith("person")]
    drawn += chance.sample(early, min(len(early), chance.randint(0, 2)))
    for number, between in enumerate(REPROTECTED_AT_S):
        if number == 0 or chance.random() < 0.6:
            drawn.append(_later(chance, "person re-protects", "", chance.uniform(*between)))
    answers = _later(chance, "person approves" if chance.random() < APPROVED else "person refuses", "", 90.0)
    drawn.append(replace(answers, lasts=WAY_BACK_OVER_BY_S - 90.0))
    kinds = [
        kind
        for kind in KINDS
        if kind.name in (*BY_HAND, *ON_THE_WAY_BACK) or (kind.often and not kind.name.startswith("person"))
    ]
    for _ in range(chance.randint(0, 3)):
        if chance.random() < 0.5:
            kind = BY_NAME[chance.choice(ON_THE_WAY_BACK)]
        else:
            kind = chance.choices(kinds, [max(1, kind.often) for kind in kinds])[0]
        where = {"region": chance.choice((writer, standby)), "path": f"{standby}->{writer}", "all": ""}[kind.strikes]
        drawn.append(_later(chance, kind.name, where, chance.uniform(90, 400)))
    if chance.random() < 0.3:
        drawn.append(_later(chance, "person stops a run", "", chance.uniform(110, 350)))
    if chance.random() < FAILED_BACK:
        drawn.append(_later(chance, "person switches over", writer, chance.uniform(420, 465)))
    return _in_order(drawn)


def _later(chance: Random, kind: str, where: str, start: float) -> Fault:
    fault = _row(chance, BY_NAME[kind], where)
    return replace(fault, start=round(start, 2), lasts=round(min(fault.lasts, WAY_BACK_OVER_BY_S - start), 2))


def _in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: (fault.start, fault.kind, fault.where)))


def _row(chance: Random, kind: Kind, where: str) -> Fault:
    start, lasts = round(chance.uniform(FIRST_AT_S, LAST_AT_S), 2), round(chance.uniform(0.5, kind.longest), 2)
    how = {
        name: float(chance.randint(0, 1)) if between == YES_OR_NO else round(chance.uniform(*between), 2)
        for name, between in kind.how.items()
    }
    return _at(Fault(kind.name, where, start, lasts, how), start)


def _at(fault: Fault, start: float) -> Fault:
    return replace(fault, start=start, lasts=min(fault.lasts, round(OVER_BY_S - start, 2)))


class Faults:
    """Those that act now."""

    def __init__(self) -> None:
        self._acting: dict[tuple[str, str], list[Fault]] = {}
        self.all: list[Fault] = []  # every one that acts now
        # What follows from nothing but the faults that act, found once until they change.
        self.follows: dict[tuple[str, ...], Any] = {}

    @property
    def any(self) -> bool:
        """Whether anything fails now."""
        return bool(self.all)

    def acting(self, kind: str, where: str) -> Fault | None:
        """Returns the fault of that kind that acts there; None when there is none."""
        if not self.all:
            return None
        found = self._acting.get((kind, where))
        return found[-1] if found else None

    def begin(self, fault: Fault) -> None:
        """Lets it act."""
        self.follows.clear()
        self.all.append(fault)
        self._acting.setdefault((fault.kind, fault.where), []).append(fault)

    def end(self, fault: Fault) -> None:
        """Lets it act no more."""
        self.follows.clear()
        self.all.remove(fault)
        self._acting[fault.kind, fault.where].remove(fault)
