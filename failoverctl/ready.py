"""``failoverctl ready``: would a failover work now?

The answer comes from the function ``readiness`` of each region, which may look at everything; whoever asks needs the
right to ask it, and no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from failoverctl.command import CANNOT_TELL, DONE, REFUSED, Session
from handlers.core.readiness import Check, Level, verdict

Page = Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write it as a page of HTML as well.")]
Drift = Annotated[
    bool, typer.Option("--drift", help="Plan each stack with Terraform as well, as apply-safe does; takes minutes.")
]

# The function starts cold, asks some 35 times, and waits for three databases.
FUNCTION_S = 40.0

ANSWERS = Check(
    "answers",
    asks="whether the region's readiness function answers",
    green="it does",
    remedy="`failoverctl status`; see the function's log, and whether its region is dark",
)
DRIFT = Check(
    "drift",
    asks="whether Terraform would change what is deployed",
    green="no stack has a change, and an apply is safe",
    remedy="`failoverctl apply-safe`, then apply what it says is safe",
)
# Asked here, and not by the function.
OF_THE_VERB = (ANSWERS, DRIFT)

# What the lab does without, by check.
NOT_IN_THE_LAB = {
    "backups": "AWS Backup",
    "capacity": "ACUs",
    "certificates": "RDS certificates",
    "concurrency": "Lambda reservations",
    "dns": "Route 53 API; its DNS server is asked by the check `name`",
    "subscribers": "subscribers",
}

STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "failing": "bold red", "cannot tell": "bold yellow"}
SENTENCES: dict[Level, str] = {
    "ok": "A failover would work now.",
    "warning": "A failover would work now; there is something to see to.",
    "failing": "Not ready: do not rely on a failover now.",
    "cannot tell": "Cannot tell whether a failover would work now.",
}
EXIT_CODES: dict[Level, int] = {"ok": DONE, "warning": DONE, "failing": REFUSED, "cannot tell": CANNOT_TELL}


def ready(session: Session, *, page: Page = None, drift: Drift = False) -> int | None:
    """Say whether a failover would work now, check by check: 0 ready, 1 not ready, 2 cannot tell."""
    deployment = session.deployment
    found = [each for region in deployment.regions for each in _asked(deployment).get(region, [])]
    if session.chosen.lab:
        found = [_of_the_lab(each) for each in found]
    if drift:
        found += _drift(deployment)
    answer = verdict(found)
    _show(session, answer, found)
    session.tell({"answer": answer, "findings": found})
    if page is not None:
        from failoverctl.ready_page import write  # a template engine, which nothing else here needs

        write(page, SENTENCES[answer], answer, deployment.names.global_cluster, found)
    return EXIT_CODES[answer]
