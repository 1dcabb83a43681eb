"""Control records and values to carry a row of the table of transitions out with: any, and those that decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import strategies as st

from handlers.core.conditional_write import (
    Absent,
    AnyOf,
    AsRead,
    Condition,
    Equals,
    Given,
    Increment,
    OneOf,
    Row,
    Simple,
    holds,
)
from handlers.core.control import PHASES, SAYS, WANTED
from handlers.core.request import MODES

# Few values of each kind, so that conditions are met often; and moments that no binary float holds exactly.
REGIONS = st.sampled_from(["us-east-1", "us-west-2"])
RUNS = st.sampled_from(["run-1", "run-2"])
TEXTS = st.sampled_from(["outage 7", "outage 8"])
EPOCHS = st.sampled_from([1, 2, 3])
COUNTS = st.sampled_from([0, 1, 2])
MOMENTS = st.sampled_from([0.0, 1_800_000_000.1, 1_800_000_000.1 + 0.2, 1_800_000_010.1])
XIDS = st.sampled_from([0, 700, 701])

BEATS = st.fixed_dictionaries({"seq": COUNTS, "at": MOMENTS})
WORDS = st.fixed_dictionaries({"says": st.sampled_from(SAYS), "since": MOMENTS}, optional={"rests_until": MOMENTS})
SIGNS = st.fixed_dictionaries({"at": MOMENTS, "says": st.sampled_from(SAYS), "fenced": st.booleans()})
NOES = st.fixed_dictionaries({"by": TEXTS, "at": MOMENTS, "reason": TEXTS})
PAUSES = st.fixed_dictionaries(
    {"by": TEXTS, "at": MOMENTS, "until": MOMENTS, "reason": TEXTS},
    optional={"maintenance": st.booleans(), "extends_since": MOMENTS},
)
TOLD = st.fixed_dictionaries({"about": TEXTS, "reason": TEXTS, "at": MOMENTS})
LOCKS = st.fixed_dictionaries(
    {
        "run": RUNS,
        "mode": st.sampled_from(MODES),
        "phase": st.sampled_from(PHASES),
        "incident": TEXTS,
        "target_region": REGIONS,
        "started_at": MOMENTS,
        "deadline": MOMENTS,
        "dns_engaged": st.booleans(),
        "move_requests": COUNTS,
    },
    optional={
        "seen_lease": MOMENTS,
        "stopping_until": MOMENTS,
        "replicated_xid": XIDS,
        "moving_since": MOMENTS,
        "writer_sign": SIGNS,
        "wanted": st.sampled_from(WANTED),
    },
)
REPROTECTIONS = st.fixed_dictionaries({"run": RUNS, "started_by": TEXTS, "started_at": MOMENTS})
RECORDS = st.fixed_dictionaries(
    {"writer_region": REGIONS, "epoch": EPOCHS, "automatic_failover": st.booleans()},
    optional={
        "transition": LOCKS,
        "lease_expires_at": MOMENTS,
        "renewing_since": MOMENTS,
        "heartbeat": BEATS,
        "word": WORDS,
        "unfenced_region": REGIONS,
        "last_run": RUNS,
        "last_incident": TEXTS,
        "last_transition_at": MOMENTS,
        "claims_from": MOMENTS,
        "ended_by_person": NOES,
        "paused": PAUSES,
        "told": TOLD,
        "protected": st.booleans(),
        "reprotection": REPROTECTIONS,
        "retiring": TEXTS,
        "replicated_xid": st.none() | XIDS,
        "last_reprotection": RUNS,
    },
)

# What a caller gives by each name, when it is not what stands in the record.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "automatic_failover": st.booleans(),
    "beat": BEATS,
    "claims_from": MOMENTS,
    "epoch": EPOCHS,
    "expires_at": MOMENTS,
    "incident": TEXTS,
    "lease": st.none() | MOMENTS,
    "no": NOES,
    "no_at": st.none() | MOMENTS,
    "now": MOMENTS,
    "old_region": REGIONS,
    "pause": PAUSES,
    "paused_at": st.none() | MOMENTS,
    "region": REGIONS,
    "renewing_since": st.none() | MOMENTS,
    "replicated_xid": st.none() | XIDS,
    "requests": COUNTS,
    "resource_id": TEXTS,
    "rested_by": MOMENTS,
    "rests_until": MOMENTS,
    "run": RUNS,
    "said_at": MOMENTS,
    "seen_dns": st.booleans(),
    "seen_moving_since": st.none() | MOMENTS,
    "seen_phase": st.sampled_from(PHASES),
    "seen_requests": COUNTS,
    "seen_run": RUNS,
    "seen_stopping_until": st.none() | MOMENTS,
    "seen_told_at": st.none() | MOMENTS,
    "sign": SIGNS,
    "target_region": REGIONS,
    "told": TOLD,
    "until": MOMENTS,
    "wanted": st.sampled_from(WANTED),
    "word": WORDS,
    "writer_region": REGIONS,
}
LOCK_OF_ROW = {"begin_reprotection": REPROTECTIONS, "take_over_reprotection": REPROTECTIONS}


@dataclass(frozen=True)
class Case:
    """A row's values, and the record that stands before it."""

    record: dict[str, Any]
    values: dict[str, Any]


