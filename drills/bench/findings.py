"""What a part of the benchmark has found: figures for programs, and a table for people."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Findings:
    """The result of one part.

    Attributes
    ----------
    title
        what was measured, and the unit.
    columns, rows
        the table.
    data
        the same in full, for programs.
    notes
        what a reader has to know to compare the figures fairly.
    passed
        whether what was demanded of the part holds.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    passed: bool = True

    def table(self) -> Table:
        """Returns the table for a terminal."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Returns title, table and notes for a document."""
        lines = [self.columns, tuple("---:" if number else "---" for number in range(len(self.columns))), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes]) + "\n"


def circumstances() -> dict[str, str]:
    """Returns when and on what machine figures were taken."""
    models = (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name"))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": next(models, platform.processor() or platform.machine()),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
