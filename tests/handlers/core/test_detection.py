"""Is the writer down, by both observers? And when is the next attempt due?"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from handlers.core.answers import Known
from handlers.core.control import ControlRecord, Pause, PersonsNo, Transition, Word, WriterSign
from handlers.core.detection import (
    SLOT_S,
    Attempt,
    Detection,
    Verdict,
    guardian_seen,
    is_silent,
    judge,
    next_attempt,
    saw,
)
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S, NO_SIGN_S, REST_S, TICK_S, TIMES_IN_A_ROW

EAST, WEST = "us-east-1", "us-west-2"
NOW = 1_800_000_000.0
GRACE_S = 23.0

RENEWED = ControlRecord(EAST, 3, True, lease_expires_at=NOW + LEASE_S)
LOCK = Transition("run-0", "switchover", "stopping", "run run-0", WEST, started_at=NOW, deadline=NOW + 1860)


def renewed_at(moment: float) -> ControlRecord:
    return replace(RENEWED, lease_expires_at=moment + LEASE_S)


class Standby:
    """A monitor of the standby region in virtual time: one tick every 2 s."""

    def __init__(self, record: ControlRecord) -> None:
        self.seen = Detection()
        self.record: ControlRecord | None = record
        self.now = NOW

    def ticks(self, writer: Known, times: int, *records: ControlRecord | None) -> Verdict:
        """So many ticks, in which the prober finds the writer like that; the record may change with each."""
        verdict = Verdict("unknown", "")
        for at in range(times):
            self.record = records[min(at, len(records) - 1)] if records else self.record
            self.seen = saw(self.seen, writer, self.record, self.now)
            verdict = judge(self.seen, self.record, self.now, GRACE_S)
            self.now += TICK_S
        return verdict

    def guarded(self, writer: Known, times: int) -> Verdict:
        """Ticks in which the writer's guardian renews."""
        verdict = Verdict("unknown", "")
        for _ in range(times):
            verdict = self.ticks(writer, 1, renewed_at(self.now))
        return verdict


def test_p5_a_region_that_is_gone_is_down_after_three_ticks_and_not_sooner() -> None:
    standby = Standby(RENEWED)
    assert standby.guarded("up", 5).known == "up"
    last_sign_at = standby.now - TICK_S
    for _ in range(TIMES_IN_A_ROW - 1):
        assert standby.ticks("down", 1).known == "unknown"
    verdict = standby.ticks("down", 1)
    assert verdict.known == "down"
    assert standby.now - TICK_S - last_sign_at == NO_SIGN_S
    assert verdict.since == last_sign_at + NO_SIGN_S
    assert verdict.reason == (
        "the writer does not answer this region, and its guardian has given no sign of life for 6 s"
    )


def test_p5_when_only_the_link_is_cut_the_guardian_vetoes_and_the_verdict_says_why() -> None:
    verdict = Standby(RENEWED).guarded("down", 100)
    assert verdict == Verdict("up", "the writer does not answer this region, but its guardian lives")


def test_p9_a_link_that_is_cut_first_and_a_region_that_dies_later() -> None:
    standby = Standby(RENEWED)
    assert standby.guarded("down", 30).known == "up"
    assert standby.ticks("down", TIMES_IN_A_ROW).known == "down"


def test_p5_a_dead_guardian_alone_moves_nothing() -> None:
    assert Standby(RENEWED).ticks("up", 100).known == "up"


def test_p9_a_dead_guardian_first_and_a_database_that_dies_later() -> None:
    standby = Standby(RENEWED)
    standby.ticks("up", 50)
    reached_at = standby.now - TICK_S
    verdict = standby.ticks("down", TIMES_IN_A_ROW)
    assert (verdict.known, verdict.since) == ("down", reached_at + NO_SIGN_S)  # its first attempt, not its seventh


def test_p9_one_lucky_probe_only_begins_the_count_anew() -> None:
    standby = Standby(RENEWED)
    assert standby.ticks("down", 5).known == "down"
    assert standby.ticks("up", 1).known == "up"
    assert standby.ticks("down", TIMES_IN_A_ROW).known == "down"


