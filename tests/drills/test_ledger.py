"""The checker: what it finds in the clients' events and in the databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from drills.verdict.ledger import Judgement, Outage, judge, longest_silence, measure_outage, rto_of
from drills.world import bank
from drills.world.bank import Event, read_events
from drills.world.certificates import create_certificates
from drills.world.clock import Clock
from drills.world.network import Address, Network, NetworkPath, State, address_in, free_port
from drills.world.postgres import PostgresError, Server
from drills.world.reachability import Reachability
from drills.world.reaper import Reaper

WaitUntil = Callable[[Callable[[], object]], None]
OLD, NEW = "payments-use1", "payments-usw2"

# --------------------------------------------------------------------------------- events


def event(
    t: float, kind: Literal["ack", "fail"], cluster: str = "", client: int = 1, began: float | None = None
) -> Event:
    return Event(t, t - 0.5 if began is None else began, client, "us-west-2", f"id-{t}", kind, cluster)


def test_events_are_read_back_in_order_of_time(tmp_path: Path) -> None:
    files = [tmp_path / "east.jsonl", tmp_path / "west.jsonl"]
    files[0].write_text(event(3, "ack", OLD).to_line() + event(5, "fail").to_line())
    files[1].write_text(event(4, "ack", OLD).to_line())
    assert [each.t for each in read_events(files)] == [3, 4, 5]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(event(3, "ack", OLD).to_line() + event(4, "ack", OLD).to_line()[:-20])
    assert read_events([file]) == [event(3, "ack", OLD)]


def test_an_outage_lasts_from_the_begin_of_the_first_failed_write_to_the_first_success() -> None:
    events = [event(10, "ack", OLD), event(11, "fail", began=10.2), event(14, "fail"), event(20, "ack", NEW)]
    assert measure_outage(events, OLD, NEW) == Outage(10.2, 20, {1: 20})


def test_a_write_that_hangs_counts_from_its_begin_not_from_its_timeout() -> None:
    events = [event(10, "ack", OLD), event(13.1, "fail", began=10.1), event(20, "ack", NEW)]
    outage = measure_outage(events, OLD, NEW)
    assert outage
    assert outage.started == 10.1


def test_a_failure_that_the_old_writer_recovered_from_is_no_part_of_the_outage() -> None:
    events = [event(5, "fail"), event(10, "ack", OLD), event(11, "fail", began=10.5), event(20, "ack", NEW)]
    outage = measure_outage(events, OLD, NEW)
    assert outage
    assert outage.started == 10.5


def test_the_outage_spans_all_surviving_clients_and_each_resumption_is_kept() -> None:
    events = [
        event(10.0, "fail", client=2, began=9.5),
        event(11.0, "fail", client=1, began=10.6),
        event(20.0, "ack", NEW, client=1),
        event(23.0, "ack", NEW, client=2),
    ]
    assert measure_outage(events, OLD, NEW) == Outage(9.5, 20, {1: 20, 2: 23})


def test_clients_that_died_with_their_region_do_not_count() -> None:
    events = [event(3, "fail", client=9), event(11, "fail", began=10.6), event(20, "ack", NEW)]
    outage = measure_outage(events, OLD, NEW)
    assert outage
    assert outage.started == 10.6


def test_without_a_new_writer_or_a_failure_there_is_no_outage() -> None:
    assert measure_outage([event(11, "fail")], OLD, OLD) is None
    assert measure_outage([event(11, "fail")], OLD, NEW) is None
    assert measure_outage([event(10, "ack", OLD), event(11, "ack", NEW)], OLD, NEW) is None


def test_each_kind_of_clients_has_an_outage_of_its_own() -> None:
    events = [
        event(10.5, "fail", client=1, began=10.0),
        event(10.5, "fail", client=2, began=10.2),
        event(21.0, "ack", NEW, client=2),
        event(26.0, "ack", NEW, client=1),
    ]
    clock = Clock(speed=10, epoch=0.0)
    assert rto_of(events, OLD, NEW, {1}, clock) == pytest.approx(160)
    assert rto_of(events, OLD, NEW, {2}, clock) == pytest.approx(108)
    assert rto_of(events, OLD, NEW, {3}, clock) is None


def test_p10_the_longest_silence_counts_only_while_the_database_is_there() -> None:
    events = [event(t, "ack", OLD) for t in (10, 11, 30, 31)] + [event(34, "fail")]
    assert longest_silence(events, OLD, []) == 19
    assert longest_silence(events, OLD, [(11.0, 27.0)]) == 3  # it was away for 16 s of them; the end is as long
    assert longest_silence(events, OLD, [(5.0, 40.0)]) == 0
    assert longest_silence([*events, event(50, "fail")], OLD, []) == 19
    assert longest_silence([*events, event(51, "fail")], OLD, []) == 20
    assert longest_silence(events, NEW, []) == 0


# --------------------------------------------------------------------------------- a failover with a loss


class Failover:
    """A writer that died with transfers acknowledged and not yet replicated, and its successor."""

    def __init__(self, old: Server, new: Server) -> None:
        self.old, self.new = old, new
        self.events: list[Event] = []

    def acknowledge(self, server: Server, number: int, t: float) -> None:
        """Do one transfer as a client does, and note that it was acknowledged."""
        server.query("SELECT transfer(%s::uuid, 1, 2, 100)", [identity(number)])
        self.events.append(Event(t, t - 0.01, 1, "us-west-2", identity(number), "ack", server.name))

    def fail(self, number: int, t: float, began: float) -> None:
        self.events.append(Event(t, began, 1, "us-west-2", identity(number), "fail"))

    def judge(self) -> Judgement:
        return judge(self.events, self.old, self.new, Clock(speed=10, epoch=0.0))


def identity(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


REPLICATED, LOST, REPEATED, RECOVERED = range(5), range(10, 13), 20, range(30, 33)


@pytest.fixture(scope="module")
def failover(
    make_server: Callable[[str], Server], folder: Path, reaper: Reaper, wait_until: WaitUntil
) -> Iterator[Failover]:
    """Five transfers are replicated, then the link falls silent and four more are committed; three of them
    are acknowledged, the fourth is repeated on the new writer, followed by three new ones."""
    old, new = make_server(OLD), make_server(NEW)
    network = Network(
        Clock.started_now(10), create_certificates(folder, [OLD]), folder, reaper, Reachability([OLD, NEW])
    )
    host = address_in(["us-east-1", "us-west-2"], "us-west-2", 0)
    link = NetworkPath("replication", "us-west-2", "us-east-1", Address(host, free_port([host])), old.address)
    network.add(link)
    old.initialise()
    bank.install(old)
    new.follow(link.listen)
    old.wait_until_streaming()

    run = Failover(old, new)
    for number in REPLICATED:
        run.acknowledge(old, number, t=1.0 + number)
    wait_until(lambda: (lag := old.standby_lag()) and lag.bytes == 0)
    network.set_paths(State.HANGING, [link.name])
    for number in LOST:
        run.acknowledge(old, number, t=float(number))
    old.query("SELECT transfer(%s::uuid, 1, 2, 100)", [identity(REPEATED)])
    old.kill()
    run.fail(REPEATED, t=12.5, began=12.2)
    network.set_paths(State.REFUSING, [link.name])
    new.promote()
    run.acknowledge(new, REPEATED, t=18.2)
    for number in RECOVERED:
        run.acknowledge(new, number, t=float(number))
    yield run
    network.close()


def test_exactly_the_transfers_beyond_the_divergence_are_lost(failover: Failover) -> None:
    judgement = failover.judge()
    assert judgement.lost == len(LOST)
    assert judgement.unreplicated == len(LOST) + 1, "the one without an answer was not replicated either"
    assert judgement.acknowledged == len(REPLICATED) + len(LOST) + 1 + len(RECOVERED)
    assert judgement.duplicated == 0
    assert judgement.problems == []
    assert all(judgement.invariants.values())


def test_durations_are_in_virtual_seconds(failover: Failover) -> None:
    judgement = failover.judge()
    assert judgement.rpo_seconds == pytest.approx(20), "from the first to the last lost one, times the speed"
    assert judgement.rto_seconds == pytest.approx(60), "12.2 to 18.2, times the speed"
    assert judgement.resumption_median_seconds == pytest.approx(60)


def test_the_gap_lies_between_the_two_writers_acknowledgements(failover: Failover) -> None:
    judgement = failover.judge()
    assert judgement.gap_seconds == pytest.approx(62), "12 to 18.2, times the speed"
    assert judgement.both_wrote == 0


def test_an_acknowledgement_by_both_is_found(failover: Failover) -> None:
    failover.events.insert(0, replace(failover.events[0], t=19.0))
    try:
        judgement = failover.judge()
        assert judgement.both_wrote == 1
        assert judgement.gap_seconds == pytest.approx(-8)
        assert broken(judgement) == {"one_writer"}
    finally:
        failover.events.pop(0)


def test_judging_reads_the_old_writer_privately_and_leaves_it_stopped(failover: Failover) -> None:
    failover.judge()
    assert not failover.old.is_running()


def broken(judgement: Judgement) -> set[str]:
    assert len(judgement.problems) == sum(not holds for holds in judgement.invariants.values())
    return {name for name, holds in judgement.invariants.items() if not holds}


@pytest.fixture
def tamper(failover: Failover) -> Iterator[Callable[[str], None]]:
    """Change the new writer's books, and put them back afterwards."""
    tables = ("accounts", "transfers", "movements")
    failover.new.run_script(";".join(f"CREATE TABLE kept_{table} AS TABLE {table}" for table in tables))
    yield failover.new.run_script
    for table in tables:
        failover.new.run_script(
            f"ALTER TABLE {table} DISABLE TRIGGER ALL; DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table};"
            f"ALTER TABLE {table} ENABLE TRIGGER ALL; DROP TABLE kept_{table}"
        )


