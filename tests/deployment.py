"""A whole deployment inside the test's process: what the specification describes, on moto, with the real handlers.

Real here: the handlers, the specification, the state machines, and moto's AWS with the models of `drills/aws`.
Stand-ins: the prober function and the two databases behind it (`Databases`), because they need servers and a network;
`tests/drills` runs the real prober against real servers.

Time is skipped, not waited for: the retries of the workflow and the pauses of the handlers move one common clock.
"""

from __future__ import annotations

import copy
import datetime
import importlib
import json
import os
import re
import sys
import threading
import time
import traceback
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import boto3
import botocore.endpoint
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.idempotency.persistence import base as idempotency_base
from aws_lambda_powertools.utilities.idempotency.persistence import dynamodb as idempotency_dynamodb
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.rds.models import rds_backends
from moto.sns.models import sns_backends
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from drills.aws import atomic, replicated_table
from drills.aws.global_database import GlobalDatabase, security_group
from drills.aws.happenings import Happening, Kind
from drills.aws.lambda_runtime import Outcome
from drills.aws.step_functions import StepFunctions
from drills.world.reachability import Reachability
from handlers.core.commands import WARM_UP
from handlers.core.health import Probe
from handlers.core.heartbeat import Beat
from handlers.core.lease import LEASE_S
from handlers.machine import Machine
from orchestration.settings import load
from orchestration.specification import CONTROL_KEY, Specification, describe
from orchestration.specification.model import Function, Region

ACCOUNT = "123456789012"
WRITER, STANDBY = "us-east-1", "us-west-2"  # the regions' roles at deployment

# How the application's writes are written again.
REPLAY = {"transfers": "transfer(id, note)"}
# The standby's transactions had ended below this id.
OLDEST_XID = 700

# Only ends a test that would otherwise wait for ever; nothing is measured by it (real seconds).
PATIENCE_S = 60.0


class Killed(BaseException):
    """The process of a function is gone: no handler of errors runs, as with SIGKILL. Hence no `Exception`."""


class SkippingClock:
    """The time of everything here: the machine's, plus what was skipped by whoever would have slept."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.limits_are_divided_by = 1.0
        self.real_limits: dict[float, float] = {}  # limits of that length last so long here, whatever divides the rest
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.skipped

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        """Skip that time; other threads get a chance to run."""
        with self._lock:
            self.skipped += seconds
        time.sleep(0.0005)

    def to_real(self, seconds: float) -> float:
        """How long the time limit of a state or of a machine is here."""
        return self.real_limits.get(seconds, seconds / self.limits_are_divided_by)


CLOCK = SkippingClock()
HANDLERS_TIME = SimpleNamespace(time=CLOCK.now, monotonic=CLOCK.monotonic, sleep=CLOCK.sleep)


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(CLOCK.now(), tz)


POWERTOOLS_TIME = SimpleNamespace(datetime=_Datetime, timedelta=datetime.timedelta)


# --- functions


class Context:
    """The second argument of a handler, for as long as Powertools looks at it."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = 1024
        self.invoked_function_arn = f"arn:aws:lambda:{STANDBY}:{ACCOUNT}:function:{name}"
        self.aws_request_id = str(uuid.uuid4())
        self._end = CLOCK.now() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - CLOCK.now()) * 1000))


_importing = threading.Lock()


def load_step(name: str, variables: dict[str, str]) -> ModuleType:
    """Import the handler ``name`` as a new execution environment of Lambda does: with its own globals and telemetry."""
    with _importing, mock.patch.dict(os.environ, variables):
        names = (name, "handlers.telemetry")
        before = {name: sys.modules.pop(name, None) for name in names}
        try:
            # Powertools keeps metrics in the class, so that one process has one set of them.
            with mock.patch.multiple(Metrics, _metrics={}, _dimensions={}, _metadata={}, _default_dimensions={}):
                module = importlib.import_module(names[0])
        finally:
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update({name: found for name, found in before.items() if found})
    if getattr(module, "time", None) is time:
        module.time = HANDLERS_TIME  # type: ignore[attr-defined]
    if hasattr(module, "MACHINE"):
        module.MACHINE = Machine(now=CLOCK.now, monotonic=CLOCK.monotonic, sleep=CLOCK.sleep)
    return module


