"""The claim under contention: fifty starts at the same moment, of which one may win, and the calls that this takes.

The step's own code, against the lab's DynamoDB (one writer wins) and Step Functions over HTTP, all in this process: the
seconds are this machine's, the calls are what a deployment makes.
"""

from __future__ import annotations

import importlib
import os
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from drills.aws import atomic
from drills.aws.cloud import ACCOUNT
from drills.bench.findings import Findings
from handlers.core.request import Request
from handlers.gateways.aws import client
from handlers.gateways.control_table import KEY, ControlTable
from handlers.gateways.runs import Runs
from orchestration.settings import load
from orchestration.specification import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestration.specification.model import Function

CONTENDERS = 50
COOL_DOWN_S = 600.0
SET_UP_TIMEOUT_S = 60.0
DECISIONS = ("proceed", "duplicate", "refused")
CALLS = ("GetItem", "UpdateItem", "DescribeExecution")
# Who starts: deliveries of one event, which are one incident, or people, each with a run of their own.
STARTS: dict[str, dict[str, Any]] = {
    "deliveries of one event": {"mode": "failover", "started_by": "monitor", "automatic": True, "epoch": 1},
    "people": {"mode": "failover", "started_by": "somebody"},
}


@dataclass(frozen=True)
class Contest:
    """One contest: what each contender was told, and the calls and seconds that it took."""

    decisions: dict[str, int]
    calls: dict[str, int]
    most_calls: int
    won_after_s: float
    all_after_s: float


def measure(runs: int, say: Callable[[str], None]) -> Findings:
    """Has fifty contenders claim at once, ``runs`` times for each kind of start."""
    specification = describe(load(), ACCOUNT)
    region = specification.regions[specification.settings.regions[1]]
    with ExitStack() as stack:
        served = stack.enter_context(_Moto())
        function = region.functions["claim"]
        stack.enter_context(mock.patch.dict(os.environ, _environment(function, region.name, served.endpoint)))
        # It reads its environment when it is imported.
        claim = importlib.import_module(function.module).claim
        # Patient: a table that is created twice is an error.
        dynamodb: Any = client("dynamodb", region.name, read_timeout_s=SET_UP_TIMEOUT_S, attempts=1)
        table = specification.control_table.name
        contests: dict[str, list[Contest]] = {kind: [] for kind in STARTS}
        for run in range(1, runs + 1):
            for kind, contest in contests.items():
                served.reset()
                dynamodb.create_table(
                    TableName=table,
                    KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
                    BillingMode="PAY_PER_REQUEST",
                )
                dynamodb.put_item(TableName=table, Item=specification.first_control_record)
                contest.append(_contest(claim, function, region.name, STARTS[kind]))
            say(f"claim: {run} of {runs}")
    return findings(contests)


def findings(contests: dict[str, list[Contest]]) -> Findings:
    """Returns the table of medians."""

    def median(kind: str, figure: Callable[[Contest], float]) -> float:
        return statistics.median(figure(contest) for contest in contests[kind])

    every = [contest for kind in contests.values() for contest in kind]
    return Findings(
        f"Claim by {CONTENDERS} contenders at once, medians of {len(next(iter(contests.values())))}",
        ("starts", "proceed", "duplicate", "refused", "GetItem", "UpdateItem", "DescribeExecution", "won s", "all s"),
        tuple(
            (
                kind,
                *(f"{median(kind, lambda one, d=decision: one.decisions.get(d, 0)):g}" for decision in DECISIONS),  # type: ignore[misc]
                *(f"{median(kind, lambda one, c=call: one.calls.get(c, 0)):g}" for call in CALLS),  # type: ignore[misc]
                f"{median(kind, lambda one: one.won_after_s):.2f}",
                f"{median(kind, lambda one: one.all_after_s):.2f}",
            )
            for kind in contests
        ),
        {kind: [asdict(contest) for contest in kept] for kind, kept in contests.items()},
        passed=all(contest.decisions.get("proceed") == 1 for contest in every),
    )


def _contest(claim: Callable[..., Any], function: Function, region: str, asked: dict[str, Any]) -> Contest:
    calls: Counter[str] = Counter()
    start = threading.Barrier(CONTENDERS + 1)
    began: list[float] = []
    won: list[float] = []

    def contend(number: int) -> tuple[str, int]:
        mine: Counter[str] = Counter()
        control, runs = _gateways(function, region, mine)
        run = f"run-{number}"
        start.wait()
        decided = claim(control, runs, Request.read(asked, run, region), run, COOL_DOWN_S)
        if decided.decision == "proceed":
            won.append(time.monotonic() - began[0])
        calls.update(mine)
        return decided.decision, mine.total()

    with ThreadPoolExecutor(CONTENDERS) as pool:
        answers = [pool.submit(contend, number) for number in range(CONTENDERS)]
        began.append(time.monotonic())
        start.wait()
        told = [answer.result() for answer in answers]
    ended = time.monotonic() - began[0]
    decisions = Counter(decision for decision, _ in told)
    return Contest(dict(decisions), dict(calls), max(number for _, number in told), min(won, default=ended), ended)


def _gateways(function: Function, region: str, calls: Counter[str]) -> tuple[ControlTable, Runs]:
    """Returns a contender's own clients, as each function environment has; their calls are counted."""
    dynamodb, steps = client("dynamodb", region), client("stepfunctions", region)
    for made in (dynamodb, steps):
        made.meta.events.register("before-call", lambda model, **_: calls.update([model.name]))
    variables = function.environment
    return (
        ControlTable([dynamodb], variables["CONTROL_TABLE"], variables["GLOBAL_CLUSTER"]),
        Runs(steps, variables["STATE_MACHINE_ARN"]),
    )


def _environment(function: Function, region: str, endpoint: str) -> dict[str, str]:
    return {
        **function.environment,
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "not-checked",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "POWERTOOLS_LOG_LEVEL": "ERROR",
    }


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as AWS keeps them

    def log(self, *_: Any, **__: Any) -> None:
        """Says nothing."""


class _Moto:
    """moto over HTTP, with DynamoDB's conditional writes made atomic."""

    def __enter__(self) -> _Moto:
        self._stack = ExitStack()
        atomic.install(self._stack)
        server = make_server(
            "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=_Quiet
        )
        server.daemon_threads = True  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        for close in (server.server_close, thread.join, server.shutdown, moto_api_backend.reset):
            self._stack.callback(close)
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def reset(self) -> None:
        """Forgets everything."""
        moto_api_backend.reset()
