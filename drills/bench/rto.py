"""RTO: many drills at production cadence, one after another, and what their phases took.

Here is the spread of what the promises limit: from the outage to the detach, the RTO of clients that ask for the
writer's name, and of those that know both regions' hosts.

Figures are compared only within one run of this program: drills of the compared outages alternate, with the same seeds,
so that whatever else the machine does affects all of them alike.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.apart import drill
from drills.bench.findings import Findings

if TYPE_CHECKING:
    from collections.abc import Callable

# What is measured of a mode that has no outage is named after the mode.
FAILOVER, SWITCHOVER = "failover", "switchover"
# The pair that shows how much more a region costs that answers nothing than one that refuses at once.
REFUSING, HANGING = "kill", "hang"
DETECTION_TO_PROMOTION = "Detection to promotion"


@dataclass(frozen=True)
class Wanted:
    """Which drills to run, as `python -m drills` understands it, and where to keep their results."""

    outages: list[str]
    mode: str
    clients: str
    aurora_promotion_s: float
    output: Path


@dataclass(frozen=True)
class Spread:
    """How a figure was distributed over the runs, in seconds."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Returns the spread of at least one value."""
        return cls(*(round(each, 3) for each in (min(values), statistics.median(values), max(values))))

    def __str__(self) -> str:
        return f"{self.minimum:.1f} / {self.median:.1f} / {self.maximum:.1f}"


def figures(result: dict[str, Any]) -> dict[str, float]:
    """Returns what one drill took, in seconds, by name: its phases, and the sums that the promises limit."""
    phases: dict[str, float] = {phase["name"]: phase["seconds"] for phase in result["phases"]}
    modelled = sum(phase["seconds"] for phase in result["phases"] if phase["modelled"])
    marks = result["marks"]
    found = [marks[name] for name in ("verdict", "alarm") if marks.get(name) is not None]
    sums = {
        "Outage to detach asked": marks.get("detach_called"),
        "RTO by name": result.get("rto_by_name_seconds"),
        "RTO by hosts": result.get("rto_by_hosts_seconds"),
        "RTO without Aurora's delay": result["rto_seconds"] - modelled,
        "Orchestration": marks["writes_possible"] - marks["execution_started"] - modelled,
        DETECTION_TO_PROMOTION: marks["writes_possible"] - min(found) - modelled if found else None,
    }
    return phases | {name: seconds for name, seconds in sums.items() if seconds is not None}


def summary(results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Returns the spread of every figure for each outage, what was lost, and how much longer hanging takes."""
    outages = {}
    for outage, drills in results.items():
        measured = [figures(result) for result in drills]
        outages[outage] = {
            "runs": len(drills),
            "passed": sum(result["status"] == "passed" for result in drills),
            "lost": [result["lost"] for result in drills],
            "duplicated": [result["duplicated"] for result in drills],
            "both_wrote": [result["both_wrote"] for result in drills],
            "seconds": {
                name: Spread.of([each[name] for each in measured if name in each])
                for name in dict.fromkeys(name for each in measured for name in each)
            },
        }
    compared = {}
    if results.keys() >= {REFUSING, HANGING}:
        medians = {name: outages[name]["seconds"][DETECTION_TO_PROMOTION].median for name in (REFUSING, HANGING)}
        compared = {
            "hanging_minus_refusing_s": round(medians[HANGING] - medians[REFUSING], 3),
            "hanging_over_refusing": round(medians[HANGING] / medians[REFUSING], 3),
        }
    return {"outages": outages, "compared": compared}


def measure(runs: int, wanted: Wanted, say: Callable[[str], None]) -> Findings:
    """Runs the drills, in turn, and returns the spread of their phases."""
    chosen = [SWITCHOVER] if wanted.mode == SWITCHOVER else wanted.outages
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    failed = 0
    for seed in range(1, runs + 1):
        for name, found in results.items():
            folder = wanted.output / f"{name}-{seed}"
            what = ["--mode", wanted.mode] if name == SWITCHOVER else ["--outage", name]
            what += ["--seed", str(seed), "--aurora-promotion", f"{wanted.aurora_promotion_s:g}"]
            drilled = drill([*what, "--clients", wanted.clients], folder)
            say(f"{name} {seed} of {runs}: {drilled.last_line}")
            failed += drilled.code != 0
            if drilled.result and drilled.result["rto_seconds"] is not None:
                found.append(drilled.result)
    return findings({name: found for name, found in results.items() if found}, wanted, failed)


def findings(results: dict[str, list[dict[str, Any]]], wanted: Wanted, failed: int) -> Findings:
    """Returns the table of what the drills took; ``failed`` counts those that did not end as demanded."""
    measured = summary(results)
    outages: dict[str, Any] = measured["outages"]
    names = dict.fromkeys(name for found in outages.values() for name in found["seconds"])
    rows = [(name, *(str(found["seconds"].get(name, "-")) for found in outages.values())) for name in names]
    rows.append(("lost writes", *(f"{min(each['lost'])} to {max(each['lost'])}" for each in outages.values())))
    compared = (f"{name.replace('_', ' ')}: {value}" for name, value in measured["compared"].items())
    return Findings(
        "RTO by phase, s: minimum / median / maximum",
        ("", *(f"{name} ({found['passed']} of {found['runs']} passed)" for name, found in outages.items())),
        tuple(rows),
        json.loads(json.dumps({"aurora_promotion_s": wanted.aurora_promotion_s} | measured, default=asdict)),
        notes=(f"Aurora's own promotion is a stated delay of {wanted.aurora_promotion_s:g} s.", *compared),
        passed=bool(results) and not failed,
    )
