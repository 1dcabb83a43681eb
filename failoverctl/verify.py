"""``failoverctl verify``: asks what the product assumes of AWS, one assumption after another, in the first hour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.table import Table

from failoverctl.account import Account
from failoverctl.assumption import ask_all
from failoverctl.assumptions import ASSUMPTIONS
from failoverctl.command import Session
from failoverctl.findings import EXIT_CODES, MARKS, PageFile, show, write_page
from handlers.core.readiness import LEVELS, Finding, Level, verdict
from handlers.report import page as pages

SENTENCES: dict[Level, str] = {
    "ok": "All that was asked holds.",
    "warning": "All that was asked holds; there is something to see to.",
    "failing": "Not all that the product assumes of AWS holds here.",
    "cannot tell": "Nothing that was asked is false, and not everything could be asked.",
}
OPEN = tuple(each for each in ASSUMPTIONS if each.ask is None)


def verify(session: Session, *, page: PageFile = None) -> int | None:
    """Ask what the product assumes of AWS, by reads only: 0 it holds, 1 something does not, 2 cannot tell."""
    account = Account(session.deployment, in_lab=session.chosen.lab)
    _ = account.names  # says what is wrong with the credentials, before anything is asked
    found = ask_all(account, ASSUMPTIONS)
    answer = verdict(found)
    show(session, answer, SENTENCES[answer], found)
    _show_open(session)
    session.say("", _counted(found))
    session.tell(
        {
            "answer": answer,
            "sentence": SENTENCES[answer],
            "findings": found,
            "not_asked": [{"check": each.name, "holds": each.holds, "experiment": each.experiment} for each in OPEN],
        }
    )
    if page is not None:
        notes = {each.name: each.holds for each in ASSUMPTIONS}
        write_page(session, page, answer, SENTENCES[answer], found, notes, more=_rest_of_page(session, found))
    return EXIT_CODES[answer]


def _show_open(session: Session) -> None:
    session.say("", "Asking does not show these; an experiment does (docs/assumptions.md):")
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in OPEN:
        table.add_row(each.name, each.experiment)
    session.show(table)


def _counted(found: Sequence[Finding]) -> str:
    counts = ", ".join(f"{sum(one.level == level for one in found)} {level}" for level in LEVELS)
    return f"{counts}; {len(OPEN)} not asked."


def _rest_of_page(session: Session, found: Sequence[Finding]) -> str:
    """Returns what stands below the findings: what was not asked, and who signs."""
    lines = [(f"<b>{escape(one.name)}</b>", escape(one.holds), escape(one.experiment)) for one in OPEN]
    table = pages.table(("Check", "What has to hold", "What would show it"), lines, "")
    counts = "".join(f"<li>{MARKS[level]} {sum(one.level == level for one in found)} {level}</li>" for level in LEVELS)
    who = escape(session.deployment.identity.arn)
    return (
        f"<section>\n<h2>Not asked</h2>\n{table}</section>\n"
        f"<section>\n<h2>Signed off</h2>\n<ul>{counts}<li>{len(OPEN)} not asked</li></ul>\n"
        f"<p>Asked by {who}, as STS names the credentials. Read and accepted by, on:</p>\n"
        "<p>______________________________</p>\n</section>\n"
    )
