"""A copy of the project in which mutants are tried, one after the other."""

from __future__ import annotations

import compileall
import gc
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.mutants.patches import ROOT, Mutant

# What is not part of the project, and what a test makes anew.
NOT_COPIED = (".git", ".venv*", "build", "cdktf.out", "__pycache__", ".*_cache", ".hypothesis", ".coverage")
# Longer than any test of the ordinary tiers; a mutant may make one hang.
LONGEST_TRIAL_S = 300.0
# What each trial imports anew: the project, which may be another one by then, and what has started a process of its own
# when it was imported, which forked processes cannot share.
ANEW = ("tests", "handlers", "orchestration", "drills", "simulation", "failoverctl", "jsii", "cdktf", "constructs")

Result = Literal["caught", "SURVIVED", "ERROR"]


@dataclass(eq=False)
class Seen:
    """What pytest reported: tests by node id, and what went wrong beside them."""

    failed: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

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
    """The copy in ``folder``, and this process, which works there from then on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
        # The packages are written in the copy; the distributions that they hold are installed once.
        (folder / "build").mkdir()
        if (ROOT / "build" / "vendor").is_dir():
            (folder / "build" / "vendor").symlink_to((ROOT / "build" / "vendor").resolve())
        compileall.compile_dir(folder, quiet=2)
        os.chdir(folder)
        sys.path[:] = [str(folder), *(path for path in sys.path if Path(path or ".").resolve() not in (ROOT, folder))]

    def warm_up(self, tests: Sequence[str]) -> Seen:
        """Runs tests in this process: afterwards, what they need is loaded for all that are forked from it."""
        seen = self._run_here(tests)
        # From here on no byte code is written, so that none of a mistake is left.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
        gc.freeze()  # no collection of a forked process looks through all that is loaded
        return seen

    def _run_here(self, tests: Sequence[str]) -> Seen:
        for name in [name for name in sys.modules if name.startswith(ANEW)]:
            del sys.modules[name]
        seen = Seen()
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            code = pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[seen])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            seen.errors.append(f"pytest ended with {code!s}")
        return seen

    def run(self, tests: Sequence[str]) -> Seen:
        """Runs tests in a process of their own."""
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=self._run_and_tell, args=(tests, there))
        process.start()
        there.close()
        try:
            seen = Seen(**json.loads(here.recv())) if here.poll(LONGEST_TRIAL_S) else Seen(errors=["the test hangs"])
        except EOFError:
            seen = Seen(errors=["the test's process died"])
        process.kill()
        process.join()
        return seen

    def _run_and_tell(self, tests: Sequence[str], answer: Any) -> None:
        answer.send(json.dumps(vars(self._run_here(tests))))
        answer.close()
        os._exit(0)  # no more is of interest, nor what threads of the test still do

    def try_out(self, mutant: Mutant) -> tuple[Result, str]:
        """Makes the mistake, runs the tests that have to fail, and mends it again; returns how that ended, and why."""
        file = self._folder / mutant.file
        text, stat = file.read_text(), file.stat()
        file.write_text(mutant.applied(text))
        try:
            seen = self.run(mutant.tests)
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


def _is_of(node: str, test: str) -> bool:
    return node == test or node.startswith(f"{test}[")
