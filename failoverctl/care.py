"""``failoverctl salvage``, ``apply-safe`` and ``bootstrap``: what there is to do around a failover, by daylight."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from failoverctl.command import Session
from failoverctl.deployment import Deployment, changing
from failoverctl.errors import CannotTell, Refused
from failoverctl.start import Yes
from handlers.core.errors import FailoverError, InvalidRequest, TransientFailure
from handlers.core.reading import LARGEST_WHOLE, Fields
from handlers.core.salvage import Salvage
from handlers.core.shape import read_as
from handlers.gateways.archive import SALVAGE_SUMMARY, Archive
from handlers.gateways.aws import invoke, named_errors
from orchestration import safe_to_apply

Epoch = Annotated[int, typer.Argument(metavar="EPOCH", min=1, help="As `failoverctl salvage list` has it.")]
FileName = Annotated[
    str | None, typer.Option("--file", metavar="NAME", help="Print this file, such as salvage-001.sql.")
]
Stacks = Annotated[list[str] | None, typer.Option("--stack", metavar="NAME", help="Only this one; may be repeated.")]
Plan = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="A plan as JSON, of the one stack, to judge.")
]

# The bootstrap runs about ten statements over the Data API, and has a minute (specification/standing.py).
BOOTSTRAP_S = 65.0
A_FILE_S = 10.0


def list_salvage(session: Session) -> int | None:
    """List what re-protections have kept of old writers, one folder for each epoch."""
    deployment = session.deployment
    found: list[dict[str, Any]] = []
    for region, folders in _folders(deployment).items():
        for epoch, names in sorted(folders.items()):
            found.append({"epoch": epoch, "region": region, "files": sorted(names)})
    table = Table(box=None, pad_edge=False)
    for title in ("Epoch", "Region", "Bucket", "Files"):
        table.add_column(title, no_wrap=True)
    for one in found:
        bucket = deployment.names.salvage_bucket(one["region"])
        table.add_row(str(one["epoch"]), one["region"], bucket, str(len(one["files"])))
    if found:
        session.show(table)
    else:
        session.say("No re-protection has kept anything: there was none, or it has not got that far.")
    session.tell({"salvage": found, "silent": deployment.silent})
    return None


def show_salvage(session: Session, epoch: Epoch, *, file: FileName = None) -> int | None:
    """Show what was kept of the old writer of an epoch: how much is missing, and the files to read and replay."""
    archive, names = archive_of(session.deployment, epoch)
    if file is not None:
        text = archive.read(file)
        if text is None:
            raise Refused(f"there is no file {file} of epoch {epoch}; there are {', '.join(sorted(names))}")
        session.write(text)
        return None
    data = archive.read_json(SALVAGE_SUMMARY)
    lines = _found(data) if data is not None else ["The export is not complete: there is no summary of it yet."]
    session.say(f"Epoch {epoch}, kept in {archive.address('')}", *lines, "")
    session.say(*(f"  {archive.address(name)}" for name in sorted(names)))
    session.say("", f"Read a file: failoverctl salvage show {epoch} --file salvage-001.sql")
    session.tell({"epoch": epoch, "kept_at": archive.address(""), "files": sorted(names), "summary": data})
    return None


def archive_of(deployment: Deployment, epoch: int) -> tuple[Archive, Set[str]]:
    """Returns what is kept of an epoch and the names of its files; raises `Refused` where nothing is."""
    found = _folders(deployment)
    region = next((region for region, folders in found.items() if epoch in folders), None)
    if region is None:
        raise Refused(f"nothing is kept of epoch {epoch}; `failoverctl salvage list` lists what is")
    s3 = deployment.client("s3", region, read_timeout_s=A_FILE_S)
    return Archive(s3, deployment.names.salvage_bucket(region), epoch), found[region][epoch]


def _found(data: object) -> list[str]:
    """Returns what a summary says, in lines for people."""
    return read_as(Salvage, Fields(data, SALVAGE_SUMMARY, InvalidRequest)).words


def _folders(deployment: Deployment) -> dict[str, dict[int, set[str]]]:
    """Returns the files of each region's bucket by epoch; raises `CannotTell` where no region tells."""

    def look(region: str) -> dict[int, set[str]]:
        bucket = deployment.names.salvage_bucket(region)
        with named_errors(f"listing {bucket}"):
            pages = deployment.client("s3", region).get_paginator("list_objects_v2").paginate(Bucket=bucket)
            return _by_epoch(one["Key"] for page in pages for one in page.get("Contents", ()))

    _ = deployment.names
    deployment.make_clients("s3")
    found = {}
    for answered in deployment.each(look):
        if not isinstance(answered.error, TransientFailure):
            found[answered.region] = answered.get()
    if not found:
        raise CannotTell(f"no region tells what is kept: {deployment.silent}; try again")
    return found


def _by_epoch(keys: Iterable[str]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for key in keys:
        folder, _, name = key.partition("/")
        number = folder.removeprefix("epoch-")
        if name and number.isdecimal():
            found.setdefault(int(number), set()).add(name)
    return found


def apply_safe(session: Session, *, stack: Stacks = None, plan: Plan = None) -> int | None:
    """Say for each Terraform stack whether an apply is safe now: 0 safe, 1 not safe, 2 cannot tell."""
    _ = session.deployment  # leads the clients to the lab where that is meant
    arguments = [part for name in stack or () for part in ("--stack", name)]
    return safe_to_apply.main(arguments + (["--plan", str(plan)] if plan else []))


def bootstrap(session: Session, *, yes: Yes = False) -> int | None:
    """Prepare the writer's database for the orchestrator: once after the deployment, and after each upgrade of it."""
    deployment = session.deployment
    writer = deployment.read().record.writer_region
    function = deployment.names.function("bootstrap_database", writer)
    session.say(
        f"Function {function} makes the monitors' user and tables in the writer's database. It may be run again."
    )
    session.confirm(f"Run it in {writer}?", yes=yes)
    client = deployment.client("lambda", writer, read_timeout_s=BOOTSTRAP_S)
    with changing(deployment, f"invoking {function}"):
        try:
            answer = invoke(client, function, {})
        except TransientFailure as error:
            raise _said(function, error) from error
    session.say(*_done(answer))
    session.tell(answer)
    return None


def _done(answer: object) -> list[str]:
    """Returns what the function did, in lines for people."""
    done = Fields(answer, "the answer of the bootstrap", InvalidRequest)
    kept = done.whole("reserved_connections", at_most=LARGEST_WHOLE, default=0)
    lines = [f"Done: {done.data.get('statements')} statements in {done.data.get('cluster')}, all or none."]
    if kept == 0:
        lines.append(
            "No connection is reserved for the monitor: where applications take all of them, it can neither ask nor "
            "fence this database (docs/deploy.md)."
        )
    return lines


def _said(function: str, error: FailoverError) -> Refused | CannotTell:
    """Returns what the function itself said, where it ran and refused."""
    text = str(error)
    if f"{function} failed:" in text:
        found = re.search(r'"errorMessage": "((?:[^"\\]|\\.)*)', text)
        why = found[1] if found else text
        return Refused(f"{function} refused: {why}. Nothing was changed: its statements run all together or not at all")
    return CannotTell(f"{text}: it may have run; run it again, which does no harm")