class Lambdas:
    """Lambda: environments that serve one invocation at a time and are used again unless they were killed."""

    # Environments outlive a deployment: importing is slow, and every deployment's variables are the same.
    _idle: ClassVar[dict[tuple[str, str], list[ModuleType]]] = defaultdict(list)

    def __init__(
        self, specification: Specification, stand_ins: Mapping[str, Callable[[str, Any], dict[str, Any]]]
    ) -> None:
        self._stand_ins = stand_ins
        self._functions = {
            (region.name, function.name): function
            for region in specification.regions.values()
            for function in region.functions.values()
        }
        self.errors: dict[str, list[str]] = defaultdict(list)  # of each step, what its next invocations end in
        self.calls: list[str] = []  # the steps in the order of their invocations
        # Called around every invocation, with the step and its event.
        self.before: Callable[[str, Any], None] = lambda step, event: None
        self.after: Callable[[str, Any], None] = lambda step, event: None
        self.inside = threading.local()  # which step the present thread runs
        self._running = 0
        self._changed = threading.Condition()
        self.death = "Sandbox.Timedout"  # what Step Functions sees of a function that was killed

    @contextmanager
    def environment(self, region: str, step: str) -> Iterator[ModuleType]:
        """The module of a step, for one invocation."""
        name, function = next(
            (name, found) for (where, name), found in self._functions.items() if where == region and found.step == step
        )
        idle = self._idle[region, name]
        try:
            module = idle.pop()
        except IndexError:
            module = load_step(function.module, variables(function, region))
        killed = False
        try:
            yield module
        except Killed:
            killed = True
            raise
        finally:
            if not killed:
                idle.append(module)

    def call(self, region: str, step: str, event: Any) -> Any:
        """Run a handler; its result, or its own error."""
        function = next(
            found for (where, _), found in self._functions.items() if where == region and found.step == step
        )
        with self._counted():
            self.calls.append(step)
            self.before(step, event)
            with self.environment(region, step) as module, self.doing(step):
                result = json.loads(json.dumps(module.handler(event, Context(function.name, function.timeout_seconds))))
            self.after(step, event)
            return result

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait_until_idle(self) -> None:
        """Wait for the functions whose execution was stopped or has given them up."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._running == 0, PATIENCE_S), "a function does not end"

    @contextmanager
    def doing(self, step: str) -> Iterator[None]:
        """What this thread does is done by that step."""
        before, self.inside.step = self.doer(), step
        try:
            yield
        finally:
            self.inside.step = before

    def doer(self) -> str:
        """The step that this thread runs."""
        return getattr(self.inside, "step", "")

    def install(self, stack: ExitStack) -> None:
        """Have the threads that a step starts belong to it, until ``stack`` is closed."""
        submit = ThreadPoolExecutor.submit

        def submit_for_step(pool: ThreadPoolExecutor, work: Callable[..., Any], *args: Any, **named: Any) -> Any:
            step = self.doer()

            def run() -> Any:
                with self.doing(step):
                    return work(*args, **named)

            return submit(pool, run)

        stack.enter_context(mock.patch.object(ThreadPoolExecutor, "submit", submit_for_step))

    def invoke(self, region: str, name: str, event: Any) -> Outcome:
        """As `drills.aws.lambda_runtime.LambdaService.invoke`, for the model of Step Functions and for boto3."""
        function = self._functions[region, name.rsplit(":", 1)[-1]]
        if function.step in self._stand_ins:
            return self._answer(lambda: self._stand_ins[function.step](region, event))
        if self.errors[function.step]:
            self.calls.append(function.step)
            return _failure(self.errors[function.step].pop(0), "made by the test")
        return self._answer(lambda: self.call(region, function.step, event))

    def _answer(self, run: Callable[[], Any]) -> Outcome:
        try:
            return Outcome(json.dumps(run()), failed=False, request_id="")
        except Killed:
            return _failure(self.death, "the function is gone")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            return _failure(type(error).__name__, str(error), traceback.format_exc())


def _failure(kind: str, message: str, trace: str = "") -> Outcome:
    report = {"errorType": kind, "errorMessage": message, "stackTrace": trace.splitlines()}
    return Outcome(json.dumps(report), failed=True, request_id="")


def variables(function: Function, region: str) -> dict[str, str]:
    """A function's environment variables: the specification's, the stack's, and those that Lambda sets."""
    return {
        **function.environment,
        **{name: security_group(region, key) for name, key in function.security_groups},
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


# --- the databases and their prober


class Databases:
    """Two clusters and the writer's name, as the prober functions of both regions see them."""

    def __init__(self, is_switched: Callable[[], bool]) -> None:
        self._is_switched = is_switched
        self.up = {WRITER: True, STANDBY: True}
        self.writes = {WRITER: True, STANDBY: False}
        self.proofs: list[tuple[str, str, int]] = []  # region, run, epoch
        self.fenced = {WRITER: False, STANDBY: False}  # by SQL
        self.fence_number = {WRITER: 0, STANDBY: 0}
        self.noted_lease: dict[str, float | None] = {WRITER: None, STANDBY: None}
        self.admits = {WRITER: True, STANDBY: True}  # by security group
        self.heartbeat: dict[str, Beat | None] = {WRITER: None, STANDBY: None}
        self.sessions_end = True
        self.warmed_up = 0  # probers
        self.open_sessions = {WRITER: 0, STANDBY: 0}  # of applications, behind a fence that has not ended them
        self.rows: dict[str, dict[int, str]] = {WRITER: {}, STANDBY: {}}  # of the application's one table, by key
        self.before_promotion: Callable[[str], None] = lambda region: None
        # Looked at before everything else: another answer of the prober, or None.
        self.script: Callable[[str], dict[str, Any] | None] = lambda target: None

    # What RDS does to them (`drills.aws.global_database.Databases`).

    def promote(self, region: str) -> None:
        self.before_promotion(region)
        self.writes[region] = True

    def drain(self, region: str) -> None:
        self.writes[region] = False
        for other in self.writes:
            for replicated in (self.fenced, self.fence_number, self.heartbeat, self.noted_lease):
                replicated[other] = replicated[region]  # type: ignore[index]

    def follow(self, region: str, leader: str) -> None:
        self.writes[region] = False

    def admit(self, region: str, *, clients: bool) -> None:
        self.admits[region] = clients

    def retire(self, region: str) -> None:
        self.up[region] = self.writes[region] = False
        self.rows[region] = {}

    def rebuild(self, region: str, leader: str) -> None:
        self.up[region], self.writes[region], self.fenced[region] = True, False, self.fenced[leader]
        for replicated in (self.fence_number, self.heartbeat, self.noted_lease, self.rows):
            replicated[region] = copy.copy(replicated[leader])  # type: ignore[index]

    # What clients see.

    def open_writers(self) -> set[str]:
        """The regions whose database takes an application's writes now."""
        return {region for region in self.up if self.takes_writes(region)}

    def takes_writes(self, region: str) -> bool:
        lets_in = not self.fenced[region] and self.admits[region]
        return self.up[region] and self.writes[region] and (lets_in or self.open_sessions[region] > 0)

    def writer_region_by_name(self) -> str:
        """Where the public name leads: to the SECONDARY record once the writer switch is engaged."""
        return STANDBY if self._is_switched() else WRITER

    def probe(self, region: str, event: dict[str, Any]) -> dict[str, Any]:
        """Answer as handlers/standing/prober.py does."""
        if event == WARM_UP:
            self.warmed_up += 1
            return {}
        assert set(event) <= {"target", "timeout_s", "proof", "heartbeat", "lease", "fence", "lift_fence"}, event
        scripted = self.script(event["target"])
        if scripted is not None:
            return scripted
        peer = STANDBY if region == WRITER else WRITER
        target = event["target"]
        leads_to = {"own": region, "own_reader": region, "peer": peer}.get(target) or self.writer_region_by_name()
        if not self.up[leads_to] or (target != "own_reader" and not self.writes[leads_to]):
            # A standby's cluster endpoint takes no connections before the promotion.
            CLOCK.sleep(event["timeout_s"])
            return asdict(Probe(target, None, leads_to, "TimeoutError: timed out", event["timeout_s"] * 1000))
        error = self._work(leads_to, event) if self.writes[leads_to] else None
        role = "writer" if self.writes[leads_to] else "reader"
        return asdict(
            Probe(
                target,
                role,  # type: ignore[arg-type]
                leads_to,
                error,
                20.0,
                self.heartbeat[leads_to],
                self.noted_lease[leads_to],
                self.fenced[leads_to],
                self.fence_number[leads_to],
                self.open_sessions[leads_to],
                OLDEST_XID,
            )
        )

    def salvage(self, region: str, event: dict[str, Any]) -> dict[str, Any]:
        """Answer as handlers/standing/salvage.py does, with one row a page."""
        if event["order"] == "tables":
            return {"tables": [{"name": "public.transfers", "keyed": True, "blocks": 1}]}
        if not self.fenced[region]:
            raise RuntimeError("rows are exported from a fenced server only")
        old, new = self.rows[region], self.rows[STANDBY if region == WRITER else WRITER]
        after = int(event["after"].strip("()").split(",")[1])
        key = min((key for key in old if key > after), default=None)
        rows = []
        if key is not None and new.get(key) != old[key]:
            finding = "different" if key in new else "missing"
            rows.append({"finding": finding, "data": json.dumps({"id": key, "note": old[key]})})
        return {"rows": rows, "uncompared": 0, "after": None if key is None else f"(0,{key})"}

    def _work(self, region: str, event: dict[str, Any]) -> str | None:
        if "proof" in event and not any(run == event["proof"]["run"] for _, run, _ in self.proofs):
            self.proofs.append((region, event["proof"]["run"], event["proof"]["epoch"]))
        if event.get("heartbeat"):
            last = self.heartbeat[region]
            self.heartbeat[region] = Beat((last.seq if last else 0) + 1, CLOCK.now())
            self.noted_lease[region] = event.get("lease", self.noted_lease[region])
        if "fence" in event:
            self.fence_number[region] += 1
            self.fenced[region] = True
            self.open_sessions[region] = 0 if self.sessions_end else 3
            return None if self.sessions_end else "sessions of applications do not end"
        lift = event.get("lift_fence")
        if lift and lift["number"] == self.fence_number[region] and CLOCK.now() < lift["until"]:
            self.fenced[region] = False
        return None


# --- AWS, and what may be wrong with it


# moto reads a definition when a state machine is created and at each of its starts (0.5 s), and each path at each use.
# Once will do.
_validate = cache(StepFunctionsParserBackend._validate_definition)
_parse_path = cache(json_path.parse)
_tree = cache(lambda definition, parse=AmazonStateLanguageParser.parse: parse(definition)[1])


def parse_once(definition: str) -> Any:
    """A new program from the tree of a definition, and the tree."""
    return Preprocessor().visit(_tree(definition)), _tree(definition)


@cache
def _client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]


