"""What all verbs have in common: their options, how they print, and what they end with.

A verb is a plain function whose first argument is its `Session`. `verb` gives the command the options that lead to the
deployment, and makes exit codes of its errors: 0 done, 1 refused, 2 cannot tell.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.text import Text

from failoverctl.deployment import Deployment
from failoverctl.errors import CannotTell, Refused, credentials_fault, is_denied
from handlers.core.errors import FailoverError

DONE, REFUSED, CANNOT_TELL, INTERRUPTED = 0, 1, 2, 130

WIDTH_OF_FILES = 250  # characters

Lab = Annotated[bool, typer.Option("--lab", help="The lab that runs on this machine, instead of AWS.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
Suffix = Annotated[
    str | None,
    typer.Option("--suffix", help="environment_suffix, where it is not that of the settings.", metavar="TEXT"),
]
File = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="The deployment's settings; else ./settings.toml, or the project's.", metavar="FILE"
    ),
]
COMMON: Mapping[str, Any] = {"lab": Lab, "json": Json, "suffix": Suffix, "settings": File}


@dataclass(frozen=True)
class Chosen:
    """The options that lead to the deployment, and say how to print."""

    lab: bool = False
    json: bool = False
    suffix: str | None = None
    settings: Path | None = None

    def over(self, before: Chosen | None) -> Chosen:
        """Returns these options, and where one is not given, what was given before the verb."""
        given = {name: value for name, value in vars(self).items() if value}
        return replace(before or Chosen(), **given)


def console(file: TextIO) -> Console:
    """Returns what prints to ``file``: in colour on a terminal only; and in no file is a line broken."""
    return Console(file=file, highlight=False, soft_wrap=True, width=None if file.isatty() else WIDTH_OF_FILES)


class Session:
    """One call of the program: the deployment that it is about, and the way in which it prints."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self.console = console(sys.stdout)

    @functools.cached_property
    def deployment(self) -> Deployment:
        """The deployment; raises `CannotTell`."""
        chosen = self.chosen
        return Deployment.find(in_lab=chosen.lab, suffix=chosen.suffix, settings=chosen.settings)

    def worded(self, text: str) -> str:
        """Returns a text whose commands lead to where this call went: nobody must copy one from the lab to AWS."""
        return text.replace("failoverctl ", "failoverctl --lab ") if self.chosen.lab else text

    def say(self, *lines: str, style: str = "") -> None:
        """Prints lines for people; nothing where JSON was asked for."""
        if not self.chosen.json:
            for line in lines:
                self.console.print(Text(self.worded(line), style=style))

    def show(self, renderable: Any) -> None:
        """Prints a table or the like for people; nothing where JSON was asked for."""
        if not self.chosen.json:
            self.console.print(renderable)

    def tell(self, data: object) -> None:
        """Prints the answer for programs, where JSON was asked for."""
        if self.chosen.json:
            sys.stdout.write(json.dumps(plain(data), indent=2) + "\n")

    def write(self, text: str) -> None:
        """Prints a text as it is."""
        sys.stdout.write(text)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Asks whether to do it; raises `Refused` at a no, and where nobody can be asked."""
        if yes:
            return
        if self.chosen.json or not sys.stdin.isatty():
            raise Refused("nobody is here to be asked; say --yes to do it without being asked. Nothing was changed.")
        if not typer.confirm(question):
            raise Refused("Nothing was changed.")


def plain(data: object) -> Any:
    """Returns data as JSON takes it."""
    if is_dataclass(data) and not isinstance(data, type):
        return plain(asdict(data))
    if isinstance(data, Mapping):
        return {str(name): plain(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    if isinstance(data, Decimal):
        return int(data) if data == int(data) else float(data)
    return data


def verb(do: Callable[..., int | None]) -> Callable[..., None]:
    """Returns a verb as a command; it may return an exit code, and 0 is meant by none."""

    def command(context: typer.Context, **given: Any) -> None:
        common = Chosen(**{name: given.pop(name) for name in COMMON})
        session = Session(common.over(context.obj))
        raise typer.Exit(ended(session, lambda: do(session, **given)))

    own = [each for name, each in inspect.signature(do).parameters.items() if name != "session"]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name in ("lab", "json") else None,
            annotation=annotation,
        )
        for name, annotation in COMMON.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    hints = inspect.get_annotations(do, eval_str=True)
    own = [each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    command.__signature__ = inspect.Signature([context, *own, *shared])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (context, *own, *shared)}
    command.__name__, command.__doc__ = do.__name__, do.__doc__
    return command


def ended(session: Session, do: Callable[[], int | None]) -> int:
    """Does it, says why it was not done where it was not, and returns the exit code."""
    try:
        return do() or DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Refused as error:
        return _fail(session, "Refused", str(error), REFUSED)
    except CannotTell as error:
        return _fail(session, "Cannot tell", str(error), CANNOT_TELL)
    except FailoverError as error:
        return _fail(session, "Cannot tell", _explained(session, error), CANNOT_TELL)


def _explained(session: Session, error: FailoverError) -> str:
    if fault := credentials_fault(error):
        return fault
    if is_denied(error):
        deployment = session.deployment
        return (
            f"{deployment.identity.arn} may not do that: attach the policy {deployment.names.policy('operators')} (or "
            f"{deployment.names.policy('readers')}, to look only), or use other credentials. {error.__cause__}"
        )
    return str(error)


def _fail(session: Session, title: str, why: str, code: int) -> int:
    if session.chosen.json:
        sys.stdout.write(json.dumps({"error": title.lower(), "reason": why, "exit_code": code}, indent=2) + "\n")
    else:
        line = Text()
        line.append(f"{title}: ", style="bold red" if code == REFUSED else "bold yellow")
        line.append(session.worded(why))
        console(sys.stderr).print(line)
    return code
