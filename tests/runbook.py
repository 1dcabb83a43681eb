"""A runbook as somebody follows it: each command as it is written, and what should be read then.

Commands stand in fenced blocks named ``console``, after ``$``; what should be read follows. There ``…`` is any text, a
line of its own any lines, and ``<run>`` a word that the reader takes over into the commands that come later. A question
that ends in ``[y/N]: y`` is answered so.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestration.settings import PROJECT_ROOT

RUNBOOKS = PROJECT_ROOT / "docs" / "runbooks"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANY = "…"
BLANK = re.compile(r"<(\w+)>")
# Verbs that change nothing may be called until they say what they should: things take a moment.
LOOKING = {"status", "runs", "show", "watch", "salvage"}


class Said(Protocol):
    """What a command printed, and its exit code."""

    @property
    def text(self) -> str: ...
    @property
    def code(self) -> int: ...


Call = Callable[[list[str]], Said]


@dataclass(frozen=True)
class Step:
    """One command, what should be read then, and where it is written."""

    command: str
    reads: str
    where: str

    @property
    def refuses(self) -> bool:
        """Whether what should be read is that something was refused, or has not done what it was for."""
        return bool(re.search(r"^(Refused: |Ended: (refused|aborted)|\S+: NOT SAFE)", self.reads, re.MULTILINE))


def sections(page: str) -> dict[str, str]:
    """The sections of a runbook by their headings, what stands before the first one by the page's own."""
    text = (RUNBOOKS / page).read_text(encoding="utf-8")
    parts = re.split(r"^##? (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def steps(page: str, section: str) -> list[Step]:
    """The commands of a section, in their order."""
    found = []
    for block in BLOCK.findall(sections(page)[section]):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, reads = part.partition("\n")
            found.append(Step(command, reads.rstrip(), f"{page}, {section}: {command}"))
    return found


class Reader:
    """Somebody who follows a section to its end, one command after the other."""

    def __init__(self, page: str, section: str, call: Call, patience_s: float, **knows: str) -> None:
        """Follows ``section`` of ``page``; ``knows`` are blanks that nothing printed fills in."""
        self._call = call
        self._patience_s = patience_s
        self.steps = steps(page, section)
        assert self.steps, f"{page}, {section} has no command"
        self._names = knows

    def next(self) -> str:
        """Types the next command, and reads what it says; returns that."""
        step = self.steps.pop(0)
        words = shlex.split(BLANK.sub(lambda blank: self._names[blank[1]], step.command))
        assert words[0] == "failoverctl", step.where
        end = time.monotonic() + self._patience_s
        while True:
            said = self._call(words[1:])
            found = self._pattern(step.reads).fullmatch(said.text.rstrip() + "\n")
            if found or words[1] not in LOOKING or "replay" in words or time.monotonic() > end:
                break
            time.sleep(0.05)
        assert found, f"{step.where}\n--- should be read:\n{step.reads}\n--- was said:\n{said.text}"
        assert said.code == (1 if step.refuses else 0), f"{step.where} ended with {said.code}"
        self._names |= found.groupdict()
        return said.text

    def rest(self) -> None:
        """Follows the section to its end."""
        while self.steps:
            self.next()

    def _pattern(self, reads: str) -> re.Pattern[str]:
        """Returns what should be read as a pattern; nothing written means that anything may be said."""
        if not reads:
            return re.compile(r"(?s:.*)")
        lines: list[str] = []
        for line in reads.splitlines():
            if line == ANY:
                lines.append(r"(?:.*\n)*?")
                continue
            pattern = ""
            for part in re.split(r"(…|<\w+>)", line):
                if part == ANY:
                    pattern += ".*?"
                elif blank := BLANK.fullmatch(part):
                    pattern += self._word(blank[1], "".join(lines) + pattern)
                else:
                    pattern += re.sub(r"(\\ )+", " +", re.escape(part))  # columns are as wide as their longest word
            lines.append(pattern + r"[^\S\n]*\n")
        return re.compile("".join(lines))

    def _word(self, name: str, before: str) -> str:
        """Returns the pattern of a word: the one that was read already, else a group that takes it."""
        if name in self._names:
            return re.escape(self._names[name])
        return f"(?P={name})" if f"(?P<{name}>" in before else rf"(?P<{name}>[\w-]+)"
