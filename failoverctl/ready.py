"""``failoverctl ready``: says whether a failover would work now.

The answer comes from the function ``readiness`` of each region, which may look at everything; whoever asks needs the
right to ask it, and no other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from failoverctl.command import CANNOT_TELL, DONE, REFUSED, Session
from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, Refused, credentials_fault, is_denied
from failoverctl.words import date
from handlers.core.commands import REPORT
from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.readiness import CHECKS, Check, Finding, Level, verdict
from handlers.core.reading import Fields
from handlers.gateways.aws import invoke
from handlers.report import page as pages
from orchestration import safe_to_apply

PageFile = Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write it as a page of HTML as well.")]
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
MARKS: dict[Level, str] = {"ok": "✔", "warning": "!", "failing": "✘", "cannot tell": "?"}
SENTENCES: dict[Level, str] = {
    "ok": "A failover would work now.",
    "warning": "A failover would work now; there is something to see to.",
    "failing": "Not ready: do not rely on a failover now.",
    "cannot tell": "Cannot tell whether a failover would work now.",
}
EXIT_CODES: dict[Level, int] = {"ok": DONE, "warning": DONE, "failing": REFUSED, "cannot tell": CANNOT_TELL}


def ready(session: Session, *, page: PageFile = None, drift: Drift = False) -> int | None:
    """Say whether a failover would work now, check by check: 0 ready, 1 not ready, 2 cannot tell."""
    deployment = session.deployment
    found = _asked(deployment)
    if session.chosen.lab:
        found = [_of_the_lab(each) for each in found]
    if drift:
        found += _drift(deployment)
    answer = verdict(found)
    _show(session, answer, found)
    session.tell({"answer": answer, "sentence": SENTENCES[answer], "findings": found})
    if page is not None:
        _write(page, session.worded(_page(deployment, answer, found)))
        session.say("", f"Written to {page}")
    return EXIT_CODES[answer]


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{file} cannot be written ({error.strerror}); name another with --page FILE") from error


def _page(deployment: Deployment, answer: Level, found: Sequence[Finding]) -> str:
    checks = {check.name: check for check in (*CHECKS, *OF_THE_VERB)}
    good = answer in ("ok", "warning")
    asked = f"{deployment.names.global_cluster}, {date(time.time())} UTC, asked by {deployment.identity.arn}"
    header = (
        f'<header>\n<p class="badge"><span aria-hidden="true">{MARKS[answer]}</span> {answer.capitalize()}</p>\n'
        f'<h1>{escape(SENTENCES[answer])}</h1>\n<p class="subtitle">{escape(asked)}</p>\n</header>\n'
    )
    lines = [
        (
            f"<b>{escape(one.check)}</b>",
            escape(one.region),
            f"{MARKS[one.level]} {one.level}",
            escape(one.fact)
            + (f"<br>→ {escape(one.remedy)}" if one.remedy else "")
            + f"<small>Asks {escape(checks[one.check].asks)}. Green: {escape(checks[one.check].green)}.</small>",
        )
        for one in found
    ]
    table = pages.table(("Check", "Where", "Result", "Seen"), lines, "")
    return pages.document(SENTENCES[answer], f"{header}<section>\n{table}</section>\n", good=good)


def _asked(deployment: Deployment) -> list[Finding]:
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


def _show(session: Session, answer: Level, found: Sequence[Finding]) -> None:
    session.say(SENTENCES[answer], "", style=STYLES[answer])
    table = Table(box=None, pad_edge=False)
    for title in ("Check", "Where", "Result"):
        table.add_column(title, no_wrap=True)
    table.add_column("Seen")
    for one in found:
        what_to_do = f"\n→ {session.worded(one.remedy)}" if one.remedy else ""
        table.add_row(
            one.check, one.region, Text(one.level, style=STYLES[one.level]), Text(session.worded(one.fact) + what_to_do)
        )
    session.show(table)
