"""The program: its verbs, and the options that all of them have."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from failoverctl.command import Chosen, File, Json, Lab, Suffix, verb

HELP = {"help_option_names": ["-h", "--help"]}
# Each verb by its function. Only the module of the one that is called is imported: a person waits for it.
VERBS = {
    "status": "failoverctl.status:status",
    "ready": "failoverctl.ready:ready",
    "preflight": "failoverctl.preflight:preflight",
    "deploy": "failoverctl.deploy:deploy",
    "verify": "failoverctl.verify:verify",
    "gameday": "failoverctl.gameday:gameday",
    "runs": "failoverctl.timeline:list_runs",
    "show": "failoverctl.timeline:show",
    "watch": "failoverctl.timeline:watch",
    "report": "failoverctl.report:report",
    "start": "failoverctl.start:start",
    "approve": "failoverctl.answer:approve",
    "reject": "failoverctl.answer:reject",
    "abort": "failoverctl.flags:abort",
    "hold": "failoverctl.flags:hold",
    "release": "failoverctl.flags:release",
    "unlock": "failoverctl.flags:unlock",
    "let-in": "failoverctl.let_in:let_in",
    "break-glass": "failoverctl.break_glass:break_glass",
    "pause": "failoverctl.automation:pause",
    "resume": "failoverctl.automation:resume",
    "adopt": "failoverctl.adopt:adopt",
    "apply-safe": "failoverctl.care:apply_safe",
    "bootstrap": "failoverctl.care:bootstrap",
}
OF_SALVAGE = {
    "list": "failoverctl.care:list_salvage",
    "show": "failoverctl.care:show_salvage",
    "replay": "failoverctl.replay:replay_salvage",
}
OF_MAINTENANCE = {"begin": "failoverctl.maintenance:begin", "end": "failoverctl.maintenance:end"}


def commands() -> dict[str, Callable[..., None]]:
    """Returns every verb as a command, by its words, such as ``salvage list``; it imports them all."""
    groups = {"": VERBS, "salvage ": OF_SALVAGE, "maintenance ": OF_MAINTENANCE}
    return {f"{before}{name}": _command(path) for before, table in groups.items() for name, path in table.items()}


def _command(path: str) -> Callable[..., None]:
    module, _, function = path.partition(":")
    return verb(getattr(import_module(module), function))


class Verbs(TyperGroup):
    """The verbs of a table, each made when it is asked for."""

    table = VERBS

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of all of them, and of the groups below."""
        return [*self.table, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the verb of that name as a command; None where there is none."""
        if cmd_name not in self.table:
            return super().get_command(ctx, cmd_name)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
        alone.command(cmd_name)(_command(self.table[cmd_name]))
        return typer.main.get_command(alone)


class VerbsOfSalvage(Verbs):
    """Those below ``salvage``."""

    table = OF_SALVAGE


class VerbsOfMaintenance(Verbs):
    """Those below ``maintenance``."""

    table = OF_MAINTENANCE


app = typer.Typer(
    name="failoverctl",
    cls=Verbs,
    help="Look at the writer of an Aurora global database, move it, and answer the runs that ask. Exit codes: 0 done, "
    "1 refused, 2 cannot tell.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
working = typer.Typer(cls=VerbsOfMaintenance, no_args_is_help=True, context_settings=HELP)
salvage = typer.Typer(cls=VerbsOfSalvage, no_args_is_help=True, context_settings=HELP)


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


@salvage.callback()
def of_salvage() -> None:
    """What re-protections kept of old writers."""


@working.callback()
def of_maintenance() -> None:
    """Work on the writer without a failover coming of it."""


app.add_typer(salvage, name="salvage")
app.add_typer(working, name="maintenance")
