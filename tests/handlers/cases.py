"""Control records and values to carry a row of the table of transitions out with: any, and those that decide."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import strategies as st

from handlers.core.conditional_write import AbsentOr, AsRead, Condition, Equals, Given, OneOf, Row, holds
from handlers.core.control import PHASES
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
    optional={"seen_lease": MOMENTS, "stopping_until": MOMENTS, "replicated_xid": XIDS},
)
REPROTECTIONS = st.fixed_dictionaries({"run": RUNS, "started_by": TEXTS, "started_at": MOMENTS})
RECORDS = st.fixed_dictionaries(
    {"writer_region": REGIONS, "epoch": EPOCHS, "automatic_failover": st.booleans()},
    optional={
        "transition": LOCKS,
        "lease_expires_at": MOMENTS,
        "heartbeat": BEATS,
        "unfenced_region": REGIONS,
        "last_run": RUNS,
        "last_incident": TEXTS,
        "last_transition_at": MOMENTS,
        "protected": st.booleans(),
        "reprotection": REPROTECTIONS,
        "retiring": TEXTS,
        "replicated_xid": st.none() | XIDS,
        "last_reprotection": RUNS,
    },
)

# What a caller gives by each name, when it is not what stands in the record.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "beat": BEATS,
    "epoch": EPOCHS,
    "expires_at": MOMENTS,
    "incident": TEXTS,
    "lease": st.none() | MOMENTS,
    "now": MOMENTS,
    "old_region": REGIONS,
    "region": REGIONS,
    "replicated_xid": st.none() | XIDS,
    "resource_id": TEXTS,
    "run": RUNS,
    "seen_dns": st.booleans(),
    "seen_phase": st.sampled_from(PHASES),
    "seen_requests": COUNTS,
    "seen_run": RUNS,
    "target_region": REGIONS,
    "until": MOMENTS,
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
            for condition in row.when
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
    },
    "lease_expires_at": 1_800_000_000.1,
    "heartbeat": {"seq": 7, "at": 1_800_000_000.1},
    "unfenced_region": "us-west-2",
    "last_run": "run-0",
    "last_incident": "outage 6",
    "last_transition_at": 1_700_000_000.1,
    "protected": False,
    "reprotection": {"run": "run-1", "started_by": "ada", "started_at": 1_800_000_000.1},
    "retiring": "cluster-OLD",
    "replicated_xid": 699,
    "last_reprotection": "run-0",
}
GIVEN: dict[str, Any] = {
    "beat": {"seq": 8, "at": 1_800_000_002.1},
    "epoch": 1,
    "expires_at": 1_800_000_012.1,
    "incident": "outage 7",
    "lease": 1_800_000_000.1,
    "now": 1_800_000_020.1,
    "old_region": "us-east-1",
    "region": "us-east-1",
    "replicated_xid": 701,
    "resource_id": "cluster-OLD",
    "run": "run-1",
    "seen_dns": True,
    "seen_phase": "moving",
    "seen_requests": 1,
    "seen_run": "run-1",
    "target_region": "us-west-2",
    "until": 1_800_000_020.1,
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
    paths = sorted({one.path for condition in row.when for one in (condition, alternative(condition))})
    named = {path: [*_named(row, path, values)] for path in paths}
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


def alternative(condition: Condition) -> Condition:
    """What a condition demands of an attribute that is there."""
    return condition.condition if isinstance(condition, AbsentOr) else condition


def _named(row: Row, path: str, values: dict[str, Any]) -> Iterator[tuple[bool, Any]]:
    """Whether an attribute is there, and with which value: none, one of each that the row compares, another one."""
    yield False, None
    for condition in map(alternative, row.when):
        known = condition.values if isinstance(condition, OneOf) else [getattr(condition, "value", None)]
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
