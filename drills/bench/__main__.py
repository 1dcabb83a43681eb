"""The command line of the benchmarks: ``make bench``, or ``python -m drills.bench``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from drills.bench import applications, claim, cold_start, cost, packages, patroni, published, rto, salvage
from drills.bench.findings import circumstances

if TYPE_CHECKING:
    from drills.bench.findings import Findings

RESULT_FILE = "bench.json"


class Part(StrEnum):
    """What can be measured."""

    RTO = "rto"
    COLD_START = "cold-start"
    PACKAGES = "packages"
    CLAIM = "claim"
    COST = "cost"
    PATRONI = "patroni"
    PUBLISHED = "published"
    SALVAGE = "salvage"
    APPLICATIONS = "applications"


def bench(
    part: Annotated[list[Part] | None, typer.Option(help="What to measure; may be repeated. By default rto.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="How often everything that varies is measured.")] = 10,
    outage: Annotated[list[str] | None, typer.Option(help="rto: what fails; may be repeated.")] = None,
    mode: Annotated[str, typer.Option(help="rto: failover, or switchover, in which nothing fails.")] = rto.FAILOVER,
    clients: Annotated[str, typer.Option(help="rto: how clients find the writer: name, hosts, or both.")] = "both",
    aurora_promotion: Annotated[float, typer.Option(min=0, help="The stated delay of Aurora's promotion.")] = 0.0,
    rows: Annotated[int, typer.Option(min=10_000, help="salvage: rows of the largest database.")] = 1_000_000,
    output: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("build/bench"),
) -> None:
    """Measure one part or several, print a table of each, and keep all figures as JSON."""
    console = Console()
    say = console.print
    wanted = rto.Wanted(outage or [rto.REFUSING, rto.HANGING], mode, clients, aurora_promotion, output)
    measures = {
        Part.RTO: lambda: rto.measure(runs, wanted, say),
        Part.COLD_START: lambda: cold_start.measure(runs, say),
        Part.PACKAGES: lambda: packages.measure(say),
        Part.CLAIM: lambda: claim.measure(runs, say),
        Part.COST: lambda: cost.measure(say),
        Part.PATRONI: lambda: patroni.measure(runs, say),
        Part.PUBLISHED: lambda: published.measure(say),
        Part.SALVAGE: lambda: salvage.measure(rows, say),
        Part.APPLICATIONS: lambda: applications.measure(runs, aurora_promotion, output, say),
    }
    found: dict[str, Findings] = {}
    for each in part or [Part.RTO]:
        found[each] = measures[each]()
        console.print(found[each].table(), *found[each].notes, sep="\n")
    output.mkdir(parents=True, exist_ok=True)
    report = circumstances() | {"parts": {name: findings.data for name, findings in found.items()}}
    (output / RESULT_FILE).write_text(json.dumps(report, indent=2) + "\n")
    (output / RESULT_FILE).with_suffix(".md").write_text("\n".join(each.markdown() for each in found.values()))
    console.print(f"All figures: {output / RESULT_FILE}")
    raise SystemExit(0 if all(findings.passed for findings in found.values()) else 1)


if __name__ == "__main__":
    typer.run(bench)