def test_a_lost_transfer_that_had_been_replicated_is_found(failover: Failover, tamper: Callable[[str], None]) -> None:
    tamper(f"DELETE FROM transfers WHERE id = '{identity(REPLICATED[0])}'")
    assert broken(failover.judge()) == {"lost_were_not_replicated"}


def test_a_lost_transfer_of_the_new_writer_is_found(failover: Failover, tamper: Callable[[str], None]) -> None:
    tamper(f"DELETE FROM transfers WHERE id = '{identity(RECOVERED[0])}'")
    assert broken(failover.judge()) == {"lost_were_not_replicated"}


def test_an_acknowledgement_that_no_database_knows_is_found(failover: Failover) -> None:
    failover.events.append(event(9.0, "ack", OLD))
    try:
        assert broken(failover.judge()) == {"lost_were_not_replicated"}
    finally:
        failover.events.pop()


def test_a_transfer_applied_twice_is_found_even_when_the_books_agree(
    failover: Failover, tamper: Callable[[str], None]
) -> None:
    again = identity(RECOVERED[0])
    tamper(
        f"INSERT INTO movements SELECT * FROM movements WHERE transfer = '{again}';"
        "UPDATE accounts SET balance_cents = balance_cents - 100 WHERE id = 1;"
        "UPDATE accounts SET balance_cents = balance_cents + 100 WHERE id = 2"
    )
    assert broken(failover.judge()) == {"nothing_duplicated"}


