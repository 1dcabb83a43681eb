"""The control record without DynamoDB: the product's methods and rows, evaluated purely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.core.conditional_write import Row, after, allowed
from handlers.core.control import ControlRecord
from handlers.gateways.control_table import ControlTable


class ControlInMemory(ControlTable):
    """A control table that holds one ``item``, and carries every row out on it at once."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.item = dict(item)
        self.answered_at = None
        self._record = ControlRecord.read(self.item)

    def read(self) -> ControlRecord:
        return self._record

    def _carry_out(self, row: Row, values: Mapping[str, Any]) -> dict[str, Any] | None:
        if not allowed(row, self.item, values):
            return None
        self.item = after(row, self.item, values)
        self._record = ControlRecord.read(self.item)
        return self.item
