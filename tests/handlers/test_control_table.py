"""The control record in DynamoDB, by what the item is before and after."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import pytest

from handlers.core.claim import Claim
from handlers.core.control import ControlRecord, Pause, PersonsNo, ReprotectionLock, Told, Transition, Word, WriterSign
from handlers.core.errors import LockLost, Misconfigured, TransientFailure, WordLives
from handlers.core.heartbeat import Beat
from handlers.core.lease import CLOCK_MARGIN_S, TICK_S
from handlers.gateways.control_table import (
    GUARDIAN_READ_TIMEOUT_S,
    ControlTable,
    ControlVariables,
    GuardianControlVariables,
)
from tests.control_in_memory import ControlInMemory
from tests.deployment import STANDBY, WRITER, Deployment, variables

RACERS = 8
NOW = 1_800_000_000.5
LEASE = NOW + 3.25
BEAT = Beat(7, NOW - 6.5)
CLAIM = Claim(
    decision="proceed",
    reason="the lock was free",
    run="run-1",
    mode="failover",
    started_by="ada",
    incident="outage 7",
    writer_region=WRITER,
    target_region=STANDBY,
    epoch=1,
    resumes=None,
)


def lock(run: str, **more: Any) -> Transition:
    named: dict[str, Any] = {"mode": "failover", "phase": "checking", "seen_lease": LEASE} | more
    return Transition(run, incident="outage 7", target_region=STANDBY, started_at=NOW, deadline=NOW + 900.25, **named)


def moving(run: str, **more: Any) -> Transition:
    return lock(run, phase="moving", **more)


FREE = ControlRecord(writer_region=WRITER, epoch=1, automatic_failover=True, lease_expires_at=LEASE, heartbeat=BEAT)


@pytest.fixture
def table(deployment: Deployment) -> ControlTable:
    """The table as a step of the standby region sees it; the writer has a lease."""
    deployment.change_record(
        lease_expires_at=Decimal(str(LEASE)), heartbeat={"seq": BEAT.seq, "at": Decimal(str(BEAT.at))}
    )
    told = variables(deployment.specification.regions[STANDBY].functions["claim"], STANDBY)
    return ControlTable.of(ControlVariables.read(told))


@pytest.fixture
def guardians_table(table: ControlTable, deployment: Deployment) -> ControlTable:
    """The same, as the guardian of the writer region sees it: through either region."""
    told = variables(deployment.specification.regions[WRITER].functions["monitor"], WRITER)
    return ControlTable.through_either(GuardianControlVariables.read(told))


def test_the_first_record_can_be_read(table: ControlTable, deployment: Deployment) -> None:
    assert table.read() == FREE
    deployment.forget("lease_expires_at", "heartbeat")
    assert table.read() == replace(FREE, lease_expires_at=None, heartbeat=None)


def test_p1_a_record_is_nowhere_only_if_both_replicas_say_so(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    assert not guardians_table.is_nowhere()
    deployment.remove_record()
    assert guardians_table.is_nowhere()
    deployment.trouble("dynamodb.GetItem", "refused", region=STANDBY, times=9)
    assert not guardians_table.is_nowhere()  # it may have one


@pytest.mark.parametrize(
    ("kind", "nowhere"),
    [("ResourceNotFoundException", True), ("AccessDeniedException", False), ("InternalServerError", False)],
)
def test_p1_only_a_table_that_is_not_there_has_no_record(
    guardians_table: ControlTable, deployment: Deployment, kind: str, nowhere: bool
) -> None:
    deployment.trouble("dynamodb.GetItem", kind, times=9)
    assert guardians_table.is_nowhere() is nowhere


def test_p1_a_table_that_is_missing_in_one_region_may_be_in_the_other(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.trouble("dynamodb.GetItem", "ResourceNotFoundException", region=WRITER, times=9)
    assert not guardians_table.is_nowhere()


def test_a_lock_that_is_taken_is_read_back_exactly(table: ControlTable) -> None:
    assert table.take(lock("run-1"), table.read())
    assert table.read().transition == lock("run-1")


def test_a_lock_is_not_taken_when_the_record_has_changed_since(table: ControlTable, deployment: Deployment) -> None:
    seen = table.read()
    for change in (
        {"epoch": 2},
        {"writer_region": STANDBY},
        {"transition": asdict(lock("run-0", seen_lease=None)) | {"started_at": 1, "deadline": 2}},
    ):
        deployment.change_record(**{"epoch": 1, "writer_region": WRITER} | change)
        before = deployment.record()
        assert not table.take(lock("run-1"), seen)
        assert deployment.record() == before


def test_a_lock_is_taken_over_from_exactly_the_run_that_was_seen(table: ControlTable) -> None:
    free = table.read()
    assert table.take(lock("run-0"), free)
    seen = table.read()
    assert table.take(lock("run-1"), seen)
    assert not table.take(lock("run-2"), seen)
    assert not table.take(lock("run-2"), free)
    assert table.read().transition == lock("run-1")


@pytest.mark.parametrize(
    "gone_on",
    [{"phase": "moving"}, {"dns_engaged": True}, {"move_requests": 1}],
    ids=lambda change: next(iter(change)),
)
def test_p1_a_lock_is_not_taken_over_from_a_run_that_has_gone_on_since(
    gone_on: dict[str, Any], table: ControlTable, deployment: Deployment
) -> None:
    """What that run has begun would be forgotten, and could be undone under it."""
    table.take(lock("run-0"), table.read())
    seen = table.read()
    table.take(lock("run-0", **gone_on), seen)
    before = deployment.record()
    assert not table.take(lock("run-1"), seen)
    assert deployment.record() == before
    assert table.take(lock("run-1", **gone_on), table.read())


def test_p2_of_many_racers_one_has_the_lock_and_it_is_the_one_that_was_told_so(
    table: ControlTable, deployment: Deployment
) -> None:
    for heat in range(5):
        seen = table.read()
        together = threading.Barrier(RACERS)

        def race(
            number: int, seen: ControlRecord = seen, together: threading.Barrier = together, heat: int = heat
        ) -> bool:
            together.wait()
            return table.take(lock(f"run-{heat}-{number}"), seen)

        with ThreadPoolExecutor(RACERS) as pool:
            won = list(pool.map(race, range(RACERS)))
        assert won.count(True) == 1
        held = deployment.lock()
        assert held is not None
        assert held["run"] == f"run-{heat}-{won.index(True)}"


# --- the lease


def test_a_renewal_is_a_new_end_and_a_new_heartbeat_and_nothing_else(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.gate.seen.clear()
    assert guardians_table.renew(WRITER, 1, NOW + 12, Beat(8, NOW + 2))
    assert [operation for _, _, operation in deployment.gate.seen] == ["dynamodb.UpdateItem"]
    assert guardians_table.read() == replace(FREE, lease_expires_at=NOW + 12, heartbeat=Beat(8, NOW + 2))


def test_the_first_lease_is_taken_like_any_other(guardians_table: ControlTable, deployment: Deployment) -> None:
    deployment.forget("lease_expires_at", "heartbeat")
    assert guardians_table.renew(WRITER, 1, NOW + 12, Beat(1, NOW))
    assert guardians_table.read().lease_expires_at == NOW + 12


def test_a_lease_that_was_given_up_can_be_taken_again_once_nobody_moves(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.change_record(lease_expires_at=0)
    assert guardians_table.renew(WRITER, 1, NOW + 12, Beat(8, NOW))


@pytest.mark.parametrize(
    ("region", "epoch", "expires_at", "record"),
    [
        (STANDBY, 1, NOW + 12, {}),
        (WRITER, 2, NOW + 12, {}),
        (WRITER, 1, NOW + 12, {"epoch": 2}),
        (WRITER, 1, NOW + 12, {"writer_region": STANDBY}),
        (WRITER, 1, LEASE, {}),
        (WRITER, 1, LEASE - 1, {}),
    ],
    ids=["not the writer", "a later epoch", "an old epoch", "the writer has moved", "as long already", "late request"],
)
def test_p1_who_may_not_renew_changes_nothing(
    region: str,
    epoch: int,
    expires_at: float,
    record: dict[str, Any],
    guardians_table: ControlTable,
    deployment: Deployment,
) -> None:
    if record:
        deployment.change_record(**record)
    before = deployment.record()
    assert not guardians_table.renew(region, epoch, expires_at, Beat(8, NOW))
    assert deployment.record() == before


@pytest.mark.parametrize("mode", ["failover", "switchover"])
def test_p1_a_run_that_looks_does_not_stop_renewals_and_one_that_moves_does(
    mode: str, guardians_table: ControlTable, table: ControlTable, deployment: Deployment
) -> None:
    table.take(lock("run-1", mode=mode), table.read())
    assert guardians_table.renew(WRITER, 1, NOW + 12, Beat(8, NOW))
    assert table.begin_move("run-1", 1, NOW + 12, NOW)
    before = deployment.record()
    assert not guardians_table.renew(WRITER, 1, NOW + 22, Beat(9, NOW))
    assert deployment.record() == before
    table.release("run-1")
    assert guardians_table.renew(WRITER, 1, NOW + 22, Beat(9, NOW))


def test_p1_a_run_commits_to_move_on_the_lease_it_has_waited_for(table: ControlTable, deployment: Deployment) -> None:
    table.take(lock("run-1"), table.read())
    before = table.read()
    assert table.begin_move("run-1", 1, LEASE, NOW)
    assert table.read() == replace(before, transition=moving("run-1", moving_since=NOW))


@pytest.mark.parametrize(
    ("run", "epoch", "lease"),
    [("run-2", 1, LEASE), ("run-1", 2, LEASE), ("run-1", 1, LEASE - 2), ("run-1", 1, None)],
    ids=["another run", "another epoch", "renewed since", "taken since"],
)
def test_p1_otherwise_it_does_not(
    run: str, epoch: int, lease: float | None, table: ControlTable, deployment: Deployment
) -> None:
    table.take(lock("run-1"), table.read())
    before = deployment.record()
    assert not table.begin_move(run, epoch, lease, NOW)
    assert deployment.record() == before


def test_p1_a_writer_without_a_lease_is_moved_only_while_it_takes_none(
    table: ControlTable, guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.forget("lease_expires_at")
    table.take(lock("run-1", seen_lease=None), table.read())
    assert not table.begin_move("run-1", 1, LEASE, NOW)
    assert table.begin_move("run-1", 1, None, NOW)
    assert not guardians_table.renew(WRITER, 1, NOW + 12, Beat(8, NOW))


def test_p2_of_a_renewal_and_a_commit_to_move_one_wins(
    table: ControlTable, guardians_table: ControlTable, deployment: Deployment
) -> None:
    for heat in range(5):
        deployment.change_record(lease_expires_at=Decimal(str(LEASE + heat)))
        deployment.forget("transition")
        table.take(lock("run-1"), table.read())
        together = threading.Barrier(2)

        def move(together: threading.Barrier = together, heat: int = heat) -> bool:
            together.wait()
            return table.begin_move("run-1", 1, LEASE + heat, NOW)

        def renew(together: threading.Barrier = together, heat: int = heat) -> bool:
            together.wait()
            return guardians_table.renew(WRITER, 1, LEASE + heat + 10, Beat(8, NOW))

        with ThreadPoolExecutor(2) as pool:
            moved, renewed = (attempt.result() for attempt in (pool.submit(move), pool.submit(renew)))
        assert moved is not renewed
        assert (table.read().moving is not None) is moved


# --- a switchover stops the writer before it moves it

STOPPED_UNTIL = NOW + 20


def stopping(run: str) -> Transition:
    return lock(run, mode="switchover", phase="stopping", stopping_until=STOPPED_UNTIL)


def test_p1_a_writer_that_is_stopped_renews_no_more(table: ControlTable) -> None:
    table.take(lock("run-1", mode="switchover"), table.read())
    assert table.renew(WRITER, 1, LEASE + 1, BEAT)
    table.begin_stop("run-1", 1, STOPPED_UNTIL)
    assert table.read().transition == stopping("run-1")
    assert not table.renew(WRITER, 1, LEASE + 2, BEAT)


def test_p1_a_stopped_writer_is_moved_in_one_write_whatever_its_lease(
    table: ControlTable, deployment: Deployment
) -> None:
    table.take(stopping("run-1"), table.read())
    deployment.gate.seen.clear()
    for _ in range(2):
        table.begin_move_of_stopped("run-1", 1, STOPPED_UNTIL, NOW)
        assert table.read().transition == replace(stopping("run-1"), phase="moving", moving_since=NOW)
    assert {operation for _, _, operation in deployment.gate.seen} == {"dynamodb.UpdateItem", "dynamodb.GetItem"}


@pytest.mark.parametrize(("run", "epoch"), [("run-2", 1), ("run-1", 2)])
def test_p1_nobody_else_stops_the_writer_or_moves_a_stopped_one(
    run: str, epoch: int, table: ControlTable, deployment: Deployment
) -> None:
    attempts: tuple[tuple[Transition, Callable[[], None]], ...] = (
        (lock("run-1", mode="switchover"), lambda: table.begin_stop(run, epoch, STOPPED_UNTIL)),
        (stopping("run-1"), lambda: table.begin_move_of_stopped(run, epoch, STOPPED_UNTIL, NOW)),
    )
    for taken, act in attempts:
        table.take(taken, table.read())
        before = deployment.record()
        with pytest.raises(LockLost):
            act()
        assert deployment.record() == before


def test_p1_a_writer_that_was_not_stopped_is_not_moved_as_one(table: ControlTable) -> None:
    table.take(lock("run-1", mode="switchover"), table.read())
    with pytest.raises(LockLost, match="in phase checking"):
        table.begin_move_of_stopped("run-1", 1, STOPPED_UNTIL, NOW)


def test_p1_a_run_that_moves_the_writer_does_not_go_back_to_stopping_it(table: ControlTable) -> None:
    table.take(moving("run-1", mode="switchover"), table.read())
    with pytest.raises(LockLost, match="in phase moving"):
        table.begin_stop("run-1", 1, STOPPED_UNTIL)


@pytest.mark.parametrize(
    ("taken", "ended"),
    [(stopping("run-1"), True), (moving("run-1"), False), (lock("run-1"), False), (stopping("run-2"), False)],
    ids=["stopping", "moving", "checking", "another run"],
)
def test_p1_a_guardian_ends_a_stop_that_lasts_too_long_and_nothing_else(
    taken: Transition, ended: bool, table: ControlTable
) -> None:
    table.take(taken, table.read())
    assert table.end_stop("run-1") is ended
    assert (table.read().transition is None) is ended


# --- the word of a guardian that cannot renew, and its sign of life

DOWN = Word("down", since=NOW, rests_until=NOW + 7)


def test_p10_a_word_to_rest_by_stands_until_a_renewal_that_outlasts_it(table: ControlTable) -> None:
    assert table.give_word(WRITER, 1, LEASE, DOWN)
    assert table.read() == replace(FREE, word=DOWN)
    assert not table.renew(WRITER, 1, NOW + 7, BEAT), "another guardian would rest on, past this lease"
    assert table.renew(WRITER, 1, NOW + 12, BEAT)
    assert table.read().word is None


def test_p1_a_late_word_replaces_no_longer_one(table: ControlTable) -> None:
    assert table.give_word(WRITER, 1, LEASE, DOWN)
    assert not table.give_word(WRITER, 1, LEASE, replace(DOWN, rests_until=NOW + 6.75))
    assert table.give_word(WRITER, 1, LEASE, replace(DOWN, rests_until=NOW + 9))
    assert table.read().rests_until == NOW + 9


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2},
        {"writer_region": STANDBY},
        {"lease_expires_at": LEASE + 2},
        {"transition": lock("run-1", phase="stopping").stored()},
        {"transition": moving("run-1").stored()},
    ],
    ids=["another epoch", "another writer", "renewed since", "stopping", "moving"],
)
def test_p1_otherwise_a_guardian_gives_no_word(change: dict[str, Any]) -> None:
    item = {"writer_region": WRITER, "epoch": 1, "automatic_failover": True, "lease_expires_at": LEASE}
    assert ControlInMemory(item).give_word(WRITER, 1, LEASE, DOWN)
    assert not ControlInMemory(item | change).give_word(WRITER, 1, LEASE, DOWN)


def test_p10_within_the_grace_a_guardian_renews_and_says_that_it_does_not_know(table: ControlTable) -> None:
    unknown = Word("unknown", since=NOW)
    assert table.renew(WRITER, 1, NOW + 12, BEAT, unknown)
    record = table.read()
    assert (record.lease_expires_at, record.word, record.rests_until) == (NOW + 12, unknown, None)


def test_p1_no_request_is_noted_while_a_guardian_may_rest_unfenced(table: ControlTable) -> None:
    table.give_word(WRITER, 1, LEASE, DOWN)
    table.take(lock("run-1"), table.read())
    assert table.begin_move("run-1", 1, LEASE, NOW)
    for early in (NOW, NOW + 7 + CLOCK_MARGIN_S):
        with pytest.raises(WordLives):
            table.begin_request("run-1", early)
    assert table.begin_request("run-1", NOW + 7.25 + CLOCK_MARGIN_S) == 1


def test_p1_a_guardian_that_has_seen_the_fence_ends_the_wait_for_its_word_in_this_move_only(
    table: ControlTable,
) -> None:
    table.give_word(WRITER, 1, LEASE, DOWN)
    table.take(lock("run-1"), table.read())
    table.begin_move("run-1", 1, LEASE, NOW)
    seen = table.read()
    fenced = WriterSign(at=NOW, says="down", fenced=True)
    assert table.sign_of_life(WRITER, seen, fenced)
    assert table.read().rests_until is None
    assert table.begin_request("run-1", NOW) == 1
    assert table.give_note_back("run-1", LEASE)
    assert not table.sign_of_life(WRITER, seen, fenced)
    table.begin_move("run-1", 1, LEASE, NOW + 1)
    assert not table.sign_of_life(WRITER, seen, fenced), "the writer may have been opened in between"
    with pytest.raises(WordLives):
        table.begin_request("run-1", NOW + 1)


@pytest.mark.parametrize(
    ("requests", "mode", "given_back"), [(1, "failover", True), (2, "failover", False), (1, "switchover", False)]
)
def test_p9_a_failover_for_which_rds_is_busy_goes_back_to_looking(
    requests: int, mode: str, given_back: bool, table: ControlTable
) -> None:
    table.take(moving("run-1", mode=mode, move_requests=requests, dns_engaged=True, moving_since=NOW), table.read())
    before = table.read()
    assert table.give_note_back("run-1", LEASE) is given_back
    looks = lock("run-1", mode=mode)
    assert table.read() == (replace(before, transition=looks) if given_back else before)


# --- locks that the writer's guardian ends


@pytest.mark.parametrize(
    ("taken", "ended"),
    [
        (moving("run-1"), True),
        (moving("run-1", move_requests=1), False),
        (stopping("run-1"), False),
        (lock("run-1"), False),
        (moving("run-2"), False),
    ],
    ids=["moving", "asked RDS", "stopping", "checking", "another run"],
)
def test_p10_a_guardian_ends_a_move_that_does_not_ask_rds(taken: Transition, ended: bool, table: ControlTable) -> None:
    table.take(taken, table.read())
    assert table.end_move("run-1") is ended


@pytest.mark.parametrize(
    ("taken", "ended"),
    [
        (moving("run-1", mode="switchover", move_requests=1), True),
        (moving("run-1", mode="switchover", move_requests=2), False),
        (moving("run-1", mode="failover", move_requests=1), False),
        (lock("run-1", mode="switchover", move_requests=1), False),
        (moving("run-2", mode="switchover", move_requests=1), False),
    ],
    ids=["a switchover", "asked again", "a failover", "checking", "another run"],
)
def test_p10_a_guardian_ends_a_switchover_of_which_rds_shows_nothing(
    taken: Transition, ended: bool, table: ControlTable
) -> None:
    table.take(taken, table.read())
    assert table.end_switchover("run-1", 1) is ended


# --- people


def test_a_run_that_is_asked_to_stop_begins_nothing_until_it_may_go_on(table: ControlTable) -> None:
    table.take(lock("run-1", mode="switchover"), table.read())
    assert not table.ask_run("run-2", "hold")
    assert table.ask_run("run-1", "hold")
    assert not table.begin_move("run-1", 1, LEASE, NOW)
    with pytest.raises(LockLost, match="asked to hold"):
        table.begin_stop("run-1", 1, STOPPED_UNTIL)
    assert table.let_run_go_on("run-1")
    table.begin_stop("run-1", 1, STOPPED_UNTIL)
    table.ask_run("run-1", "abort")
    with pytest.raises(LockLost, match="asked to abort"):
        table.begin_move_of_stopped("run-1", 1, STOPPED_UNTIL, NOW)
    assert table.release("run-1")


def test_once_rds_was_asked_a_person_cannot_keep_a_run_from_asking_again(table: ControlTable) -> None:
    table.take(moving("run-1"), table.read())
    table.ask_run("run-1", "abort")
    with pytest.raises(LockLost, match="asked to abort"):
        table.begin_request("run-1", NOW)
    table.let_run_go_on("run-1")
    table.begin_request("run-1", NOW)
    table.ask_run("run-1", "abort")
    assert table.begin_request("run-1", NOW) == 2


def test_a_persons_no_is_of_its_epoch_and_a_change_of_writer_forgets_it(table: ControlTable) -> None:
    no, later = PersonsNo("ada", NOW, "a false alarm"), PersonsNo("bob", NOW + 1, "we are at it")
    assert not table.say_no(2, no)
    assert table.say_no(1, no)
    assert table.read().ended_by_person == no
    assert table.say_no(1, later)
    assert not table.take_no_back(1, no)
    assert not table.take_no_back(2, later)
    assert table.take_no_back(1, later)
    assert table.read().ended_by_person is None
    table.say_no(1, no)
    table.take(moving("run-1"), table.read())
    table.commit(CLAIM, NOW)
    assert table.read().ended_by_person is None


def test_a_pause_ends_by_itself_or_by_whoever_has_seen_it(table: ControlTable) -> None:
    pause = Pause("ada", NOW, NOW + 600, "an upgrade")
    before = table.read()
    assert not table.pause(replace(before, epoch=2), pause)
    assert table.pause(before, pause)
    assert table.read().paused == pause
    assert not table.resume(before)
    assert not table.pause(before, replace(pause, at=NOW + 1)), "in place of one that was not seen"
    assert table.pause(table.read(), replace(pause, at=NOW + 1))
    assert table.resume(table.read())
    assert table.read().paused is None


MAINTENANCE = Pause("ada", NOW, NOW + 600, "an upgrade", maintenance=True)


def test_p5_no_maintenance_begins_beside_a_run(table: ControlTable) -> None:
    free = table.read()
    assert table.take(lock("run-1"), free)
    assert not table.pause(free, MAINTENANCE)
    assert not table.pause(table.read(), MAINTENANCE)
    assert table.read().paused is None


def test_p5_no_claim_of_before_takes_the_lock_in_a_maintenance(table: ControlTable) -> None:
    free = table.read()
    assert table.pause(free, MAINTENANCE)
    assert not table.take(lock("run-1"), free)
    assert table.read().transition is None
    assert table.take(lock("run-2"), table.read()), "a person's, who has seen it"


@pytest.mark.parametrize("held", [None, "run-0"], ids=["free", "taken over"])
@pytest.mark.parametrize("word", ["pause", "no", "off"])
def test_p5_no_claim_of_before_takes_a_lock_against_a_persons_word(
    table: ControlTable, deployment: Deployment, held: str | None, word: str
) -> None:
    if held:
        assert table.take(lock(held), table.read())
    decided_on = table.read()
    if word == "pause":
        assert table.pause(decided_on, Pause("ada", NOW, NOW + 600, "not now"))
    elif word == "no":
        assert table.say_no(decided_on.epoch, PersonsNo("ada", NOW, "not now"))
    else:  # by hand: no command writes it
        deployment.change_record(automatic_failover=False)
    assert not table.take(lock("run-1"), decided_on)
    assert table.read().transition == decided_on.transition
    assert table.take(lock("run-2"), table.read()), "a person's, who has seen it"


def test_a_maintenance_is_ended_by_whoever_has_seen_it_and_leaves_automation_as_it_was(table: ControlTable) -> None:
    before = table.read()
    assert table.pause(before, MAINTENANCE)
    assert not table.end_maintenance(before)
    assert table.end_maintenance(replace(table.read(), automatic_failover=False))
    assert table.read().paused is None


def test_a_pause_in_a_row_knows_when_the_first_began() -> None:
    first = Pause.of("ada", NOW, NOW + 600, "an upgrade")
    second = Pause.of("bob", NOW + 500, NOW + 900, "it takes longer", before=first)
    assert second.since == NOW
    assert Pause.of("bob", NOW + 600, NOW + 900, "another", before=first).since == NOW + 600


def test_whoever_resumes_turns_automatic_failover_on(table: ControlTable) -> None:
    assert table.resume(replace(table.read(), automatic_failover=False))
    assert table.read().automatic_failover is True


def test_of_several_that_are_about_to_tell_people_one_does(table: ControlTable) -> None:
    told = Told("epoch 1", "the writer is down", NOW)
    seen = table.read()
    assert table.note_told(seen, told)
    assert not table.note_told(seen, replace(told, at=NOW + 1))
    assert table.note_told(table.read(), replace(told, at=NOW + 1))


# --- after a change of writer


@pytest.mark.parametrize(("requests", "wait"), [(1, 0.0), (2, 60.0)])
def test_p2_nobody_claims_while_a_second_request_may_still_be_on_its_way(
    requests: int, wait: float, table: ControlTable
) -> None:
    table.take(moving("run-1", move_requests=requests), table.read())
    table.commit(CLAIM, NOW)
    assert table.read().claims_from == NOW + wait


def test_p2_a_commit_that_a_late_request_overtakes_counts_it(
    table: ControlTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.take(moving("run-1", move_requests=1), table.read())
    read, late = table.read, iter([True])

    def read_then_note() -> ControlRecord:
        record = read()
        if next(late, False):
            table.begin_request("run-1", NOW)
        return record

    monkeypatch.setattr(table, "read", read_then_note)
    table.commit(CLAIM, NOW)
    assert table.read().claims_from == NOW + 60


@pytest.mark.parametrize(
    ("taken", "anew"),
    [
        (stopping("run-0"), {"stopping_until": STOPPED_UNTIL + 5}),
        (moving("run-0", moving_since=NOW), {"moving_since": NOW + 5}),
    ],
    ids=["stopped anew", "moved on anew"],
)
def test_p1_a_lock_is_not_taken_over_in_another_stop_or_move_than_was_seen(
    taken: Transition, anew: dict[str, Any], table: ControlTable
) -> None:
    table.take(taken, table.read())
    seen = table.read()
    table.take(replace(taken, **anew), seen)
    assert not table.take(lock("run-1"), seen)


# --- what only the run may do that holds the lock and has committed to move

ONLY_THE_MOVER: list[Callable[[ControlTable, str], Any]] = [
    lambda table, run: table.assert_moving(run),
    lambda table, run: table.begin_request(run, NOW),
    lambda table, run: table.engage_dns(run),
    lambda table, run: table.commit(replace(CLAIM, run=run), NOW),
]


@pytest.mark.parametrize("act", ONLY_THE_MOVER, ids=["assert_moving", "begin_request", "engage_dns", "commit"])
def test_p2_only_the_holder_moves_the_writer_and_only_after_it_has_committed_to(
    act: Callable[[ControlTable, str], Any], table: ControlTable, deployment: Deployment
) -> None:
    with pytest.raises(LockLost, match="nobody holds it"):
        act(table, "run-1")
    table.take(lock("run-1"), table.read())
    before = deployment.record()
    with pytest.raises(
        LockLost, match=r"run run-2 does not hold the lock on the control record \(run run-1 holds it\)"
    ):
        act(table, "run-2")
    with pytest.raises(LockLost, match=r"\(it holds the lock, in phase checking\)"):
        act(table, "run-1")
    assert deployment.record() == before
    table.begin_move("run-1", 1, LEASE, NOW)
    before = deployment.record()
    with pytest.raises(LockLost):
        act(table, "run-2")
    assert deployment.record() == before
    act(table, "run-1")


def test_asserting_the_lock_changes_nothing(table: ControlTable, deployment: Deployment) -> None:
    table.take(moving("run-1"), table.read())
    before = deployment.record()
    table.assert_moving("run-1")
    assert deployment.record() == before


def test_p3_every_request_to_move_the_writer_is_counted_before_it_is_sent(table: ControlTable) -> None:
    table.take(moving("run-1"), table.read())
    assert [table.begin_request("run-1", NOW + each) for each in range(2)] == [1, 2]
    assert table.read().transition == moving("run-1", move_requests=2, asked_at=NOW + 1)


def test_p1_a_refusal_takes_back_the_note_of_the_only_request_and_of_no_other(table: ControlTable) -> None:
    table.take(moving("run-1"), table.read())
    table.begin_request("run-1", NOW)
    assert table.end_request("run-2") is False
    assert table.end_request("run-1") is True
    assert table.read().transition == moving("run-1")
    table.begin_request("run-1", NOW)
    table.begin_request("run-1", NOW)
    assert table.end_request("run-1") is False
    assert table.read().transition == moving("run-1", move_requests=2, asked_at=NOW)


def test_p1_a_lock_is_not_given_back_while_rds_may_be_moving_the_writer(table: ControlTable) -> None:
    table.take(moving("run-1"), table.read())
    table.begin_request("run-1", NOW)
    assert table.release("run-1") is False
    assert table.read().only_forward
    table.end_request("run-1")
    assert not table.read().only_forward
    assert table.release("run-1") is True


def test_the_switch_is_engaged_as_often_as_it_is_asked_for(table: ControlTable) -> None:
    table.take(moving("run-1"), table.read())
    table.engage_dns("run-1")
    table.engage_dns("run-1")
    assert table.read().transition == moving("run-1", dns_engaged=True)


def test_a_commit_moves_the_writer_and_gives_the_lock_back_in_one_write(
    table: ControlTable, deployment: Deployment
) -> None:
    table.take(moving("run-1"), table.read())
    deployment.gate.seen.clear()
    assert table.commit(CLAIM, NOW) == 2
    asked = [operation for _, _, operation in deployment.gate.seen]
    assert asked == ["dynamodb.GetItem", "dynamodb.UpdateItem"]  # it says how many requests it knows of
    record = deployment.record()
    assert (record["writer_region"], record["epoch"]) == (STANDBY, 2)
    assert (record["last_run"], record["last_incident"]) == ("run-1", "outage 7")
    assert float(record["last_transition_at"]) == NOW
    assert "transition" not in record


def test_p1_a_commit_gives_no_lease_to_anybody(table: ControlTable) -> None:
    """A run that slept between its clock and the commit would give one that is over, or seems to last for ever."""
    table.take(moving("run-1"), table.read())
    table.commit(CLAIM, NOW)
    assert table.read().lease_expires_at is None


def test_p1_an_old_writer_is_to_be_fenced_after_a_failover_and_not_after_a_switchover(table: ControlTable) -> None:
    table.take(moving("run-1"), table.read())
    table.commit(CLAIM, NOW)
    assert table.read().unfenced_region == WRITER


def test_after_a_switchover_nobody_is_to_be_fenced(table: ControlTable) -> None:
    table.take(moving("run-1", mode="switchover"), table.read())
    table.commit(replace(CLAIM, mode="switchover"), NOW)
    assert table.read().unfenced_region is None


def test_that_the_old_writer_is_fenced_is_noted_for_its_own_epoch_only(
    table: ControlTable, deployment: Deployment
) -> None:
    table.take(moving("run-1"), table.read())
    table.commit(CLAIM, NOW)
    before = deployment.record()
    assert not table.note_fenced(WRITER, 1)
    assert not table.note_fenced(STANDBY, 2)
    assert deployment.record() == before
    assert table.note_fenced(WRITER, 2)
    assert "unfenced_region" not in deployment.record()
    assert not table.note_fenced(WRITER, 2)


def test_p3_a_commit_is_done_once_however_often_it_is_asked_for(table: ControlTable, deployment: Deployment) -> None:
    table.take(moving("run-1"), table.read())
    assert table.commit(CLAIM, NOW) == 2
    before = deployment.record()
    assert table.commit(CLAIM, NOW + 60) == 2
    assert deployment.record() == before


def test_p3_a_commit_whose_answer_was_lost_is_done_once(table: ControlTable, deployment: Deployment) -> None:
    table.take(moving("run-1"), table.read())
    deployment.trouble("dynamodb.UpdateItem", "refused", after=True)
    assert table.commit(CLAIM, NOW) == 2
    assert deployment.record()["epoch"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"run": "run-2"},
        {"epoch": 2},
    ],
    ids=["another run", "another epoch"],
)
def test_p1_a_commit_without_the_lock_or_for_another_epoch_changes_nothing(
    change: dict[str, Any], table: ControlTable, deployment: Deployment
) -> None:
    table.take(moving("run-1"), table.read())
    before = deployment.record()
    with pytest.raises(LockLost):
        table.commit(replace(CLAIM, **change), NOW)
    assert deployment.record() == before


def test_a_lock_is_given_back_by_its_holder_only(table: ControlTable) -> None:
    table.take(lock("run-1", dns_engaged=True), table.read())
    assert table.release("run-2") is False
    assert table.read().transition is not None
    assert table.release("run-1") is True
    assert table.release("run-1") is False
    assert table.read() == FREE


def test_reads_are_strongly_consistent(
    table: ControlTable, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    answer = table._replicas[0].get_item

    def get_item(**request: Any) -> object:
        asked.append(request)
        return answer(**request)

    monkeypatch.setattr(table._replicas[0], "get_item", get_item)
    table.read()
    assert asked[0]["ConsistentRead"] is True


def test_a_missing_record_is_named_with_its_remedy(table: ControlTable, deployment: Deployment) -> None:
    deployment.client("dynamodb", WRITER).delete_item(
        TableName=deployment.specification.control_table.name,
        Key={"database": {"S": deployment.specification.global_identifier}},
    )
    with pytest.raises(Misconfigured, match="no control record for payments-global-test; deploy the global stack"):
        table.read()
    with pytest.raises(Misconfigured, match="no control record"):
        table.assert_moving("run-1")


def test_a_missing_table_is_named_with_its_remedy(table: ControlTable, deployment: Deployment) -> None:
    deployment.client("dynamodb", STANDBY).delete_table(TableName=deployment.specification.control_table.name)
    with pytest.raises(Misconfigured, match=r"reading the control record in failover-control-test: .*is deployed"):
        table.read()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("ReplicatedWriteConflictException", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("AnythingAtAll", 500),
        ("refused", 0),
    ],
)
def test_trouble_that_a_retry_may_cure(kind: str, status: int, table: ControlTable, deployment: Deployment) -> None:
    deployment.trouble("dynamodb.UpdateItem", kind, status=status, times=10)
    with pytest.raises(TransientFailure, match="changing the control record in failover-control-test"):
        table.take(lock("run-1"), table.read())
    assert deployment.lock() is None


@pytest.mark.parametrize("kind", ["AccessDeniedException", "ValidationException", "UnrecognizedClientException"])
def test_trouble_that_no_retry_cures(kind: str, table: ControlTable, deployment: Deployment) -> None:
    deployment.trouble("dynamodb.UpdateItem", kind, times=10)
    with pytest.raises(Misconfigured, match=f"{kind}.*check the function's permissions and that the resource"):
        table.take(lock("run-1"), table.read())


# --- through either region


def regions_asked(deployment: Deployment) -> list[str]:
    return [region for _, region, _ in deployment.gate.seen]


def test_p4_a_step_asks_its_own_region_only(table: ControlTable, deployment: Deployment) -> None:
    deployment.gate.seen.clear()
    table.read()
    deployment.trouble("*", "refused", region=STANDBY, times=10)
    with pytest.raises(TransientFailure):
        table.read()
    assert set(regions_asked(deployment)) == {STANDBY}


def test_p4_a_guardian_goes_through_the_other_region_when_its_own_does_not_answer(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.trouble("*", "refused", region=WRITER, times=10**6)
    deployment.gate.seen.clear()
    assert guardians_table.read() == FREE
    assert regions_asked(deployment) == [WRITER, STANDBY]
    assert guardians_table.renew(WRITER, 1, NOW + 12, Beat(8, NOW))
    assert regions_asked(deployment) == [WRITER, STANDBY, STANDBY]  # the one that did not answer is asked last


def test_p4_a_guardian_goes_back_when_the_other_region_does_not_answer(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.trouble("*", "refused", region=WRITER)
    guardians_table.read()
    deployment.trouble("*", "refused", region=STANDBY, times=10**6)
    assert guardians_table.read() == FREE


def test_p4_a_guardian_asks_every_region_once_and_then_says_so(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    deployment.trouble("*", "refused", times=10**6)
    deployment.gate.seen.clear()
    with pytest.raises(TransientFailure):
        guardians_table.read()
    assert regions_asked(deployment) == [WRITER, STANDBY]


def test_a_refusal_by_one_region_is_the_answer(guardians_table: ControlTable, deployment: Deployment) -> None:
    deployment.trouble("dynamodb.GetItem", "AccessDeniedException")
    deployment.gate.seen.clear()
    with pytest.raises(Misconfigured):
        guardians_table.read()
    assert regions_asked(deployment) == [WRITER]


def test_p3_a_renewal_whose_answer_was_lost_is_not_done_twice(
    guardians_table: ControlTable, deployment: Deployment
) -> None:
    """The second region's condition sees the first one's effect: the lease is as long already."""
    deployment.trouble("dynamodb.UpdateItem", "refused", region=WRITER, after=True)
    assert not guardians_table.renew(WRITER, 1, NOW + 12, Beat(8, NOW))
    assert guardians_table.read().lease_expires_at == NOW + 12


def test_p4_a_guardian_has_asked_both_regions_inside_a_tick(guardians_table: ControlTable) -> None:
    for replica in guardians_table._replicas:
        config: Any = replica.meta.config  # botocore's stubs know its options as arguments only, not as attributes
        assert config.retries["total_max_attempts"] == 1
        assert config.read_timeout == GUARDIAN_READ_TIMEOUT_S
    assert len(guardians_table._replicas) * GUARDIAN_READ_TIMEOUT_S <= TICK_S


# --- after a failover


@pytest.fixture
def unprotected(table: ControlTable) -> ControlTable:
    """After a failover of run-1."""
    table.take(lock("run-1"), table.read())
    assert table.begin_move("run-1", 1, LEASE, NOW, replicated_xid=700)
    table.commit(CLAIM, NOW)
    return table


def by(run: str) -> ReprotectionLock:
    return ReprotectionLock(run, "ada", NOW)


def test_a_failover_leaves_no_standby_and_notes_what_had_been_replicated(unprotected: ControlTable) -> None:
    record = unprotected.read()
    assert (record.protected, record.replicated_xid, record.unfenced_region) == (False, 700, WRITER)


def test_what_had_been_replicated_is_kept_by_a_run_that_takes_over(table: ControlTable) -> None:
    table.take(lock("run-0"), table.read())
    table.begin_move("run-0", 1, LEASE, NOW, replicated_xid=700)
    table.take(replace(moving("run-1"), replicated_xid=table.read().moving.replicated_xid), table.read())  # type: ignore[union-attr]
    table.commit(CLAIM, NOW)
    assert table.read().replicated_xid == 700


def test_what_is_not_known_to_have_been_replicated_is_not_known_afterwards(table: ControlTable) -> None:
    table.take(lock("run-1"), table.read())
    table.begin_move("run-1", 1, LEASE, NOW)
    table.commit(CLAIM, NOW)
    assert table.read().replicated_xid is None
    assert table.read().protected is False


def test_a_switchover_leaves_the_old_writer_as_the_standby(table: ControlTable) -> None:
    table.take(moving("run-1", mode="switchover"), table.read())
    table.commit(replace(CLAIM, mode="switchover"), NOW)
    assert table.read().protected is True


def test_p2_one_run_re_protects_and_a_second_takes_over_only_from_the_one_it_has_seen(
    unprotected: ControlTable, deployment: Deployment
) -> None:
    free = unprotected.read()
    assert unprotected.begin_reprotection(by("reprotect-0"), free)
    seen = unprotected.read()
    assert seen.reprotection == by("reprotect-0")
    assert not unprotected.begin_reprotection(by("reprotect-1"), free)
    assert unprotected.begin_reprotection(by("reprotect-1"), seen)
    before = deployment.record()
    assert not unprotected.begin_reprotection(by("reprotect-2"), seen)
    assert deployment.record() == before


@pytest.mark.parametrize("change", [{"protected": True}, {"epoch": 3}, {"transition": {"run": "run-2"}}])
def test_a_re_protection_does_not_begin_when_the_record_has_changed_since(
    change: dict[str, Any], unprotected: ControlTable, deployment: Deployment
) -> None:
    seen = unprotected.read()
    deployment.change_record(**change)
    before = deployment.record()
    assert not unprotected.begin_reprotection(by("reprotect-1"), seen)
    assert deployment.record() == before


@pytest.mark.parametrize(
    "act",
    [
        lambda table, run: table.assert_reprotecting(run, 2),
        lambda table, run: table.begin_retirement(run, 2, "cluster-OLD"),
        lambda table, run: table.arm(run, 2),
    ],
    ids=["assert", "retire", "arm"],
)
def test_p2_only_the_holder_re_protects(
    act: Callable[[ControlTable, str], Any], unprotected: ControlTable, deployment: Deployment
) -> None:
    with pytest.raises(LockLost, match="nobody holds it"):
        act(unprotected, "reprotect-1")
    unprotected.begin_reprotection(by("reprotect-1"), unprotected.read())
    before = deployment.record()
    with pytest.raises(LockLost, match="run reprotect-1 holds it"):
        act(unprotected, "reprotect-2")
    assert deployment.record() == before
    act(unprotected, "reprotect-1")


def test_p3_arming_ends_the_re_protection_and_may_be_repeated(
    unprotected: ControlTable, deployment: Deployment
) -> None:
    unprotected.begin_reprotection(by("reprotect-1"), unprotected.read())
    unprotected.begin_retirement("reprotect-1", 2, "cluster-OLD")
    assert unprotected.read().retiring == "cluster-OLD"
    unprotected.arm("reprotect-1", 2)
    armed = deployment.record()
    assert armed["protected"] is True
    assert not {"reprotection", "retiring", "replicated_xid", "unfenced_region"} & set(armed)
    unprotected.arm("reprotect-1", 2)
    assert deployment.record() == armed


def test_a_run_that_ends_without_arming_gives_back_its_own_lock_only(unprotected: ControlTable) -> None:
    unprotected.begin_reprotection(by("reprotect-1"), unprotected.read())
    assert not unprotected.end_reprotection("reprotect-2")
    assert unprotected.end_reprotection("reprotect-1")
    assert unprotected.read().reprotection is None
    assert unprotected.read().protected is False


# --- what else refuses a write

MOVES: dict[str, Any] = {
    "writer_region": WRITER,
    "epoch": 1,
    "automatic_failover": True,
    "transition": moving("run-1", move_requests=1).stored(),
}
REPROTECTS: dict[str, Any] = {
    "writer_region": STANDBY,
    "epoch": 2,
    "automatic_failover": True,
    "protected": False,
    "reprotection": asdict(by("reprotect-1")),
}
SWITCHOVER = replace(CLAIM, mode="switchover")
SEEN_MOVING, SEEN_REPROTECTING = ControlRecord.read(MOVES), ControlRecord.read(REPROTECTS)

# What is done, the record on which it may be done, and the changes of which each refuses it.
REFUSALS: dict[str, tuple[Callable[[ControlTable], Any], dict[str, Any], list[dict[str, Any]]]] = {
    "take over": (
        lambda table: table.take(lock("run-2"), SEEN_MOVING),
        MOVES,
        [{"epoch": 2}, {"writer_region": STANDBY}],
    ),
    "end a request": (
        lambda table: table.end_request("run-1"),
        MOVES,
        [{"transition": lock("run-1", move_requests=1).stored()}],
    ),
    "commit a switchover": (
        lambda table: table.commit(SWITCHOVER, NOW),
        MOVES,
        [{"epoch": 2}, {"transition": moving("run-2").stored()}, {"transition": lock("run-1").stored()}],
    ),
    "begin to re-protect": (
        lambda table: table.begin_reprotection(by("reprotect-2"), replace(SEEN_REPROTECTING, reprotection=None)),
        {name: value for name, value in REPROTECTS.items() if name != "reprotection"},
        [{"reprotection": asdict(by("reprotect-1"))}],
    ),
    "take a re-protection over": (
        lambda table: table.begin_reprotection(by("reprotect-2"), SEEN_REPROTECTING),
        REPROTECTS,
        [
            {"epoch": 3},
            {"protected": True},
            {"transition": lock("run-2").stored()},
            {"reprotection": asdict(by("reprotect-0"))},
        ],
    ),
    "see that it re-protects": (lambda table: table.assert_reprotecting("reprotect-1", 2), REPROTECTS, [{"epoch": 3}]),
    "retire": (lambda table: table.begin_retirement("reprotect-1", 2, "cluster-OLD"), REPROTECTS, [{"epoch": 3}]),
    "arm": (lambda table: table.arm("reprotect-1", 2), REPROTECTS, [{"epoch": 3}]),
}


@pytest.mark.parametrize(
    ("act", "record", "change"),
    [
        pytest.param(act, record, change, id=f"{name}, {'-'.join(change)}")
        for name, (act, record, changes) in REFUSALS.items()
        for change in changes
    ],
)
def test_a_write_is_refused_when_the_record_is_another_than_it_was_decided_on(
    act: Callable[[ControlTable], Any], record: dict[str, Any], change: dict[str, Any]
) -> None:
    assert act(ControlInMemory(record)) is not False
    changed = ControlInMemory(record | change)
    with suppress(LockLost):
        assert act(changed) is False
    assert changed.item == record | change