@dataclass
class Trouble:
    """What goes wrong with the next ``times`` requests to AWS that fit: an answer, a lost connection, or a death.

    ``kind`` is an error code (answered with ``status``), ``refused`` (no connection) or ``killed`` (the function
    dies). With ``after`` the request first has its effect. ``skip`` such requests are left alone before.
    """

    operation: str  # such as dynamodb.UpdateItem, or * for all
    kind: str
    status: int = 400
    times: int = 1
    region: str = ""
    step: str = ""
    after: bool = False
    skip: int = 0


class Gate:
    """Every request that boto3 sends passes here on its way to moto."""

    def __init__(self, lambdas: Lambdas) -> None:
        self._lambdas = lambdas
        self._lock = threading.Lock()
        self.troubles: list[Trouble] = []
        self.before: Callable[[str], None] = lambda operation: None  # called before every request
        self.seen: list[tuple[str, str, str]] = []  # step, region, operation
        self._open = threading.local()

    def install(self, stack: ExitStack) -> None:
        """Stand between boto3 and moto until ``stack`` is closed."""
        gate, answer = self, BotocoreStubber.__call__

        def pass_through(stubber: BotocoreStubber, event_name: str, request: Any, **named: Any) -> Any:
            if getattr(gate._open, "wide", False):
                return answer(stubber, event_name, request, **named)
            operation = event_name.removeprefix("before-send.")
            region = _region_of(request.url)
            gate.before(operation)
            trouble = gate._take(operation, region)
            if trouble and not trouble.after:
                return gate._cause(trouble, request)
            if operation == "lambda.Invoke":
                result = gate._invoke(region, request)
            else:
                result = answer(stubber, event_name, request, **named)
            return gate._cause(trouble, request) if trouble else result

        stack.enter_context(mock.patch.object(BotocoreStubber, "__call__", pass_through))

    @contextmanager
    def wide_open(self) -> Iterator[None]:
        """Requests of this thread meet no trouble and are not noted."""
        before, self._open.wide = getattr(self._open, "wide", False), True
        try:
            yield
        finally:
            self._open.wide = before

    def _take(self, operation: str, region: str) -> Trouble | None:
        step = self._lambdas.doer()
        with self._lock:
            self.seen.append((step, region, operation))
            for trouble in self.troubles:
                if (
                    trouble.times > 0
                    and trouble.operation in (operation, "*")
                    and trouble.region in (region, "")
                    and trouble.step in (step, "")
                ):
                    trouble.skip -= 1
                    if trouble.skip < 0:
                        trouble.times -= 1
                        return trouble
        return None

    @staticmethod
    def _cause(trouble: Trouble, request: Any) -> AWSResponse:
        if trouble.kind == "killed":
            raise Killed
        if trouble.kind == "refused":
            raise EndpointConnectionError(endpoint_url=request.url)
        asked = request.headers.get("Content-Type", b"")
        if b"form-urlencoded" in (asked if isinstance(asked, bytes) else asked.encode()):
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{trouble.kind}</Code>"
                "<Message>made by the test</Message></Error><RequestId>0</RequestId></ErrorResponse>"
            )
        else:
            body = json.dumps({"__type": trouble.kind, "message": "made by the test"})
        headers = HTTPHeaders()
        headers["x-amzn-ErrorType"] = trouble.kind
        return AWSResponse(request.url, trouble.status, headers, MockRawResponse(body))

    def _invoke(self, region: str, request: Any) -> AWSResponse:
        name = request.url.split("/functions/")[1].split("/")[0]
        outcome = self._lambdas.invoke(region, name, json.loads(request.body))
        headers = HTTPHeaders()
        if outcome.failed:
            headers["x-amz-function-error"] = "Unhandled"
        return AWSResponse(request.url, 200, headers, MockRawResponse(outcome.payload))


