"""DynamoDB's typed JSON, to and from plain values."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Returns an item as plain values; numbers become ``Decimal``."""
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


def typed(value: Any) -> Any:
    """Returns a plain value as DynamoDB wants it."""
    if isinstance(value, dict):
        return {"M": {name: typed(inner) for name, inner in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [typed(inner) for inner in value]}
    if isinstance(value, float):  # DynamoDB numbers are decimal; the serializer refuses binary floats
        return {"N": repr(value)}
    return TypeSerializer().serialize(value)
