"""Each invariant on what a good drill leaves, and on the one change that has to break it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from drills.ends import End
from drills.outages import OUTAGES
from drills.troubles import TROUBLES
from drills.verdict.invariants import GIVEN_BACK_SECONDS, INVARIANTS, DrillFound, Facts, Found, Invariant
from drills.verdict.ledger import Judgement
from drills.verdict.moves import Move, MoveJudgement
from drills.verdict.rounds import ROUND_INVARIANTS, RoundFound, Step
from drills.verdict.seen import Execution, Message, next_attempts_seconds
from drills.world.bank import Event
from orchestration.settings import PROJECT_ROOT

EAST, WEST = "us-east-1", "us-west-2"
BOOKS = ("nothing_duplicated", "sum_unchanged", "balances_match_movements", "one_writer")
NAMED, PINNED = 8, 2
# Names that result.json shows: whoever reads it relies on them.
ALWAYS = (*BOOKS, "lost_were_not_replicated", "record_names_writer", "name_leads_to_writer", "least_privilege")
DEMANDED = {
    End.FAILED_OVER: "loss_was_bounded recovery_proved clients_recovered one_run others_name_it next_attempt_came",
    End.SWITCHED_OVER: "nothing_lost recovery_proved clients_recovered old_writer_follows one_run others_name_it",
    End.REHEARSED: "nothing_lost standby_untouched one_run others_name_it",
    End.NOTHING_MOVED: "nothing_lost standby_untouched no_run_moved people_told writes_went_on writer_stayed_open",
    End.HELD: "nothing_lost standby_untouched no_run_moved people_told",
    End.SETTLED: "nothing_lost standby_untouched writes_went_on writer_stayed_open",
}
OUTAGE_OF = {End.FAILED_OVER: "kill", End.NOTHING_MOVED: "link", End.HELD: "lag"}
ROUND_NAMES = (
    *BOOKS,
    *["replicated_is_kept", "loss_was_bounded", "recovery_proved", "salvage_has_the_lost", "replay_applies_all"],
    *["replay_repeats_nothing", "nothing_lost_in_the_end", "clients_recovered", "writer_is_home", "standby_follows"],
    *["epoch_counts_moves", "protected_again", "name_leads_to_writer", "each_step_one_run", "least_privilege"],
    "something_was_lost",
)


def run(name: str, end: End, **more: Any) -> Execution:
    return Execution(name, WEST, "SUCCEEDED", end, {"rpo_at_most_ms": 500, "run": "one"} | more)


TWO_ACT = [run("one", End.FAILED_OVER), run("two", End.ABORTED)]
ONE_NAMES_NOBODY = [run("one", End.FAILED_OVER), run("two", End.REFUSED, run="")]


def judgement(**changes: Any) -> Judgement:
    fields: dict[str, Any] = dict.fromkeys(Judgement.__dataclass_fields__, 0)
    invariants = dict.fromkeys((*BOOKS, "lost_were_not_replicated"), True)
    return Judgement(**(fields | {"invariants": invariants, "problems": [], "rpo_seconds": 0.4} | changes))


def answered(cluster: str, clients: int, t: float = 100.0) -> list[Event]:
    return [Event(t, t, client, EAST, f"{cluster} {client} {t}", "ack", cluster) for client in range(clients)]


def facts(**changes: Any) -> Facts:
    fields: dict[str, Any] = {
        "writer": EAST,
        "epoch": 1,
        "lock": None,
        "protected": True,
        "reprotecting": False,
        "name": EAST,
        "standby_writes": False,
        "standby_followed": False,
        "proofs": frozenset(),
        "members": {EAST: True, WEST: False},
    }
    return Facts(**(fields | changes))


def found_after(demanded: End) -> DrillFound:
    """What a drill leaves that ended as it had to."""
    moves = demanded in (End.FAILED_OVER, End.SWITCHED_OVER)
    moved = {"writer": WEST, "name": WEST, "epoch": 2, "standby_writes": True, "proofs": frozenset({"one"})}
    moved["members"] = {WEST: True} if demanded is End.FAILED_OVER else {EAST: False, WEST: True}
    moved["standby_followed"] = demanded is End.SWITCHED_OVER
    acts = demanded not in (End.NOTHING_MOVED, End.HELD)
    lost = 0 if demanded in (End.SWITCHED_OVER, End.REHEARSED, End.SETTLED) else 4
    writing = NAMED + PINNED - (lost if demanded is End.NOTHING_MOVED else 0)
    return DrillFound(
        judgement=judgement(),
        facts=facts(**moved) if moves else facts(),
        events=answered("west" if moves else "east", NAMED - lost if moves else writing),
        runs=[run("one", demanded if acts else End.REFUSED), run("two", End.REFUSED)],
        denied=[],
        last_seconds=5.0,
        demanded=demanded,
        outage=OUTAGES.get(OUTAGE_OF.get(demanded, "")),
        writer=EAST,
        standby=WEST,
        messages=[Message(WEST, "Refused", "its heartbeat does not arrive; or your approval is needed")],
        clients=frozenset(range(NAMED)),
        pinned=PINNED,
        lost=lost,
        cluster="west" if moves else "east",
        troubles=[],
        closed_seconds=9.9,
        phases={},
        next_attempts_seconds=[],
    )


def verdicts(rows: tuple[Invariant[Any], ...], found: Found) -> dict[str, bool]:
    return {row.name: row.check(found) for row in rows if row.when(found)}


def broken(rows: tuple[Invariant[Any], ...], found: Found) -> set[str]:
    return {name for name, held in verdicts(rows, found).items() if not held}


@pytest.mark.parametrize("demanded", DEMANDED)
def test_each_end_demands_its_invariants_and_a_good_drill_holds_them(demanded: End) -> None:
    found = verdicts(INVARIANTS, found_after(demanded))
    assert sorted(found) == sorted((*ALWAYS, *DEMANDED[demanded].split()))
    assert all(found.values()), found


@pytest.mark.parametrize("rows", [INVARIANTS, ROUND_INVARIANTS], ids=["drill", "circle"])
def test_every_invariant_has_a_name_of_its_own_and_says_what_it_promises(rows: tuple[Invariant[Any], ...]) -> None:
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.meaning.strip() for row in rows)


def with_facts(**changes: Any) -> Callable[[Any], Any]:
    return lambda found: replace(found, facts=replace(found.facts, **changes))


def with_judgement(**changes: Any) -> Callable[[Any], Any]:
    return lambda found: replace(found, judgement=replace(found.judgement, **changes))


def with_what(**changes: Any) -> Callable[[Any], Any]:
    return lambda found: replace(found, **changes)


@pytest.mark.parametrize("name", [*BOOKS, "lost_were_not_replicated"])
def test_what_the_ledger_found_wrong_is_broken(name: str) -> None:
    good = found_after(End.FAILED_OVER)
    wrong = good.judgement.invariants | {name: False}
    assert broken(INVARIANTS, with_judgement(invariants=wrong)(good)) == {name}


@pytest.mark.parametrize(
    ("demanded", "change", "names"),
    [
        (End.FAILED_OVER, with_facts(epoch=3), {"record_names_writer"}),
        (End.FAILED_OVER, with_facts(lock="moving"), {"record_names_writer"}),
        (End.REHEARSED, with_facts(epoch=2), {"record_names_writer"}),
        (End.REHEARSED, with_facts(writer=WEST, name=WEST), {"record_names_writer"}),
        (End.FAILED_OVER, with_facts(name=EAST), {"name_leads_to_writer"}),
        (End.FAILED_OVER, with_what(denied=["prober: rds:Reboot"]), {"least_privilege"}),
        (End.SWITCHED_OVER, with_judgement(lost=1), {"nothing_lost"}),
        (End.HELD, with_judgement(lost=1), {"nothing_lost"}),
        (End.FAILED_OVER, with_judgement(lost=1), set()),
        (End.FAILED_OVER, with_judgement(rpo_seconds=0.501), {"loss_was_bounded"}),
        (End.FAILED_OVER, with_what(runs=[Execution("one", WEST, "SUCCEEDED", End.FAILED_OVER)]), {"loss_was_bounded"}),
        (End.FAILED_OVER, with_facts(proofs=frozenset({"two"})), {"recovery_proved"}),
        (End.FAILED_OVER, with_what(events=answered("west", 3)), {"clients_recovered"}),
        (End.FAILED_OVER, with_what(events=answered("east", 8)), {"clients_recovered"}),
        (End.SWITCHED_OVER, with_what(lost=4), {"clients_recovered"}),
        (End.HELD, with_facts(standby_writes=True), {"standby_untouched"}),
        (End.HELD, with_facts(members={EAST: True}), {"standby_untouched"}),
        (End.SWITCHED_OVER, with_facts(standby_followed=False), {"old_writer_follows"}),
        (End.SWITCHED_OVER, with_facts(members={WEST: True}), {"old_writer_follows"}),
        (End.NOTHING_MOVED, with_what(runs=[run("one", End.ABORTED)]), {"no_run_moved"}),
        (End.NOTHING_MOVED, with_what(runs=[]), set()),
        (End.NOTHING_MOVED, with_what(messages=[]), {"people_told"}),
        (End.HELD, with_what(messages=[Message(WEST, "Refused", "the lease lives")]), {"people_told"}),
        (End.FAILED_OVER, with_what(runs=TWO_ACT), {"one_run", "others_name_it"}),
        (End.FAILED_OVER, with_what(runs=ONE_NAMES_NOBODY), {"others_name_it"}),
        (End.REHEARSED, with_what(runs=[]), {"one_run", "others_name_it"}),
        (End.FAILED_OVER, with_what(next_attempts_seconds=[60.0, 76.0]), {"next_attempt_came"}),
        (End.NOTHING_MOVED, with_what(closed_seconds=10.1), {"writer_stayed_open"}),
        (End.NOTHING_MOVED, with_what(outage=OUTAGES["quiet"], messages=[]), set()),
        (End.NOTHING_MOVED, with_what(troubles=[TROUBLES["monitor-refused"]]), {"people_told"}),
        (End.SETTLED, with_facts(lock="checking"), set()),
        (End.SETTLED, with_facts(lock="stopping"), {"record_names_writer"}),
        (End.SETTLED, with_what(closed_seconds=10.1), {"writer_stayed_open"}),
        (End.SETTLED, with_what(closed_seconds=24.9, phases=["checking", "stopping"]), set()),
        (End.SETTLED, with_what(closed_seconds=25.1, phases=["checking", "stopping"]), {"writer_stayed_open"}),
        (End.SETTLED, with_what(closed_seconds=15.0, phases=["stopping", "moving"]), set()),
        (End.SETTLED, with_what(closed_seconds=15.1, phases=["stopping", "moving"]), {"writer_stayed_open"}),
        (End.SETTLED, with_what(closed_seconds=75.0, phases=["stopping", "moving", "asked"]), set()),
        (
            End.SETTLED,
            with_what(closed_seconds=75.1, phases=["stopping", "moving", "asked"]),
            {"writer_stayed_open"},
        ),
        (End.SETTLED, with_what(events=answered("east", 9)), {"writes_went_on"}),
        (End.NOTHING_MOVED, with_what(events=answered("east", 5)), {"writes_went_on"}),
        (End.NOTHING_MOVED, with_what(events=answered("east", 6, t=90.0) + answered("east", 1)), {"writes_went_on"}),
    ],
)
def test_a_change_breaks_the_invariants_that_it_is_about(
    demanded: End, change: Callable[[Any], Any], names: set[str]
) -> None:
    assert broken(INVARIANTS, change(found_after(demanded))) == names


def test_the_page_says_how_long_a_writer_may_stay_closed() -> None:
    stopping, moving, asked = (GIVEN_BACK_SECONDS[phase] for phase in ("stopping", "moving", "asked"))
    told = f"{stopping:g} s in `stopping`, {moving:g} s in `moving` and {asked:g} s once RDS was asked"
    assert told in (PROJECT_ROOT / "docs" / "lab.md").read_text()


def test_an_other_run_that_failed_is_no_success_that_names_the_one() -> None:
    failed = replace(run("two", End.REFUSED), status="FAILED")
    found = replace(found_after(End.FAILED_OVER), runs=[run("one", End.FAILED_OVER), failed])
    assert broken(INVARIANTS, found) == {"others_name_it"}


def test_p9_a_trouble_may_end_attempts_before_the_one_that_does_the_work() -> None:
    stopped = Execution("one", WEST, "ABORTED", None, None, started_at=10.0, ended_at=20.0)
    doing = replace(run("two", End.FAILED_OVER), started_at=35.0, ended_at=60.0)
    late = replace(run("three", End.REFUSED, run="two"), started_at=40.0)
    found = replace(
        found_after(End.FAILED_OVER),
        runs=[stopped, doing, late],
        troubles=[TROUBLES["run-stopped"]],
        facts=replace(found_after(End.FAILED_OVER).facts, proofs=frozenset({"two"})),
    )
    assert found.acting is doing
    assert broken(INVARIANTS, found) == set()
    assert next_attempts_seconds(found.runs) == [15.0]
    assert broken(INVARIANTS, replace(found, troubles=[])) == {"one_run", "others_name_it"}
    not_named = replace(found, runs=[stopped, doing, replace(late, output={"run": "three"})])
    assert broken(INVARIANTS, not_named) == {"others_name_it"}


def test_a_switchover_that_is_finished_after_all_is_judged_as_one() -> None:
    finished = replace(found_after(End.SWITCHED_OVER), demanded=End.SETTLED)
    assert broken(INVARIANTS, finished) == set()
    assert broken(INVARIANTS, with_facts(standby_followed=False)(finished)) == {"old_writer_follows"}


def found_after_a_round() -> RoundFound:
    """A failover that lost one write, its re-protection that kept it, and the failback."""
    steps = [
        Step("failover", "one", 0, 10, 1, EAST, WEST, 2),
        Step("re-protection", "two", 2, 20, 3, WEST, WEST, 2),
        Step("failback", "three", 4, 40, 5, WEST, EAST, 3),
    ]
    events = [Event(5, 5, 0, EAST, "lost", "ack", "east"), *answered("east", 3)]
    kept = {event.id for event in events} - {"lost"}
    ends = (End.FAILED_OVER, End.REPROTECTED, End.SWITCHED_OVER)
    return RoundFound(
        judgement=judgement(),
        facts=facts(epoch=3, proofs=frozenset({"one", "three"})),
        events=events,
        runs=[run(step.run, end) for step, end in zip(steps, ends, strict=True)],
        denied=[],
        last_seconds=5.0,
        surely_loses=True,
        home=(EAST, WEST),
        roles=(EAST, WEST),
        steps=steps,
        moves=[Move(10, "east", "west", frozenset({"lost"})), Move(40, "west", "east")],
        judged=[
            MoveJudgement(frozenset({"lost"}), 0.4, 30.0, 25.0, 0, 1.0, 2.0),
            MoveJudgement(frozenset(), 0.0, 10.0, 5.0, 0, 3.0, 4.0),
        ],
        present=kept,
        present_after_replay=kept | {"lost"},
        salvaged={"lost"},
        said=(Counter(applied=1), Counter(known=1)),
        clients=3,
        standby_has_all=True,
    )


def test_a_good_circle_holds_all_its_invariants() -> None:
    found = verdicts(ROUND_INVARIANTS, found_after_a_round())
    assert sorted(found) == sorted(ROUND_NAMES)
    assert all(found.values()), found
    assert found_after_a_round().salvage_problems() == []


def test_a_circle_that_lost_nothing_by_chance_passes_where_its_outage_does_not_surely_lose() -> None:
    nothing = replace(
        found_after_a_round(),
        present=found_after_a_round().present_after_replay,
        moves=[Move(10, "east", "west"), Move(40, "west", "east")],
        salvaged=set(),
        said=(Counter(), Counter()),
    )
    assert broken(ROUND_INVARIANTS, nothing) == {"something_was_lost"}
    assert broken(ROUND_INVARIANTS, replace(nothing, surely_loses=False)) == set()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (with_what(present=set()), {"replicated_is_kept", "salvage_has_the_lost"}),
        (with_what(judged=[MoveJudgement(frozenset(), 0.6, 1, 1, 0, 1, 1)] * 2), {"loss_was_bounded"}),
        (with_facts(proofs=frozenset({"one"})), {"recovery_proved"}),
        (with_facts(proofs=frozenset({"one", "two", "three"})), {"recovery_proved"}),
        (with_what(salvaged=set(), said=(Counter(), Counter())), {"salvage_has_the_lost"}),
        (with_what(said=(Counter(known=1), Counter(known=1))), {"replay_applies_all"}),
        (with_what(said=(Counter(applied=2), Counter(known=2))), {"replay_applies_all"}),
        (with_what(said=(Counter(applied=1), Counter(applied=1))), {"replay_repeats_nothing"}),
        (with_what(present_after_replay=set()), {"nothing_lost_in_the_end"}),
        (with_what(clients=4), {"clients_recovered"}),
        (with_what(roles=(WEST, EAST)), {"writer_is_home"}),
        (with_what(standby_has_all=False), {"standby_follows"}),
        (with_facts(members={EAST: True}), {"standby_follows"}),
        (with_facts(epoch=2), {"epoch_counts_moves"}),
        (with_facts(protected=False), {"protected_again"}),
        (with_facts(reprotecting=True), {"protected_again"}),
        (with_facts(lock="moving"), {"protected_again"}),
        (with_facts(name=WEST), {"name_leads_to_writer"}),
        (with_what(denied=["fence: rds:Reboot"]), {"least_privilege"}),
    ],
)
def test_a_change_breaks_the_invariants_of_a_circle_that_it_is_about(
    change: Callable[[Any], Any], names: set[str]
) -> None:
    assert broken(ROUND_INVARIANTS, change(found_after_a_round())) == names


def test_a_run_beside_the_steps_of_a_circle_is_seen() -> None:
    good = found_after_a_round()
    found = replace(good, runs=[*good.runs, run("four", End.ABORTED)])
    assert broken(ROUND_INVARIANTS, found) == {"each_step_one_run"}
    assert broken(ROUND_INVARIANTS, replace(good, runs=[*good.runs, run("four", End.REFUSED)])) == set()


@pytest.mark.parametrize("name", BOOKS)
def test_what_the_ledger_found_wrong_in_a_circle_is_broken(name: str) -> None:
    good = found_after_a_round()
    wrong = good.judgement.invariants | {name: False}
    assert broken(ROUND_INVARIANTS, with_judgement(invariants=wrong)(good)) == {name}


def test_a_salvage_that_misses_a_write_is_told_with_an_example() -> None:
    [problem] = replace(found_after_a_round(), salvaged={"kept though not lost", "east 0 100.0"}).salvage_problems()
    assert "1 lost transfers are not in the salvage, 1 are there though not lost" in problem
    assert "lost" in problem