def _region_of(url: str) -> str:
    return next((region for region in (WRITER, STANDBY) if f".{region}." in url), "")


def _decimal(number: float) -> Decimal:
    return Decimal(repr(round(number, 3)))


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


# --- runs


@dataclass(frozen=True)
class Run:
    """An execution that has ended."""

    name: str
    status: str
    output: Any
    error: str | None
    cause: str | None
    events: list[dict[str, Any]]

    @property
    def visited(self) -> list[str]:
        """The states in the order of their entrance, those of branches included."""
        return [
            event["stateEnteredEventDetails"]["name"] for event in self.events if "stateEnteredEventDetails" in event
        ]

    @property
    def end(self) -> str:
        """The last state."""
        return self.visited[-1]


def _wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.002)


class Deployment:
    """Both regions. Use it as a context manager."""

    def __init__(self) -> None:
        settings = load(environment_suffix="test", environment="development", salvage={"replay": REPLAY})
        self.specification = describe(settings, ACCOUNT)
        self.databases = Databases(lambda: self.is_switched(STANDBY))
        self.lambdas = Lambdas(self.specification, {"prober": self.databases.probe, "salvage": self.databases.salvage})
        self.gate = Gate(self.lambdas)
        self._stack = ExitStack()
        self._ended: dict[str, threading.Event] = defaultdict(threading.Event)  # by execution's name
        self._closing = threading.Event()

    def __enter__(self) -> Deployment:
        """Create everything."""
        stack = self._stack
        stack.enter_context(mock_aws(config={"core": {"reset_boto3_session": False}}))
        stack.enter_context(mock.patch.object(botocore.endpoint, "time", HANDLERS_TIME))
        stack.enter_context(mock.patch.object(idempotency_base, "dt", POWERTOOLS_TIME))
        stack.enter_context(mock.patch.object(idempotency_dynamodb, "dt", POWERTOOLS_TIME))
        atomic.install(stack)
        StepFunctions(ACCOUNT, CLOCK, self.lambdas, self._observe).install(stack)  # type: ignore[arg-type]
        stack.enter_context(mock.patch.object(retrier_decl, "time", HANDLERS_TIME))
        stack.enter_context(mock.patch.object(AmazonStateLanguageParser, "parse", staticmethod(parse_once)))
        stack.enter_context(mock.patch.object(json_path, "parse", _parse_path))
        stack.enter_context(
            mock.patch.object(StepFunctionsParserBackend, "_validate_definition", staticmethod(_validate))
        )
        database = GlobalDatabase(
            self.specification,
            CLOCK,  # type: ignore[arg-type]
            Reachability([*self.specification.settings.regions]),
            databases=self.databases,
            promotion_seconds=0,
            observe=self._observe,
        )
        database.install(stack)
        database.create(self.client)
        self._create_tables()
        for region in self.specification.regions.values():
            self._create_region(region)
        self.gate.install(stack)
        self.lambdas.install(stack)
        return self

    def __exit__(self, *_: object) -> None:
        """Undo everything."""
        CLOCK.limits_are_divided_by = 1.0
        self._closing.set()
        try:
            self.lambdas.wait_until_idle()
        finally:
            self._stack.close()

    def _observe(self, happening: Happening) -> None:
        if happening.kind is Kind.EXECUTION_ENDED:
            self._ended[happening.subject].set()

    def client(self, service: str, region: str) -> Any:
        """A boto3 client of the test's own."""
        return _client(service, region)

    def _create_tables(self) -> None:
        table = self.specification.control_table
        replicated_table.create(self.client("dynamodb", WRITER), ACCOUNT, WRITER, table)
        self.client("dynamodb", WRITER).put_item(TableName=table.name, Item=self.specification.first_control_record)
        self.guardian_was_here()

    def _create_region(self, region: Region) -> None:
        for table in (region.idempotency_table, region.runs_table):
            replicated_table.create(self.client("dynamodb", region.name), ACCOUNT, region.name, table)
        self.client("sns", region.name).create_topic(Name=region.topic)
        place = {} if region.name == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region.name}}
        self.client("s3", region.name).create_bucket(Bucket=region.salvage_bucket, **place)
        for key in ("heartbeat-missing", "heartbeat-unhealthy"):
            alarm = region.alarm(key)
            self.client("cloudwatch", region.name).put_metric_alarm(
                AlarmName=alarm.name,
                Namespace=alarm.metric.namespace,
                MetricName=alarm.metric.name,
                Statistic=alarm.metric.statistic,
                Period=alarm.metric.period_seconds,
                EvaluationPeriods=alarm.evaluation_periods,
                Threshold=alarm.threshold,
                ComparisonOperator=alarm.comparison,
            )
        for machine in (region.state_machine, region.reprotection):
            self.client("stepfunctions", region.name).create_state_machine(
                name=machine.name,
                definition=machine.definition,
                roleArn=f"arn:aws:iam::{ACCOUNT}:role/{machine.name}",
            )

    # --- the world before a run

    def guardian_was_here(self, ago_s: float = 0.0) -> None:
        """So long ago the writer's guardian renewed its lease; its heartbeat has been replicated."""
        now = CLOCK.now() - ago_s
        beat = Beat(100, round(now, 3))
        self.databases.heartbeat = {WRITER: beat, STANDBY: beat}
        self.change_record(lease_expires_at=_decimal(now + LEASE_S), heartbeat={"seq": 100, "at": _decimal(beat.at)})

    def writer_dies(self) -> None:
        """The writer region is gone, and both observers have seen it, later than its lease; nothing was lost."""
        self.databases.up[WRITER] = False
        self.guardian_was_here(ago_s=15.0)
        self.ring("heartbeat-missing", STANDBY)
        self.publish_lag(40.0)

    def ring(self, key: str, region: str, state: str = "ALARM") -> None:
        """Put an alarm into a state."""
        name = self.specification.regions[region].alarm(key).name
        self.client("cloudwatch", region).set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test")

    def publish_lag(self, lag_ms: float, age_s: float = 30.0, region: str = STANDBY) -> None:
        """Publish a replication lag as Aurora does."""
        metric = self.specification.regions[region].alarm("replication-lag").metric
        self.client("cloudwatch", region).put_metric_data(
            Namespace=metric.namespace,
            MetricData=[
                {
                    "MetricName": metric.name,
                    "Value": lag_ms,
                    "Timestamp": datetime.datetime.fromtimestamp(CLOCK.now() - age_s, datetime.UTC),
                    "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                }
            ],
        )

    def change_record(self, **attributes: Any) -> None:
        """Change the control record as a person would."""
        with self.gate.wide_open():
            self.client("dynamodb", WRITER).update_item(
                TableName=self.specification.control_table.name,
                Key=self._key(),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
                ExpressionAttributeNames={f"#{name}": name for name in attributes},
                ExpressionAttributeValues={
                    f":{name}": TypeSerializer().serialize(value) for name, value in attributes.items()
                },
            )

    def forget(self, *attributes: str) -> None:
        """Take attributes out of the control record."""
        with self.gate.wide_open():
            self.client("dynamodb", WRITER).update_item(
                TableName=self.specification.control_table.name,
                Key=self._key(),
                UpdateExpression="REMOVE " + ", ".join(attributes),
            )

    def _key(self) -> dict[str, Any]:
        return {CONTROL_KEY: {"S": self.specification.global_identifier}}

    def fail(self, step: str, *errors: str) -> None:
        """Have the next invocations of a step end in these errors instead of running it."""
        self.lambdas.errors[step] += errors

    def trouble(self, operation: str, kind: str, **how: Any) -> Trouble:
        """Have the next requests of that kind go wrong; see `Trouble`."""
        trouble = Trouble(operation, kind, **how)
        self.gate.troubles.append(trouble)
        return trouble

    def hang(self) -> None:
        """Never return, as a function that waits for something that never comes; the test's end kills it."""
        self._closing.wait()
        raise Killed

    @staticmethod
    def wait_for(holds: Callable[[], bool]) -> None:
        """Wait until something else in this process has happened."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it does not happen"
            time.sleep(0.001)

    def lose_region(self, region: str) -> None:
        """Every endpoint of a region refuses connections."""
        self.trouble("*", "refused", region=region, times=10**9)

    def wait_for_promotion(self) -> None:
        """Wait until Aurora has promoted the standby's cluster, which was detached."""
        _wait_until(lambda: self.databases.writes[STANDBY], "the standby is not promoted")

    def wait_for_switch(self) -> None:
        """Wait until the writer switch leads to the standby region."""
        _wait_until(lambda: self.is_switched(STANDBY), "the switch is not engaged")

    def set_cluster_status(self, status: str, region: str = STANDBY) -> None:
        """Have RDS report another status of a region's cluster."""
        rds_backends[ACCOUNT][region].clusters[self.specification.regions[region].cluster.identifier].status = status

    # --- the world after it

    def record(self) -> dict[str, Any]:
        """The control record's item, as DynamoDB holds it."""
        with self.gate.wide_open():
            found = self.client("dynamodb", WRITER).get_item(
                TableName=self.specification.control_table.name, Key=self._key(), ConsistentRead=True
            )
        return _plain(found["Item"])

    def lock(self) -> dict[str, Any] | None:
        """The lock in the control record."""
        return self.record().get("transition")

    def members(self) -> set[str]:
        """The regions whose clusters are members of the global database."""
        with self.gate.wide_open():
            answer = self.client("rds", STANDBY).describe_global_clusters(
                GlobalClusterIdentifier=self.specification.global_identifier
            )
        arns = [member["DBClusterArn"] for member in answer["GlobalClusters"][0]["GlobalClusterMembers"]]
        return {arn.split(":")[3] for arn in arns}

    def primaries(self) -> set[str]:
        """The regions whose cluster is the primary of the global database."""
        with self.gate.wide_open():
            answer = self.client("rds", STANDBY).describe_global_clusters(
                GlobalClusterIdentifier=self.specification.global_identifier
            )
        members = answer["GlobalClusters"][0]["GlobalClusterMembers"]
        return {member["DBClusterArn"].split(":")[3] for member in members if member["IsWriter"]}

    def is_switched(self, region: str) -> bool:
        """Whether the real writer switch of a region says "engaged"."""
        with self.gate.wide_open():
            return self.lambdas.call(region, "writer_switch", {})["statusCode"] == 200  # type: ignore[no-any-return]

    def messages(self, region: str) -> list[tuple[str, str]]:
        """Subject and text of what was published to a region's topic."""
        topic = self.specification.regions[region].topic
        found = sns_backends[ACCOUNT][region].topics[f"arn:aws:sns:{region}:{ACCOUNT}:{topic}"]
        return [(subject, text) for _, text, subject, *_ in found.sent_notifications]

    def run_record(self, run: str, region: str = STANDBY) -> dict[str, Any] | None:
        """The record that is kept of a run."""
        with self.gate.wide_open():
            found = self.client("dynamodb", region).get_item(
                TableName=self.specification.regions[region].runs_table.name, Key={"run": {"S": run}}
            )
        return _plain(found["Item"]) if "Item" in found else None

    def answers(self, command: str, **answer: str) -> None:
        """A person answers every question with that command of the Step Functions client, as the message says."""

        def answer_when_asked(step: str, event: Any) -> None:
            if step in ("ask_approval", "ask_retirement"):
                (token,) = re.findall(r"send-task-success .*--task-token (\S+)", self.messages(STANDBY)[-1][1])
                with self.gate.wide_open():
                    getattr(self.client("stepfunctions", STANDBY), command)(taskToken=token, **answer)

        self.lambdas.after = answer_when_asked

    def tokens(self, region: str = STANDBY) -> list[dict[str, Any]]:
        """The idempotency tokens of a region."""
        with self.gate.wide_open():
            found = self.client("dynamodb", region).scan(
                TableName=self.specification.regions[region].idempotency_table.name
            )
        return [_plain(item) for item in found["Items"]]

    # --- runs

    def call(self, step: str, event: Any, region: str = STANDBY) -> Any:
        """Run one handler outside the workflow; its result, or its own error."""
        return self.lambdas.call(region, step, event)

    def start(self, data: Any, name: str, region: str = STANDBY, *, reprotect: bool = False) -> str:
        """Start an execution; its ARN. ``data`` may be anything that is JSON."""
        names = self.specification.names
        machine = names.reprotection_arn(region) if reprotect else names.state_machine_arn(region)
        return self.client("stepfunctions", region).start_execution(  # type: ignore[no-any-return]
            stateMachineArn=machine, name=name, input=json.dumps(data)
        )["executionArn"]

    def wait(self, arn: str) -> Run:
        """Wait for an execution's end."""
        machines = self.client("stepfunctions", arn.split(":")[3])
        assert self._ended[arn.rsplit(":", 1)[1]].wait(PATIENCE_S), f"{arn} does not end"
        found = machines.describe_execution(executionArn=arn)
        events = machines.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        output = json.loads(found["output"]) if "output" in found else None
        return Run(found["name"], found["status"], output, found.get("error"), found.get("cause"), events)

    def run(self, data: Any, name: str = "run-1", region: str = STANDBY, *, reprotect: bool = False) -> Run:
        """Start an execution and wait for its end."""
        return self.wait(self.start(data, name, region, reprotect=reprotect))

    def run_until(self, step: str, data: Any, name: str, region: str = STANDBY, *, reprotect: bool = False) -> None:
        """Start an execution that stands still for ever once a step has done its work: nothing it starts runs."""
        still = threading.Event()

        def stand_still(done: str, event: Any) -> None:
            if event.get("run") == name and (done == step or still.is_set()):
                still.set()
                self.hang()

        self.lambdas.after = stand_still
        self.lambdas.before = lambda coming, event: stand_still("", event)
        self.start(data, name, region, reprotect=reprotect)
        assert still.wait(PATIENCE_S), f"{name} does not get to {step}"

    def old_region_returns(self) -> None:
        """The region that lost the writer lives again, its database as it was; the new writer goes on meanwhile."""
        self.databases.up = {WRITER: True, STANDBY: True}
        for region in (WRITER, STANDBY):
            self.ring("heartbeat-missing", region, "OK")
        self.lambdas.before = lambda step, event: self.new_writer_beats() if step == "verify_replication" else None

    def new_writer_beats(self) -> None:
        """The new writer's guardian has just renewed; what it wrote is replicated to whoever follows it."""
        self.guardian_was_here()

    def reprotect(self, name: str = "reprotect-1") -> Run:
        """The old writer's region returns and is made the standby of the present writer, by the real workflow."""
        self.old_region_returns()
        asked = {"started_by": "ada", "retire_without_asking": True}
        return self.run(asked, name, self.record()["writer_region"], reprotect=True)

    def state_machine_arn(self, region: str) -> str:
        """ARN of the workflow of a region."""
        return f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:{self.specification.regions[region].state_machine.name}"
