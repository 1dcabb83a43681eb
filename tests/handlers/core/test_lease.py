"""The writer's lease: when a run may move the writer without it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from handlers.core.claim import Claim, lock_for
from handlers.core.control import ControlRecord, Transition, Word, WriterSign
from handlers.core.guardian import Situation, decide
from handlers.core.lease import CLOCK_MARGIN_S, FENCE_BEFORE_S, LEASE_S, clock_error, decide_wait, may_be_alive_until

EAST, WEST = "us-east-1", "us-west-2"
NOW = 1_800_000_000.0
CLAIM = Claim("proceed", "the lock was free", "run-1", "failover", "ada", "outage 7", EAST, WEST, 4)
OVER = NOW - CLOCK_MARGIN_S - 0.1
LOCK = Transition("run-1", "failover", "checking", "outage 7", WEST, NOW - 5, NOW + 1855, seen_lease=OVER)


def record(lease: float | None, seen: float | None = None, **lock: object) -> ControlRecord:
    transition = replace(LOCK, seen_lease=lease if seen is None else seen, **lock)  # type: ignore[arg-type]
    return ControlRecord(EAST, 4, automatic_failover=True, transition=transition, lease_expires_at=lease)


ENDED = record(OVER)
# What the record says, whether the lag gate is open, what the run does, and a part of the reason.
RULES: list[tuple[str, ControlRecord, bool, str, str]] = [
    ("nobody holds the lock", replace(ENDED, transition=None), True, "lost", "another run holds the lock"),
    ("another run holds it", record(OVER, run="run-2"), True, "lost", "another run holds the lock"),
    ("another moved the writer", replace(ENDED, epoch=5), True, "lost", "or the writer has changed"),
    ("another is moving it", record(OVER, run="run-2", phase="moving"), True, "lost", "another run holds the lock"),
    ("this run moves it already", record(OVER, phase="moving"), True, "go", "is moving already"),
    ("this run gave the lease up", record(0.0, phase="moving"), True, "go", "is moving already"),
    ("it took over a move, lease alive", record(NOW + 5, phase="moving"), True, "go", "the one it took over"),
    ("it took a switchover over, gate closed", record(OVER, phase="moving"), False, "ask", "for a person to accept"),
    ("the same, lease given up", record(NOW + 5, phase="moving"), False, "ask", "or was given up"),
    ("the same, and a person aborts", record(OVER, phase="moving", wanted="abort"), False, "refuse", "to abort"),
    ("the writer has renewed", record(NOW + 9, seen=NOW + 7), True, "refuse", "the writer in us-east-1 lives"),
    ("it has renewed, and that is over", record(OVER, seen=OVER - 2), True, "refuse", "it has renewed its lease"),
    (
        "it has taken its first lease",
        replace(record(NOW + 9), transition=replace(LOCK, seen_lease=None)),
        True,
        "refuse",
        "the writer in us-east-1 lives",
    ),
    ("a lease from another time", record(NOW + 3600), True, "refuse", "the lease ends 3600 s from now, later than any"),
    ("just longer than any may be", record(NOW + LEASE_S + CLOCK_MARGIN_S + 0.1), True, "refuse", "a clock is wrong"),
    ("as long as may be", record(NOW + LEASE_S + CLOCK_MARGIN_S), True, "wait", "may be alive for 12.0 s more"),
    ("the lease is alive", record(NOW + 4), True, "wait", "may be alive for 5.0 s more"),
    ("just over, by this clock", record(NOW), True, "wait", "may be alive for 1.0 s more"),
    ("over, but for the clocks", record(NOW - CLOCK_MARGIN_S), True, "wait", "may be alive for 0.0 s more"),
    ("alive, and the gate is closed", record(NOW + 4), False, "wait", "may be alive"),
    ("over, and the gate is closed", ENDED, False, "ask", "the loss is for a person to accept"),
    ("over", ENDED, True, "commit", "the writer's lease has ended"),
    ("a person holds it", record(OVER, wanted="hold"), True, "hold", "a person has asked run run-1 to hold"),
    ("held, and the writer renewed", record(OVER, seen=OVER - 2, wanted="hold"), True, "refuse", "it has renewed"),
    ("a person aborts it", record(NOW + 4, wanted="abort"), True, "refuse", "a person has asked run run-1 to abort"),
    ("too late to hold or abort", record(OVER, phase="moving", wanted="abort"), True, "go", "is moving already"),
    ("given up", record(0.0), True, "commit", "the writer's lease has ended"),
    ("never had one, just claimed", record(None), True, "wait", "may be alive for 6.0 s more"),
    (
        "never had one, claimed long ago",
        record(None, started_at=NOW - LEASE_S - CLOCK_MARGIN_S - 0.1),
        True,
        "commit",
        "the writer's lease has ended",
    ),
]


@pytest.mark.parametrize(
    ("found", "gate_open", "action", "reason"), [row[1:] for row in RULES], ids=[row[0] for row in RULES]
)
def test_p1_rule(found: ControlRecord, gate_open: bool, action: str, reason: str) -> None:
    wait = decide_wait(found, CLAIM, gate_open, NOW)
    assert wait.action == action
    assert reason in wait.reason


@pytest.mark.parametrize(
    ("found", "until"),
    [
        (record(NOW + 4), NOW + 4 + CLOCK_MARGIN_S),
        (record(0.0), CLOCK_MARGIN_S),
        (record(None), NOW - 5 + LEASE_S + CLOCK_MARGIN_S),
        (replace(record(None), transition=None), LEASE_S + CLOCK_MARGIN_S),
    ],
    ids=["a lease", "given up", "never had one", "never had one, no lock"],
)
def test_a_lease_may_be_alive_until_its_end_by_any_clock(found: ControlRecord, until: float) -> None:
    assert may_be_alive_until(found) == until
    assert decide_wait(found, CLAIM, True, NOW).until == until


@pytest.mark.parametrize(
    ("asked_at", "answered_at", "date", "error"),
    [
        (100.2, 100.4, 100.0, 0.0),
        (100.9, 101.1, 101.0, 0.0),
        (100.2, 103.2, 101.0, 0.0),  # it took its time
        (101.9, 102.0, 100.0, 0.9),  # this clock is ahead by 0.9 s to 2 s
        (98.0, 98.5, 100.0, 1.5),
        (3700.0, 3700.1, 100.0, 3599.0),
    ],
)
def test_a_clock_differs_from_a_servers_by_at_least(
    asked_at: float, answered_at: float, date: float, error: float
) -> None:
    assert clock_error(asked_at, answered_at, date) == pytest.approx(error)


HOUR_AHEAD = record(NOW + 3600)
OVERRIDE = replace(CLAIM, ignore_wrong_clock=True)


def test_p9_a_clock_that_was_an_hour_ahead_can_be_overridden_by_a_person() -> None:
    """No automatic start has the override; the refusal says how to give it, and what it may cost."""
    refused = decide_wait(HOUR_AHEAD, CLAIM, True, NOW)
    assert refused.action == "refuse"
    assert '"ignore_wrong_clock": true; if it lives, there may be two writers' in refused.reason
    assert decide_wait(HOUR_AHEAD, OVERRIDE, True, NOW).action == "commit"
    assert decide_wait(HOUR_AHEAD, OVERRIDE, False, NOW).action == "ask"


def test_p1_the_override_is_of_wrong_clocks_only() -> None:
    assert decide_wait(record(NOW + 4), OVERRIDE, True, NOW).action == "wait"
    assert decide_wait(record(NOW + 3600, seen=NOW + 3598), OVERRIDE, True, NOW).action == "refuse"  # it lives


def test_p1_after_the_override_the_run_waits_until_no_guardian_may_count_on_the_lease() -> None:
    """One that read it a moment before the commit, and has not seen the record since, counts on `LEASE_S` of it."""
    for lease in (NOW + 3600, NOW + LEASE_S + CLOCK_MARGIN_S + 0.5):
        moving = record(lease, phase="moving", moving_since=NOW)
        for after in (0.0, 5.0, LEASE_S + CLOCK_MARGIN_S):
            assert decide_wait(moving, OVERRIDE, True, NOW + after).action == "wait"
        assert decide_wait(moving, OVERRIDE, True, NOW + LEASE_S + CLOCK_MARGIN_S + 0.1).action == "go"
        fenced = record(lease, phase="moving", moving_since=NOW, writer_sign=WriterSign(NOW + 1, "up", True))
        assert decide_wait(fenced, OVERRIDE, True, NOW + 1).action == "go"
    assert decide_wait(record(OVER, phase="moving", moving_since=NOW), CLAIM, True, NOW).action == "go"


LEASES = (None, 0.0, NOW - 60, OVER, NOW - CLOCK_MARGIN_S, NOW, NOW + 4, NOW + 11, NOW + 3600)


def test_p1_no_run_commits_to_move_under_a_lease_that_may_be_alive_or_was_renewed() -> None:
    committed = 0
    for lease, seen, gate_open, began in itertools.product(LEASES, LEASES, (True, False), (NOW - 600, NOW - 5)):
        transition = replace(LOCK, seen_lease=seen, started_at=began)
        found = ControlRecord(EAST, 4, automatic_failover=True, transition=transition, lease_expires_at=lease)
        action = decide_wait(found, CLAIM, gate_open, NOW).action
        over = (lease if lease is not None else began + LEASE_S) + CLOCK_MARGIN_S < NOW
        renewed = lease is not None and (seen is None or lease > seen)
        assert (action == "commit") is (over and not renewed and gate_open), found
        committed += action == "commit"
    assert committed


def test_p1_a_waiting_run_ends_its_wait_at_the_moment_that_it_was_told() -> None:
    for lease in (NOW + 4, NOW, None):
        found = record(lease)
        wait = decide_wait(found, CLAIM, True, NOW)
        assert wait.action == "wait"
        assert decide_wait(found, CLAIM, True, wait.until).action == "wait"
        assert decide_wait(found, CLAIM, True, wait.until + 0.01).action == "commit"


def test_p1_a_run_that_has_just_claimed_sees_any_renewal() -> None:
    for lease in (None, NOW - 60, NOW + 8):
        free = ControlRecord(EAST, 4, automatic_failover=True, lease_expires_at=lease)
        locked = replace(free, transition=lock_for(CLAIM, free, NOW))
        renewed = replace(locked, lease_expires_at=NOW + 2 + LEASE_S)
        assert decide_wait(locked, CLAIM, True, NOW + 2).action in ("wait", "commit")
        assert decide_wait(renewed, CLAIM, True, NOW + 2).action == "refuse"


def test_p1_a_guardian_that_cannot_renew_fences_before_any_run_commits() -> None:
    """The two sides of one lease, each by its own clock, the clocks as far apart as they may be."""
    lease = NOW + LEASE_S
    alone = Situation(EAST, lease - FENCE_BEFORE_S + 0.1, None, "writer", lease, grace_s=25.0)
    assert decide(alone).action == "fence"
    run_sees = alone.now + CLOCK_MARGIN_S
    assert decide_wait(record(lease), CLAIM, True, run_sees).action == "wait"
    assert decide_wait(record(lease), CLAIM, True, lease + CLOCK_MARGIN_S).action == "wait"


WORD_ENDS = NOW + 5


@pytest.mark.parametrize(
    ("word", "sign", "now", "action"),
    [
        (None, None, NOW, "go"),
        (Word("unknown", NOW - 2), None, NOW, "go"),
        (Word("down", NOW - 2, WORD_ENDS), None, NOW, "wait"),
        (Word("down", NOW - 2, WORD_ENDS), None, WORD_ENDS + CLOCK_MARGIN_S, "wait"),
        (Word("down", NOW - 2, WORD_ENDS), None, WORD_ENDS + CLOCK_MARGIN_S + 0.01, "go"),
        (Word("down", NOW - 2, WORD_ENDS), WriterSign(NOW, "down", fenced=False), NOW, "wait"),
        (Word("down", NOW - 2, WORD_ENDS), WriterSign(NOW, "down", fenced=True), NOW, "go"),
        # The database is back before RDS was asked: it keeps the role, unless its guardian has died since (P10).
        (Word("down", NOW - 2, WORD_ENDS), WriterSign(NOW, "up", fenced=True), NOW + 6, "refuse"),
        (Word("down", NOW - 2, WORD_ENDS), WriterSign(NOW, "up", fenced=True), NOW + 6.1, "go"),
    ],
    ids=["no word", "beside a lease", "lives", "at its end", "over", "signed", "fenced", "back", "back and gone"],
)
def test_p1_a_run_that_has_committed_to_move_waits_until_the_guardian_has_fenced_or_its_word_is_over(
    word: Word | None, sign: WriterSign | None, now: float, action: str
) -> None:
    moving = replace(LOCK, phase="moving", writer_sign=sign)
    wait = decide_wait(replace(record(OVER), transition=moving, word=word), CLAIM, True, now)
    assert wait.action == action
    if action == "wait":
        assert wait.until == WORD_ENDS + CLOCK_MARGIN_S
