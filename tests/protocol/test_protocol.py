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

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol"
WRITER, LOCKS = PROTOCOL / "writer.pml", PROTOCOL / "locks.pml"
README = PROTOCOL / "README.md"

# Steps; the longest chain of a whole search has some hundred thousand. A longer one would be cut off, which fails.
LONGEST_CHAIN = 1_000_000
# Without a rule of writer.pml, most promises break within this many steps; so bounded, the search finds it at once.
SHORT_CHAIN = 45
# As a power of two; it is only where the table of states begins.
STATES_AT_FIRST = 22
# Seconds for one check. A complete one needs under 30 on a free core; what takes this long is stuck.
CHECK_TIMEOUT_S = 600

P1, P1_BY_NAME = "P1_one_writer", "P1_one_writer_by_name"
P2, P2_RUN, P2_LATE = "P2_one_move", "P2_one_run", "P2_no_late_request"
P5_HEALTHY, P5_WORD, P5_MAINTENANCE = "P5_healthy_stays", "P5_word_is_true", "P5_maintenance"
P5_NO = "P5_persons_no"
P7 = "P7_committed_writes"
P10 = "P10_harmless"
VETO = "I3_live_lease_vetoes"
LIVENESS = "P3_P9_P10"

# The parts of writer.pml; in the third the lease and the word last as long as in production.
WITHOUT_WORDS, WITHOUT_STOPS = ("-DNO_WORDS",), ("-DNO_STOPS",)
HARMLESS = ("-DHARMLESS", "-DLEASE=10", "-DREST=7")
# So many are enough for a history that never comes to a good end, and quicker to search than the model's number.
FEW_TROUBLES = ("-DTROUBLES=2",)
BY_NAME = (*WITHOUT_WORDS, "-DBY_NAME_ONLY")


@dataclass(frozen=True)
class Break:
    """The promise that breaks first without a rule of writer.pml, in which part, and within how many steps."""

    promise: str
    part: tuple[str, ...] = WITHOUT_WORDS
    within: int = SHORT_CHAIN


WRITER_BREAKS = {
    "NO_MARGIN": Break(P1),
    "NO_EXPIRY_CHECK": Break(VETO),
    "COMMIT_WITHOUT_LEASE_CHECK": Break(VETO),
    "RENEW_WHILE_MOVING": Break(P1),
    "NO_EPOCH_CONDITION": Break(P2),
    "FENCE_LATE": Break(P1),
    "DEAD_GUARDIAN": Break(P1),
    "LEASE_MAY_SHRINK": Break(P1),
    "LIFT_ANY_FENCE": Break(P1),
    "LIFT_ANY_TIME": Break(P1),
    "FENCE_SQL_ONLY": Break(P1),
    "START_TRUSTS_LEASE": Break(P1),
    "FIRST_LEASE_BY_RUN": Break(P1),
    "CLOCK_BEFORE_READ": Break(P1),
    "TAKEOVER_STARTS_OVER": Break(P2_RUN),
    "RELEASE_WHILE_MOVING": Break(P1),
    "FENCE_BEFORE_STOPPING": Break(P1),
    "STOP_WITHOUT_FENCE": Break(P1),
    "REQUEST_NOT_NOTED": Break(P1),
    "REFUSAL_CLEARS_ALL": Break(P1),
    "REQUEST_WHILE_RESTING": Break(P1, WITHOUT_STOPS),
    "FENCED_TOO_SOON": Break(P1, WITHOUT_STOPS),
    "FENCED_FOR_EVER": Break(P1, WITHOUT_STOPS, LONGEST_CHAIN),
    "WORD_TAKEN_BACK": Break(P1, WITHOUT_STOPS, LONGEST_CHAIN),
    "WORD_MAY_SHRINK": Break(P1, WITHOUT_STOPS, LONGEST_CHAIN),
    "RENEWAL_SHORTENS_WORD": Break(P1, WITHOUT_STOPS, LONGEST_CHAIN),
    "REST_BY_READING": Break(P1, WITHOUT_STOPS),
    "CLOSE_WITHOUT_REBOOT": Break(P1),
    "TRUSTS_OLD_LOOK": Break(P1, WITHOUT_STOPS, LONGEST_CHAIN),
    "LIFT_WITHOUT_RENEWAL": Break(P1),
    "END_STOP_MOVED": Break(P2_RUN),
    "END_MOVE_NOTED": Break(P2_RUN),
    "TAKE_BACK_WITHOUT_WAIT": Break(VETO),
    "MOVE_OF_OTHER_STOP": Break(P1),
    "REST_TOO_SHORT": Break(P10, HARMLESS),
    "FIRST_TICK_FENCES": Break(P10, HARMLESS),
    "DOWN_FENCES": Break(P10, HARMLESS, LONGEST_CHAIN),
    "MAINTENANCE_RESTS": Break(P1),
}

