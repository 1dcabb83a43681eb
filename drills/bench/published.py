"""What published orchestrators of Aurora Global Databases wait, beside Aurora's own time: read in their sources.

Nothing is run here: these need AWS. Each row says what its code sleeps and how often it looks; from that follows how
long its workflow takes from its first step until it goes on behind a promotion that takes so many seconds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drills.bench.findings import Findings
from orchestration.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

DR_ORCHESTRATOR = "https://github.com/aws-samples/aws-cross-region-dr-databases/blob/a58ebca6db99a943ed9b515772a3757513b3f217/DR-Orchestration-artifacts"
ARC_AUTOMATION = "https://github.com/aws-samples/amazon-route53-arc-dr-automation/blob"
PROMOTE = "handlers/failover/promote.py"
# What Aurora may take, by its guide and by field reports (seconds).
PROMOTIONS_S = (30.0, 120.0)


@dataclass(frozen=True)
class Published:
    """One orchestrator's waits on the way from its start to a writer in the other region, in seconds.

    Attributes
    ----------
    before_s
        what it sleeps before it asks RDS.
    asleep_s
        what it sleeps after that, before it looks for the first time.
    every_s
        how long it waits between two looks.
    late_looks
        how many looks later than the first that shows the end it goes on.
    sources
        where that is written.
    """

    name: str
    started_by: str
    before_s: float
    asleep_s: float
    every_s: float
    late_looks: int
    sources: tuple[str, ...]

    def goes_on_after_s(self, promotion_s: float) -> float:
        """Returns how long it takes from its start, with a promotion of that many seconds."""
        looks = max(0, math.ceil((promotion_s - self.asleep_s) / self.every_s))
        return self.before_s + self.asleep_s + (looks + self.late_looks) * self.every_s


def _look_every_s() -> float:
    """Returns how often this project looks; its step cannot be imported outside a function's environment."""
    found = re.search(r"^LOOK_EVERY_S = ([\d.]+)$", (PROJECT_ROOT / PROMOTE).read_text(), re.MULTILINE)
    assert found, f"{PROMOTE} has no LOOK_EVERY_S"
    return float(found[1])


CANDIDATES = (
    Published("this project", "its own detection, or a person", 0.0, 0.0, _look_every_s(), 0, (PROMOTE,)),
    Published(
        "DR Orchestrator Framework, unplanned failover",
        "a person",
        0.0,
        60.0,
        15.0,
        0,
        (
            f"{DR_ORCHESTRATOR}/lambda_function/aurora-remove-from-global-cluster/aurora-remove-from-global-cluster.py",
            f"{DR_ORCHESTRATOR}/cloudformation/modules/Aurora.yaml",
        ),
    ),
    Published(
        "Route 53 ARC DR automation, planned failover",
        "a person",
        7.0,
        0.0,
        30.0,
        1,
        (
            f"{ARC_AUTOMATION}/7d4d9b238aa63494bc0fea2ca8fdb914f18ac0b2/lib/dr-stepfunction.ts",
            f"{ARC_AUTOMATION}/69bf417aae6cfa923fadf18d54f5943e59cc33b7/lib/lambdas/rds-failover.py",
            f"{ARC_AUTOMATION}/2158d5fa8e3c660d72663a85cf7d82e0caf15003/lib/lambdas/routing_control_update_handler.py",
        ),
    ),
)


def measure(_say: Callable[[str], None]) -> Findings:
    """Returns the table; there is nothing to wait for."""
    return Findings(
        "Waits of published orchestrators, s",
        (
            "",
            "started by",
            "sleeps first",
            "then, before it looks",
            "looks every",
            *(f"goes on, if Aurora takes {seconds:g}" for seconds in PROMOTIONS_S),
        ),
        tuple(
            (
                one.name,
                one.started_by,
                f"{one.before_s:g}",
                f"{one.asleep_s:g}",
                f"{one.every_s:g}",
                *(f"{one.goes_on_after_s(seconds):g}" for seconds in PROMOTIONS_S),
            )
            for one in CANDIDATES
        ),
        {one.name: {f"{seconds:g}": one.goes_on_after_s(seconds) for seconds in PROMOTIONS_S} for one in CANDIDATES},
        notes=(
            "Both AWS samples are started by a person and have no lease and no gate. The first leaves the clients' way "
            "to the new writer to others. The second can only move a writer that lives (`FailoverGlobalCluster` "
            "without `AllowDataLoss`), sleeps 7 s for each routing control, of which one is counted, and goes on with "
            "what it saw one look earlier. In this project the wait for the old writer's lease comes before the "
            "request: see the RTO by phase.",
            "Sources: " + ", ".join(f"<{source}>" for one in CANDIDATES[1:] for source in one.sources) + ".",
        ),
    )
