"""The report of a game day, as a page and as JSON: what was cut, what came of it, and what that shows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from failoverctl.account import Account
from failoverctl.command import DONE, plain
from failoverctl.fault_injection import Experiment
from failoverctl.runs import Run
from failoverctl.timeline import record_lines
from failoverctl.words import date
from handlers.core.history import Entered
from handlers.report import page as pages

PROOF = "VerifyRecovery"  # the state of the workflow that writes through the writer's name
SHOWS = (
    "The alarm path, detection with a living guardian, the lease's wait, Aurora's detach and promotion, and the "
    "writer's name, in this account.",
    "How long clients that reconnect by the name could not write.",
    "The fence of an old writer that nobody reaches: RDS restarts it and closes its security group.",
)
DOES_NOT_SHOW = (
    "The loss of a whole region: its functions, its control plane and its copy of the control table lived, and the "
    "guardian said that its database was out of reach. `make drill` kills and isolates regions.",
    "What is lost when replication stops: Aurora's own went on, outside the VPC.",
    "What happens to applications of a region that dies: they went on, and reached the new writer by the link.",
)


@dataclass
class Played:
    """What has come of a game day so far; ``why_not`` says why it did not end well."""

    writer: str
    standby: str
    experiment: Experiment
    run: Run | None = None
    states: Sequence[Entered] = ()
    why_not: str = ""
    exit_code: int = DONE


def data(account: Account, played: Played, plan: Sequence[str]) -> dict[str, Any]:
    """Returns the report for programs."""
    experiment, run = played.experiment, played.run
    record: Mapping[str, Any] = (run.output if run else None) or {}
    proved_at = next((each.left_at for each in played.states if each.name == PROOF), None)
    from_cut = proved_at - experiment.cut_at if proved_at and experiment.cut_at else None
    found: dict[str, Any] = plain(
        {
            "global_cluster": account.names.global_cluster,
            "passed": played.exit_code == DONE,
            "why_not": played.why_not,
            "asked_by": account.deployment.identity.arn,
            "written_at": time.time(),
            "writer": played.writer,
            "standby": played.standby,
            "experiment": experiment,
            "run": run,
            "rto_s": record.get("rto_s"),
            "from_cut_to_proof_s": from_cut,
            "lost_ms": record.get("rpo_ms"),
            "lost_at_most_ms": record.get("rpo_at_most_ms"),
            "plan": plan,
            "timeline": _timeline(played),
            "shows": SHOWS,
            "does_not_show": DOES_NOT_SHOW,
            "run_in_words": record_lines(record),
        }
    )
    return found


def _timeline(played: Played) -> list[dict[str, Any]]:
    experiment, run = played.experiment, played.run
    moments = [
        (experiment.started_at, f"FIS started experiment {experiment.id}"),
        (experiment.cut_at, f"FIS began to cut the database of {played.writer} off"),
        *([(run.started_at, f"run {run.name} started in {run.region}")] if run else []),
        *((each.entered_at, each.name) for each in played.states),
        *([(run.ended_at, f"run {run.name} ended: {run.outcome}")] if run else []),
        (experiment.restored_at, "FIS had given the subnets their network ACLs back"),
        (experiment.ended_at, f"the experiment was over: {experiment.status}"),
    ]
    known = sorted((moment for moment in moments if moment[0] is not None), key=lambda moment: moment[0] or 0.0)
    return [{"at": at, "what": what} for at, what in known]


def write(found: Mapping[str, Any], folder: Path) -> list[str]:
    """Writes both files, and returns what to say of that."""
    name = f"gameday-{found['experiment']['id']}"
    try:
        (folder / f"{name}.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / f"{name}.html").write_text(page(found), encoding="utf-8")
    except OSError as error:
        return [f"The report could not be written to {folder} ({error.strerror})."]
    return ["", f"Report: {folder / name}.html, and the same as JSON beside it"]


def page(found: Mapping[str, Any]) -> str:
    """Returns the report for people."""
    good, cut_at = bool(found["passed"]), found["experiment"]["cut_at"]
    title = (
        f"Game day: {found['standby']} took over from {found['writer']}"
        if good
        else f"Game day: {found['standby']} did not take over from {found['writer']}, for {found['why_not']}"
    )
    asked = f"{found['global_cluster']}, {date(found['written_at'])} UTC, by {found['asked_by']}"
    figures = (
        ("Outage, by the run's record", _seconds(found["rto_s"])),
        ("From the cut to the proven write", _seconds(found["from_cut_to_proof_s"])),
        ("Lost, by heartbeats", _seconds(found["lost_ms"], 1000)),
        ("Lost at most", _seconds(found["lost_at_most_ms"], 1000)),
        (
            "Experiment",
            f"{found['experiment']['id']} in {found['experiment']['region']}: {found['experiment']['status']}",
        ),
    )
    moments = (
        (escape(date(each["at"])), "" if cut_at is None else f"{each['at'] - cut_at:+.1f} s", escape(each["what"]))
        for each in found["timeline"]
    )
    body = (
        f'<header>\n<p class="badge"><span aria-hidden="true">{"✔" if good else "✘"}</span> '
        f"{'Passed' if good else 'Failed'}</p>\n<h1>{escape(title)}</h1>\n"
        f'<p class="subtitle">{escape(asked)}</p>\n</header>\n'
        + _section(
            "What it cost", pages.table(("", ""), [(f"<b>{name}</b>", escape(value)) for name, value in figures], "")
        )
        + _section("Timeline", pages.table(("UTC", "From the cut", "What"), moments, "Nothing is known.", right=(1,)))
        + _section(
            "The run's own record", _list(found["run_in_words"]) if found["run"] else "<p>There was no run.</p>\n"
        )
        + _section("As it was planned", _list(found["plan"]))
        + _section("What a game day shows", _list(found["shows"]))
        + _section("What it does not show", _list(found["does_not_show"]))
    )
    return pages.document(title, body, good=good)


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}</section>\n"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>\n"


def _seconds(value: float | None, per_second: float = 1.0) -> str:
    return "not known" if value is None else f"{value / per_second:.1f} s"
