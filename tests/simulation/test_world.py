"""The world of a history: what the product does in it, and that it is always the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

import pytest

from simulation import history
from simulation.checks import violations
from simulation.databases import LAG_S
from simulation.faults import (
    BESIDE,
    BY_NAME,
    DOES,
    GETS_TO,
    MUTES,
    OVER_BY_S,
    OWNER,
    SECOND_DATABASE,
    SERVES_NOBODY,
    TWICE,
    WAY_BACK_OVER_BY_S,
    Fault,
    seldom,
    set_back,
    twice,
    visited,
    way_back,
)
from simulation.functions import FREEZES_WITHIN_S
from simulation.happened import (
    Answers,
    Approved,
    Asked,
    CapacityAsked,
    Ended,
    Fact,
    Fenced,
    Guarded,
    History,
    HookBegan,
    Kept,
    Lifted,
    Mute,
    NameLeadsTo,
    PersonDid,
    Replicated,
    Retired,
    RoleChanged,
    RunEnded,
    RunStarted,
    SessionClosed,
    SessionOpened,
    StartedOpen,
    StateEntered,
    Told,
    Whose,
    Works,
    Written,
)

WRITER, STANDBY = "us-east-1", "us-west-2"
SEED = 1
Of = TypeVar("Of", bound=Fact)


def of(played: History, kind: type[Of]) -> list[Of]:
    return [fact for fact in played.happened if isinstance(fact, kind)]


def play(*faults: Fault, seed: int = SEED) -> History:
    played = history.run(seed, faults)
    assert played.errors == ()
    return played


def end(played: History) -> Ended:
    (ended,) = of(played, Ended)
    return ended


def outcomes(played: History) -> list[str]:
    return [one.output["outcome"] if one.output else str(one.error) for one in of(played, RunEnded)]


def test_a_seed_gives_the_same_history_to_the_letter() -> None:
    for seed in (3, 4):
        assert repr(history.run(seed)) == repr(history.run(seed))


def test_seeds_give_different_histories() -> None:
    assert history.faults_of(3) != history.faults_of(4)


def test_faults_are_over_in_time_and_known() -> None:
    for seed in range(1, 200):
        for fault in history.faults_of(seed):
            assert fault.kind in BY_NAME
            over_by = WAY_BACK_OVER_BY_S if history.has_way_back(seed) else OVER_BY_S
            always = fault.kind in ("person obeys", "starts open", SECOND_DATABASE)
            assert history.is_long(seed) or always or fault.start + fault.lasts <= over_by + 0.01


def test_where_nothing_fails_nothing_happens() -> None:
    played = play()
    assert not of(played, RunStarted)
    assert not of(played, SessionClosed)
    assert end(played).open_to == (WRITER,)


@pytest.mark.parametrize("refuses", [0.0, 1.0])
def test_the_writer_moves_when_its_region_dies(refuses: float) -> None:
    played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": refuses}))
    assert "recovered" in outcomes(played)
    assert end(played).record["writer_region"] == end(played).name_leads_to == STANDBY
    assert end(played).open_to == (STANDBY,)
    moved = next(one.at for one in of(played, SessionOpened) if one.region == STANDBY)
    assert 40.0 < moved < 90.0
    assert next(one.subject for one in of(played, Told)).startswith("Failover has begun")
    assert {one.by for one in of(played, Fenced) if one.region == WRITER} == {"sql", "group"}  # when it comes back


def test_p10_a_group_that_closes_long_after_the_fence_was_lifted_is_opened_again() -> None:
    writes = [Fault("table writes away", region, 20.0, 11.0) for region in (WRITER, STANDBY)]
    played = play(*writes, Fault("group change late", WRITER, 20.0, 11.0, {"takes": 18.0}))
    lifted = next(one.at for one in of(played, Lifted) if one.by == "sql")
    closed = next(one.at for one in of(played, Fenced) if one.by == "group")
    assert closed > lifted + 5
    assert next(one.at for one in of(played, Lifted) if one.by == "group") < closed + 10
    assert end(played).open_to == (WRITER,)


def test_a_monitor_that_begins_while_monitors_freeze_is_no_guardian() -> None:
    """Seed 5794: it counted as one, for it froze a moment after it had been looked at."""
    played = play(Fault("frozen", WRITER, 10.0, 90.0))  # the schedule starts another one every minute
    guarded = {one.at: one.guarded for one in of(played, Guarded) if one.region == WRITER}
    assert guarded[10.0] is False
    assert guarded[100.0] is True
    # One that begins meanwhile gets on for a moment.
    begins = [at for at, there in guarded.items() if there and 10.0 < at < 100.0]
    assert begins
    assert all(any(0.0 < later - at <= FREEZES_WITHIN_S and not guarded[later] for later in guarded) for at in begins)


def test_p1_sessions_behind_a_group_that_closed_late_end_before_the_writer_moves() -> None:
    """The group was taken for one that was closed after a restart; two regions wrote until the prober was back."""
    writes = [Fault("table writes away", region, 6.0, 11.0) for region in (WRITER, STANDBY)]
    nobody_asks = [Fault("cut", path, 28.0, 70.0) for path in (f"{WRITER}->{STANDBY}", f"{STANDBY}->{WRITER}")]
    quick = Fault("promotion takes", "", 20.0, 90.0, {"takes": 1.0})
    late = Fault("group change late", WRITER, 6.0, 11.0, {"takes": 20.0})
    played = play(*writes, late, Fault("prober away", WRITER, 28.0, 70.0), *nobody_asks, quick)
    assert next(one.at for one in of(played, Fenced) if one.by == "group") > next(one.at for one in of(played, Lifted))
    assert end(played).record["writer_region"] == STANDBY
    assert violations(played) == []


def test_p10_a_guardian_whose_clock_was_ahead_when_it_began_opens_a_group_that_closes_later() -> None:
    """No other guardian begins, which would have dated the record by a clock that is right."""
    alone = Fault("monitor missing", WRITER, 0.0, 110.0)
    ahead = Fault("clock far off", WRITER, 0.0, 5.0, {"error": 900.0})
    played = play(ahead, alone, Fault("group change late", WRITER, 0.0, 6.0, {"takes": 15.0}))
    closed = next(one.at for one in of(played, Fenced) if one.by == "group")
    assert closed > next(one.at for one in of(played, Lifted) if one.by == "sql") + 5.0
    assert next(one.at for one in of(played, Lifted) if one.by == "group") < closed + 10.0
    assert violations(played) == []


def test_what_is_too_rare_by_chance_is_drawn() -> None:
    drawn = [seldom(Random(seed), (), WRITER, STANDBY) for seed in range(200)]
    assert {len(faults) for faults in drawn} == {0, 2, 3}
    assert sum(map(bool, drawn)) < 200 / 10
    assert 0 < sum(map(bool, [set_back(Random(seed), (), WRITER) for seed in range(200)])) < 200 / 20


def invoked_twice(within: float) -> list[Fault]:
    """Every invocation of both regions, the second at most so many seconds later."""
    return [Fault(TWICE, region, 6.0, 164.0, {"share": 1.0, "within": within}) for region in (WRITER, STANDBY)]


def test_a_monitor_that_is_invoked_twice_is_two_guardians_and_harms_nobody() -> None:
    def renewals(played: History) -> int:
        return sum(one.row == "renew" and 70.0 < one.at < 110.0 for one in of(played, Written))

    alone, doubled = play(), play(*invoked_twice(within=1.0))
    assert renewals(doubled) > 1.8 * renewals(alone)
    assert not of(doubled, RunStarted)
    assert not of(doubled, Fenced)


def test_who_invokes_a_function_that_runs_twice_gets_the_answer_of_either() -> None:
    answers = set()
    for seed in (6, 12):  # in which the second begins so much later that the first has the lock before it
        played = play(SWITCHES, *invoked_twice(within=3.0), seed=seed)
        first, second = (one.at for one in of(played, Written) if one.row in ("take", "take_over"))
        assert second > first + 1.0
        goes_on = next(one.at for one in of(played, StateEntered) if one.state == "IsClaimed")
        answers.add("first" if goes_on < second else "second")
    assert answers == {"first", "second"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p2_steps_that_are_invoked_twice_move_the_writer_once(seed: int) -> None:
    played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0}), *invoked_twice(within=2.0), seed=seed)
    assert "recovered" in outcomes(played)
    assert sum(one.accepted for one in of(played, Asked)) == 1
    assert end(played).record["epoch"] == 3
    assert violations(played) == []


def test_invocations_are_drawn_to_be_carried_out_twice_and_a_seed_keeps_its_other_faults() -> None:
    drawn = [twice(Random(seed), (), WRITER, STANDBY, over_by=OVER_BY_S) for seed in range(200)]
    assert {fault.where for faults in drawn for fault in faults} == {WRITER, STANDBY}
    assert 200 / 20 < sum(map(bool, drawn)) < 200 / 5


@pytest.mark.parametrize("kind", MUTES)
def test_the_writer_moves_when_nobody_outside_can_use_it(kind: str) -> None:
    played = play(Fault(kind, WRITER, 30.0, 80.0, {"refuses": 0.0}))
    assert "recovered" in outcomes(played)
    assert end(played).record["writer_region"] == STANDBY
    assert [(one.at, one.region, one.mute) for one in of(played, Mute)] == [
        (30.0, WRITER, True),
        (pytest.approx(110.0), WRITER, False),
    ]
    assert violations(played) == []


@pytest.mark.parametrize(
    ("kind", "where", "who"),
    [
        ("database slow", WRITER, {WRITER}),
        ("database full", WRITER, {WRITER}),
        ("database down", WRITER, {WRITER}),
        ("cut", f"{WRITER}->{STANDBY}", {WRITER, STANDBY}),
        ("isolated", STANDBY, {WRITER, STANDBY}),
        ("refuses the monitor", WRITER, set()),
        ("prober away", STANDBY, set()),
    ],
)
def test_it_is_written_down_whether_a_database_answers_the_other_region(kind: str, where: str, who: set[str]) -> None:
    played = play(Fault(kind, where, 20.0, 1.0, {"takes": 1.0, "refuses": 0.0}))
    assert {(one.at, one.region) for one in of(played, Answers) if not one.answers} == {(20.0, one) for one in who}
    assert [one.answers for one in of(played, Answers) if one.region == WRITER] == [False, True][: 2 * (WRITER in who)]


@pytest.mark.parametrize("kind", SERVES_NOBODY)
def test_the_limit_of_p1_neither_sql_nor_rds_closes_a_database_that_serves_nobody(kind: str) -> None:
    """Seed 20640: a full database was taken for one that SQL can fence."""
    played = play(Fault(kind, WRITER, 11.0, 67.0), Fault("rds busy", WRITER, 26.0, 46.0))
    assert [one.accepted for one in of(played, Asked)] == [True]
    without = [(one.at, one.works) for one in of(played, Works) if (one.region, one.means) == (WRITER, "sql")]
    assert without == [(11.0, False), (pytest.approx(78.0), True)]
    assert violations(played) == []


def test_p10_a_monitor_that_starts_while_nothing_answers_has_no_writer_restarted_whose_lease_lives() -> None:
    """Seed 22328: it knew of no lease, so that nobody looked whether one had been renewed."""
    cut = Fault("cut", f"{STANDBY}->{WRITER}", 19.0, 3.34, {"refuses": 0.0})
    away = Fault("table away", WRITER, 21.0, 1.0, {"hangs": 0.0})
    played = play(cut, Fault("prober away", WRITER, 19.0, 7.0), away, seed=22328)
    assert "restart" not in {one.by for one in of(played, Fenced)}
    assert end(played).open_to == (WRITER,)


def test_a_way_back_leaves_what_is_drawn_by_itself_to_that() -> None:
    others = (Fault("cut", f"{STANDBY}->{WRITER}", 10.0, 5.0, {"refuses": 0.0}),)
    drawn = {fault.kind for seed in range(300) for fault in way_back(Random(seed), others, WRITER, STANDBY)}
    assert {OWNER, SECOND_DATABASE, TWICE, *BESIDE} & drawn == set()


def test_long_outages_are_of_every_kind() -> None:
    longest = [max(history.faults_of(seed), key=lambda one: one.lasts * (one.where != "")) for seed in range(5, 300, 5)]
    assert {one.kind for one in longest} == {"region dead", "database down", *MUTES}


def test_what_the_standby_has_is_written_down_when_no_more_comes() -> None:
    played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0}), Fault("database restarts", STANDBY, 5, 5))
    shown = [(one.at, one.region, one.until) for one in of(played, Replicated)]
    assert [(region, until is None) for _, region, until in shown] == [(STANDBY, end) for end in (False, True, False)]
    assert 10.0 <= shown[1][0] < 15.0
    assert [at - (until or at) for at, _, until in shown] == pytest.approx([LAG_S, 0.0, LAG_S])


def test_what_programs_are_told_goes_to_the_worlds_bus(capfd: pytest.CaptureFixture[str]) -> None:
    """A client that is made when it is first needed is still one of this world."""
    played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0}))
    assert "recovered" in outcomes(played)
    assert "programs were not told" not in "".join(capfd.readouterr())


def test_the_name_follows_the_commit_where_the_endpoint_has_no_address_before() -> None:
    def name_after_commit_s(*faults: Fault) -> float:
        played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0}), *faults)
        assert "recovered" in outcomes(played)
        moved = next(one.at for one in of(played, NameLeadsTo) if one.region == STANDBY)
        return moved - next(one.at for one in of(played, Written) if one.row == "commit_failover")

    slow = Fault("promotion takes", "", 20.0, 90.0, {"takes": 30.0})
    assert name_after_commit_s(slow) < 0
    assert 0 < name_after_commit_s(slow, Fault("rds lists", "", 20.0, 90.0)) < 20


# --- what is beside the runs

DIES = Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0})


def took(played: History) -> tuple[float, float]:
    """From the promotion to the commit, and from there to the end of the run that has recovered, in seconds."""
    promoted = next(one.at for one in of(played, RoleChanged) if one.region == STANDBY)
    commit = next(one.at for one in of(played, Written) if one.row == "commit_failover")
    ended = next(one.at for one in of(played, RunEnded) if one.output and one.output["outcome"] == "recovered")
    return commit - promoted, ended - commit


@pytest.mark.parametrize("kind", ["region dead", "unreachable", "throttled", "cold starts", "table away"])
def test_a_switch_that_nobody_reaches_or_that_cannot_read_the_record_is_written_down(kind: str) -> None:
    how = {"region dead": {"refuses": 1.0}, "throttled": {"share": 1.0}, "cold starts": {"takes": 6.0}}.get(kind, {})
    played = history.run(1, (Fault(kind, STANDBY, 20.0, 30.0, how),))
    switches = [(one.region, one.at, one.works) for one in of(played, Works) if one.means == "switch"]
    assert switches == [(STANDBY, 20.0, False), (STANDBY, 50.0, True)]


def test_a_region_that_is_cut_off_has_no_switch_that_can_read_the_record() -> None:
    played = history.run(1, (Fault("isolated", WRITER, 20.0, 30.0),))
    switches = [(one.region, one.at, one.works) for one in of(played, Works) if one.means == "switch"]
    assert switches == [(WRITER, 20.0, False), (WRITER, 50.0, True)]


def test_the_end_of_a_history_says_who_is_served_where() -> None:
    outage = Fault("region dead", WRITER, 20.0, 60.0, {"refuses": 1.0})
    (end,) = of(history.run(1, (outage,)), Ended)
    assert (end.record["writer_region"], end.name_leads_to) == (STANDBY, STANDBY)
    assert (end.open_to, end.used, end.roles[STANDBY]) == ((STANDBY,), (STANDBY,), "writer")


def test_hooks_are_started_by_their_events_where_the_writer_is_moved_to() -> None:
    begun = of(play(DIES), HookBegan)
    assert sorted((one.region, one.name, one.how) for one in begun) == [
        (STANDBY, "scale", "works"),
        (STANDBY, "ticket", "works"),
    ]


@pytest.mark.parametrize("how", ["hangs", "fails"])
def test_p9_a_hook_that_does_not_work_changes_nothing_of_a_failover_and_people_are_told(how: str) -> None:
    played = play(DIES, Fault(f"hook {how}", STANDBY, 20.0, 160.0))
    assert took(played) < (3.0, 30.0)
    told = [one.subject for one in of(played, Told) if "HOOK" in one.subject]
    assert {subject.split(":")[0] for subject in told} == {
        "HOOK FAILED after FailoverStarted",
        "REQUIRED HOOK FAILED after WriterMoved",
    }


@pytest.mark.parametrize("refused", [0.5, 1.5, 2.5])
def test_p9_a_capacity_that_rds_does_not_change_changes_nothing_of_a_failover(refused: float) -> None:
    played = play(DIES, Fault("capacity refused", STANDBY, 20.0, 60.0, {"as": refused}))
    assert took(played) < (3.0, 30.0)
    commit = next(one.at for one in of(played, Written) if one.row == "commit_failover")
    asked = of(played, CapacityAsked)
    assert commit < asked[0].at
    assert [one.accepted for one in asked] == ([False] if refused > 2 else [False, False, True])


def test_a_server_before_postgresql_17_starts_open_and_its_guardian_closes_it() -> None:
    older = Fault("starts open", "", 0.0, 181.0)
    played = play(DIES, older)
    assert not of(play(DIES), StartedOpen)
    opened, *_ = of(played, StartedOpen)  # its guardian may have it restarted then
    assert opened.region == WRITER
    closed = min(one.at for one in of(played, Fenced) if one.region == WRITER and one.at > opened.at)
    assert 0.0 < closed - opened.at < 80.0
    assert end(played).open_to == (STANDBY,)


def test_a_cut_between_the_regions_moves_nothing() -> None:
    cut = Fault("cut", f"{WRITER}->{STANDBY}", 30.0, 60.0, {"refuses": 0.0})
    played = play(cut, Fault("cut", f"{STANDBY}->{WRITER}", 30.0, 60.0, {"refuses": 0.0}))
    assert not of(played, Asked)
    assert not of(played, Fenced)
    assert end(played).record["epoch"] == 2


def test_a_failover_that_rds_refuses_as_busy_goes_through_when_it_is_not() -> None:
    played = play(Fault("region dead", WRITER, 20.0, 80.0, {"refuses": 1.0}), Fault("rds busy", STANDBY, 20.0, 40.0))
    assert next(one.accepted for one in of(played, Asked)) is False
    assert [one.accepted for one in of(played, Asked)][-1] is True
    assert end(played).open_to == (STANDBY,)


def test_a_writer_that_loses_the_table_fences_and_is_opened_again() -> None:
    played = play(Fault("table away", WRITER, 30.0, 40.0, {"hangs": 1.0}), Fault("table away", STANDBY, 30.0, 40.0))
    fenced = [one.at for one in of(played, Fenced) if one.region == WRITER]
    lifted = [one.at for one in of(played, Lifted) if one.region == WRITER]
    assert 30.0 < min(fenced) < 42.0
    assert 70.0 < max(lifted) < 80.0
    assert end(played).open_to == (WRITER,)


def test_a_person_switches_over_and_nothing_is_lost() -> None:
    played = play(Fault("person switches over", STANDBY, 30.0, 1.0))
    assert outcomes(played) == ["recovered"]
    assert end(played).roles == {WRITER: "reader", STANDBY: "writer"}
    assert [one.region for one in of(played, NameLeadsTo)] == [STANDBY]


def test_a_person_obeys_a_message_when_all_is_well_again() -> None:
    faults: Sequence[Fault] = (
        Fault("person switches over", STANDBY, 20.0, 1.0),
        Fault("rds lost", "", 15.0, 60.0),
        Fault("person stops a run", "", 40.0, 1.0),
        Fault("person obeys", "", 115.0, 1.0),
    )
    played = play(*faults)
    assert any(one.run == "ada-obeys" for one in of(played, RunStarted))
    assert end(played).open_to == (end(played).record["writer_region"],)


def test_a_person_re_protects_as_the_message_of_a_failover_says() -> None:
    obeys = Fault("person obeys", "", 115.0, 1.0)
    played = play(Fault("region dead", WRITER, 30.0, 70.0, {"refuses": 1.0}), obeys)
    (begun,) = [one for one in of(played, RunStarted) if one.workflow == "reprotect"]
    assert (begun.run, begun.region, begun.asked) == ("ada-obeys", STANDBY, {"started_by": "ada"})


def test_a_person_answers_a_question_as_its_message_says() -> None:
    late, obeys = Fault("replication late", "", 20.0, 80.0, {"lag": 7.0}), Fault("person obeys", "", 60.0, 1.0)
    answers = set()
    for seed in range(1, 7):
        played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0}), late, obeys, seed=seed)
        asks = next(one.output["outcome"] for one in of(played, RunEnded) if one.output and one.at > 60.0)
        answer = next(one.split()[3] for one in said(played) if " obeys: " in one)
        answers.add((answer, asks))
        assert len(of(played, Approved)) == (answer == "approve")
    assert answers == {("approve", "recovered"), ("reject", "refused")}


def test_p5_a_switchover_that_becomes_a_failover_asks_people_about_a_loss() -> None:
    """Its lock says already that it moves, and the run that took it over did not look at the gate any more."""
    stops = {"gets to": float(GETS_TO.index("moving")), "does": float(DOES.index("stop and pause")), "after": 0.0}
    played = play(
        Fault("person switches over", STANDBY, 20.0, 1.0),
        Fault("person watches a run", "", 20.0, 50.0, {**stops, "resumes": 1.0}),
        Fault("cold starts", STANDBY, 21.4, 10.0, {"takes": 3.5}),  # so that it stops the writer after it has looked
        Fault("replication late", "", 21.6, 80.0, {"lag": 8.0}),
        Fault("region dead", WRITER, 27.6, 60.0, {"refuses": 1.0}),
        Fault("person resumes", STANDBY, 35.0, 1.0, {"switchover": 0.0}),
        seed=4,  # in which the person who watches stops the run after its commit, and before its request to RDS
    )
    took_over = next(one for one in of(played, Written) if one.row == "take_over")
    assert (took_over.after["transition"]["mode"], took_over.after["transition"]["phase"]) == ("failover", "moving")
    assert "FAILOVER WAITS FOR APPROVAL" in " ".join(one.subject for one in of(played, Told))
    assert of(played, Asked) == []
    assert violations(played) == []


@pytest.mark.parametrize("resumes", [0.0, 1.0])
def test_a_pause_of_failoverctl_keeps_attempts_from_beginning_until_it_is_over(resumes: float) -> None:
    pause = Fault("person pauses", "", 20.0, 60.0, {"resumes": resumes})
    played = play(Fault("region dead", WRITER, 30.0, 80.0, {"refuses": 1.0}), pause)
    took = [one.at for one in of(played, Written) if one.row == "take"]
    assert 80.0 < min(took) < 100.0
    assert end(played).open_to == (STANDBY,)


# --- the owner of the database, and a second database

SWITCHES = Fault("person switches over", STANDBY, 20.0, 1.0)
WATCHES = {"gets to": 0.0, "after": 0.0, "does": 0.0, "resumes": 0.0}
LOGGED_IN = Fault(OWNER, WRITER, 10.0, 100.0)
RESTARTS = Fault("database restarts", WRITER, 30.0, 3.0)


def second(*, of_somebody_else: bool) -> Fault:
    return Fault(SECOND_DATABASE, "", 0.0, 600.0, {"of somebody else": float(of_somebody_else)})


def opened(played: History, whose: Whose, region: str = WRITER, after: float = -1.0) -> list[SessionOpened]:
    return [one for one in of(played, SessionOpened) if (one.whose, one.region) == (whose, region) and one.at > after]


def closed(played: History, sessions: Sequence[SessionOpened]) -> list[str]:
    """Why these sessions were closed, in the order of their opening."""
    why = {one.session: one.why for one in of(played, SessionClosed)}
    return [why[one.session] for one in sessions]


def first(played: History, kind: type[Fenced | Lifted], by: str, after: float = 0.0) -> float:
    return next(one.at for one in of(played, kind) if (one.region, one.by) == (WRITER, by) and one.at > after)


def test_who_is_no_application_is_drawn_beside_the_others() -> None:
    for seed in range(1, 60):
        drawn = history.faults_of(seed)
        others = tuple(one for one in drawn if one.kind not in (OWNER, SECOND_DATABASE))
        again = [visited(Random(draw), others, WRITER, STANDBY, over_by=OVER_BY_S, lasts=180.0) for draw in range(60)]
        assert others in again
        assert all([one for one in each if one.kind not in (OWNER, SECOND_DATABASE)] == [*others] for each in again)
        assert {OWNER, SECOND_DATABASE} <= {one.kind for each in again for one in each}


def test_p1_a_fence_ends_the_owners_session_and_lets_him_in_again() -> None:
    played = play(SWITCHES, LOGGED_IN)
    sessions = opened(played, "owner")
    assert closed(played, sessions) == ["fenced", "switched over"]
    assert first(played, Fenced, "sql") < sessions[1].at < first(played, Fenced, "sql") + 2.0
    assert outcomes(played) == ["recovered"]
    assert violations(played) == []


def test_a_server_that_starts_lets_its_owner_in_and_a_lift_leaves_him_there() -> None:
    played = play(RESTARTS, LOGGED_IN)
    (again,) = opened(played, "owner", after=30.0)
    lifted = first(played, Lifted, "sql")
    assert again.at < lifted < opened(played, "application", after=30.0)[0].at
    assert closed(played, [again]) == ["left"]


# Somebody stops the switchover and pauses automation, so that the guardian gives the writer back after 20 s.
GIVEN_BACK = (
    SWITCHES,
    Fault("person watches a run", "", 10.0, 90.0, WATCHES | {"gets to": 1.5, "does": 1.5}),
)


def test_p10_the_owner_behind_a_fence_is_not_ended_again_and_again() -> None:
    played = play(*GIVEN_BACK, LOGGED_IN)
    sessions = opened(played, "owner")
    assert closed(played, sessions) == ["fenced", "left"]
    assert first(played, Lifted, "sql") > sessions[1].at + 10.0


def test_p1_the_next_fence_ends_the_session_that_the_owner_had_behind_the_last_one() -> None:
    played = play(RESTARTS, replace(SWITCHES, start=60.0), LOGGED_IN)
    assert closed(played, opened(played, "owner")) == ["restarted", "fenced", "switched over"]


def test_the_owner_is_kept_out_by_a_security_group() -> None:
    away = [Fault("table away", region, 20.0, 40.0, {"hangs": 1.0}) for region in (WRITER, STANDBY)]
    played = play(*away, LOGGED_IN)
    again = opened(played, "owner", after=first(played, Fenced, "group"))
    assert again
    assert again[0].at > first(played, Lifted, "group")


def test_p1_a_fence_closes_a_second_database_and_its_lift_opens_it() -> None:
    for of_somebody_else in (False, True):
        played = play(*GIVEN_BACK, second(of_somebody_else=of_somebody_else))
        fenced, lifted = first(played, Fenced, "sql"), first(played, Lifted, "sql")
        sessions = opened(played, "somebody else's database" if of_somebody_else else "second database")
        assert closed(played, [one for one in sessions if one.at < fenced]) == ["fenced", "fenced"]
        behind = [one for one in sessions if fenced < one.at < lifted]
        assert bool(behind) is of_somebody_else
        assert set(closed(played, behind[:-2])) <= {"fenced"}  # those that are open when the fence is lifted stay
        assert behind or sessions[-1].at > lifted
        assert end(played).open_to == (WRITER,)


def test_a_server_that_starts_keeps_nobody_out_of_a_second_database() -> None:
    played = play(RESTARTS, second(of_somebody_else=False))
    lifted = first(played, Lifted, "sql")
    assert opened(played, "second database", after=30.0)[0].at < lifted
    assert opened(played, "application", after=30.0)[0].at > lifted


def test_p1_an_old_writer_that_comes_back_closes_its_second_database() -> None:
    played = play(DIES, second(of_somebody_else=False))
    back = opened(played, "second database", after=110.0)
    assert set(closed(played, back)) <= {"fenced"}
    assert opened(played, "second database", STANDBY)
    assert violations(played) == []


# --- people with failoverctl


def said(played: History) -> list[str]:
    return [one.what for one in of(played, PersonDid)]


def test_a_maintenance_keeps_the_writer_where_it_is_and_ends_when_somebody_ends_it() -> None:
    works = Fault("person maintains", "", 20.0, 60.0, {"ends": 1.0, "two": 0.0})
    played = play(works, Fault("database down", WRITER, 40.0, 70.0))
    assert not of(played, RunStarted) or min(one.at for one in of(played, Written) if one.row == "take") > 80.0
    assert [one.row for one in of(played, Written) if "maintenance" in one.row] == [
        "begin_maintenance",
        "end_maintenance",
    ]
    assert end(played).open_to == (STANDBY,)


def test_of_two_people_who_begin_a_maintenance_at_once_one_is_refused_or_extends_the_others() -> None:
    played = play(Fault("person maintains", "", 20.0, 60.0, {"ends": 0.0, "two": 1.0}))
    begun = [one.after["paused"] for one in of(played, Written) if one.row == "begin_maintenance"]
    refused = [line for line in said(played) if "Refused: a run has begun, or somebody has paused" in line]
    assert len(begun) + len(refused) == 2
    assert all(later["extends_since"] == begun[0]["at"] for later in begun[1:])


def test_let_in_opens_a_fenced_writer_without_a_guardian_and_no_other_region() -> None:
    alone = (Fault("database restarts", WRITER, 30.0, 3.0), Fault("monitor missing", WRITER, 6.0, 104.0))
    frozen = Fault("frozen", WRITER, 28.0, 70.0)
    in_time, elsewhere = Fault("person lets in", WRITER, 50.0, 1.0), Fault("person lets in", STANDBY, 52.0, 1.0)
    played = play(*alone, frozen, in_time, elsewhere, Fault("person pauses", "", 10.0, 99.0, {"resumes": 0.0}))
    assert [one.region for one in of(played, Lifted) if 50.0 < one.at < 60.0] == [WRITER]
    assert any(f"Refused: {WRITER} is the writer" in line for line in said(played))


@pytest.mark.parametrize(("gets_to", "phase"), [(0.5, "checking"), (1.5, "stopping"), (2.5, "moving")])
def test_who_watches_a_run_wants_it_to_abort_when_it_gets_somewhere(gets_to: float, phase: str) -> None:
    watches = Fault("person watches a run", "", 10.0, 60.0, WATCHES | {"gets to": gets_to, "does": 2.5})
    played = play(SWITCHES, watches)
    (asked,) = [one for one in of(played, Written) if one.row == "ask_run"]
    assert asked.after["transition"]["phase"] == phase
    assert end(played).record["writer_region"] == WRITER


def test_who_watches_a_run_stops_it_when_rds_was_asked_and_the_next_one_finishes_it() -> None:
    watches = Fault("person watches a run", "", 10.0, 60.0, WATCHES | {"gets to": 3.5, "after": 0.5})
    played = play(SWITCHES, watches)
    assert next(one.status for one in of(played, RunEnded)) == "ABORTED"
    assert end(played).open_to == (STANDBY,)


def test_p10_a_writer_whose_switchover_is_stopped_and_paused_is_given_back_by_its_guardian() -> None:
    watches = Fault("person watches a run", "", 10.0, 90.0, WATCHES | {"gets to": 1.5, "does": 1.5})
    played = play(SWITCHES, watches)
    (ended,) = [one for one in of(played, Written) if one.row == "end_stop"]
    assert ended.after["paused"]
    assert end(played).open_to == (WRITER,)


def test_who_holds_a_run_lets_it_go_on_when_that_is_over() -> None:
    holds = Fault("person watches a run", "", 10.0, 30.0, WATCHES | {"does": 3.5})
    played = play(SWITCHES, holds)
    assert [one.row for one in of(played, Written) if one.row in ("ask_run", "let_run_go_on")]


def test_who_waits_for_a_run_that_does_not_come_does_nothing() -> None:
    played = play(Fault("person watches a run", "", 10.0, 5.0, WATCHES), SWITCHES)
    assert end(played).open_to == (STANDBY,)


def test_p1_a_lock_is_not_given_back_by_hand_while_a_request_may_be_on_its_way() -> None:
    stopped = (Fault("person switches over", STANDBY, 20.0, 1.0), Fault("person stops a run", "", 40.0, 1.0))
    nobody_goes_on = (Fault("frozen", STANDBY, 39.0, 70.0), Fault("monitor missing", STANDBY, 6.0, 104.0))
    played = play(*stopped, *nobody_goes_on, Fault("rds lost", "", 15.0, 70.0), Fault("person unlocks", "", 60.0, 1.0))
    assert any(
        "Refused: run ada-20.00 has asked RDS to move the writer, and a request may be" in line for line in said(played)
    )
    assert "unlock_asked" not in {one.row for one in of(played, Written)}


BREAKS = {"clock": 0.3, "right": 1.0, "ahead": 3.5, "resumes": 0.0, "shut": 0.0, "after": 0.0}
NO_WORKFLOW = (
    Fault("region dead", WRITER, 20.0, 80.0, {"refuses": 1.0}),
    Fault("throttled", STANDBY, 20.0, 80.0, {"share": 1.0}),
)


def test_break_glass_moves_the_writer_where_no_function_runs() -> None:
    played = play(*NO_WORKFLOW, Fault("person breaks the glass", "", 25.0, 60.0, BREAKS))
    (commit,) = [one for one in of(played, Written) if one.row == "commit_failover"]
    assert commit.by == "ada's machine"
    assert "ada has done failoverctl break-glass" in said(played)
    assert end(played).open_to == (STANDBY,)


def test_a_machine_that_is_shut_in_the_middle_is_taken_over_from() -> None:
    shut = Fault("person breaks the glass", "", 25.0, 60.0, BREAKS | {"shut": 1.0, "after": 25.0})
    slow = Fault("promotion takes", "", 10.0, 90.0, {"takes": 30.0})
    played = play(*NO_WORKFLOW, shut, slow, seed=4)  # in which that machine is not refused for its clock
    (commit,) = [one for one in of(played, Written) if one.row == "commit_failover"]
    assert commit.by == "bob's machine"


def test_a_machine_whose_clock_is_wrong_moves_nothing() -> None:
    wrong = Fault("person breaks the glass", "", 25.0, 60.0, BREAKS | {"right": 0.0})
    played = play(*NO_WORKFLOW, wrong)
    assert not [one for one in of(played, Written) if one.by == "ada's machine"]
    assert any("Refused: this machine's clock differs" in line for line in said(played))


# --- the way back


def test_what_an_old_writer_had_alone_is_kept_before_it_is_deleted_and_the_writer_goes_back() -> None:
    seed = history.WAY_BACK_AT
    played = play(
        Fault("isolated", WRITER, 20.0, 60.0, {"refuses": 1.0}),
        Fault("person re-protects", "", 110.0, 1.0, {"asks": 1.0, "resumes": 0.0}),
        Fault("person approves", "", 90.0, 300.0, {"takes": 5.0}),
        Fault("person switches over", WRITER, 440.0, 1.0),
        seed=seed,
    )
    assert outcomes(played)[-2:] == ["reprotected", "recovered"]
    (retired,) = of(played, Retired)
    assert retired.region == WRITER
    rows = [one.text for one in of(played, Kept) if one.name.endswith("salvage-001.sql")]
    assert rows[0].count("-- missing in public.") > 10
    assert end(played).roles == {WRITER: "writer", STANDBY: "reader"}
    assert end(played).record["protected"] is True


def test_nobody_salvages_a_second_database_and_the_snapshot_has_it() -> None:
    played = play(
        Fault("isolated", WRITER, 20.0, 60.0, {"refuses": 1.0}),
        Fault("person re-protects", "", 110.0, 1.0, {"asks": 1.0, "resumes": 0.0}),
        Fault("person approves", "", 90.0, 300.0, {"takes": 5.0}),
        second(of_somebody_else=False),
        seed=history.WAY_BACK_AT,
    )
    assert of(played, Retired)
    kept = "".join(one.text for one in of(played, Kept))
    exported = [one.whose for one in of(played, SessionOpened) if f'"id": "{one.session}.' in kept]
    assert set(exported) == {"application"}
    assert violations(played) == []


def test_p9_after_a_switchover_that_was_finished_as_a_failover_the_standby_is_armed() -> None:
    """RDS was at work for the switchover; the record said that there is no standby, and re-protection never ended."""
    played = play(
        Fault("person switches over", STANDBY, 20.0, 1.0),
        Fault("promotion takes", "", 10.0, 60.0, {"takes": 15.0}),
        Fault("person resumes", STANDBY, 26.0, 1.0, {"switchover": 0.0}),
        Fault("person re-protects", "", 100.0, 1.0, {"asks": 0.0, "resumes": 0.0}),
        seed=history.WAY_BACK_AT,
    )
    assert outcomes(played)[-1] == "reprotected"
    assert not of(played, Retired)
    assert end(played).record["protected"] is True
    assert end(played).roles == {WRITER: "reader", STANDBY: "writer"}


def test_a_person_who_says_no_keeps_the_old_cluster() -> None:
    played = play(
        Fault("database down", WRITER, 20.0, 60.0),
        Fault("person re-protects", "", 110.0, 1.0, {"asks": 1.0, "resumes": 0.0}),
        Fault("person refuses", "", 90.0, 300.0, {"takes": 5.0}),
        seed=history.WAY_BACK_AT,
    )
    assert outcomes(played)[-1] == "held"
    assert not of(played, Retired)


def test_sessions_that_would_not_end_are_as_others_are_when_that_is_over() -> None:
    switches = Fault("person switches over", STANDBY, 45.0, 1.0)
    no_restart = Fault("rds busy", WRITER, 40.0, 69.0)
    opened_in_it = (Fault("database restarts", WRITER, 20.0, 2.0), Fault("session will not end", WRITER, 18.0, 80.0))
    stays = play(*opened_in_it, switches, no_restart)
    assert outcomes(stays) == ["Aborted"]
    assert [one.why for one in of(stays, SessionClosed) if 97.5 < one.at < 98.5] == ["fenced"] * 4
    passes = play(*[replace(fault, lasts=min(fault.lasts, 20.0)) for fault in opened_in_it], switches)
    assert outcomes(passes) == ["recovered"]


def test_p10_a_security_group_that_closes_late_is_opened_within_10_s() -> None:
    """Seed 226: the fence of a monitor that thawed was lifted, and RDS closed the group 15 s later."""
    frozen = Fault("frozen", WRITER, 10.0, 39.0)
    for takes in (5.0, 15.0, 20.0, 40.0):
        played = play(frozen, Fault("group change late", WRITER, 11.0, 42.0, {"takes": takes}))
        closed = [one.at for one in of(played, Fenced) if one.by == "group"]
        opened = [one.at for one in of(played, Lifted) if one.by == "group"]
        assert len(closed) == len(opened) == 1
        assert 0.0 < opened[0] - closed[0] <= 10.0


def test_no_aws_library_is_on_the_way() -> None:
    program = (
        "import sys; from simulation import history; history.run(1); "
        "print([name for name in sys.modules if name.split('.')[0] in ('boto3', 'botocore', 'pg8000', 'moto')])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
