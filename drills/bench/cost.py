"""What one failover costs beyond the idle deployment: transitions and invocations of a run, with the list prices.

Read from a drill at production cadence: which states the run entered, and which tasks failed and were tried again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drills.bench.findings import Findings
from orchestration.idle_cost import GB_SECOND, INVOCATION, Price
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "ACCOUNT"
# Step Functions' price list, standard workflows: each entered state, and each retry, is a transition.
TRANSITION = Price(0.025, 1_000, "transitions", 2)
ENTERED, FAILED, STARTED, ENDED = "→ ", "task failed", "workflow started", "workflow ended"


def measure(say: Callable[[str], None]) -> Findings:
    """Runs one drill with Aurora's stated delay and counts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "drills", "--outage", "kill", "--output", folder]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        say(f"cost: {(ended.stdout + ended.stderr).strip().splitlines()[-1]}")
        result: dict[str, Any] = json.loads((Path(folder) / "latest" / "result.json").read_text())
    return findings(result)


def findings(result: dict[str, Any]) -> Findings:
    """Returns what the runs of a drill cost, from its result."""
    region = next(iter(describe(load(), ACCOUNT).regions.values()))
    tasks, widest = _tasks(json.loads((PROJECT_ROOT / "statemachines" / "failover.asl.json").read_text())["States"])
    events = [event for event in result["events"] if event["kind"] == "workflow"]
    entered = Counter(event["text"].removeprefix(ENTERED) for event in events if event["text"].startswith(ENTERED))
    retries = sum(event["text"].startswith(FAILED) for event in events)
    runs = sum(event["text"].startswith(STARTED) for event in events)
    invoked = sum(count for state, count in entered.items() if state in tasks) + retries
    transitions = entered.total() + retries + runs
    # The whole run, with as many functions as can be at work at once: more than any run uses.
    seconds = result["marks"]["execution_ended"] - result["marks"]["execution_started"]
    gigabytes = max(region.functions[step.step].memory_mb for step in region.functions.values()) / 1024
    lines = (
        ("runs", runs, None),
        ("state transitions, retries among them", transitions, TRANSITION),
        ("invocations of steps", invoked, INVOCATION),
        (f"GB-s of steps, at most: {seconds:.0f} s x {widest} at once", seconds * widest * gigabytes, GB_SECOND),
    )
    dollars = {name: count * price.dollars / price.per if price else 0.0 for name, count, price in lines}
    rows = [
        (name, f"{count:,.0f}", str(price).split(" [")[0] if price else "", f"{dollars[name]:.5f}")
        for name, count, price in lines
    ]
    return Findings(
        "Cost of one failover, US dollars",
        ("", "count", "price", "dollars"),
        (*rows, ("together", "", "", f"{sum(dollars.values()):.4f}")),
        {"entered": dict(entered), "retries": retries, "dollars": dollars, "run_s": seconds},
        notes=("Probers, messages and writes of the record come to less; what runs all day is in docs/cost.md.",),
        passed=result["status"] == "passed",
    )


def _tasks(states: dict[str, Any]) -> tuple[set[str], int]:
    """Returns the states that invoke a function, in branches too, and how many branches work at once at most."""
    tasks, widest = set(), 1
    for name, state in states.items():
        if state["Type"] == "Task":
            tasks.add(name)
        branches = [_tasks(branch["States"]) for branch in state.get("Branches", ())]
        widest = max(widest, sum(width for _, width in branches))
        tasks = tasks.union(*(found for found, _ in branches))
    return tasks, widest
