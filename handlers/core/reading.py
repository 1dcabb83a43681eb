"""Reads untrusted mappings (events, inputs, items) field by field, with errors that name field, value and remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from handlers.core.errors import FailoverError
from handlers.core.plain import shortened

Choice = TypeVar("Choice", bound=str)

ANY_TEXT = "(?s).*"

LONGEST_VALUE_SHOWN = 80  # characters of a bad value in a message: enough to recognise it, too short to flood a log

NUMBERS = (int, float, Decimal)
LARGEST_WHOLE = 2**53  # the largest whole number that JSON carries exactly

LONGEST_LINE = 256  # characters of what a person or a program is called, or of what an outage is

compiled = cache(re.compile)


class Fields:
    """A mapping that came from outside.

    Parameters
    ----------
    data
        what was received.
    name
        what to call it in a message ("the execution's input").
    error
        the class of error to raise; each bad field raises it at once.
    """

    def __init__(self, data: object, name: str, error: type[FailoverError]) -> None:
        self.name = name
        self.error = error
        if not isinstance(data, Mapping):
            raise error(f"{name} is {_shown(data)}; it must be a JSON object")
        self.data: Mapping[str, Any] = data

    def only(self, known: Sequence[str]) -> None:
        """Refuses fields that nobody reads: a misspelt override must not pass as absent."""
        for field in self.data:
            if field not in known:
                raise self.error(
                    f"{self.name}: unknown field {_shown(field)}; remove it, known are {', '.join(sorted(known))}"
                )

    def text(
        self,
        field: str,
        *,
        choices: Sequence[str] = (),
        pattern: str = ".{1,256}",
        default: str | None = None,
    ) -> str:
        """A string, one of ``choices`` or matching ``pattern`` whole; ``default`` when the field is absent."""
        value = self.data.get(field)
        if value is None and default is not None:
            return default
        if value is None:
            wanted = f"one of {', '.join(choices)}" if choices else "a text"
            raise self.error(f"{self.name}: field {field!r} is missing; give {wanted}")
        if choices and value not in choices:
            raise self.error(f"{self.name}: field {field!r} is {_shown(value)}; give one of {', '.join(choices)}")
        if not isinstance(value, str) or not compiled(pattern).fullmatch(value):
            raise self.error(f"{self.name}: field {field!r} is {_shown(value)}; give a text that matches {pattern}")
        return value

    def choice(self, field: str, choices: Sequence[Choice]) -> Choice:
        """One of a fixed set of words."""
        named = self.text(field, choices=choices)
        return next(known for known in choices if known == named)

    def optional_text(self, field: str, *, pattern: str = ".{1,256}") -> str | None:
        """A string that matches ``pattern``, or None when the field is absent."""
        return None if self.data.get(field) is None else self.text(field, pattern=pattern)

    def line(self, field: str, *, default: str | None = None, longest: int = LONGEST_LINE) -> str:
        """A text that people will read: on one line, and nothing in it that does not print."""
        value = self.data.get(field)
        if value is None or (isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()):
            return self.text(field, pattern=ANY_TEXT, default=default)
        raise self.error(
            f"{self.name}: field {field!r} is {_shown(value)}; give a text on one line, of 1 to {longest} characters "
            "that print"
        )

    def optional_line(self, field: str, *, longest: int = LONGEST_LINE) -> str | None:
        """The same, or None when the field is absent."""
        return None if self.data.get(field) is None else self.line(field, longest=longest)

    def flag(self, field: str, default: bool) -> bool:
        """A boolean; ``default`` when the field is absent."""
        value = self.data.get(field, default)
        if not isinstance(value, bool):
            raise self.error(f"{self.name}: field {field!r} is {_shown(value)}; give true or false")
        return value

    def optional_flag(self, field: str) -> bool | None:
        """A boolean, or None when the field is absent."""
        return None if self.data.get(field) is None else self.flag(field, False)

    def number(self, field: str, *, at_least: float, at_most: float, default: float | None = None) -> float:
        """A number inside the bounds; ``default`` when the field is absent. Decimal is what DynamoDB gives."""
        value = self.data.get(field, default)
        if type(value) not in NUMBERS:  # a flag is none of them
            raise self.error(f"{self.name}: field {field!r} is {_shown(value)}; give a number")
        if not at_least <= value <= at_most:
            raise self.error(
                f"{self.name}: field {field!r} is {_shown(value)}; give a number from {at_least:g} to {at_most:g}"
            )
        return float(value)

    def optional_number(self, field: str, *, at_least: float, at_most: float) -> float | None:
        """A number inside the bounds, or None when the field is absent."""
        return None if self.data.get(field) is None else self.number(field, at_least=at_least, at_most=at_most)

    def whole(self, field: str, *, at_least: int = 0, at_most: int, default: int | None = None) -> int:
        """A whole number inside the bounds; ``default`` when the field is absent."""
        value = self.number(field, at_least=at_least, at_most=at_most, default=default)
        if not value.is_integer():
            raise self.error(f"{self.name}: field {field!r} is {_shown(self.data[field])}; give a whole number")
        return int(value)

    def optional_whole(self, field: str, *, at_most: int) -> int | None:
        """A whole number from 0 on, or None when the field is absent."""
        return None if self.data.get(field) is None else self.whole(field, at_most=at_most)

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts, each of one line."""
        value = self.data.get(field)
        if not isinstance(value, list) or not all(isinstance(each, str) and each.isprintable() for each in value):
            raise self.error(f"{self.name}: field {field!r} is {_shown(value)}; give a list of texts")
        return tuple(value)

    def section(self, field: str) -> Fields:
        """A nested mapping."""
        if field not in self.data:
            raise self.error(f"{self.name}: field {field!r} is missing; give a JSON object")
        return Fields(self.data[field], f"{self.name}, {field}", self.error)


def _shown(value: object) -> str:
    # A part of a text says enough of it; of a huge one, nothing else is looked at.
    return shortened(repr(value[:LONGEST_VALUE_SHOWN] if isinstance(value, str) else value), LONGEST_VALUE_SHOWN)