# Which promise breaks first without which rule of locks.pml.
LOCKS_BREAKS = {
    "LOCK_FOR_EVER": LIVENESS,
    "REQUESTS_FORGOTTEN": P2_LATE,
    "PAUSE_ENDS_ALL": LIVENESS,
    "TAKEOVER_LOSES_MODE": P5_HEALTHY,
    "SWITCHOVER_STAYS": LIVENESS,
    "DOWN_IS_LIFE": LIVENESS,
    "WAITS_FOR_EVER": LIVENESS,
    "MODE_RETURNS": P1,
    "STOP_STAYS": LIVENESS,
    "MOVE_STAYS": LIVENESS,
    "SWITCH_STAYS": LIVENESS,
    "RUN_KEEPS_SWITCH": LIVENESS,
    "END_SWITCH_EARLY": P1,
    "END_OTHER_MOVES": P1,
    "ASKS_FOR_EVER": LIVENESS,
    "ASKS_ONCE": LIVENESS,
    "REFUSED_WAITS_MOVING": LIVENESS,
    "BACK_TOO_SOON": LIVENESS,
    "COMMIT_BY_STATUS": P7,
    "NEXT_CLAIM_AT_ONCE": P2_LATE,
    "NEXT_CLAIM_AFTER_TAKEOVER": P2_LATE,
    "LIFT_ASKS_RDS": LIVENESS,
    "LIFT_COUNTS_SESSIONS": LIVENESS,
    "WORD_WHILE_MOVING": LIVENESS,
    "WORD_AFTER_RENEWAL": P5_WORD,
    "MAINTENANCE_FOR_EVER": LIVENESS,
    "MAINTENANCE_BESIDE_RUN": P5_MAINTENANCE,
    "CLAIM_OF_BEFORE": P5_MAINTENANCE,
    "UNLOCK_EARLY": P1,
    "UNLOCK_BY_ONE_SIDE": P2_LATE,
    "TAKE_AGAINST_A_WORD": P5_NO,
    "TAKE_OVER_AGAINST_A_WORD": P5_NO,
}


@dataclass(frozen=True)
class Verdict:
    """What Spin's verifier said; ``broken`` names the promise of the assertion that failed, if one did."""

    report: str

    @property
    def broken(self) -> str | None:
        if "acceptance cycle" in self.report:
            return LIVENESS
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
    """Checks a model: ``check(WRITER, "NO_MARGIN", flags=WITHOUT_WORDS)`` without a rule.

    ``for_ever`` looks for histories that never come to a good end, besides those that break a promise at once.
    """
    spin = optional_tool("spin", shutil.which("spin"), "checks the models of the writer protocol")
    compiler = optional_tool("cc", shutil.which("cc"), "compiles the verifier that Spin writes")

    def run(*command: str) -> str:
        ended = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False
        )
        assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def check(
        model: Path,
        mutation: str = "0",
        *,
        flags: tuple[str, ...] = (),
        within: int = LONGEST_CHAIN,
        for_ever: bool = False,
    ) -> Verdict:
        shutil.copy(model, tmp_path)
        claim = [] if for_ever else ["-noltl"]
        # Spin takes the head of a `d_step` for reached where it was only tried; that of an `atomic` was passed.
        steps = ["-Dd_step=atomic"] if mutation == "0" and not for_ever else []
        run(spin, "-a", *claim, f"-DMUTATION={mutation}", *flags, *steps, model.name)
        # Compiling with optimization takes longer than it saves, except where the whole state space is searched.
        optimization = "-O2" if mutation == "0" else "-O0"
        # No two steps of these models are independent: to look for such would only take time.
        kind = ["-DNFAIR=3"] if for_ever else ["-DSAFETY"]
        run(compiler, optimization, "-w", "-DNOREDUCE", *kind, "-o", "pan", "pan.c")
        search = ["-a", "-f"] if for_ever else []
        return Verdict(run("./pan", *search, f"-m{within}", f"-w{STATES_AT_FIRST}"))

    return check


