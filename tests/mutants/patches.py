"""The table of mutants: small changes of the product that matter, in the TOML files beside this one."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TABLES = Path(__file__).resolve().parent


class DoesNotApply(Exception):
    """The text that a mutant changes is not there exactly once: the row has to follow the product."""


@dataclass(frozen=True)
class Mutant:
    """One mistake that somebody could make.

    Attributes
    ----------
    name
        What is wrong with the product then, in a few words.
    file
        Where, from the project's folder.
    old, new
        The text that is changed, which stands there exactly once, and what takes its place.
    breaks
        The promise that it breaks, and how.
    tests
        Test functions (pytest's node ids), each of which has to fail.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Returns the file's text with the mistake in it; raises `DoesNotApply`."""
        found = text.count(self.old)
        if found != 1:
            raise DoesNotApply(f"{self.name}: its old text stands {found} times in {self.file}; correct the row")
        return text.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """Returns all rows, in the order of the files' names."""
    rows = (row for table in sorted(TABLES.glob("*.toml")) for row in tomllib.loads(table.read_text())["mutant"])
    return [Mutant(**row | {"tests": tuple(row["tests"])}) for row in rows]


def names_of_tests(file: Path) -> Iterator[str]:
    """Yields the names of a file's tests, those of classes with their class."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))
