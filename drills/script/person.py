"""The person on call, who reads the messages and, when asked for an approval, does what the drill's option says.

The person answers with the very command that the message gives, so a command that does not work fails the drill.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from drills.verdict.events import Kind
from failoverctl.command import CANNOT_TELL
from failoverctl.lab import FILE_VARIABLE
from orchestration.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from drills.show.timeline import Timeline
    from drills.verdict.seen import Message

# What a person fills in.
BLANKS = {"<why>": "the drill says no"}
VERBS = {"yes": "approve", "no": "reject"}
# A call asks the lab's AWS a few times; on a busy machine each may take a while (real seconds).
PATIENCE_SECONDS = 120.0
# How often an answer is given on a machine that is too busy to say whether it has arrived.
TRIES = 5


class Person:
    """Answers each request once."""

    def __init__(self, approve: str, lab: Path, timeline: Timeline) -> None:
        """Takes what the person does: ``approve`` is ``yes``, ``no`` or ``never`` (says nothing).

        ``lab`` is the file in which the lab says where it is.
        """
        self._verb = VERBS.get(approve)
        self._lab = lab
        self._timeline = timeline
        self._tries_left: dict[str, int] = {}

    def read(self, messages: Iterable[Message]) -> None:
        """Reads the messages, and answers those that have not been answered.

        An answer that failoverctl cannot tell to have arrived is given again: it counts once.
        """
        if self._verb is None:
            return
        for message in messages:
            line = command_in(message.text, self._verb)
            if line and self._tries_left.setdefault(line, TRIES):
                self._tries_left[line] -= 1
                code, _ = self._call(line)
                if code != CANNOT_TELL:
                    self._tries_left[line] = 0

    def start(self, messages: Sequence[Message]) -> str | None:
        """Starts a workflow with the command from the latest message that has one; returns the execution's ARN."""
        for message in reversed(messages):
            if line := command_in(message.text, "start"):
                said = self.call(line)
                return str(said["run"]["arn"]) if "run" in said else None
        return None

    def call(self, line: str) -> dict[str, Any]:
        """Calls ``failoverctl`` as a message says; returns what it tells programs."""
        return self._call(line)[1]

    def _call(self, line: str) -> tuple[int, dict[str, Any]]:
        """Returns the exit code, too."""
        self._timeline.event(Kind.NOTIFICATION, f"the person on call: {line}")
        words = [BLANKS.get(word, word) for word in shlex.split(line)[1:]]
        done = failoverctl([*words, "--yes", "--json"], self._lab)
        said: dict[str, Any] = json.loads(done.stdout or "{}")
        if done.returncode:
            self._timeline.event(Kind.NOTIFICATION, f"failoverctl: {said.get('reason') or done.stderr}")
        return done.returncode, said


def failoverctl(words: Sequence[str], lab: Path) -> subprocess.CompletedProcess[str]:
    """Calls ``failoverctl --lab`` in a process of its own, on the lab that says in the file ``lab`` where it is."""
    return subprocess.run(
        [sys.executable, "-m", "failoverctl", "--lab", *words],
        cwd=PROJECT_ROOT,
        env={**os.environ, FILE_VARIABLE: str(lab)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def command_in(text: str, verb: str) -> str | None:
    """Returns the first line of a message that calls ``failoverctl`` with that verb; None where none does."""
    lines = [line for line in text.splitlines() if line.startswith(f"failoverctl {verb} ")]
    return lines[0] if lines else None
