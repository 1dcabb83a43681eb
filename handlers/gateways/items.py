"""DynamoDB's typed JSON, to and from plain values.

Boto3 has the same with sets and binary values, which no item here holds; importing it costs each cold start more than
all steps' own code.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Returns an item as plain values; numbers become ``Decimal``."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: dict[str, Any]) -> Any:
    ((kind, held),) = value.items()
    match kind:
        case "S" | "BOOL":
            return held
        case "N":
            return Decimal(held)
        case "NULL":
            return None
        case "M":
            return plain(held)
        case "L":
            return [_plain(inner) for inner in held]
    raise TypeError(f"an item of this project holds no value of type {kind}")


def typed(value: Any) -> Any:
    """Returns a plain value as DynamoDB wants it."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case float():  # numbers are decimal: the shortest one that gives this float again
            return {"N": repr(value)}
        case int() | Decimal():
            return {"N": str(value)}
        case dict():
            return {"M": {name: typed(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [typed(inner) for inner in value]}
    raise TypeError(f"DynamoDB has no type for {type(value).__name__}: {value!r}")