def test_p6_a_prober_that_fails_by_itself_says_nothing() -> None:
    assert Standby(RENEWED).ticks("unknown", 100).known == "unknown"


def test_p9_a_prober_that_fails_for_a_moment_takes_nothing_back() -> None:
    standby = Standby(RENEWED)
    assert standby.ticks("down", 5).known == "down"
    assert standby.ticks("unknown", 1).known == "down"


def test_p5_a_record_that_cannot_be_read_moves_nothing() -> None:
    standby = Standby(RENEWED)
    assert standby.ticks("down", 100, None) == Verdict("unknown", "the control record cannot be read")


def test_p9_a_control_table_that_blinks_for_8_s_moves_nothing_and_ends_nothing() -> None:
    healthy = Standby(RENEWED)
    healthy.guarded("up", 3)
    healthy.ticks("up", 4, None)
    assert healthy.guarded("up", 1).known == "up"
    dead = Standby(RENEWED)
    dead.guarded("up", 3)
    last = renewed_at(dead.now - TICK_S)
    dead.ticks("down", 4, None)
    assert dead.ticks("down", TIMES_IN_A_ROW + 1, last).known == "down"


def test_p5_the_first_writer_before_its_first_lease_is_no_outage() -> None:
    new = ControlRecord(EAST, 1, True)
    assert Standby(new).ticks("down", 100).known == "unknown"
    assert Standby(replace(new, epoch=2)).ticks("down", 4).known == "down"


def says(what: Any, since: float, now: float) -> ControlRecord:
    return replace(RENEWED, lease_expires_at=since + LEASE_S, word=Word(what, since, now + REST_S))


@pytest.mark.parametrize("what", ["down", "unknown"])
def test_p5_a_database_may_recover_by_itself_for_the_grace(what: str) -> None:
    standby = Standby(RENEWED)
    since = standby.now
    while standby.now - since <= GRACE_S:
        assert standby.ticks("down", 1, says(what, since, standby.now)).known != "down"
    verdict = standby.ticks("down", 1, says(what, since, standby.now))
    assert (verdict.known, verdict.since) == ("down", since + GRACE_S)
    assert verdict.reason.endswith(
        f"its guardian has said for 24 s that its database is {'down' if what == 'down' else 'not known'}"
    )


def test_p5_a_database_that_is_back_within_the_grace_is_no_outage() -> None:
    standby = Standby(RENEWED)
    began = standby.now
    while standby.now - began < GRACE_S:
        assert standby.ticks("down", 1, says("down", began, standby.now)).known != "down"
    assert standby.guarded("up", 1).known == "up"


def test_p9_a_guardian_that_dies_after_its_word_is_silent() -> None:
    standby = Standby(RENEWED)
    word = says("down", standby.now, standby.now)
    assert standby.ticks("down", TIMES_IN_A_ROW + 1, word).known == "down"


def stopped(sign: WriterSign | None, **more: Any) -> ControlRecord:
    return replace(RENEWED, transition=replace(LOCK, writer_sign=sign, **more))


@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_p5_a_writer_that_is_being_moved_is_judged_by_the_signs_in_the_lock(phase: Any) -> None:
    """Its guardian may not renew, so the lease says nothing of it."""
    standby = Standby(RENEWED)
    for _ in range(20):
        sign = WriterSign(standby.now, "up", True)
        assert standby.ticks("down", 1, stopped(sign, phase=phase)).known != "down"
    assert standby.ticks("down", TIMES_IN_A_ROW).known == "down"


def test_p5_of_a_lock_that_is_younger_than_three_ticks_nothing_is_known() -> None:
    standby = Standby(RENEWED)
    standby.ticks("down", 2)
    assert standby.ticks("down", TIMES_IN_A_ROW, stopped(None)).known == "up"
    assert standby.ticks("down", 1, stopped(None)).known == "down"


def test_p9_a_stopped_writer_whose_guardian_says_down_is_down() -> None:
    standby = Standby(RENEWED)
    for _ in range(TIMES_IN_A_ROW):
        verdict = standby.ticks("down", 1, stopped(WriterSign(standby.now, "down", False)))
    assert verdict.known == "down"


