"""The runbooks in the lab, as they are written: real databases and clients, and ``failoverctl --lab`` at a terminal.

One lab stays for all of it. The first test is the worst night in one story; what it saw is in ``build/worst-night.md``,
of which docs/worst-night.md is a copy.
"""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drills.live.living import LivingLab
from drills.script.drill import AURORA_PROMOTION_SECONDS
from drills.world.clock import Clock
from drills.world.postgres import find_binaries
from drills.world.reaper import Reaper
from failoverctl.lab import FILE_VARIABLE
from orchestration.settings import PROJECT_ROOT
from tests.runbook import Reader

pytestmark = pytest.mark.drill

# Until a verb says what the runbook says (s): a re-protection waits for RDS in pauses of 15 to 30 s.
PATIENCE_S = 300.0
# Ends a call that would otherwise last for ever.
CALL_S = 900.0
# Of what a command prints the story tells at most so many lines, else its beginning and its end.
LONGEST_TOLD, BEGINNING, END = 60, 6, 3
STORY = PROJECT_ROOT / "build" / "worst-night.md"
INTRODUCTION = """# The worst night, by verbs alone

What `failoverctl --lab` printed while the [runbooks](runbooks/README.md) were followed in the lab, line by line. AWS is
a model there; the databases, the clients and every step of the workflow are real. It is played again by
`make drills ARGS="-k worst_night"`, which leaves its own in `build/worst-night.md`.
"""


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    text: str
    code: int


@dataclass
class Night:
    """The lab, and the transcript of what was typed."""

    living: LivingLab
    told: list[str] = field(default_factory=lambda: [INTRODUCTION])
    typed: list[tuple[str, str]] = field(default_factory=list)

    def ctl(self, words: list[str]) -> Said:
        """Calls the program at a terminal whose user says yes to everything."""
        controller, terminal = pty.openpty()
        os.write(controller, b"y\n" * 3)
        done = subprocess.run(
            [sys.executable, "-m", "failoverctl", "--lab", *words],
            cwd=self.living.lab.file.parent,  # where a report may lie
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), FILE_VARIABLE: str(self.living.lab.file)},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CALL_S,
            check=False,
        )
        os.close(terminal)
        os.close(controller)
        text = done.stdout.replace("[y/N]: ", "[y/N]: y\n")  # a terminal shows what is typed
        line = f"$ failoverctl --lab {shlex.join(words)}"
        if self.typed and self.typed[-1][0] == line:
            self.typed.pop()  # the same look again
        self.typed.append((line, text.rstrip()))
        return Said(text.replace("failoverctl --lab ", "failoverctl "), done.returncode)

    def follow(self, page: str, section: str, **knows: str) -> None:
        """Follows a section of a runbook, and tells of it."""
        self.typed.clear()
        Reader(page, section, self.ctl, PATIENCE_S, **knows).rest()
        self.told.append("```\n" + "\n\n".join(f"{line}\n{shortened(text)}" for line, text in self.typed) + "\n```\n")

    def tell(self, text: str) -> None:
        self.told.append(text + "\n")

    def wait_until_steady(self) -> None:
        self.wait(lambda: not self.living.board.lacking, lambda: f"not steady: {self.living.board.lacking}")

    @staticmethod
    def wait(holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, otherwise()
            time.sleep(0.5)


def shortened(text: str) -> str:
    """What was printed, without the middle where that is long."""
    lines = text.splitlines()
    if len(lines) <= LONGEST_TOLD:
        return text
    return "\n".join([*lines[:BEGINNING], f"… ({len(lines) - BEGINNING - END} lines)", *lines[-END:]])


@pytest.fixture(scope="module")
def night() -> Iterator[Night]:
    with a_lab() as lab:
        yield lab


@contextmanager
def a_lab() -> Iterator[Night]:
    reaper = Reaper()
    try:
        folder = Path(tempfile.mkdtemp(prefix="lab-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        reaper.folder(folder)
        clock, binaries = Clock.started_now(1.0), find_binaries(folder, None)
        promotion = AURORA_PROMOTION_SECONDS
        with LivingLab(folder, binaries, clock, reaper, seed=1, promotion_seconds=promotion) as living:
            living.start()
            yield Night(living)
    finally:
        reaper.close()


def test_the_worst_night(night: Night) -> None:
    night.wait_until_steady()
    night.tell(
        "## us-west-2 falls behind, and us-east-1 dies\n\nThe run asks whether ten seconds of writes may be lost."
    )
    night.living.strike("lag")
    night.follow("gate.md", "A run waits for you")
    night.tell("## The writer is in us-west-2")
    night.follow("failover.md", "A failover happened")
    night.tell("## us-east-1 is back\n\nIts database holds what never reached us-west-2. It is fenced.")
    night.living.mend()
    night.follow("old-region.md", "The old region is back")
    night.tell("## A new standby\n\nThe lost writes are kept, then the old cluster is removed and built anew.")
    night.follow("reprotection.md", "Re-protect")
    night.tell("## What was lost")
    night.follow("reprotection.md", "Salvage")
    lab = night.living.lab
    lab.follow_roles()
    night.follow("reprotection.md", "Write them again", url=lab.servers[lab.writer].url)
    night.tell("## Back to us-east-1")
    night.wait_until_steady()
    night.follow("failback.md", "Fail back")
    STORY.write_text("\n".join(night.told), encoding="utf-8")


DAYLIGHT = [
    ("orchestrator.md", "The orchestrator is broken"),
    ("gate.md", "Replication lags"),
    ("restore.md", "Restore from a backup"),
    ("upgrade.md", "Upgrade the engine"),
]


@pytest.mark.parametrize(("page", "section"), DAYLIGHT)
def test_by_daylight(night: Night, page: str, section: str) -> None:
    night.wait_until_steady()
    night.follow(page, section)


def test_applications_are_refused_by_a_healthy_writer(night: Night) -> None:
    """Its guardian does not run, and its database restarts; in a maintenance, for else it would be moved."""
    night.wait_until_steady()
    assert night.ctl(["maintenance", "begin", "--for", "15m", "--reason", "a test", "--yes"]).code == 0
    lab = night.living.lab
    lab.follow_roles()
    lab.stop_monitor(lab.writer)
    lab.servers[lab.writer].kill()
    lab.servers[lab.writer].start()
    night.wait(lambda: lab.load().failing_clients == lab.load().clients, lambda: f"they write: {lab.load()}")
    night.follow("orchestrator.md", "Applications are refused by a healthy writer")
    night.wait(lambda: lab.load().failing_clients == 0, lambda: f"they do not write: {lab.load()}")
    night.living.mend()
    assert night.ctl(["maintenance", "end", "--yes"]).code == 0


def test_a_region_is_left_on_purpose(night: Night) -> None:
    night.wait_until_steady()
    night.follow("evacuate.md", "Leave a region on purpose")


def test_the_workflow_itself_is_down() -> None:
    """In a lab of its own, in which a pause keeps the workflow from being quicker; the writer's region hangs."""
    with a_lab() as night:
        night.wait_until_steady()
        assert night.ctl(["pause", "--for", "1h", "--reason", "a test", "--yes"]).code == 0
        night.living.strike("hang")
        night.wait(lambda: night.ctl(["break-glass", "--dry-run"]).code == 0, lambda: "the lease does not end")
        night.follow("break-glass.md", "The workflow itself is down")
        lab = night.living.lab
        night.wait(lambda: lab.load().commits_per_second["us-west-2"] > 0, lambda: f"nobody writes: {lab.load()}")
