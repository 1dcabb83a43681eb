"""A drill in a process of its own, for whoever runs many of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drills.verdict.folder import LATEST, RESULT_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Drilled:
    """How a drill ended: its exit code, all that it printed, and its result; None where it ended without one."""

    code: int
    printed: str
    result: dict[str, Any] | None

    @property
    def last_line(self) -> str:
        """The last line that it printed."""
        return (self.printed.strip().splitlines() or ["nothing printed"])[-1]


def drill(arguments: Sequence[str], output: Path) -> Drilled:
    """Runs ``python -m drills`` with these arguments, and its results in ``output``, which is the drill's alone."""
    command = [sys.executable, "-m", "drills", *arguments, "--output", str(output)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    file = output / LATEST / RESULT_FILE
    result = json.loads(file.read_text()) if file.exists() else None
    return Drilled(ended.returncode, ended.stdout + ended.stderr, result)
