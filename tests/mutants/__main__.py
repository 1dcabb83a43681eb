"""Makes small mistakes in a copy of the product, one at a time, and demands that the test named for each fails.

``make mutants``; ``make mutants ARGS="--only tls-without-the-host-name"`` tries some. How to add one: CONTRIBUTING.md.
"""

# ruff: noqa: T201  # a command that prints to a person

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.patches import ROOT, DoesNotApply, Mutant, mutants
from tests.mutants.trial import Result, Tree

REPORT = ROOT / "build" / "mutants.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries the mutants; returns 0 when each was caught, else 1."""
    options = _options(arguments)
    chosen = [one for one in mutants() if not options.only or one.name in options.only]
    if unknown := set(options.only or ()) - {one.name for one in chosen}:
        sys.exit(f"error: there is no mutant {', '.join(sorted(unknown))}; the rows are in tests/mutants/*.toml")
    began, report = time.monotonic(), options.json.resolve()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        tree = Tree(Path(scratch) / "project")
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        print(f"{len(chosen)} mutants; first, their {len(tests)} tests without any", flush=True)
        sound = tree.warm_up(tests)
        if sound.failed or sound.errors:
            print("These fail without a mutant, so that they say nothing:", *sound.failed, *sound.errors, sep="\n  ")
            return 1
        rows = [_tried(tree, mutant, number, len(chosen)) for number, mutant in enumerate(chosen, 1)]
    seconds = time.monotonic() - began
    counted = Counter(row["result"] for row in rows)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"seconds": round(seconds), "counted": counted, "mutants": rows}, indent=1))
    missed = [row for row in rows if row["result"] != "caught"]
    print(f"\n{counted['caught']} of {len(rows)} mutants caught in {seconds:.0f} s; every one is in {report}")
    for row in missed:
        print(f"\n{row['result']}: {row['name']} ({row['file']})\n  {row['breaks']}\n  {row['why']}")
    return 1 if missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="only this one; may be given more than once")
    parser.add_argument("--json", type=Path, default=REPORT, metavar="FILE", help="where to write the results")
    return parser.parse_args(arguments)


def _tried(tree: Tree, mutant: Mutant, number: int, of: int) -> dict[str, object]:
    """Tries one, tells it in a line, and returns its row of the results."""
    began = time.monotonic()
    result: Result
    try:
        result, why = tree.try_out(mutant)
    except DoesNotApply as error:
        result, why = "ERROR", str(error)
    print(f"{number:4}/{of} {result:<8} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
    told = {"name": mutant.name, "file": mutant.file, "breaks": mutant.breaks, "tests": mutant.tests}
    return told | {"result": result, "why": why, "seconds": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    sys.exit(main())
