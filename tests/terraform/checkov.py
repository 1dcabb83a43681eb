"""Runs checkov over every stack as production would have it: ``make checkov``.

A failed check needs a reason in ``checkov.toml``, and a reason needs a failed check.
"""

# ruff: noqa: T201  # a command that prints to a person
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.settings import PROJECT_ROOT

Report = list[dict[str, Any]]

REASONS_FILE = Path(__file__).with_name("checkov.toml")


@dataclass(frozen=True)
class Failure:
    """A check that a resource fails."""

    check: str
    name: str
    kind: str  # the resource's type
    resource: str  # its logical id
    stack: str


def unexplained(failures: Iterable[Failure], reasons: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Failures without a reason, and reasons without a failure, each in one line."""
    found, used = [], set()
    for failure in failures:
        reason = reasons.get(failure.check)
        if reason is None or failure.kind not in reason["kinds"]:
            where = f"{failure.stack}: {failure.kind}.{failure.resource}"
            found.append(f"{where} fails {failure.check}: {failure.name}")
        else:
            used.add((failure.check, failure.kind))
    for check, reason in reasons.items():
        stale = [kind for kind in reason["kinds"] if (check, kind) not in used]
        found += [f"{REASONS_FILE.name}: {check} has a reason for {kind}, which passes; remove it" for kind in stale]
    return found


def failures(report: Report, stacks: Mapping[str, dict[str, Any]]) -> list[Failure]:
    """The failed checks of checkov's report; ``stacks`` are the configurations it read, by name."""
    found = []
    for part in report:
        for failed in part["results"]["failed_checks"]:
            stack = Path(failed["file_path"]).parent.name
            logical_id = failed["resource"].rsplit(".", 1)[-1]
            kind = _kind(stacks[stack], logical_id)
            found.append(Failure(failed["check_id"], failed["check_name"], kind, logical_id, stack))
    return found


def _kind(stack: dict[str, Any], logical_id: str) -> str:
    """The type of a resource or data source; checkov reports it for some of its checks only."""
    for section in ("resource", "data"):
        for kind, resources in stack.get(section, {}).items():
            if logical_id in resources:
                return str(kind)
    raise KeyError(logical_id)


def main() -> int:
    """Runs checkov; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make checkov", description=__doc__)
    parser.add_argument("--checkov", required=True, help="the checkov program")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="checkov-") as folder:
        stacks = _synthesize(Path(folder))
        report = _run(options.checkov, Path(folder))
    passed = sum(part["summary"]["passed"] for part in report)
    found = unexplained(failures(report, stacks), tomllib.loads(REASONS_FILE.read_text()))
    for line in found:
        print(line, file=sys.stderr)
    if passed == 0:
        print("error: checkov passed nothing, so it read nothing", file=sys.stderr)
        return 1
    print(f"checkov: {passed} checks passed, {len(found)} unexplained")
    return 1 if found else 0


def _synthesize(folder: Path) -> dict[str, dict[str, Any]]:
    """Writes production's stacks to ``folder``; returns them by name."""
    environment = {**os.environ, "FAILOVER_ENVIRONMENT": "production", "CDKTF_OUTDIR": str(folder)}
    subprocess.run([sys.executable, "app.py"], cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True)
    stacks = {}
    for file in (folder / "stacks").glob("*/cdk.tf.json"):
        configuration = json.loads(file.read_text())
        del configuration["terraform"]  # checkov's parser fails on required_version
        file.write_text(json.dumps(configuration, indent=1))
        stacks[file.parent.name] = configuration
    return stacks


def _run(checkov: str, folder: Path) -> Report:
    finished = subprocess.run(
        [
            checkov,
            *("--directory", str(folder / "stacks"), "--framework", "terraform_json"),
            *("--output", "json", "--compact", "--quiet", "--skip-download"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    report: Report | dict[str, Any] = json.loads(finished.stdout)
    return report if isinstance(report, list) else [report]


if __name__ == "__main__":
    sys.exit(main())
