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
# In so many of the others a person does at last what the last message says.
OBEDIENT = 0.4
# So many histories have something that moves the writer, or may seem to have to, beside what else is drawn; in so many
# everything begins at about the same moment; so many cuts are cuts both ways.
OUTAGES, TOGETHER, BOTH_WAYS = 0.7, 0.6, 0.6


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
    return tuple(sorted(drawn, key=lambda fault: (fault.start, fault.kind, fault.where)))


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
