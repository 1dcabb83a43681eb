"""The bank's clients, against a real server behind the lab's network and name service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import psutil
import pytest

from drills.verdict.ledger import judge
from drills.world import bank
from drills.world.bank import Event, read_events
from drills.world.certificates import create_certificates
from drills.world.clock import Clock
from drills.world.dns import DnsServer, RecordSet, Zone
from drills.world.network import Address, Network, NetworkPath, State, address_in, free_port
from drills.world.postgres import Server
from drills.world.reachability import Reachability
from drills.world.reaper import Reaper
from drills.world.workload import Progress, Workload, WorkloadSettings

WaitUntil = Callable[[Callable[[], object]], None]
REGION = "us-west-2"
WRITER = "writer.payments.internal"
ENDPOINT, OTHER_ENDPOINT = "payments-usw2.example.rds.amazonaws.com", "payments-use1.example.rds.amazonaws.com"
CLIENTS = 3


class Changes(TypedDict, total=False):
    """Settings of a test's clients that differ from the region's."""

    seed: int
    clients: int
    transfers_per_second: float
    hosts: tuple[str, ...]
    patience: float


@dataclass
class Region:
    """One region with a database, a network and a name service; clients can be started in it."""

    server: Server
    network: Network
    healthy: set[str]
    settings: WorkloadSettings
    folder: Path
    reaper: Reaper

    def start(self, name: str, **changes: Unpack[Changes]) -> Run:
        events = str(self.folder / f"{name}.jsonl")
        return Run(replace(self.settings, events=events, **changes), self)


class Run:
    """Clients at work, and what they have told so far."""

    def __init__(self, settings: WorkloadSettings, region: Region) -> None:
        self.latest = Progress(settings.region, 0.0, 0, 0, "")
        self.workload = Workload(settings, region.folder, region.reaper, self._listen)

    def _listen(self, progress: Progress) -> None:
        self.latest = progress

    def events(self) -> list[Event]:
        return read_events([self.workload.events])

    def errors(self) -> set[str]:
        return {event.error for event in self.events() if event.event == "fail"}


DATABASE = "the database"


@pytest.fixture(scope="module")
def region(make_server: Callable[[str], Server], folder: Path, reaper: Reaper) -> Iterator[Region]:
    server = make_server("payments-usw2")
    server.initialise()
    bank.install(server)
    # Faster, and the clients' time-outs are shorter than a busy machine sometimes takes to answer.
    clock = Clock.started_now(2)
    host = address_in([REGION], REGION, 0)
    listen = Address(host, free_port([host]))
    certificates = create_certificates(folder, [ENDPOINT])
    network = Network(clock, certificates, folder, reaper, Reachability([REGION]))
    network.add(NetworkPath(DATABASE, REGION, REGION, listen, server.address, tls=True))
    healthy = {"switch"}
    records = [
        RecordSet(WRITER, "CNAME", ENDPOINT, 5, "PRIMARY", "switch"),
        RecordSet(WRITER, "CNAME", OTHER_ENDPOINT, 5, "SECONDARY"),
        RecordSet(ENDPOINT, "A", host, 5),
        RecordSet(OTHER_ENDPOINT, "A", host, 5),
    ]
    dns = Address("127.0.0.1", free_port(["127.0.0.1"]))
    names = DnsServer(Zone(records, healthy.__contains__), dns)
    settings = WorkloadSettings(
        region=REGION,
        clients=CLIENTS,
        first_client=100,
        seed=1,
        transfers_per_second=50.0,
        hosts=(WRITER,),
        dns=dns,
        port=listen.port,
        database="payments",
        authority=str(certificates.authority),
        events="",
        clock=clock,
    )
    yield Region(server, network, healthy, settings, folder, reaper)
    names.close()
    network.close()


@pytest.fixture
def make_run(region: Region) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(name: str, **changes: Unpack[Changes]) -> Run:
        # A seed of its own keeps the ids of different tests apart.
        changes.setdefault("seed", len(name))
        runs.append(region.start(name, **changes))
        return runs[-1]

    yield make
    region.network.set_paths(State.OPEN, [DATABASE])
    region.healthy.add("switch")
    for run in runs:
        run.workload.kill()


def test_every_acknowledged_transfer_is_in_the_books(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    run = make_run("books")
    wait_until(lambda: run.latest.acknowledged > 50)
    run.workload.stop()
    events = run.events()
    assert {event.event for event in events} == {"ack"}
    assert {event.cluster for event in events} == {"payments-usw2"}
    assert {event.client for event in events} == {100, 101, 102}
    assert {event.region for event in events} == {REGION}
    present = {row[0] for row in region.server.query("SELECT id::text FROM transfers")}
    assert {event.id for event in events} <= present
    assert all(judge(events, region.server, region.server, region.settings.clock).invariants.values())


def test_progress_agrees_with_the_events(make_run: Callable[..., Run], wait_until: WaitUntil) -> None:
    run = make_run("progress")
    wait_until(lambda: run.latest.acknowledged > 20)
    run.workload.stop()
    assert run.latest.acknowledged == len(run.events())
    assert run.latest.cluster == "payments-usw2"


def test_an_unanswered_transfer_is_repeated_under_the_same_id_until_it_is_answered(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    run = make_run("refused and repeated")
    wait_until(lambda: run.latest.acknowledged > 10)
    region.network.set_paths(State.REFUSING, [DATABASE])
    wait_until(lambda: run.latest.failed > 3 * CLIENTS)
    region.network.set_paths(State.OPEN, [DATABASE])
    before = run.latest.acknowledged
    wait_until(lambda: run.latest.acknowledged > before + 10)
    run.workload.stop()
    failed = [event.id for event in run.events() if event.event == "fail"]
    acknowledged = [event.id for event in run.events() if event.event == "ack"]
    assert set(failed) <= set(acknowledged)
    assert len(failed) > len(set(failed)), "at least one was tried more than once"
    assert len(acknowledged) == len(set(acknowledged)), "an answered transfer is not asked for again"
    judgement = judge(run.events(), region.server, region.server, region.settings.clock)
    assert judgement.problems == []


def test_the_watchdog_ends_attempts_that_never_get_an_answer(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    run = make_run("hung")
    wait_until(lambda: run.latest.acknowledged > 10)
    region.network.set_paths(State.HANGING, [DATABASE])
    wait_until(lambda: len({event.client for event in run.events() if event.event == "fail"}) == CLIENTS)
    region.network.set_paths(State.OPEN, [DATABASE])
    before = run.latest.acknowledged
    wait_until(lambda: run.latest.acknowledged > before + 10)


def test_the_name_at_the_end_of_the_chain_is_verified(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    """The other endpoint resolves to the same server, whose certificate does not carry its name."""
    region.healthy.discard("switch")
    run = make_run("wrong name")
    wait_until(
        lambda: (
            run.latest.failed and any(f'does not match host name "{OTHER_ENDPOINT}"' in error for error in run.errors())
        )
    )
    assert run.latest.acknowledged == 0


def test_a_certificate_of_another_authority_is_refused(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    stranger = region.folder / "stranger"
    stranger.mkdir()
    run = make_run("stranger", authority=str(create_certificates(stranger, [ENDPOINT]).authority))
    wait_until(lambda: run.latest.failed and any("certificate verify failed" in error for error in run.errors()))
    assert run.latest.acknowledged == 0


def test_a_frozen_region_falls_silent_and_goes_on_when_it_thaws(
    make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    run = make_run("frozen for a while")
    wait_until(lambda: run.latest.acknowledged > 10)
    run.workload.hang()
    wait_until(lambda: clients_in(run).status() == psutil.STATUS_STOPPED)
    size = run.workload.events.stat().st_size
    run.workload.resume()
    wait_until(lambda: run.workload.events.stat().st_size > size)


def clients_in(run: Run) -> psutil.Process:
    return psutil.Process(run.workload._process.pid)


def test_clients_by_hosts_go_on_to_the_host_that_takes_writes(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    """The first host has no session that can write: here a certificate of another name, as good as a reader."""
    run = make_run("hosts", hosts=(OTHER_ENDPOINT, ENDPOINT))
    wait_until(lambda: run.latest.acknowledged > 10)
    assert run.errors() == set()
    region.network.set_paths(State.REFUSING, [DATABASE])
    wait_until(lambda: run.latest.failed)
    region.network.set_paths(State.OPEN, [DATABASE])
    known = run.latest.acknowledged
    wait_until(lambda: run.latest.acknowledged > known + 10)


def test_patient_clients_wait_for_a_slow_database_and_others_do_not(
    region: Region, make_run: Callable[..., Run], wait_until: WaitUntil
) -> None:
    patient, usual = make_run("patient", patience=5.0), make_run("usual")
    wait_until(lambda: patient.latest.acknowledged and usual.latest.acknowledged)
    region.network.slow_down(REGION, 4.0)
    wait_until(lambda: usual.latest.failed)
    known = patient.latest.acknowledged
    wait_until(lambda: patient.latest.acknowledged >= known + 2 * CLIENTS)
    assert not patient.latest.failed
    region.network.slow_down(REGION, 0.0)
    known = usual.latest.acknowledged
    wait_until(lambda: usual.latest.acknowledged > known + 10)


def test_killed_clients_leave_readable_events(make_run: Callable[..., Run], wait_until: WaitUntil) -> None:
    run = make_run("killed")
    wait_until(lambda: run.latest.acknowledged > 10)
    run.workload.kill()
    assert len(run.events()) > 10


def test_the_same_seed_makes_the_same_transfers(make_run: Callable[..., Run], wait_until: WaitUntil) -> None:
    runs = [make_run(name, seed=4711, clients=1) for name in ("once", "twice")]
    wait_until(lambda: all(run.latest.acknowledged > 10 for run in runs))
    first, second = ([event.id for event in run.events() if event.event == "ack"][:10] for run in runs)
    assert first == second


def test_clients_that_end_by_themselves_are_an_error(
    make_run: Callable[..., Run], wait_until: WaitUntil, capfd: pytest.CaptureFixture[str]
) -> None:
    run = make_run("broken", seed=1, transfers_per_second=0.0)
    wait_until(lambda: not run.workload.is_running())
    with pytest.raises(RuntimeError, match=f"the clients of {REGION} ended by themselves"):
        run.workload.stop()
    assert "ZeroDivisionError" in capfd.readouterr().err
