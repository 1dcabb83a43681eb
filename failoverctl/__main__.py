"""The command line: ``failoverctl``, or ``python -m failoverctl``."""

from __future__ import annotations

from collections.abc import Callable

import typer

from failoverctl import maintenance
from failoverctl.answer import approve, reject
from failoverctl.automation import pause, resume
from failoverctl.break_glass import break_glass
from failoverctl.care import apply_safe, bootstrap, list_salvage, show_salvage
from failoverctl.command import Chosen, File, Json, Lab, Suffix, verb
from failoverctl.flags import abort, hold, release, unlock
from failoverctl.let_in import let_in
from failoverctl.ready import ready
from failoverctl.replay import replay_salvage
from failoverctl.report import report
from failoverctl.start import start
from failoverctl.status import status
from failoverctl.timeline import list_runs, show, watch

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="failoverctl",
    help="Look at the writer of an Aurora global database, move it, and answer the runs that ask. Exit codes: 0 done, "
    "1 refused, 2 cannot tell.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
working = typer.Typer(
    no_args_is_help=True, help="Work on the writer without a failover coming of it.", context_settings=HELP
)
salvage = typer.Typer(no_args_is_help=True, help="What re-protections kept of old writers.", context_settings=HELP)


@app.callback()
def options(
    context: typer.Context,
    *,
    lab: Lab = False,
    json: Json = False,
    suffix: Suffix = None,
    settings: File = None,
) -> None:
    """Takes the options that lead to the deployment, which may stand before the verb or after it."""
    context.obj = Chosen(lab, json, suffix, settings)


VERBS: dict[str, Callable[..., int | None]] = {
    "status": status,
    "ready": ready,
    "runs": list_runs,
    "show": show,
    "watch": watch,
    "report": report,
    "start": start,
    "approve": approve,
    "reject": reject,
    "abort": abort,
    "hold": hold,
    "release": release,
    "unlock": unlock,
    "let-in": let_in,
    "break-glass": break_glass,
    "pause": pause,
    "resume": resume,
    "apply-safe": apply_safe,
    "bootstrap": bootstrap,
}
for name, do in VERBS.items():
    app.command(name)(verb(do))
OF_SALVAGE: dict[str, Callable[..., int | None]] = {
    "list": list_salvage,
    "show": show_salvage,
    "replay": replay_salvage,
}
for name, do in OF_SALVAGE.items():
    salvage.command(name)(verb(do))
app.add_typer(salvage, name="salvage")
OF_MAINTENANCE: dict[str, Callable[..., int | None]] = {"begin": maintenance.begin, "end": maintenance.end}
for name, do in OF_MAINTENANCE.items():
    working.command(name)(verb(do))
app.add_typer(working, name="maintenance")


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
