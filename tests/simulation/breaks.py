"""Takes rules of the product away, one at a time, in a copy, and counts the histories until the simulator finds it.

``python -m tests.simulation.breaks --histories 400``. The rows are in ``breaks.toml``; each says which promise breaks.
"""

# ruff: noqa: T201  # a command that prints to a person

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.patches import ROOT, Mutant

ROWS = Path(__file__).with_name("breaks.toml")
PARTS = ("handlers", "orchestration", "failoverctl", "simulation", "statemachines", "settings.toml")
# Plays histories until one breaks the promise, and says after how many, and which others broke before. Where a rule
# needs a kind of fault to be missed, histories without it count and are not played.
PLAY = """
import json, sys
from simulation import history
from simulation.checks import violations
promise, first, most, needs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
others = []
for number in range(most):
    if needs and all(fault.kind != needs for fault in history.faults_of(first + number)):
        continue
    broken = {one.promise for one in violations(history.run(first + number))}
    if promise in broken:
        print(json.dumps({"histories": number + 1, "seed": first + number, "others": sorted(set(others))}))
        break
    others += broken
else:
    print(json.dumps({"histories": None, "seed": None, "others": sorted(set(others))}))
"""


@dataclass(frozen=True)
class Rule:
    """What is taken away, wherever it stands, and the kind of fault without which nobody misses it; empty for none."""

    mutants: list[Mutant]
    needs: str


def rows() -> list[Rule]:
    """Returns the rules that are taken away; one that stands in several places is taken from each."""
    found = []
    for row in tomllib.loads(ROWS.read_text())["mutant"]:
        also, needs = row.pop("also", []), row.pop("needs", "")
        places = [row, *(row | place for place in (also if isinstance(also, list) else [also]))]
        found.append(Rule([Mutant(**place, tests=()) for place in places], needs))
    return found


def tried(rule: Rule, first: int, histories: int) -> dict[str, Any]:
    """Plays histories of a product without that rule; returns after how many the simulator has found it."""
    with tempfile.TemporaryDirectory(prefix="breaks-") as scratch:
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, Path(scratch) / part)
        for mutant in rule.mutants:
            file = Path(scratch) / mutant.file
            file.write_text(mutant.applied(file.read_text()))
        command = [sys.executable, "-c", PLAY, rule.mutants[0].breaks, str(first), str(histories), rule.needs]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> int:
    """Prints a line a rule; returns 1 when one was not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=400, help="after so many, a rule counts as not found")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="only rules whose name has this in it")
    options = parser.parse_args()
    missed = 0
    for rule in rows():
        mutant = rule.mutants[0]
        if options.only and options.only not in mutant.name:
            continue
        found = tried(rule, options.seed, options.histories)
        missed += found["histories"] is None
        after = f"{found['histories']:,}, seed {found['seed']}" if found["histories"] else "not found"
        beside = f" (before it: {', '.join(found['others'])})" if found["others"] else ""
        print(f"| {mutant.name} | {mutant.breaks} | {after}{beside} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
