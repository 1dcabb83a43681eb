"""The writer protocol, checked exhaustively by Spin: it holds, and without any one of its rules it does not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from handlers.core.transitions import TRANSITIONS

MODEL = Path(__file__).resolve().parents[2] / "docs" / "protocol" / "writer.pml"
README = MODEL.with_name("README.md")

# Steps; the longest chain of the whole model has some ten thousand. A longer one would be cut off, which fails.
LONGEST_CHAIN = 1_000_000
# As a power of two; it is only where the table of states begins.
STATES_AT_FIRST = 22
# Seconds for one check. A complete one needs under 10 on a free core; what takes this long is stuck.
CHECK_TIMEOUT_S = 600

P1, P1_BY_NAME = "P1_one_writer", "P1_one_writer_by_name"
P2 = "P2_one_move"
VETO = "I3_live_lease_vetoes"

# Which promise breaks first without which rule. LOCK_FOR_EVER has a test of its own.
BROKEN_PROMISES = {
    "NO_MARGIN": P1,
    "NO_EXPIRY_CHECK": VETO,
    "COMMIT_WITHOUT_LEASE_CHECK": VETO,
    "RENEW_WHILE_MOVING": P1,
    "NO_EPOCH_CONDITION": P2,
    "FENCE_LATE": P1,
    "DEAD_GUARDIAN": P1,
    "LEASE_MAY_SHRINK": P1,
    "LIFT_ANY_FENCE": P1,
    "LIFT_ANY_TIME": P1,
    "FENCE_SQL_ONLY": P1,
    "START_TRUSTS_LEASE": P1,
    "FIRST_LEASE_BY_RUN": P1,
    "CLOCK_BEFORE_READ": P1,
    "TAKEOVER_STARTS_OVER": P1,
    "RELEASE_WHILE_MOVING": P1,
    "FENCE_BEFORE_STOPPING": P1,
    "STOP_WITHOUT_FENCE": P1,
    "REQUEST_NOT_NOTED": P1,
    "REFUSAL_CLEARS_ALL": P1,
}


@dataclass(frozen=True)
class Verdict:
    """What Spin's verifier said; ``broken`` names the promise of the assertion that failed, if one did."""

    report: str

    @property
    def broken(self) -> str | None:
        found = re.search(r"assertion violated (\w+)", self.report)
        return found[1] if found else None

    @property
    def complete(self) -> bool:
        """Whether every reachable state was visited: no error, no chain cut off, no approximation."""
        return "errors: 0" in self.report and not re.search(
            r"Search not completed|max search depth too small|out of memory|Bit statespace|Hash-Compact", self.report
        )

    @property
    def never_reached(self) -> list[str]:
        """Statements of the model that no state leads to; the ends of processes that never end are none."""
        return [line.strip() for line in re.findall(r"^\t\S+:\d+, state .*$", self.report, re.M) if "-end-" not in line]


Check = Callable[..., Verdict]


@pytest.fixture
def check(tmp_path: Path, optional_tool: Callable[[str, str | None, str], str]) -> Check:
    """Checks the model: ``check("NO_MARGIN")`` without a rule, ``check(flags=["-DBY_NAME_ONLY"])`` otherwise."""
    spin = optional_tool("spin", shutil.which("spin"), "checks the model of the writer protocol")
    compiler = optional_tool("cc", shutil.which("cc"), "compiles the verifier that Spin writes")

    def run(*command: str) -> str:
        ended = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False
        )
        assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def check(mutation: str = "0", *, flags: tuple[str, ...] = (), fair_cycles: bool = False) -> Verdict:
        shutil.copy(MODEL, tmp_path)
        run(spin, "-a", f"-DMUTATION={mutation}", *flags, MODEL.name)
        # Compiling with optimization takes longer than it saves, except where the whole state space is searched.
        optimization = "-O0" if mutation != "0" or fair_cycles else "-O2"
        run(compiler, optimization, "-w", *([] if fair_cycles else ["-DSAFETY"]), "-o", "pan", "pan.c")
        search = ["-a", "-f"] if fair_cycles else []
        return Verdict(run("./pan", *search, f"-m{LONGEST_CHAIN}", f"-w{STATES_AT_FIRST}"))

    return check


def test_p1_p2_i3_hold_in_every_state_that_can_be_reached(check: Check) -> None:
    verdict = check()

    assert verdict.broken is None, verdict.report
    assert verdict.complete, verdict.report
    assert verdict.never_reached == [], "a step that cannot happen proves nothing"


def test_p3_a_run_that_dies_at_any_step_is_finished_by_its_resume(check: Check) -> None:
    verdict = check(flags=("-DPROMISE_3",), fair_cycles=True)

    assert verdict.complete, verdict.report


def test_p3_fails_when_a_lock_cannot_be_taken_over(check: Check) -> None:
    verdict = check("LOCK_FOR_EVER", flags=("-DPROMISE_3",), fair_cycles=True)

    assert "acceptance cycle" in verdict.report


@pytest.mark.parametrize(("mutation", "promise"), BROKEN_PROMISES.items())
def test_without_this_rule_a_promise_breaks(check: Check, mutation: str, promise: str) -> None:
    assert check(mutation).broken == promise


def test_with_a_dead_guardian_the_name_does_not_keep_clients_apart_either(check: Check) -> None:
    assert check("DEAD_GUARDIAN", flags=("-DBY_NAME_ONLY",)).broken == P1_BY_NAME


def test_every_rule_of_the_model_is_taken_away_once() -> None:
    listed = re.search(r"/\* Rules of the protocol.*?#ifndef MUTATION", MODEL.read_text(), re.S)
    assert listed

    assert set(re.findall(r"#define (\w+)", listed[0])) == {*BROKEN_PROMISES, "LOCK_FOR_EVER"}


def left_out() -> set[str]:
    """The rows that the README says are not in the model; each line of its table gives a reason."""
    _, table = README.read_text().split("| row | why it is left out |\n|---|---|\n")
    lines = re.findall(r"^\| (.+) \| (.+) \|$", table.partition("\n\n")[0], re.M)
    assert all(len(why.split()) > 5 for _, why in lines)
    return {name for names, _ in lines for name in re.findall(r"`(\w+)`", names)}


def test_every_change_of_the_record_is_a_step_of_the_model_or_is_left_out_for_a_reason() -> None:
    named = re.findall(r"/\* row: (\w+) \*/", MODEL.read_text())
    assert len(named) == MODEL.read_text().count("row:"), "a row is named in one form, or this test would not see it"

    assert set(named) | left_out() == set(TRANSITIONS)
    assert not set(named) & left_out()