def test_a_half_applied_transfer_is_found(failover: Failover, tamper: Callable[[str], None]) -> None:
    tamper("UPDATE accounts SET balance_cents = balance_cents - 100 WHERE id = 1")
    assert broken(failover.judge()) == {"sum_unchanged", "balances_match_movements"}


def test_two_wrong_balances_that_cancel_out_are_found(failover: Failover, tamper: Callable[[str], None]) -> None:
    tamper("UPDATE accounts SET balance_cents = balance_cents + CASE id WHEN 1 THEN 1 ELSE -1 END WHERE id IN (1, 2)")
    assert broken(failover.judge()) == {"balances_match_movements"}


def test_an_old_writer_that_still_acknowledges_is_found(failover: Failover) -> None:
    failover.events.append(Event(40.0, 39.0, 2, "us-east-1", identity(REPLICATED[0]), "ack", OLD))
    try:
        assert broken(failover.judge()) == {"one_writer"}
    finally:
        failover.events.pop()


def test_without_a_move_nothing_may_be_lost(failover: Failover) -> None:
    stayed = judge(failover.events, failover.new, failover.new, Clock(speed=10, epoch=0.0))
    assert stayed.rto_seconds is None
    assert stayed.lost == len(LOST)
    assert broken(stayed) == {"lost_were_not_replicated"}


def test_a_server_that_was_never_promoted_cannot_be_the_writer_after(failover: Failover) -> None:
    failover.old.start(private=True)
    try:
        with pytest.raises(PostgresError, match=f"{OLD} was never promoted"):
            judge([], failover.new, failover.old, Clock(1, 0.0))
    finally:
        failover.old.stop()


def test_a_transfer_is_applied_once_however_often_it_is_asked_for(failover: Failover) -> None:
    statement = "SELECT transfer(%s::uuid, 3, 4, 100)"
    answers = [failover.new.query(statement, [identity(99)])[0][0] for _ in range(3)]
    assert answers == ["applied", "known", "known"]
    assert failover.new.query("SELECT count(*) FROM movements WHERE transfer = %s", [identity(99)]) == [(2,)]


def test_a_writer_that_gave_its_role_away_follows_and_has_lost_nothing(
    make_server: Callable[[str], Server], wait_until: WaitUntil
) -> None:
    old, new = make_server("payments-before"), make_server("payments-after")
    old.initialise()
    bank.install(old)
    new.follow(old.address)
    old.wait_until_streaming()
    run = Failover(old, new)
    for number in range(200):
        run.acknowledge(old, number, t=float(number))
    old.stop()
    assert (old.is_standby, new.is_standby) == (False, True)
    new.promote()
    old.rejoin(new.address, new)
    assert (old.is_standby, new.is_standby) == (True, False)
    run.acknowledge(new, 300, t=300.0)
    new.wait_until_streaming()
    wait_until(lambda: old.query("SELECT count(*) FROM transfers")[0][0] == 201)
    judgement = run.judge()
    assert (judgement.lost, judgement.both_wrote, judgement.problems) == (0, 0, [])
    assert judgement.divergence_position is None
    assert old.is_running(), "a standby is left alone"
    # A second switchover goes the other way round.
    new.stop()
    old.promote()
    new.rejoin(old.address, old)
    wait_until(lambda: old.standby_lag() is not None)
    for server in (old, new):
        server.kill()
