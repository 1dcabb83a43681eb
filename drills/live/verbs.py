"""The verbs of ``failoverctl`` as the page offers them: read from the program itself, so that none is missing."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, get_args, get_origin

from typer.models import ArgumentInfo

from failoverctl.command import COMMON
from failoverctl.program import commands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The page itself is that, and shows it as it happens.
LEFT_OUT = ("watch",)
# The button is the yes, and the page follows every run.
ANSWERED = ("yes", "watch")


class UnknownWordError(ValueError):
    """There is no such verb, or it takes no such option, or not that value."""


@dataclass(frozen=True)
class Field:
    """One argument or option of a verb: how it is written (empty for an argument), and what it takes."""

    name: str
    flag: str
    help: str
    required: bool
    is_switch: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verb:
    """One verb. ``asks`` says whether it asks before it does anything, which is whether it changes something."""

    name: str
    about: str
    fields: tuple[Field, ...]
    asks: bool

    def words(self, given: Mapping[str, Any]) -> list[str]:
        """Returns the words of a call with these values by field; raises `UnknownWordError`."""
        unknown = set(given) - {field.name for field in self.fields}
        if unknown:
            raise UnknownWordError(f"{self.name} takes no {', '.join(sorted(unknown))}")
        words, arguments = self.name.split(), []
        for field in self.fields:
            value = given.get(field.name)
            if value in (None, "", False):
                if field.required:
                    raise UnknownWordError(f"{self.name} needs {field.flag or field.name}")
                continue
            if not isinstance(value, str) and not (field.is_switch and value is True):
                raise UnknownWordError(f"{field.name} of {self.name} is a text")
            if field.choices and value not in field.choices:
                raise UnknownWordError(f"{field.name} of {self.name} is one of {', '.join(field.choices)}")
            if not field.flag:
                arguments.append(str(value))
            elif field.is_switch:
                words.append(field.flag)
            else:
                words.append(f"{field.flag}={value}")
        words += ["--yes"] if self.asks else []
        return [*words, "--", *arguments] if arguments else words


def verbs() -> dict[str, Verb]:
    """Returns all verbs by name, in the order of the program's tables; those of a group as ``salvage list``."""
    return {name: _verb(name, command) for name, command in commands().items() if name not in LEFT_OUT}


def _verb(name: str, command: Callable[..., None]) -> Verb:
    parameters = inspect.signature(command).parameters
    own = [each for each in parameters.values() if each.name not in COMMON and each.name != "context"]
    about = (inspect.getdoc(command) or "").strip().splitlines()[0]
    fields = tuple(_field(each) for each in own if each.name not in ANSWERED)
    return Verb(name, about, fields, any(each.name == "yes" for each in own))


def _field(parameter: inspect.Parameter) -> Field:
    kind, info = get_args(parameter.annotation)[:2]
    kinds = [each for each in get_args(kind) if each is not type(None)] if get_origin(kind) else [kind]
    # What an option is called stands first, where an option that is not annotated has its default.
    written = [each for each in (info.default, *(info.param_decls or ())) if str(each).startswith("--")]
    is_argument = isinstance(info, ArgumentInfo)
    flag = "" if is_argument else next(iter(written), f"--{parameter.name.replace('_', '-')}")
    required = parameter.default is inspect.Parameter.empty
    choices = tuple(str(each.value) for each in kinds[0]) if issubclass(kinds[0], Enum) else ()
    return Field(parameter.name, flag, info.help or "", required, kinds[0] is bool, choices)
