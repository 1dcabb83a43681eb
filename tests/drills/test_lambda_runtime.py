"""The lab's Lambda service against real processes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil
import pytest

from drills.aws.happenings import Happening, Kind
from drills.aws.lambda_runtime import LambdaService, Outcome, RegionDownError, ThrottledError, UnknownFunctionError
from drills.world.clock import Clock
from drills.world.dns import DnsServer, RecordSet, Zone
from drills.world.network import Address, free_port
from drills.world.reachability import Fault, Reachability
from orchestration.settings import load
from orchestration.specification import describe
from tests.drills.small_functions import write_package

ACCOUNT = "123456789012"
HERE, PEER = "us-east-1", "us-west-2"
LOOPBACK = "127.0.0.1"
# Fast enough that minutes pass in seconds: what works there may run into its limit, on a busy machine.
FAST = 100.0
# Slow enough that the monitor's 95 s are 9.5 s of this machine, and what takes seconds does not take long.
BRISK = 10.0
SPECIFICATION = describe(load(environment_suffix="test"), ACCOUNT)
WRITER_NAME = SPECIFICATION.zone.writer_name
ENDPOINT = "payments.cluster-x.us-east-1.rds.amazonaws.com"

WaitUntil = Callable[[Callable[[], object]], None]


class Lambdas:
    """A service, what it told, and which processes it started."""

    def __init__(self, folder: Path, speed: float, dns: Address) -> None:
        self.folder = folder
        self.clock = Clock.started_now(speed)
        self.told: list[Happening] = []
        self.pids: list[int] = []
        self.reachability = Reachability([HERE, PEER])
        package = write_package(folder / "package.zip", SPECIFICATION)
        authority = folder / "lab-authority.pem"
        authority.write_text("the lab's authority")
        self.service = LambdaService(
            SPECIFICATION,
            {"workflow": package, "database": package},
            folder,
            self.clock,
            endpoint="http://127.0.0.1:1",
            register=self.pids.append,
            dns_servers={HERE: dns, PEER: dns},
            observe=self.told.append,
            reachability=self.reachability,
            authority=authority,
        )

    def run(self, step: str, region: str = HERE, **event: object) -> Outcome:
        return self.service.invoke(region, name_of(step, region), event)

    def take_down(self, how: Literal["kill", "freeze"]) -> None:
        self.reachability.take_down(HERE, Fault.REFUSE if how == "kill" else Fault.HANG)
        self.service.take_down(HERE, how)

    def bring_back(self) -> None:
        self.reachability.bring_back(HERE)
        self.service.bring_back(HERE)

    def failures(self, step: str) -> list[str]:
        return [
            happening.detail["errorType"]
            for happening in list(self.told)
            if happening.kind is Kind.FUNCTION_FAILED and happening.detail["step"] == step
        ]


def name_of(step: str, region: str = HERE) -> str:
    return SPECIFICATION.regions[region].functions[step].name


@pytest.fixture(scope="module")
def dns() -> Iterator[Address]:
    records = [RecordSet(WRITER_NAME, "CNAME", ENDPOINT, 5), RecordSet(ENDPOINT, "A", "127.0.0.9", 5)]
    address = Address(LOOPBACK, free_port([LOOPBACK]))
    server = DnsServer(Zone(records, lambda _: True), address)
    yield address
    server.close()


@pytest.fixture(scope="module")
def lambdas(tmp_path_factory: pytest.TempPathFactory, dns: Address) -> Iterator[Lambdas]:
    made = Lambdas(tmp_path_factory.mktemp("lambdas"), 1, dns)
    yield made
    made.service.close()


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory, dns: Address) -> Iterator[Lambdas]:
    made = Lambdas(tmp_path_factory.mktemp("fast"), FAST, dns)
    yield made
    made.service.close()


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory, dns: Address) -> Iterator[Lambdas]:
    made = Lambdas(tmp_path_factory.mktemp("brisk"), BRISK, dns)
    yield made
    made.service.close()


@pytest.fixture
def mortal(tmp_path: Path, dns: Address) -> Iterator[Lambdas]:
    """A service for tests that take regions down."""
    made = Lambdas(tmp_path, 1, dns)
    yield made
    made.service.close()


def test_a_handler_gets_its_event_and_a_context(lambdas: Lambdas) -> None:
    found = lambdas.run("promote", do="describe").value
    function = SPECIFICATION.regions[HERE].functions["promote"]
    assert found["context"] == {
        "function_name": function.name,
        "function_version": "$LATEST",
        "invoked_function_arn": f"arn:aws:lambda:{HERE}:{ACCOUNT}:function:{function.name}",
        "memory_limit_in_mb": str(function.memory_mb),
        "aws_request_id": found["context"]["aws_request_id"],
    }
    assert 0 < found["remaining_ms"] <= function.timeout_seconds * 1000
    assert lambdas.run("promote", do="echo", amount=3).value == {"do": "echo", "amount": 3}


def test_the_environment_is_what_is_specified_and_nothing_of_the_machine(
    lambdas: Lambdas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MACHINE_SECRET", "x")
    found = lambdas.run("notify", PEER, do="describe").value
    specified = SPECIFICATION.regions[PEER].functions["notify"].environment
    assert specified.items() <= found["environment"].items()
    assert found["environment"]["AWS_REGION"] == PEER
    assert found["environment"]["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert not {"MACHINE_SECRET", "PATH", "HOME", "VIRTUAL_ENV", "PYTHONPATH"} & set(found["environment"])
    assert not [path for path in found["path"] if "site-packages" in path or path == str(Path.cwd())]


def test_only_the_package_and_lambdas_own_runtime_can_be_imported(lambdas: Lambdas) -> None:
    modules = ["boto3", "botocore", "dateutil.parser", "urllib3", "handlers", "psutil", "moto", "dnslib", "drills"]
    assert lambdas.run("notify", do="importable", modules=modules).value == modules[:5]


def test_the_labs_authority_takes_the_place_of_rds_own(lambdas: Lambdas) -> None:
    folder = Path(lambdas.run("prober", do="describe").value["folder"])
    assert (folder / "handlers" / "rds-ca.pem").read_text() == "the lab's authority"


def test_an_idle_environment_is_used_again_and_a_busy_one_is_not(lambdas: Lambdas, tmp_path: Path) -> None:
    first, second = (lambdas.run("verify_lag", do="describe").value["pid"] for _ in range(2))
    assert first == second
    with ThreadPoolExecutor() as threads:
        together = list(
            threads.map(lambda _: lambdas.run("verify_lag", do="meet", folder=str(tmp_path), count=2).value, range(2))
        )
    assert len(set(together)) == 2
    assert first in together


def test_an_exception_is_reported_as_lambda_does(lambdas: Lambdas) -> None:
    outcome = lambdas.run("notify", do="fail")
    assert outcome.failed
    assert outcome.value["errorType"] == "NoSuchAccount"
    assert outcome.value["errorMessage"] == "account 7"
    assert 'raise NoSuchAccount("account 7")' in "".join(outcome.value["stackTrace"])
    assert lambdas.failures("notify") == ["NoSuchAccount"]


@pytest.mark.parametrize(
    ("step", "do", "error_type", "message"),
    [
        ("promote", "leave", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("promote", "unserializable", "Runtime.MarshalError", "Unable to marshal response: "),
        (
            "claim",
            "echo",
            "Runtime.ImportModuleError",
            "Unable to import module 'handlers.failover.claim': No module",
        ),
    ],
)
def test_a_function_that_cannot_run_is_reported_in_lambdas_words(
    lambdas: Lambdas, step: str, do: str, error_type: str, message: str
) -> None:
    outcome = lambdas.run(step, do=do)
    assert outcome.failed
    assert outcome.value["errorType"] == error_type
    assert message in outcome.value["errorMessage"]


def test_an_unknown_function_is_refused(lambdas: Lambdas) -> None:
    with pytest.raises(UnknownFunctionError, match=f"no function {name_of('notify', PEER)} in {HERE}"):
        lambdas.service.invoke(HERE, name_of("notify", PEER), {})


def test_log_lines_go_to_a_file_per_function(lambdas: Lambdas) -> None:
    outcome = lambdas.run("release_claim", do="sleep", seconds=0)
    log = (lambdas.folder / "logs" / f"{name_of('release_claim')}.log").read_text()
    assert f"START RequestId: {outcome.request_id}" in log
    assert f"sleeping {outcome.value}" in log
    assert f"REPORT RequestId: {outcome.request_id}" in log


def test_a_function_that_outlives_its_timeout_is_killed_with_its_environment(fast: Lambdas) -> None:
    known = len(fast.pids)
    outcome = fast.run("monitor", do="sleep", seconds=1000)
    assert outcome.value["errorType"] == "Sandbox.Timedout"
    assert outcome.value["errorMessage"] == f"RequestId: {outcome.request_id} Error: Task timed out after 95.00 seconds"
    assert fast.pids[known:]
    assert not [pid for pid in fast.pids[known:] if psutil.pid_exists(pid)]


def test_time_in_a_function_is_the_labs(brisk: Lambdas) -> None:
    started = brisk.clock.now()
    found = brisk.run("monitor", do="times").value
    ended = brisk.clock.now()
    (before, monotonic_before), (after, monotonic_after) = found["before"], found["after"]
    assert started <= before <= after <= found["datetime"] <= ended
    assert after - before >= 10
    assert monotonic_after - monotonic_before >= 10
    assert found["timeout"] == pytest.approx(7.0)
    assert found["is_datetime"]


def test_socket_timeouts_are_virtual_too(brisk: Lambdas) -> None:
    # In real time this would outlive the function's own limit of 95 virtual seconds.
    assert brisk.run("monitor", do="accept_timeout").value >= 20


def test_a_function_in_the_vpc_resolves_the_private_zone_and_others_only_public_names(lambdas: Lambdas) -> None:
    found = lambdas.run("prober", do="resolve", name=WRITER_NAME).value
    assert found == {"address": "127.0.0.9", "chain": [WRITER_NAME, ENDPOINT], "port": 5432}
    unknown = lambdas.run("prober", do="resolve", name=f"nobody.{SPECIFICATION.zone.name}").value
    assert unknown == {"error": socket.EAI_NONAME}
    assert lambdas.run("notify", do="resolve", name=WRITER_NAME).value == {"error": socket.EAI_NONAME}
    assert lambdas.run("notify", do="resolve", name=ENDPOINT).value["address"] == "127.0.0.9"
    assert lambdas.run("notify", do="resolve", name="127.0.0.1").value["address"] == "127.0.0.1"


def test_an_asynchronous_invocation_that_fails_is_tried_twice_more(fast: Lambdas, wait_until: WaitUntil) -> None:
    fast.service.invoke_async(HERE, name_of("verify_recovery"), {"do": "fail"})
    wait_until(lambda: len(fast.failures("verify_recovery")) == 3)


def test_a_killed_region_runs_and_starts_nothing(mortal: Lambdas, wait_until: WaitUntil) -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            mortal.run("promote", do="sleep", seconds=1000)
        except RegionDownError as error:
            raised.append(error)

    waiting = threading.Thread(target=run)
    waiting.start()
    wait_until(lambda: "sleeping" in log_of(mortal, "promote"))
    mortal.take_down("kill")
    waiting.join()
    assert len(raised) == 1
    assert not [pid for pid in mortal.pids if psutil.pid_exists(pid)]
    with pytest.raises(RegionDownError):
        mortal.run("promote", do="echo")
    assert mortal.run("promote", PEER, do="echo").value == {"do": "echo"}
    assert mortal.failures("promote") == []
    mortal.bring_back()
    assert mortal.run("promote", do="echo").value == {"do": "echo"}


def test_a_frozen_region_stands_still_and_goes_on(mortal: Lambdas, wait_until: WaitUntil) -> None:
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(mortal.run, "promote", do="sleep", seconds=1)
        wait_until(lambda: "sleeping" in log_of(mortal, "promote"))
        mortal.take_down("freeze")
        process = psutil.Process(int(log_of(mortal, "promote").split("sleeping ")[1].split()[0]))
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
        with pytest.raises(RegionDownError):
            mortal.run("notify", do="echo")
        mortal.bring_back()
        assert answer.result().value == process.pid


def test_closing_ends_every_process_even_frozen_ones(mortal: Lambdas, wait_until: WaitUntil) -> None:
    for step in ("notify", "promote"):
        mortal.run(step, do="echo")
    waiting = threading.Thread(target=lambda: ignoring_down(lambda: mortal.run("promote", do="sleep", seconds=1000)))
    waiting.start()
    wait_until(lambda: "sleeping" in log_of(mortal, "promote"))
    mortal.take_down("freeze")
    mortal.service.close()
    waiting.join()
    assert len(mortal.pids) >= 2
    assert not [pid for pid in mortal.pids if psutil.pid_exists(pid)]


def test_closing_waits_for_a_process_that_is_being_started_and_ends_it(
    mortal: Lambdas, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, register, known = threading.Event(), mortal.service._register, len(mortal.pids)

    def register_slowly(pid: int) -> None:
        register(pid)
        started.wait()

    monkeypatch.setattr(mortal.service, "_register", register_slowly)
    invoking = threading.Thread(target=lambda: ignoring_down(lambda: mortal.run("notify", do="echo")))
    invoking.start()
    wait_until(lambda: len(mortal.pids) > known)
    closing = threading.Thread(target=mortal.service.close)
    closing.start()
    closing.join(0.3)
    waits = closing.is_alive()
    started.set()
    closing.join()
    assert waits, "it left a process behind that was being started"
    assert not [pid for pid in mortal.pids if psutil.pid_exists(pid)]
    invoking.join()


def log_of(lambdas: Lambdas, step: str) -> str:
    log = lambdas.folder / "logs" / f"{name_of(step)}.log"
    return log.read_text() if log.exists() else ""


def ignoring_down(run: Callable[[], object]) -> None:
    with suppress(RegionDownError):
        run()


def test_p10_a_function_is_throttled_beyond_its_reserved_concurrency(lambdas: Lambdas, tmp_path: Path) -> None:
    limit = lambdas.service.function(HERE, name_of("notify")).concurrency
    assert limit is not None
    folder = tmp_path / "together"
    folder.mkdir()
    with ThreadPoolExecutor() as threads:
        running = [
            threads.submit(lambdas.run, "notify", do="meet", folder=str(folder), count=limit + 1) for _ in range(limit)
        ]
        while len(list(folder.iterdir())) < limit:
            time.sleep(0.01)
        with pytest.raises(ThrottledError, match=f"may run {limit} times at once"):
            lambdas.run("notify", do="echo")
        (folder / "the last").touch()
        assert len({one.result().value for one in running}) == limit
    assert lambdas.run("notify", do="echo").value == {"do": "echo"}
