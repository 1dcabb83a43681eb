"""The commands of a message, read as a shell and ``failoverctl`` read them."""

from __future__ import annotations

import shlex
from typing import Any

# The options that take no value.
FLAGS = frozenset({"accept_data_loss", "ignore_wrong_clock", "retire_without_asking"})


def started_by(text: str) -> list[dict[str, Any]]:
    """What each command of a message would start: its mode and its options."""
    return [_request(shlex.split(line)) for line in text.splitlines() if line.startswith("failoverctl start ")]


def _request(words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rest = iter(words[2:])
    for word in rest:
        name = word.removeprefix("--").replace("-", "_")
        found[name] = True if name in FLAGS else next(rest)
    assert found.pop("suffix") == "test"
    return found
