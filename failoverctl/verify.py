"""``failoverctl verify``: asks what the product assumes of AWS, one assumption after another, in the first hour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Annotated

import typer
from rich.table import Table

from failoverctl.account import Account
from failoverctl.asks.moves import measured_promotion
from failoverctl.assumption import Assumption, ask_all
from failoverctl.assumptions import ASSUMPTIONS
from failoverctl.command import Session
from failoverctl.errors import Refused
from failoverctl.experiments import fail_over, ring_the_alarm, switch_over_and_back
from failoverctl.fencing import fence_and_log_in
from failoverctl.findings import EXIT_CODES, MARKS, PageFile, show, write_page
from failoverctl.start import Yes
from handlers.core.readiness import LEVELS, Finding, Level, verdict
from handlers.report import page as pages
from orchestration import measured

WithSwitchover = Annotated[
    bool, typer.Option("--with-switchover", help="Move the writer to the other region and back; keep how long it took.")
]
WithFailover = Annotated[
    bool,
    typer.Option("--with-failover", help="Cut the writer's database off, measure the failover, and keep the figure."),
]
WithFence = Annotated[
    str | None,
    typer.Option(
        "--with-fence", metavar="URL", help="Fence the writer, and log in there meanwhile as this application."
    ),
]
WithTrigger = Annotated[
    bool,
    typer.Option("--with-trigger", help='Set the alarm, and see a rehearsal start: with trigger_mode "rehearsal".'),
]
Keep = Annotated[
    bool, typer.Option("--keep", help="Have drills take the time that the last moves of the writer needed of Aurora.")
]

SENTENCES: dict[Level, str] = {
    "ok": "All that was asked holds.",
    "warning": "All that was asked holds; there is something to see to.",
    "failing": "Not all that the product assumes of AWS holds here.",
    "cannot tell": "Nothing that was asked is false, and not everything could be asked.",
}


def verify(
    session: Session,
    *,
    page: PageFile = None,
    with_switchover: WithSwitchover = False,
    with_trigger: WithTrigger = False,
    with_fence: WithFence = None,
    with_failover: WithFailover = False,
    keep: Keep = False,
    yes: Yes = False,
) -> int | None:
    """Ask what the product assumes of AWS, by reads only: 0 it holds, 1 something does not, 2 cannot tell."""
    account = Account(session.deployment, in_lab=session.chosen.lab)
    _ = account.names  # says what is wrong with the credentials, before anything is asked
    seen: list[Finding] = []
    if with_trigger:
        ring_the_alarm(session, account, yes=yes)
    if with_fence is not None:
        seen += fence_and_log_in(session, account, with_fence, yes=yes)
    if with_switchover:
        switch_over_and_back(session, yes=yes)
        keep = True
    if with_failover:  # last, for it leaves no standby
        fail_over(session, account, yes=yes)
        keep = True
    account = Account(session.deployment, in_lab=session.chosen.lab)  # what it has read may have changed
    found = [*ask_all(account, ASSUMPTIONS), *seen]
    answer = verdict(found)
    left = [each for each in ASSUMPTIONS if each.experiment and each.name not in {one.check for one in found}]
    show(session, answer, SENTENCES[answer], found)
    _show_open(session, left)
    session.say("", _counted(found, left))
    session.tell(
        {
            "answer": answer,
            "sentence": SENTENCES[answer],
            "findings": found,
            "not_asked": [{"check": each.name, "holds": each.holds, "experiment": each.experiment} for each in left],
        }
    )
    if keep:
        keep_figures(session, account)
    if page is not None:
        notes = {each.name: each.holds for each in ASSUMPTIONS}
        write_page(session, page, answer, SENTENCES[answer], found, notes, more=_rest_of_page(session, found, left))
    return EXIT_CODES[answer]


def keep_figures(session: Session, account: Account) -> None:
    """Keeps how long Aurora took to promote, for drills to take; raises `Refused` where there is nothing to keep."""
    found = {move: took for move in measured.MOVES if (took := measured_promotion(account, move))}
    if not found:
        raise Refused("no failover and no switchover has moved the writer yet, so there is nothing to keep")
    for move, (seconds, run) in found.items():
        try:
            measured.keep_promotion(move, seconds, run)
        except OSError as error:
            raise Refused(f"{measured.FILE} cannot be written ({error.strerror})") from error
        session.say(f"Aurora's part of the {move} took {seconds:.1f} s in run {run}: drills take that now.")
    session.say(f"It is kept in {measured.FILE}.")


def _show_open(session: Session, left: Sequence[Assumption]) -> None:
    session.say("", "Asking does not show these; an experiment does (docs/assumptions.md):")
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in left:
        table.add_row(each.name, each.experiment)
    session.show(table)


def _counted(found: Sequence[Finding], left: Sequence[Assumption]) -> str:
    counts = ", ".join(f"{sum(one.level == level for one in found)} {level}" for level in LEVELS)
    return f"{counts}; {len(left)} not asked."


def _rest_of_page(session: Session, found: Sequence[Finding], left: Sequence[Assumption]) -> str:
    """Returns what stands below the findings: what was not asked, and who signs."""
    lines = [(f"<b>{escape(one.name)}</b>", escape(one.holds), escape(one.experiment)) for one in left]
    table = pages.table(("Check", "What has to hold", "What would show it"), lines, "")
    counts = "".join(f"<li>{MARKS[level]} {sum(one.level == level for one in found)} {level}</li>" for level in LEVELS)
    who = escape(session.deployment.identity.arn)
    return (
        f"<section>\n<h2>Not asked</h2>\n{table}</section>\n"
        f"<section>\n<h2>Signed off</h2>\n<ul>{counts}<li>{len(left)} not asked</li></ul>\n"
        f"<p>Asked by {who}, as STS names the credentials. Read and accepted by, on:</p>\n"
        "<p>______________________________</p>\n</section>\n"
    )
