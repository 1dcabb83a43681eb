"""Reads a dataclass back from the JSON that `dataclasses.asdict` made of it, by the class's own fields."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from handlers.core.reading import ANY_TEXT, LARGEST_WHOLE, Fields

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Shape = TypeVar("Shape", bound=DataclassInstance)
else:
    Shape = TypeVar("Shape")


def read_as(shape: type[Shape], fields: Fields) -> Shape:
    """Returns the ``shape`` that ``fields`` hold; a missing field gets its default, an unknown one is ignored.

    Only types are checked. Whoever acts on a value reads it by a ``read`` with patterns and bounds instead. Raises
    ``fields.error``, which names the field.
    """
    hints = field_types(shape)
    return shape(
        **{
            field.name: _value(hints[field.name], fields, field.name)
            for field in dataclasses.fields(shape)
            if field.name in fields.data or field.default is dataclasses.MISSING
        }
    )


@cache
def field_types(of: type) -> dict[str, Any]:
    """Returns the type of each field of a class, with what stands beside it in `Annotated`."""
    return get_type_hints(of, include_extras=True)


def _value(hint: Any, fields: Fields, name: str) -> Any:
    """Returns a field's value, by its annotation: what JSON has, `Literal`, ``… | None``, lists and dataclasses."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (kind for kind in get_args(hint) if kind is not types.NoneType)
        return None if fields.data.get(name) is None else _value(inner, fields, name)
    if origin is Literal:
        return fields.choice(name, get_args(hint))
    if origin is list:
        (inner,) = get_args(hint)
        return _list(inner, fields, name)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return read_as(hint, fields.section(name))
    return _plain(hint, fields, name)


def _plain(kind: type, fields: Fields, name: str) -> str | bool | int | float:
    if kind is str:
        return fields.text(name, pattern=ANY_TEXT)
    if kind is bool:
        found = fields.optional_flag(name)
        if found is None:
            raise fields.error(f"{fields.name}: field {name!r} is missing; give true or false")
        return found
    number = fields.number(name, at_least=-LARGEST_WHOLE, at_most=LARGEST_WHOLE)
    return int(number) if kind is int else number


def _list(inner: Any, fields: Fields, name: str) -> list[Any]:
    found = fields.data.get(name)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise fields.error(f"{fields.name}: field {name!r} is not a list; give one")
    numbered = Fields({str(at): one for at, one in enumerate(found)}, f"{fields.name}, {name}", fields.error)
    return [_value(inner, numbered, at) for at in numbered.data]