@pytest.mark.parametrize("part", [WITHOUT_WORDS, WITHOUT_STOPS], ids=lambda part: part[0])
def test_p1_p2_i3_hold_in_every_state_that_can_be_reached(check: Check, part: tuple[str, ...]) -> None:
    verdict = check(WRITER, flags=part)

    assert verdict.broken is None, verdict.report
    assert verdict.complete, verdict.report
    assert verdict.never_reached == [], "a step that cannot happen proves nothing"


def test_p10_a_guardian_that_reads_the_record_in_every_tick_never_fences(check: Check) -> None:
    verdict = check(WRITER, flags=HARMLESS)

    assert verdict.complete, verdict.report


def test_p2_p5_p7_hold_in_every_state_of_the_locks_that_can_be_reached(check: Check) -> None:
    verdict = check(LOCKS)

    assert verdict.complete, verdict.report
    assert verdict.never_reached == [], "a step that cannot happen proves nothing"


def test_p3_p9_p10_every_run_that_dies_and_every_outage_comes_to_a_good_end(check: Check) -> None:
    verdict = check(LOCKS, for_ever=True)

    assert verdict.complete, verdict.report


@pytest.mark.parametrize(("mutation", "expected"), WRITER_BREAKS.items())
def test_without_this_rule_a_promise_breaks(check: Check, mutation: str, expected: Break) -> None:
    assert check(WRITER, mutation, flags=expected.part, within=expected.within).broken == expected.promise


@pytest.mark.parametrize(("mutation", "promise"), LOCKS_BREAKS.items())
def test_without_this_rule_of_the_locks_a_promise_breaks(check: Check, mutation: str, promise: str) -> None:
    for_ever = promise == LIVENESS

    assert check(LOCKS, mutation, flags=FEW_TROUBLES if for_ever else (), for_ever=for_ever).broken == promise


def test_with_a_dead_guardian_the_name_does_not_keep_clients_apart_either(check: Check) -> None:
    assert check(WRITER, "DEAD_GUARDIAN", flags=BY_NAME).broken == P1_BY_NAME


@pytest.mark.parametrize(("model", "breaks"), [(WRITER, WRITER_BREAKS), (LOCKS, LOCKS_BREAKS)], ids=["writer", "locks"])
def test_every_rule_of_the_models_is_taken_away_once(model: Path, breaks: dict[str, object]) -> None:
    listed = re.search(r"/\* Rules of the protocol.*?#ifndef MUTATION", model.read_text(), re.S)
    assert listed

    rules = re.findall(r"#define (\w+) +(\d+)", listed[0])
    assert {name for name, _ in rules} == set(breaks)
    assert [int(number) for _, number in rules] == list(range(1, len(rules) + 1))


def in_table(heading: str) -> set[str]:
    """The rows that a table of the README is about; each line of it says something about them."""
    _, table = README.read_text().split(heading)
    lines = re.findall(r"^\| ([^|]+) \| (.+) \|$", table.partition("\n\n")[0], re.M)
    assert all(len(what.split()) > 5 for _, what in lines)
    return {name for names, _ in lines for name in re.findall(r"`(\w+)`", names)}


def test_every_change_of_the_record_is_a_step_of_a_model_or_is_left_out_for_a_reason() -> None:
    models = WRITER.read_text() + LOCKS.read_text()
    named = re.findall(r"/\* row: (\w+) \*/", models)
    assert len(named) == models.count("row:"), "a row is named in one form, or this test would not see it"

    left_out = in_table("| row | why it is left out |\n|---|---|\n")
    assert set(named) | left_out == set(TRANSITIONS)
    assert not set(named) & left_out
