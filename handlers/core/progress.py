"""How far a run has come: how what its workflow keeps is read. Pure.

`handlers.core.failover_progress` and `handlers.core.reprotection_progress` say what that is, as types.

Each field is named as the ``ResultPath`` of the state machine's definition under which its part is kept; a test
compares the two. A part that the run did not reach is None.

What is strict here, and what is not: the ends are told the run, the outcome and its start by Step Functions and by the
definition itself, and refuse an event that lacks them. The parts were made by other functions, and a deployment may
have come in between, so one of them may look different from what this code expects. People must hear how the run ended
all the same: such a part counts as reached, its result as unknown, and the reason is kept in `End.unreadable`. It is
shown in the message and in the log, because a message that says less than is known must say so.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Generic, Self, TypeVar, get_args, get_origin

from handlers.core.errors import InvalidRequest
from handlers.core.plain import shortened
from handlers.core.reading import ANY_TEXT, Fields
from handlers.core.shape import field_types, read_as
from handlers.core.timing import Timing

Result = TypeVar("Result")
Value = TypeVar("Value")

LONGEST_CAUSE = 2000  # characters of an error's cause in a message; SNS takes 256 KB, a reader does not


@dataclass(frozen=True)
class CaughtError:
    """An error that the workflow caught, by Step Functions' names ``Error`` and ``Cause``."""

    error: str
    cause: str

    @classmethod
    def read(cls, fields: Fields) -> CaughtError:
        """Reads what a Catch kept."""
        return cls(fields.text("Error", pattern=ANY_TEXT), fields.text("Cause", pattern=ANY_TEXT, default=""))

    @property
    def sentence(self) -> str:
        """The error in words: Lambda's cause is JSON that holds the message, other causes are plain text."""
        cause = self.cause or "no cause given"
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            cause = str(json.loads(cause)["errorMessage"])
        return f"{shortened(self.error, LONGEST_CAUSE)}: {shortened(cause, LONGEST_CAUSE)}"


@dataclass(frozen=True)
class Answer:
    """A person's answer to a question; ``approved_by`` is None where it names nobody.

    People may answer anything. The step that follows refuses what names nobody, and says so.
    """

    approved_by: str | None

    @classmethod
    def read(cls, answer: object) -> Answer:
        """Reads any answer."""
        name = answer.get("approved_by") if isinstance(answer, dict) else None
        return cls(name if isinstance(name, str) else None)


@dataclass(frozen=True)
class Ended(Generic[Result]):
    """A step that has ended, well or not.

    Attributes
    ----------
    result
        what it returned; None where it failed, or where what it returned cannot be read.
    timing
        when it ran.
    error
        of a step whose failure the workflow tolerates: why it failed.
    phase
        what the record of the run calls it; None where the record has no such phase.
    """

    result: Result | None
    timing: Timing | None = None
    error: CaughtError | None = None
    phase: str | None = None

    @classmethod
    def read(cls, result: type[Any], phase: str | None, kept: Fields, unreadable: list[str]) -> Ended[Any]:
        """Reads what the workflow keeps of a step whose result is a ``result``: as it is, or under ``result``."""
        if "result" in kept.data:
            kept = kept.section("result")
        if "Error" in kept.data:
            return Ended(None, error=CaughtError.read(kept), phase=phase)
        timed = "timing" in kept.data
        return Ended(
            result=_attempt(lambda: read_as(result, kept), unreadable),
            timing=_attempt(lambda: read_as(Timing, kept.section("timing")), unreadable) if timed else None,
            phase=phase,
        )


def result_of(step: Ended[Result] | None) -> Result | None:
    """Returns what a step returned; None where it was not reached, failed, or cannot be read."""
    return None if step is None else step.result


@dataclass(frozen=True)
class Parts:
    """Base of what a workflow keeps: each field is read by its annotation, which names the step's result."""

    @classmethod
    def read(cls, fields: Fields, unreadable: list[str]) -> Self:
        """Reads the parts that are there, and adds to ``unreadable`` why one cannot be read."""
        kind: Any = cls  # mypy thinks that a class of this kind is unhashable
        parts = field_types(kind).items()
        return cls(**{name: _part(hint, fields, name, unreadable) for name, hint in parts if name in fields.data})

    @property
    def reached(self) -> dict[str, Any]:
        """The parts that the run has reached, by name and in the order of a run."""
        found = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        return {name: part for name, part in found.items() if (part.reached if isinstance(part, Parts) else part)}

    @property
    def steps(self) -> Iterator[Ended[Any]]:
        """The steps that have ended, those of parallel branches among them, in the order of a run."""
        for part in self.reached.values():
            if isinstance(part, Parts):
                yield from part.steps
            elif isinstance(part, Ended):
                yield part

    def timings(self, names: Container[str]) -> dict[str, Timing]:
        """Returns when each of the steps ran whose part has one of these names."""
        ended = {name: part for name, part in self.reached.items() if name in names and isinstance(part, Ended)}
        return {name: part.timing for name, part in ended.items() if part.timing}


def _part(hint: Any, fields: Fields, name: str, unreadable: list[str]) -> Any:
    """Returns one part by its annotation: ``Ended[…] | None``, with its phase or without, another class, or a group."""
    hint, phase = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
    kind = next((one for one in get_args(hint) if one is not NoneType), hint)
    if kind is Answer:
        return Answer.read(fields.data[name])
    kept = _attempt(lambda: fields.section(name), unreadable)
    if get_origin(kind) is Ended:
        (result,) = get_args(kind)
        read = _attempt(lambda: Ended.read(result, phase, kept, unreadable), unreadable) if kept else None
        return read or Ended(None, phase=phase)
    if issubclass(kind, Parts):
        return kind.read(kept, unreadable) if kept else kind()
    return _attempt(lambda: kind.read(kept), unreadable) if kept else None


def _attempt(read: Callable[[], Value], unreadable: list[str]) -> Value | None:
    """Returns what ``read`` finds; None, and the reason noted, where it cannot be read."""
    try:
        return read()
    except InvalidRequest as error:
        unreadable.append(str(error))
        return None
