"""``failoverctl ready``: says whether a failover would work now.

The answer comes from the function ``readiness`` of each region, which may look at everything; whoever asks needs the
right to ask it, and no other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from failoverctl.command import Session
from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, credentials_fault, is_denied
from failoverctl.findings import EXIT_CODES, PageFile, show, write_page
from handlers.core.commands import REPORT
from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.readiness import CHECKS, Check, Finding, Level, verdict
from handlers.core.reading import Fields
from handlers.gateways.aws import invoke
from orchestration import safe_to_apply

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

SENTENCES: dict[Level, str] = {
    "ok": "A failover would work now.",
    "warning": "A failover would work now; there is something to see to.",
    "failing": "Not ready: do not rely on a failover now.",
    "cannot tell": "Cannot tell whether a failover would work now.",
}


def ready(session: Session, *, page: PageFile = None, drift: Drift = False) -> int | None:
    """Say whether a failover would work now, check by check: 0 ready, 1 not ready, 2 cannot tell."""
    deployment = session.deployment
    found = asked(deployment)
    if session.chosen.lab:
        found = [_of_the_lab(each) for each in found]
    if drift:
        found += _drift(deployment)
    answer = verdict(found)
    show(session, answer, SENTENCES[answer], found)
    session.tell({"answer": answer, "sentence": SENTENCES[answer], "findings": found})
    if page is not None:
        notes = {each.name: f"Asks {each.asks}. Green: {each.green}." for each in (*CHECKS, *OF_THE_VERB)}
        write_page(session, page, answer, SENTENCES[answer], found, notes)
    return EXIT_CODES[answer]


def asked(deployment: Deployment) -> list[Finding]:
    """Returns what the functions of both regions say, and where one says nothing, why."""
    _ = deployment.names  # tells wrong credentials apart from a function that does not answer
    for region in deployment.regions:
        deployment.client("lambda", region, read_timeout_s=FUNCTION_S)
    found: dict[str, list[Finding]] = {}
    for answered in deployment.each(lambda region: _of(deployment, region), FUNCTION_S):
        region, error = answered.region, answered.error
        if error is None:
            found[region] = answered.get()
        elif not isinstance(error, FailoverError):
            raise error
        elif fault := credentials_fault(error):
            raise CannotTell(fault)
        elif is_denied(error):
            raise error  # the caller names the policy
        else:
            found[region] = [_silent(region, str(error))]
    return [
        finding
        for region in deployment.regions
        for finding in found.get(region) or [_silent(region, f"no answer in {FUNCTION_S:.0f} s")]
    ]


def _of(deployment: Deployment, region: str) -> list[Finding]:
    client = deployment.client("lambda", region, read_timeout_s=FUNCTION_S)
    answer = invoke(client, deployment.names.function("readiness", region), REPORT)
    said = Fields(answer, "the answer of the function readiness", InvalidRequest).data.get("findings")
    if not isinstance(said, list):
        raise InvalidRequest("the function readiness answers without findings: deploy this version of it")
    return [Finding.read(each) for each in said]


def _silent(region: str, why: str) -> Finding:
    return Finding(ANSWERS.name, region, "cannot tell", why, ANSWERS.remedy)


def _of_the_lab(finding: Finding) -> Finding:
    lacks = NOT_IN_THE_LAB.get(finding.check)
    if lacks is None:
        return finding
    return replace(finding, level="cannot tell", fact=f"the lab has no {lacks}", remedy="")


def _drift(deployment: Deployment) -> list[Finding]:
    """Returns what Terraform would do to each stack, by the code of ``apply-safe``; it plans them one by one."""
    found = []
    for stack in ("identity", *deployment.regions, "global"):
        try:
            changes = safe_to_apply.planned(stack)
            reasons = safe_to_apply.verdict(deployment.read().record, changes, stack)
        except safe_to_apply.CannotTell as error:
            found.append(Finding(DRIFT.name, stack, "cannot tell", str(error), DRIFT.remedy))
            continue
        if reasons:
            found.append(Finding(DRIFT.name, stack, "failing", "; ".join(reasons), DRIFT.remedy))
        elif changes:
            found.append(Finding(DRIFT.name, stack, "warning", f"{len(changes)} changes", DRIFT.remedy))
        else:
            found.append(Finding(DRIFT.name, stack, "ok", "no change", ""))
    return found
