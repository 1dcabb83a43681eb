"""Findings as people get them: a table on the terminal, or one page of HTML."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from failoverctl.command import CANNOT_TELL, DONE, REFUSED, Session
from failoverctl.errors import Refused
from failoverctl.words import date
from handlers.core.readiness import Finding, Level
from handlers.report import page as pages

PageFile = Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write it as a page of HTML as well.")]

STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "failing": "bold red", "cannot tell": "bold yellow"}
MARKS: dict[Level, str] = {"ok": "✔", "warning": "!", "failing": "✘", "cannot tell": "?"}
EXIT_CODES: dict[Level, int] = {"ok": DONE, "warning": DONE, "failing": REFUSED, "cannot tell": CANNOT_TELL}


def show(session: Session, answer: Level, sentence: str, found: Sequence[Finding]) -> None:
    """Prints the answer and every finding, for people."""
    session.say(sentence, "", style=STYLES[answer])
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


def write_page(
    session: Session,
    file: Path,
    answer: Level,
    sentence: str,
    found: Sequence[Finding],
    notes: Mapping[str, str],
    *,
    more: str = "",
) -> None:
    """Writes the same as a page; ``notes`` say by check what it means, ``more`` is HTML that stands below.

    Raises `Refused` where the file cannot be written.
    """
    deployment = session.deployment
    asked = f"{deployment.names.global_cluster}, {date(time.time())} UTC, asked by {deployment.identity.arn}"
    header = (
        f'<header>\n<p class="badge"><span aria-hidden="true">{MARKS[answer]}</span> {answer.capitalize()}</p>\n'
        f'<h1>{escape(sentence)}</h1>\n<p class="subtitle">{escape(asked)}</p>\n</header>\n'
    )
    lines = [
        (
            f"<b>{escape(one.check)}</b>",
            escape(one.region),
            f"{MARKS[one.level]} {one.level}",
            escape(one.fact)
            + (f"<br>→ {escape(one.remedy)}" if one.remedy else "")
            + f"<small>{escape(notes[one.check])}</small>",
        )
        for one in found
    ]
    table = pages.table(("Check", "Where", "Result", "Seen"), lines, "")
    body = f"{header}<section>\n{table}</section>\n{more}"
    text = session.worded(pages.document(sentence, body, good=answer in ("ok", "warning")))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{file} cannot be written ({error.strerror}); name another with --page FILE") from error
    session.say("", f"Written to {file}")