@st.composite
def cases(draw: st.DrawFn, row: Row) -> Case:
    """Any record, and values of which most stand in it: with chance alone, a long condition would hardly ever hold."""
    record = draw(RECORDS)
    values: dict[str, Any] = {}
    for name in sorted(row.given):
        any_value = LOCK_OF_ROW.get(row.name, LOCKS) if name == "lock" else VALUES[name]
        compared = [
            found
            for alternatives in row.when
            for condition in simple(alternatives)
            if isinstance(condition, Equals | AsRead) and condition.value == Given(name)
            for found in at(record, condition.path)
        ]
        as_it_is = compared and draw(st.sampled_from([True, True, True, False]))
        values[name] = compared[0] if as_it_is else draw(any_value)
    return Case(record, values)


# Every attribute is there.
FULL: dict[str, Any] = {
    "writer_region": "us-east-1",
    "epoch": 1,
    "automatic_failover": True,
    "transition": {
        "run": "run-1",
        "mode": "failover",
        "phase": "moving",
        "incident": "outage 7",
        "target_region": "us-west-2",
        "started_at": 1_800_000_000.1,
        "deadline": 1_800_000_010.1,
        "dns_engaged": True,
        "move_requests": 1,
        "seen_lease": 1_800_000_000.1,
        "stopping_until": 1_800_000_000.1,
        "replicated_xid": 700,
        "moving_since": 1_800_000_000.1,
        "writer_sign": {"at": 1_800_000_000.1, "says": "down", "fenced": True},
        "wanted": "hold",
    },
    "lease_expires_at": 1_800_000_000.1,
    "renewing_since": 1_700_000_000.1,
    "heartbeat": {"seq": 7, "at": 1_800_000_000.1},
    "word": {"says": "down", "since": 1_800_000_000.1, "rests_until": 1_800_000_007.1},
    "unfenced_region": "us-west-2",
    "last_run": "run-0",
    "last_incident": "outage 6",
    "last_transition_at": 1_700_000_000.1,
    "claims_from": 1_700_000_060.1,
    "ended_by_person": {"by": "ada", "at": 1_800_000_000.1, "reason": "a false alarm"},
    "paused": {
        "by": "ada",
        "at": 1_800_000_000.1,
        "until": 1_800_000_600.1,
        "reason": "an upgrade",
        "maintenance": True,
        "extends_since": 1_799_999_000.1,
    },
    "told": {"about": "epoch 1", "reason": "the writer is down", "at": 1_800_000_000.1},
    "protected": False,
    "reprotection": {"run": "run-1", "started_by": "ada", "started_at": 1_800_000_000.1},
    "retiring": "cluster-OLD",
    "replicated_xid": 699,
    "last_reprotection": "run-0",
}
GIVEN: dict[str, Any] = {
    "automatic_failover": True,
    "beat": {"seq": 8, "at": 1_800_000_002.1},
    "claims_from": 1_800_000_080.1,
    "epoch": 1,
    "expires_at": 1_800_000_012.1,
    "incident": "outage 7",
    "lease": 1_800_000_000.1,
    "no": {"by": "bob", "at": 1_800_000_001.1, "reason": "we are at it"},
    "no_at": 1_800_000_000.1,
    "now": 1_800_000_020.1,
    "pause": {"by": "bob", "at": 1_800_000_001.1, "until": 1_800_000_900.1, "reason": "we are at it"},
    "paused_at": 1_800_000_000.1,
    "old_region": "us-east-1",
    "region": "us-east-1",
    "renewing_since": 1_800_000_002.1,
    "replicated_xid": 701,
    "requests": 1,
    "resource_id": "cluster-OLD",
    "rested_by": 1_800_000_019.1,
    "rests_until": 1_800_000_012.1,
    "run": "run-1",
    "said_at": 1_800_000_000.1,
    "seen_dns": True,
    "seen_moving_since": 1_800_000_000.1,
    "seen_phase": "moving",
    "seen_requests": 1,
    "seen_run": "run-1",
    "seen_stopping_until": 1_800_000_000.1,
    "seen_told_at": 1_800_000_000.1,
    "sign": {"at": 1_800_000_002.1, "says": "unknown", "fenced": False},
    "target_region": "us-west-2",
    "told": {"about": "epoch 1", "reason": "there is no standby", "at": 1_800_000_002.1},
    "until": 1_800_000_020.1,
    "wanted": "abort",
    "word": {"says": "down", "since": 1_800_000_002.1, "rests_until": 1_800_000_012.1},
    "writer_region": "us-east-1",
}


