"""A copy of the project in which mutants are tried, one after the other."""

from __future__ import annotations

import compileall
import importlib
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.mutants.patches import ROOT, Mutant

# What is not part of the project, and what a test makes anew.
NOT_COPIED = (".git", ".venv*", "build", "cdktf.out", "__pycache__", ".*_cache", ".hypothesis", ".coverage")
# Longer than any test of the ordinary tiers; a mutant may make one hang. All tests of the table together take minutes.
LONGEST_TRIAL_S, LONGEST_S = 300.0, 3600.0
# What a mutant may change is imported anew from the copy. The libraries of the second row start a process of their own
# when they are imported, which forked processes cannot share.
OURS = ("tests", "handlers", "orchestration", "drills", "simulation", "failoverctl")
NOT_SHARED = ("jsii", "cdktf", "constructs")

Result = Literal["caught", "SURVIVED", "ERROR"]


@dataclass(eq=False)
class Seen:
    """What pytest reported: tests by node id, what went wrong beside them, and which libraries they have imported."""

    failed: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)

    # --- pytest's hooks

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes a file that cannot be imported: that is no test that failed."""
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext.strip().splitlines()[-1]}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes how a test ended; one whose fixtures fail has not looked at the mistake."""
        if report.when == "call":
            (self.failed if report.failed else self.passed).append(report.nodeid)
        elif report.failed:
            self.errors.append(f"{report.nodeid}, {report.when}: {report.longreprtext.strip().splitlines()[-1]}")


class Tree:
    """The copy in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
        # The packages are written in the copy; the distributions that they hold are installed once.
        (folder / "build").mkdir()
        if (ROOT / "build" / "vendor").is_dir():
            (folder / "build" / "vendor").symlink_to((ROOT / "build" / "vendor").resolve())
        compileall.compile_dir(folder, quiet=2)
        # From here on no byte code is written, so that none of a mistake is left.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

    @staticmethod
    def warm_up(libraries: Sequence[str]) -> None:
        """Imports libraries, which no mutant changes, for all processes that are forked from here on."""
        for library in libraries:
            with suppress(Exception):  # what only a test can import is left to it
                importlib.import_module(library)

    def run(self, tests: Sequence[str], within_s: float = LONGEST_S) -> Seen:
        """Runs tests of the copy in a process of their own, forked so that slow imports are done."""
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(self._folder, [*tests], there))
        process.start()
        there.close()
        try:
            seen = Seen(**json.loads(here.recv())) if here.poll(within_s) else Seen(errors=["the test hangs"])
        except EOFError:
            seen = Seen(errors=["the test's process died"])
        process.join(1.0)
        process.kill()
        process.join()
        return seen

    def try_out(self, mutant: Mutant) -> tuple[Result, str]:
        """Makes the mistake, runs the tests that have to fail, and mends it again; returns how that ended, and why."""
        file = self._folder / mutant.file
        text, stat = file.read_text(), file.stat()
        file.write_text(mutant.applied(text))
        try:
            seen = self.run(mutant.tests, LONGEST_TRIAL_S)
        finally:
            file.write_text(text)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its byte code is that of this moment
        return judged(mutant, seen)


def judged(mutant: Mutant, seen: Seen) -> tuple[Result, str]:
    """Returns how a trial ended: caught only if every test that is named has failed by itself."""
    quiet = [test for test in mutant.tests if not any(_is_of(failed, test) for failed in seen.failed)]
    if not quiet:
        return "caught", ""
    if seen.errors:
        return "ERROR", "; ".join(seen.errors)
    return "SURVIVED", f"not failed: {', '.join(quiet)}"


def _is_library(name: str, module: object) -> bool:
    return "site-packages" in (getattr(module, "__file__", None) or "") and not name.startswith(NOT_SHARED)


def _is_of(node: str, test: str) -> bool:
    return node == test or node.startswith(f"{test}[")


def _run(folder: Path, arguments: list[str], answer: Any) -> None:
    """Runs pytest in a forked process, in the copy, without a word."""
    os.setsid()  # what the tests start does not outlive them unseen
    os.chdir(folder)
    sys.path[:] = [str(folder), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("tests", "handlers", "orchestration", "drills")
    ]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    seen = Seen()
    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        code = pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=[seen])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        seen.errors.append(f"pytest ended with {code!s}")
    seen.libraries = [name for name, module in sys.modules.items() if _is_library(name, module)]
    answer.send(json.dumps(vars(seen)))
    answer.close()
    os._exit(0)
