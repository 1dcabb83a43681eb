"""The language of a conditional write, as data: when it may happen, what it does, and why. Pure.

`allowed` and `after` evaluate a row on a plain record, as it is stored; `handlers.gateways.expressions` turns the same
row into DynamoDB's expressions. The language has what the rows of `handlers.core.transitions` need, and no more.

Its words are named tuples and no dataclasses: every function imports them, and a class of those takes a quarter as long
to make. Tuples of two kinds may be equal: what a word is, its class says.

A path names an attribute, with a dot before one of a map: ``transition.run``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, assert_never


class Given(NamedTuple):
    """A value that the caller gives by name."""

    name: str


# What a row compares with or writes: what the caller gives, or a word, number or flag of its own.
Value = Given | str | int | bool


class Equals(NamedTuple):
    """The attribute is there and has this value."""

    path: str
    value: Value


class Differs(NamedTuple):
    """The attribute has another value, or is absent."""

    path: str
    value: Value


class OneOf(NamedTuple):
    """The attribute is there and has one of these values."""

    path: str
    values: tuple[Value, ...]


class LessThan(NamedTuple):
    """The attribute is a number below this one."""

    path: str
    value: Value


class Absent(NamedTuple):
    """The attribute is not there."""

    path: str


class AsRead(NamedTuple):
    """The attribute is as the caller read it: it has the value given or, where that is None, is absent."""

    path: str
    value: Given


# What says something of one attribute.
Simple = Equals | Differs | OneOf | LessThan | Absent | AsRead


class AnyOf(NamedTuple):
    """At least one of the conditions holds."""

    conditions: tuple[Simple, ...]


Condition = Simple | AnyOf


class Set(NamedTuple):
    """Writes the attribute."""

    path: str
    value: Value


class SetIfKnown(NamedTuple):
    """Writes the attribute, unless the value given is None: then it stays as it is."""

    path: str
    value: Given


class Copy(NamedTuple):
    """Writes what another attribute holds before the write; null, when that is absent."""

    path: str
    source: str


class Increment(NamedTuple):
    """Adds one to a number that is there."""

    path: str


class Remove(NamedTuple):
    """Takes the attribute away, if it is there."""

    path: str


Effect = Set | SetIfKnown | Copy | Increment | Remove


@dataclass(frozen=True)
class Row:
    """One conditional write: if all of ``when`` holds, all of ``then`` is done at once; ``why`` in a sentence."""

    name: str
    why: str
    when: tuple[Condition, ...]
    then: tuple[Effect, ...]

    @cached_property
    def given(self) -> frozenset[str]:
        """The names of the values that the caller gives."""
        return frozenset(_names((self.when, self.then)))

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises ``TypeError`` unless ``values`` are those that the row names."""
        if values.keys() != self.given:
            raise TypeError(f"{self.name} takes {sorted(self.given)}, but was given {sorted(values)}")


def allowed(row: Row, record: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Returns whether the write may happen on this record."""
    row.check(values)
    return all(holds(condition, record, values) for condition in row.when)


def after(row: Row, record: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record after the write, whose condition holds; ``record`` itself stays as it is.

    Raises
    ------
    KeyError
        a map to write into, or a number to add to, is absent: DynamoDB refuses such a request as invalid.
    """
    row.check(values)
    changed = dict(record)
    for effect in row.then:
        *maps, last = effect.path.split(".")
        inside = changed
        for name in maps:  # what is not written to is shared with the record before
            inside[name] = inside = dict(inside[name])
        match effect:
            case Set(value=value):
                inside[last] = _value(value, values)
            case SetIfKnown(value=value):
                if _value(value, values) is not None:
                    inside[last] = _value(value, values)
            case Copy(source=source):
                held = _at(record, source)
                inside[last] = None if held is _ABSENT else held
            case Increment():
                inside[last] += 1
            case Remove():
                inside.pop(last, None)
            case _:
                assert_never(effect)
    return changed


_ABSENT = object()


def holds(condition: Condition, record: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Returns whether one condition holds on this record."""
    if isinstance(condition, AnyOf):
        return any(holds(one, record, values) for one in condition.conditions)
    held = _at(record, condition.path)
    match condition:
        case Equals(value=value):
            return _same(held, _value(value, values))
        case Differs(value=value):
            return not _same(held, _value(value, values))
        case OneOf(values=known):
            return any(_same(held, _value(value, values)) for value in known)
        case LessThan(value=value):
            low, high = _comparable(held), _comparable(_value(value, values))
            return isinstance(low, Decimal) and isinstance(high, Decimal) and low < high
        case Absent():
            return held is _ABSENT
        case AsRead(value=value):
            seen = _value(value, values)
            return held is _ABSENT if seen is None else _same(held, seen)
        case _:
            assert_never(condition)


def _at(record: Mapping[str, Any], path: str) -> Any:
    held: Any = record
    for name in path.split("."):
        if not isinstance(held, Mapping) or name not in held:
            return _ABSENT
        held = held[name]
    return held


def _value(value: Value, values: Mapping[str, Any]) -> Any:
    return values[value.name] if isinstance(value, Given) else value


def _same(one: Any, other: Any) -> bool:
    """Returns whether DynamoDB considers two values equal: a flag is not a number, and numbers are decimal."""
    if type(one) is not type(other):  # as a float and the decimal that was read of it
        one, other = _comparable(one), _comparable(other)
    return type(one) is type(other) and bool(one == other)


def _comparable(value: Any) -> Any:
    return Decimal(repr(value)) if type(value) in (int, float) else value


def _names(part: object) -> Iterator[str]:
    if isinstance(part, Given):
        yield part.name
    elif isinstance(part, tuple):
        for inner in part:
            yield from _names(inner)