def decisive(row: Row) -> tuple[list[Case], dict[int, list[Case]]]:
    """Cases that every condition of a row allows; and by the number of each condition, cases that it alone refuses.

    A condition's attribute is absent, or of the value that the condition names, or of another one.
    """
    values = dict.fromkeys(row.given & {"lock"}, FULL["reprotection" if row.name in LOCK_OF_ROW else "transition"])
    values |= {name: GIVEN[name] for name in row.given - {"lock"}}
    allowing: list[Case] = []
    refusing: dict[int, list[Case]] = {number: [] for number in range(len(row.when))}
    paths = sorted({one.path for condition in row.when for one in simple(condition)})
    named = {path: unlike(_named(row, path, values)) for path in paths}
    for choice in product(*named.values()):
        record = deepcopy(FULL)
        for path, (there, value) in zip(paths, choice, strict=True):
            *maps, last = path.split(".")
            inside = record
            for name in maps:
                inside = inside.get(name, {})
            if there:
                inside[last] = deepcopy(value)
            else:
                inside.pop(last, None)
        refused = [number for number, one in enumerate(row.when) if not holds(one, record, values)]
        if len(refused) < 2:
            (refusing[refused[0]] if refused else allowing).append(Case(record, values))
    return allowing, refusing


def simple(condition: Condition) -> tuple[Simple, ...]:
    """Returns what a condition says of single attributes."""
    return condition.conditions if isinstance(condition, AnyOf) else (condition,)


def unlike(values: Iterable[tuple[bool, Any]]) -> list[tuple[bool, Any]]:
    """Returns the values without repetitions; some cannot be hashed."""
    different: list[tuple[bool, Any]] = []
    for value in values:
        if all(repr(value) != repr(known) for known in different):
            different.append(value)
    return different


def _named(row: Row, path: str, values: dict[str, Any]) -> Iterator[tuple[bool, Any]]:
    """Whether an attribute is there, and with which value: none, one of each that the row compares, another one."""
    if Increment(path) not in row.then:  # a number that is added to is always there
        yield False, None
    for condition in (one for alternatives in row.when for one in simple(alternatives)):
        known = condition.values if isinstance(condition, OneOf) else ()
        known = known if isinstance(condition, OneOf | Absent) else (condition.value,)
        for value in known if condition.path == path else []:
            yield True, values[value.name] if isinstance(value, Given) else value
    held = at(FULL, path)[0]
    yield True, held
    if isinstance(held, bool):
        yield True, not held
    elif isinstance(held, str):
        yield True, "checking" if path.endswith("phase") else "another"
    elif not isinstance(held, dict):
        yield True, held + 1


def at(record: dict[str, Any], path: str) -> list[Any]:
    """What stands at a path: one value or none."""
    held: Any = record
    for name in path.split("."):
        if name not in held:
            return []
        held = held[name]
    return [held]