def test_p5_nothing_is_down_unless_both_observers_say_so() -> None:
    """In whatever order what is seen comes, the verdict is *down* only after three failures and three silent ticks."""
    for seen in itertools.product(itertools.product(("up", "down", "unknown"), (True, False, None)), repeat=4):
        standby, failures, silent = Standby(RENEWED), 0, -1
        record = RENEWED
        for writer, renewed in seen:
            record = renewed_at(standby.now) if renewed else record
            if writer != "unknown":
                failures = failures + 1 if writer == "down" else 0
            if renewed is not None:
                silent = 0 if renewed or silent < 0 else silent + 1
            verdict = standby.ticks(writer, 1, None if renewed is None else record)  # type: ignore[arg-type]
            both = failures >= TIMES_IN_A_ROW and silent >= TIMES_IN_A_ROW
            assert (verdict.known == "down") is (both and renewed is not None)


@pytest.mark.parametrize(
    ("record", "silent"),
    [
        (renewed_at(NOW - NO_SIGN_S), False),
        (renewed_at(NOW - NO_SIGN_S - 1), True),
        (renewed_at(NOW + CLOCK_MARGIN_S), False),
        (renewed_at(NOW + 3600), True),  # a wrong clock wrote it, of which a person may know that it is dead
        (replace(RENEWED, lease_expires_at=None), True),
        (says("down", NOW - 20, NOW - 2), False),
        (says("down", NOW - 20, NOW - 7), True),
        (stopped(WriterSign(NOW - 2, "up", False), started_at=NOW - 60), False),
        (stopped(WriterSign(NOW - 8, "up", False), started_at=NOW - 60), True),
        (stopped(None, started_at=NOW - 2), False),
        (stopped(None, started_at=NOW - 60), True),
        (stopped(None, phase="moving", started_at=NOW - 60, moving_since=NOW - 2), False),
    ],
)
def test_p5_whoever_looks_once_goes_by_the_times_in_the_record(record: ControlRecord, silent: bool) -> None:
    assert is_silent(record, NOW) is silent
    assert (guardian_seen(record, is_silent(record, NOW), NOW, GRACE_S).says == "silent") is silent


# --- the attempts


def attempts(
    record: ControlRecord, verdict: Verdict, seconds: float, *, over: bool | None = None, fails_over: bool = True
) -> dict[float, Attempt]:
    """The attempts of so many seconds from NOW on, by the second in which the monitor first makes each."""
    made: dict[str, float] = {}
    found: dict[float, Attempt] = {}
    for second in range(0, int(seconds), int(TICK_S)):
        attempt = next_attempt(
            record, verdict, holder_is_over=over, over_since=NOW, fails_over=fails_over, now=NOW + second
        )
        if attempt and attempt.name not in made:
            made[attempt.name] = found[second] = attempt  # type: ignore[assignment]
    return found


DOWN = Verdict("down", "both say so", NOW)


def test_p9_while_the_writer_is_down_another_attempt_always_comes() -> None:
    made = attempts(RENEWED, DOWN, 3600)
    assert list(made)[:6] == [0, 16, 46, 106, 166, 226]  # 15 s, 30 s, then a minute each, at the next tick
    assert [attempt.number for attempt in made.values()] == list(range(1, len(made) + 1))
    assert len(made) == 62
    assert {attempt.mode for attempt in made.values()} == {"failover"}


def test_p2_two_monitors_make_one_attempt_of_it() -> None:
    """One has ticked since long before, the other has just started: both go by the last sign in the record."""
    old, new = Standby(RENEWED), Standby(RENEWED)
    old.guarded("up", 20)
    assert old.record is not None
    old.ticks("down", 10)
    new.now, new.record = old.now - 4 * TICK_S, old.record
    names = set()
    for _ in range(60):
        for monitor in (old, new):
            verdict = monitor.ticks("down", 1)
            if verdict.known == "down":
                attempt = next_attempt(
                    old.record, verdict, holder_is_over=None, over_since=0.0, fails_over=True, now=monitor.now
                )
                names |= {attempt.name} if attempt else set()
    assert len(names) == 3  # those at 15, 45 and 105 s; the first was made before


