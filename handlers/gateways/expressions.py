"""DynamoDB's expressions, made from a row of `handlers.core.transitions` and its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from handlers.core.conditional_write import (
    Absent,
    AnyOf,
    AsRead,
    Condition,
    Copy,
    Differs,
    Effect,
    Equals,
    Given,
    Increment,
    LessThan,
    OneOf,
    Remove,
    Row,
    Set,
    SetIfKnown,
    Value,
)
from handlers.gateways import items


def compiled(row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of an ``update_item`` request that carries out the row with these values."""
    row.check(values)
    writing = _Writing(values)
    condition = " AND ".join(writing.condition(condition) for condition in row.when)
    sets = [assignment for effect in row.then if (assignment := writing.assignment(effect))]
    removes = [writing.path(effect.path) for effect in row.then if isinstance(effect, Remove)]
    update = [f"{verb} {', '.join(parts)}" for verb, parts in (("SET", sets), ("REMOVE", removes)) if parts]
    request: dict[str, Any] = {
        "ConditionExpression": condition,
        "UpdateExpression": " ".join(update),
        "ExpressionAttributeNames": writing.names,
    }
    if writing.values:
        request["ExpressionAttributeValues"] = writing.values
    return request


class _Writing:
    """Writes the parts of an expression, and collects the placeholders that they use.

    Every name is a placeholder, which is safe whatever words DynamoDB reserves.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def condition(self, condition: Condition) -> str:
        if isinstance(condition, AnyOf):
            return f"({' OR '.join(self.condition(one) for one in condition.conditions)})"
        path = self.path(condition.path)
        match condition:
            case Equals(value=value):
                return f"{path} = {self.value(value)}"
            case Differs(value=value):
                return f"{path} <> {self.value(value)}"
            case OneOf(values=known):
                return f"{path} IN ({', '.join(self.value(value) for value in known)})"
            case LessThan(value=value):
                return f"{path} < {self.value(value)}"
            case Absent():
                return _absent(path)
            case AsRead(value=value):
                return _absent(path) if self._given[value.name] is None else f"{path} = {self.value(value)}"
            case _:
                assert_never(condition)

    def assignment(self, effect: Effect) -> str | None:
        """Returns what ``SET`` does for the effect; None for nothing."""
        if isinstance(effect, Remove) or (isinstance(effect, SetIfKnown) and self._given[effect.value.name] is None):
            return None
        path = self.path(effect.path)
        match effect:
            case Set(value=value) | SetIfKnown(value=value):
                return f"{path} = {self.value(value)}"
            case Copy(source=source):
                return f"{path} = if_not_exists({self.path(source)}, {self._placeholder(None)})"
            case Increment():
                return f"{path} = {path} + {self._placeholder(1)}"
            case _:
                assert_never(effect)

    def path(self, path: str) -> str:
        names = path.split(".")
        self.names |= {f"#{name}": name for name in names}
        return ".".join(f"#{name}" for name in names)

    def value(self, value: Value) -> str:
        if not isinstance(value, Given):
            return self._placeholder(value)
        self.values[f":{value.name}"] = items.typed(self._given[value.name])
        return f":{value.name}"

    def _placeholder(self, literal: str | int | bool | None) -> str:
        placeholder = f":literal{len(self.values)}"
        self.values[placeholder] = items.typed(literal)
        return placeholder


def _absent(path: str) -> str:
    return f"attribute_not_exists({path})"
