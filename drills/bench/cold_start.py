"""Cold starts: what importing each function takes before its first call, beside a handler that only imports boto3.

Each start is that of the lab's Lambda service: the built zip, a fresh interpreter, byte code compiled beforehand. All
functions take turns on one core. The processor's time is compared, which is what a quiet machine's clock shows.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from drills.aws.cloud import ACCOUNT
from drills.aws.lambda_runtime import InitDuration, LambdaService
from drills.bench.findings import Findings
from drills.world.clock import Clock
from drills.world.reachability import Reachability
from orchestration.packaging import build_packages
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe, failover

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestration.specification import Specification
    from orchestration.specification.model import Function

ONLY_BOTO3 = "only_boto3"
# The steps of the failover, and what finds the outage, looks at databases, fences and moves the name.
MEASURED = (*(step.name for step in failover.STEPS), "monitor", "prober", "fence", "writer_switch")
AT_MOST_OVER_BOTO3_MS = 80.0
# Nothing listens there, and nothing is called.
NOWHERE = "127.0.0.1", 9


def measure(runs: int, say: Callable[[str], None]) -> Findings:
    """Starts every function ``runs`` times, in turn, and compares the medians."""
    specification = describe(load(), ACCOUNT)
    region = next(iter(specification.regions.values()))
    functions = {function.step: function for function in region.functions.values() if function.step in MEASURED}
    functions = {ONLY_BOTO3: _only_boto3(functions["claim"])} | {name: functions[name] for name in MEASURED}
    known = replace(region, functions={function.name: function for function in functions.values()})
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            service = _service(replace(specification, regions={region.name: known}), Path(folder))
            try:
                taken: dict[str, list[InitDuration]] = {name: [] for name in functions}
                for run in range(runs + 1):  # the first fills the system's caches, and does not count
                    say(f"cold starts: {run} of {runs}")
                    for name, function in functions.items():
                        taken[name].append(service.cold_start(region.name, function.name))
            finally:
                service.close()
    finally:
        os.sched_setaffinity(0, allowed)
    return findings({name: starts[1:] for name, starts in taken.items()})


def findings(taken: dict[str, list[InitDuration]]) -> Findings:
    """Returns the medians of each function's starts, and what they are over those of the handler with boto3 alone."""
    medians = {name: _median(starts) for name, starts in taken.items()}
    alone = medians[ONLY_BOTO3]
    over = {name: one.processor_ms - alone.processor_ms for name, one in medians.items() if name != ONLY_BOTO3}
    rows = [
        (
            name,
            f"{median.processor_ms:.0f}",
            f"{median.processor_ms - alone.processor_ms:+.0f}",
            f"{median.processor_ms / alone.processor_ms:.2f}",
            f"{median.wall_ms:.0f}",
        )
        for name, median in medians.items()
    ]
    return Findings(
        f"Cold start: import to first call, ms, median of {len(taken[ONLY_BOTO3])}",
        ("function", "processor", "over boto3 alone", "times", "by the clock"),
        tuple(rows),
        {
            "demanded_at_most_over_boto3_ms": AT_MOST_OVER_BOTO3_MS,
            "starts": {name: [asdict(start) for start in starts] for name, starts in taken.items()},
            "median_over_boto3_ms": over,
        },
        notes=(
            "Everything that a function keeps for its calls is made while it is imported, its AWS clients too, so that "
            "a warm-up covers it; but not Powertools' idempotency, which the first message imports, nor the clients "
            "that the monitor needs only while something is wrong. The packages hold sources, which are the same "
            "whoever builds them, and no byte code, which depends on the builder's Python: Lambda compiles what it "
            "imports at each cold start, and the lab has done that beforehand.",
        ),
        passed=max(over.values()) <= AT_MOST_OVER_BOTO3_MS,
    )


def _median(starts: list[InitDuration]) -> InitDuration:
    return InitDuration(
        statistics.median(start.wall_ms for start in starts), statistics.median(start.processor_ms for start in starts)
    )


def _only_boto3(like: Function) -> Function:
    return replace(like, step=ONLY_BOTO3, name=ONLY_BOTO3, package=ONLY_BOTO3)  # type: ignore[arg-type]  # its own zip


def _service(specification: Specification, folder: Path) -> LambdaService:
    packages = {name: package.path for name, package in build_packages(PROJECT_ROOT, folder / "packages").items()}
    packages[ONLY_BOTO3] = folder / "packages" / f"{ONLY_BOTO3}.zip"
    with zipfile.ZipFile(packages[ONLY_BOTO3], "w") as package:
        package.writestr(f"handlers/failover/{ONLY_BOTO3}.py", "import boto3\n\n\ndef handler(event, context): ...\n")
    return LambdaService(
        specification,
        packages,
        folder,
        Clock.started_now(1),
        endpoint="http://{}:{}".format(*NOWHERE),
        register=lambda _: None,
        dns_servers=dict.fromkeys(specification.regions, NOWHERE),
        observe=lambda _: None,
        reachability=Reachability(specification.regions),
    )
