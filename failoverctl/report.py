"""``failoverctl report``: one run as a page to print and to keep, or as JSON."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from failoverctl import runs
from failoverctl.command import Session
from failoverctl.deployment import Deployment
from failoverctl.errors import Refused
from failoverctl.timeline import RunName
from handlers.gateways.archive import DATA, PAGE, report_folder
from handlers.gateways.executions import Executions
from handlers.report import page

Output = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Where to write it; else report-RUN.html here.")
]


def report(session: Session, run: RunName, *, output: Output = None) -> int | None:
    """Write the report of a run: cause, evidence, who decided what, messages, times against budgets, loss."""
    try:
        text, outcome = _made(session, run)
    except Refused:
        kept = _kept(session.deployment, run, DATA if session.chosen.json else PAGE)
        if kept is None:
            raise
        text, outcome = kept, "as it was kept when it had ended, for Step Functions has forgotten it"
    if session.chosen.json and output is None:
        session.write(text)
        return None
    file = output or Path(f"report-{run}.html")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{file} cannot be written ({error.strerror}); name another with --output FILE") from error
    session.say(f"Run {run}: {outcome}. Report: {file}")
    return None


def _made(session: Session, run: str) -> tuple[str, str]:
    """Returns the report of a run that Step Functions knows, as it is asked for, and the run's outcome."""
    deployment = session.deployment
    found = runs.find(deployment, run)
    region = found.region
    executions = Executions(
        deployment.client("stepfunctions", region),
        deployment.client("dynamodb", region),
        deployment.names.runs_table(region),
    )
    made = executions.report(found.workflow, found.arn, time.time())
    return page.as_json(made) if session.chosen.json else page.page(made), made.outcome


def _kept(deployment: Deployment, run: str, name: str) -> str | None:
    """Returns a file of the report that was kept of a run, from either region; None where there is none."""

    def look(region: str) -> str | None:
        return report_folder(deployment.client("s3", region), deployment.names.reports_bucket(region), run).read(name)

    return deployment.in_either("s3", look)