def test_p2_a_second_outage_of_the_same_epoch_has_attempts_of_its_own() -> None:
    first = attempts(RENEWED, DOWN, 300)
    second = next_attempt(
        RENEWED,
        DOWN._replace(since=NOW + 301),
        holder_is_over=None,
        over_since=0.0,
        fails_over=True,
        now=NOW + 301,
    )
    assert second is not None
    assert second.number == 1
    assert second.name not in {attempt.name for attempt in first.values()}


def test_an_attempt_is_named_by_epoch_and_slot() -> None:
    (first, *_) = attempts(RENEWED, DOWN, 10).values()
    assert first.name == f"attempt-3-{int(NOW // SLOT_S)}"


NO = PersonsNo("ada", NOW, "we wait for AWS")


@pytest.mark.parametrize(
    ("record", "over"),
    [
        (replace(RENEWED, protected=False), None),
        (replace(RENEWED, automatic_failover=False), None),
        (replace(RENEWED, paused=Pause("ada", NOW, NOW + 10_000, "an upgrade")), None),
        (replace(RENEWED, ended_by_person=NO), None),
        (replace(RENEWED, claims_from=NOW + 10_000), None),
        (stopped(None, phase="checking", deadline=NOW + 10_000), None),
        (stopped(None, deadline=NOW + 10_000), False),
    ],
    ids=[
        "no standby",
        "turned off",
        "paused",
        "a person's no",
        "a late request",
        "a run that may live",
        "a run that lives",
    ],
)
def test_p2_no_attempt_without_a_standby_or_beside_a_run_or_against_a_persons_will(
    record: ControlRecord, over: bool | None
) -> None:
    assert attempts(record, DOWN, 300, over=over) == {}


def test_p9_a_late_requests_wait_only_delays() -> None:
    assert min(attempts(replace(RENEWED, claims_from=NOW + 60), DOWN, 300)) == 106


def test_p9_where_nobody_knows_of_the_holder_the_deadline_decides() -> None:
    assert min(attempts(stopped(None, phase="checking", deadline=NOW + 50), DOWN, 300)) == 52


@pytest.mark.parametrize("known", ["up", "unknown"])
@pytest.mark.parametrize("mode", ["failover", "switchover"])
@pytest.mark.parametrize("phase", ["stopping", "moving"])
def test_p9_a_dead_runs_lock_that_closes_the_writer_is_a_reason_by_itself(known: Any, mode: Any, phase: Any) -> None:
    """In that lock's mode: automation never makes a failover of the switchover of a healthy writer."""
    record = stopped(None, mode=mode, phase=phase)
    made = attempts(record, Verdict(known, ""), 100, over=True, fails_over=False)
    assert (list(made), {attempt.mode for attempt in made.values()}) == ([0, 16, 46], {mode})


def test_p9_a_dead_switchovers_lock_is_finished_as_a_failover_when_the_writer_is_down() -> None:
    assert attempts(stopped(None), DOWN, 10, over=True)[0].mode == "failover"


def test_p5_a_dead_runs_lock_that_closes_nothing_is_no_reason() -> None:
    record = stopped(None, phase="checking")
    assert attempts(record, Verdict("up", ""), 100, over=True) == {}
    assert attempts(record, DOWN, 10, over=True)[0].mode == "failover"


@pytest.mark.parametrize("more", [{"automatic_failover": False}, {"ended_by_person": NO}])
def test_p9_what_rds_was_asked_for_is_finished_though_a_person_said_no(more: Any) -> None:
    record = replace(stopped(None, phase="moving", move_requests=1), **more)
    assert attempts(record, Verdict("up", ""), 10, over=True)[0].mode == "switchover"


def test_a_deployment_that_wants_rehearsals_has_no_attempts() -> None:
    assert attempts(RENEWED, DOWN, 3600, fails_over=False) == {}
