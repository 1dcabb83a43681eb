"""The form of the state machines' files: an object that holds no other is on one line, where it fits.

``python -m orchestration.asl_format`` rewrites the files; with ``--check`` it only says which ones are not in this
form.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any, NoReturn

FOLDER = Path(__file__).parent.parent / "statemachines"
INDENT = "  "
LINE_LENGTH = 120  # as in the code


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrites the files, or with ``--check`` returns 1 when one would change."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.asl_format", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file would change")
    parser.add_argument("files", nargs="*", type=Path, default=sorted(FOLDER.glob("*.asl.json")))
    asked = parser.parse_args(arguments)
    others = {path: text for path in asked.files if (text := formatted(_read(path))) != _read(path)}
    for path, text in others.items():
        if asked.check:
            print(f"{path.name} is not formatted; run python -m orchestration.asl_format")
        else:
            path.write_text(text, encoding="utf-8")
    return int(asked.check and bool(others))


def formatted(text: str) -> str:
    """Returns a JSON text that means the same, its keys in the same order, in the compact form.

    Raises
    ------
    ValueError
        it is not JSON, or an object has a key twice, of which a reader would see only one.
    """
    value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refuse)
    return _lines(value, indent="", before="", after="") + "\n"


def _lines(value: Any, *, indent: str, before: str, after: str) -> str:
    """Returns a value's lines from ``indent`` on, with ``before`` in front of the first, ``after`` behind the last."""
    line = f"{indent}{before}{_line(value)}{after}"
    if not isinstance(value, dict | list) or not value or (_is_leaf(value) and len(line) <= LINE_LENGTH):
        return line
    deeper = indent + INDENT
    if isinstance(value, dict):
        inner = [
            _lines(one, indent=deeper, before=f"{_line(name)}: ", after=_comma(number, value))
            for number, (name, one) in enumerate(value.items())
        ]
        return "\n".join([f"{indent}{before}{{", *inner, f"{indent}}}{after}"])
    if any(isinstance(one, dict | list) for one in value):
        inner = [_lines(one, indent=deeper, before="", after=_comma(number, value)) for number, one in enumerate(value)]
    else:
        inner = _filled([_line(one) + _comma(number, value) for number, one in enumerate(value)], deeper)
    return "\n".join([f"{indent}{before}[", *inner, f"{indent}]{after}"])


def _filled(words: list[str], indent: str) -> list[str]:
    """Returns lines, each with as many of the words as fit."""
    lines = [indent + words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]} {word}"
        if len(longer) <= LINE_LENGTH:
            lines[-1] = longer
        else:
            lines.append(indent + word)
    return lines


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _comma(number: int, values: Sized) -> str:
    return "," if number < len(values) - 1 else ""


def _is_leaf(value: dict[str, Any] | list[Any]) -> bool:
    """Returns whether the value holds no object; it may hold lists of plain values."""
    inner = value.values() if isinstance(value, dict) else value
    return all(not isinstance(one, dict) and (not isinstance(one, list) or _is_leaf(one)) for one in inner)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"a key appears twice: {next(name for name in names if names.count(name) > 1)}")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
