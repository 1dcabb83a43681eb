"""The AWS plane of the lab: everything in a specification, running, in both regions.

moto answers the AWS APIs over HTTP on a port of this machine; `drills.aws` adds the behaviour that moto lacks,
`drills.aws.lambda_runtime` runs the functions, `drills.aws.faults` makes a region unreachable. When a `Cloud` is
closed, nothing in this process stays changed.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Protocol, Self
from unittest import mock

import boto3
from botocore.config import Config
from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import LambdaBackend
from moto.core.exceptions import JsonRESTError
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sns.models import Topic, sns_backends
from werkzeug.serving import make_server

from drills.aws import atomic, replicated_table
from drills.aws.alarms import Alarms, State
from drills.aws.callers import Callers
from drills.aws.clusters import Databases
from drills.aws.data_api import DataApi, Sessions
from drills.aws.events import EventBus, create_function_rule, create_rule, rate_seconds
from drills.aws.faults import Faults
from drills.aws.global_database import GlobalDatabase
from drills.aws.happenings import Happening, Kind
from drills.aws.health_checks import HealthChecks
from drills.aws.lambda_runtime import (
    SECRET_ACCESS_KEY,
    LambdaService,
    RegionDownError,
    ThrottledError,
    UnknownFunctionError,
)
from drills.aws.permissions import Permissions
from drills.aws.rds_behaviour import Behaviour
from drills.aws.step_functions import StepFunctions
from drills.aws.timetable import Timetable
from drills.world.reachability import OUTSIDE, Fault
from orchestration.authorization import Authorization

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from drills.aws.happenings import Observe
    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from orchestration.specification.model import Region, Schedule, Specification

# moto's own account, which it assumes for every access key that it does not know.
ACCOUNT = "123456789012"
# The lab's own requests are answered in milliseconds, on a very busy machine in seconds; a longer silence is a fault in
# the lab (real seconds).
CLIENT_TIMEOUT_SECONDS = 30
# Half of what readiness looks at is not here (docs/failoverctl.md), so a schedule's run of it would always fail.
NOT_BY_SCHEDULE = frozenset({"readiness"})
CLIENT_CONFIG = Config(
    connect_timeout=CLIENT_TIMEOUT_SECONDS,
    read_timeout=CLIENT_TIMEOUT_SECONDS,
    retries={"total_max_attempts": 1},
)


class Servers(Databases, Sessions, Protocol):
    """The real servers behind the clusters: what RDS does to them, and the Data API's way to them."""


class Cloud:
    """AWS for one drill. Use it as a context manager, then call `start`.

    Parameters
    ----------
    specification
        What to create; its account is `ACCOUNT`.
    packages
        The built zip of each `Function.package`.
    folder
        The run's folder: unpacked packages go to ``functions``, the functions' logs to ``logs/<function>.log``.
    clock, reachability
        The lab's clock, and who reaches whom.
    register
        Called with the id of every process started (`Reaper.process`).
    dns_servers
        Address and UDP port of the DNS server that the functions of each region ask.
    databases
        The real databases behind the clusters.
    promotion_seconds
        How long Aurora takes to promote one, as the drill states it (virtual seconds).
    observe
        Told of everything that happens, from many threads.
    authority
        PEM file of the databases' certificate authority; it replaces RDS's in the packages.
    seed
        Fixes the moments at which alarms are evaluated and health checkers ask.
    deliveries
        How often EventBridge delivers each event.

    Attributes
    ----------
    control_table
        How the control table is.
    """

    def __init__(
        self,
        specification: Specification,
        packages: Mapping[str, Path],
        folder: Path,
        clock: Clock,
        reachability: Reachability,
        *,
        register: Callable[[int], None],
        dns_servers: Mapping[str, tuple[str, int]],
        databases: Servers,
        promotion_seconds: float,
        observe: Observe,
        authority: Path | None = None,
        seed: int = 0,
        deliveries: int = 1,
    ) -> None:
        """Creates everything; nothing runs by itself before `start`."""
        if specification.account != ACCOUNT:
            raise ValueError(f"the specification is of account {specification.account}; the lab's is {ACCOUNT}")
        self._specification = specification
        self._clock = clock
        self._observe = observe
        self.reachability = reachability
        self.callers = Callers(specification)
        self._session = boto3.session.Session()
        self._session_lock = threading.Lock()
        self._stack = ExitStack()
        self.control_table = replicated_table.Condition()
        self._schedules_late_seconds = 0.0
        self._chance = random.Random(f"schedules {seed}")  # noqa: S311 - not for secrets
        with ExitStack() as stack:  # undone at once if something below fails
            self.endpoint = self._serve(stack, databases)
            self.lambdas = LambdaService(
                specification,
                packages,
                folder,
                clock,
                endpoint=self.endpoint,
                register=register,
                dns_servers=dns_servers,
                observe=self._tell,
                reachability=reachability,
                authority=authority,
            )
            stack.callback(self.lambdas.close)
            self.machines = StepFunctions(ACCOUNT, clock, self.lambdas, self._tell)
            self.database = GlobalDatabase(
                specification,
                clock,
                reachability,
                databases=databases,
                promotion_seconds=promotion_seconds,
                observe=self._tell,
            )
            self._install(stack)
            self._bus = EventBus(ACCOUNT, clock, self._is_down, self._tell, deliveries)
            self._bus.install(stack)
            self._bus.invoke_by(self._invoke_by_rule)
            self.machines.announce_by(self._bus.put)
            self.alarms = self._evaluator(self._bus, seed)
            self.health_checks = HealthChecks(specification.zone, self.lambdas, reachability, clock, self._tell, seed)
            self._last_news: dict[tuple[str, str], bool] = {}
            self._create()
            self.timetable = Timetable(clock)
            stack.callback(self.timetable.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        """Returns the cloud itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    def close(self) -> None:
        """Stops everything and undoes every change to moto. Requests and functions under way are cut off."""
        self.reachability.close()
        self._stack.close()

    def start(self) -> None:
        """Starts the health checks, the schedules (each function for the first time) and the alarms."""
        self.health_checks.start(self.timetable)
        for region in self._specification.regions.values():
            for schedule in region.schedules:
                if schedule.function.step in NOT_BY_SCHEDULE:
                    continue
                self.timetable.every(
                    rate_seconds(schedule.expression),
                    self._clock.now(),
                    lambda due, region=region, schedule=schedule: self._scheduled(region, schedule, due),  # type: ignore[misc]
                )
            self.alarms.start(region, self.timetable)

    def client(self, service: str, region: str) -> Any:
        """Returns a boto3 client of the lab, which may do everything and does not retry."""
        with self._session_lock:  # clients may be shared by threads, sessions may not
            return self._session.client(
                service,  # type: ignore[call-overload]
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id="LAB-drill",
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=CLIENT_CONFIG,
            )

    def is_up(self, region: str) -> bool:
        """Returns whether the region is up."""
        return self.reachability.is_up(region)

    def is_healthy(self, check: str) -> bool:
        """Returns whether DNS considers the health check of that key healthy."""
        return self.health_checks.is_healthy(check)

    def answer_in(self, region: str, check: str) -> bool:
        """Returns whether DNS in ``region`` considers a check healthy; one that is cut off keeps the last state."""
        if self.reachability.reaches(OUTSIDE, region):
            self._last_news[region, check] = self.is_healthy(check)
        return self._last_news.get((region, check), self.is_healthy(check))

    def alarm_state(self, region: str, key: str) -> State:
        """Returns the state of the alarm of that key in a region."""
        return self.alarms.state(region, self._specification.regions[region].alarm(key).name)

    def start_execution(self, region: str, text: str, name: str | None = None, machine: str | None = None) -> str:
        """Starts a workflow of a region by hand with an input (JSON text); returns the execution's ARN.

        Without the name of a ``machine`` it is the failover workflow.
        """
        named = {"name": name} if name else {}
        machine = machine or self._specification.regions[region].state_machine.name
        arn = self._arn("states", region, f"stateMachine:{machine}")
        started = self.client("stepfunctions", region).start_execution(stateMachineArn=arn, input=text, **named)
        return str(started["executionArn"])

    def stop_function(self, region: str, step: str) -> None:
        """Stops a function for good, as somebody does who sets its reserved concurrency to 0."""
        self.lambdas.stop(region, self._specification.regions[region].functions[step].name)

    def lose_every_event(self) -> None:
        """Lets EventBridge deliver nothing more, in both regions."""
        self._bus.lose(lambda _: True)

    def lose_events_of_ours(self) -> None:
        """Lets EventBridge lose every event that is not of an AWS service."""
        self._bus.lose(lambda event: not event["source"].startswith("aws."))

    def start_schedules_late(self, seconds: float) -> None:
        """Lets schedules start their functions late, at random, by up to so many virtual seconds.

        The EventBridge guide says "several seconds".
        """
        self._schedules_late_seconds = seconds

    def take_down(self, region: str, fault: Fault) -> None:
        """Takes a region away: its endpoints, functions, schedules, alarms, rules and workflows, all at once.

        Its endpoints show ``fault``; with `Fault.HANG` its functions freeze, else they are killed.
        """
        self.reachability.take_down(region, fault)
        self.lambdas.take_down(region, "freeze" if fault is Fault.HANG else "kill")
        self.machines.abort(region)

    def bring_back(self, region: str) -> None:
        """Lets a region live again, with the state it had; executions that ran there stay aborted."""
        self.reachability.bring_back(region)
        self.lambdas.bring_back(region)

    def mend(self) -> None:
        """Ends every trouble of the services: they work as AWS describes them. Regions that are down stay down."""
        self._bus.lose(lambda _: False)
        self._schedules_late_seconds = 0.0
        self.alarms.see_late(0.0)
        self.lambdas.start_again()
        self.control_table.failing_until = 0.0
        self.database.behaviour = Behaviour()

    def _is_down(self, region: str) -> bool:
        return not self.is_up(region)

    def _tell(self, happening: Happening) -> None:
        """Passes on what happens, except inside a region that is down; health checkers stand outside of it."""
        if self.is_up(happening.region) or happening.kind is Kind.HEALTH_CHANGED:
            self._observe(happening)

    def _arn(self, service: str, region: str, resource: str) -> str:
        return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"

    # --- what moto serves

    def _serve(self, stack: ExitStack, servers: Servers) -> str:
        """Serves an empty moto, behind permissions and faults, on a free port, in threads of this process."""
        moto_api_backend.reset()
        stack.callback(moto_api_backend.reset)
        clock = self._clock

        class Handler(_QuietHandler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                """Returns what the header ``Date`` says: the lab's time, not this machine's."""
                return formatdate(clock.now() if timestamp is None else timestamp, usegmt=True)

        moto = DomainDispatcherApplication(create_backend_app)
        data_api = DataApi(moto, servers)
        stack.callback(data_api.close)
        permitted = Permissions(data_api, self.callers, Authorization(self._specification), self._tell)
        faults = Faults(permitted, self.reachability, self.callers.region_of)
        server = make_server("127.0.0.1", 0, faults, threaded=True, request_handler=Handler)
        server.daemon_threads = True  # type: ignore[attr-defined]
        # The default poll, of half a second, would delay the end.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        stack.callback(server.server_close)
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        stack.callback(self.reachability.close)
        return f"http://127.0.0.1:{server.server_port}"

    def _evaluator(self, bus: EventBus, seed: int) -> Alarms:
        return Alarms(
            ACCOUNT, self._clock, bus, publish=self._notify, is_down=self._is_down, observe=self._tell, seed=seed
        )

    def _install(self, stack: ExitStack) -> None:
        """Changes what moto does until ``stack`` is closed."""
        self.machines.install(stack)
        self.database.install(stack)
        atomic.install(stack)
        self._install_control_table(stack)
        self.callers.install(stack)
        self._install_lambda(stack)
        self._install_topics(stack)

    def _install_control_table(self, stack: ExitStack) -> None:
        table = self._specification.control_table

        def changed(region: str, item: dict[str, Any]) -> None:
            self._tell(Happening(Kind.RECORD_CHANGED, region, table.name, {"item": item}))

        replicated_table.install(stack, table, self.reachability, self._clock, self.control_table, changed)

    def _install_lambda(self, stack: ExitStack) -> None:
        """Answers ``Invoke`` with the lab's Lambda service; moto's functions are not used."""
        cloud = self

        def invoke(
            backend: LambdaBackend, name: str, _qualifier: str | None, body: Any, headers: Any, answer: dict[str, str]
        ) -> bytes:
            event = _json(body)
            try:
                if headers.get("X-Amz-Invocation-Type") == "Event":
                    cloud.lambdas.invoke_async(backend.region_name, name, event)
                    return b""
                outcome = cloud.lambdas.invoke(backend.region_name, name, event)
            except UnknownFunctionError as error:
                raise UnknownFunctionException(name) from error
            except ThrottledError as error:
                raise TooManyRequestsException(str(error)) from error
            except RegionDownError as error:
                raise ConnectionResetError from error
            if outcome.failed:
                answer["X-Amz-Function-Error"] = "Unhandled"
            answer["X-Amz-Executed-Version"] = "$LATEST"
            return outcome.payload.encode()

        stack.enter_context(mock.patch.object(LambdaBackend, "invoke", invoke))

    def _install_topics(self, stack: ExitStack) -> None:
        """Tells the timeline of every message."""
        cloud, publish = self, Topic.publish

        def watched(topic: Topic, message: str, subject: str | None = None, **rest: Any) -> str:
            detail = {"subject": subject, "message": message}
            cloud._tell(Happening(Kind.MESSAGE_PUBLISHED, topic.arn.split(":")[3], topic.name, detail))
            return str(publish(topic, message, subject=subject, **rest))

        stack.enter_context(mock.patch.object(Topic, "publish", watched))

    def _create(self) -> None:
        """Creates the specification's resources in moto."""
        specification = self._specification
        control = specification.control_table
        writer = specification.settings.writer_region
        replicated_table.create(self.client("dynamodb", writer), ACCOUNT, writer, control)
        self.database.create(self.client)
        for region in specification.regions.values():
            self._create_region(region)

    def _create_region(self, region: Region) -> None:
        name = region.name
        replicated_table.create(self.client("dynamodb", name), ACCOUNT, name, region.idempotency_table)
        replicated_table.create(self.client("dynamodb", name), ACCOUNT, name, region.runs_table)
        self.client("secretsmanager", name).create_secret(
            Name=self._specification.names.master_secret, SecretString="of the master user"
        )
        topic_arn = self.client("sns", name).create_topic(Name=region.topic)["TopicArn"]
        role_arn = f"arn:aws:iam::{ACCOUNT}:role/lab"
        machine, _ = (
            self.client("stepfunctions", name).create_state_machine(
                name=each.name, definition=each.definition, roleArn=role_arn
            )["stateMachineArn"]
            for each in (region.state_machine, region.reprotection)
        )
        # us-east-1 is the default region of buckets, and must not be named (S3 API reference, CreateBucket).
        where = {} if name == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": name}}
        self.client("s3", name).create_bucket(Bucket=region.salvage_bucket, **where)
        self.client("s3", name).create_bucket(Bucket=region.reports_bucket, ObjectLockEnabledForBucket=True, **where)
        events = self.client("events", name)
        for rule in region.rules:
            create_rule(events, rule, machine, role_arn)
        for one in region.function_rules:
            create_function_rule(events, one, self._arn("lambda", name, f"function:{one.function.name}"))
        self.alarms.create(region, self.client("cloudwatch", name), topic_arn)

    def _invoke_by_rule(self, region: str, function: str, event: dict[str, Any]) -> None:
        with suppress(RegionDownError):
            self.lambdas.invoke_async(region, function, event)

    def _notify(self, region: str, subject: str, message: str) -> None:
        """Publishes to the topic of a region."""
        topic_arn = self._arn("sns", region, self._specification.regions[region].topic)
        sns_backends[ACCOUNT][region].topics[topic_arn].publish(message, subject=subject)

    def _scheduled(self, region: Region, schedule: Schedule, due: float) -> None:
        event = _scheduled_event(region.name, schedule.name, due)

        def invoke() -> None:
            with suppress(RegionDownError):
                self.lambdas.invoke_async(region.name, schedule.function.name, event)

        timer = threading.Timer(self._clock.to_real(self._chance.uniform(0, self._schedules_late_seconds)), invoke)
        timer.daemon = True
        timer.start()


class TooManyRequestsException(JsonRESTError):
    """Lambda throttles the caller."""

    code = 429

    def __init__(self, message: str) -> None:
        super().__init__("TooManyRequestsException", message)


class _QuietHandler(MotoRequestHandler):
    """Writes no line per request; the drill's timeline shows what matters."""

    def log(self, kind: str, message: str, *args: Any) -> None:
        """Discards what the server would print."""


def _json(body: Any) -> Any:
    """Returns an invocation's event: an empty body is an empty object."""
    return json.loads(body) if body else {}


def _scheduled_event(region: str, schedule: str, now: float) -> dict[str, Any]:
    """Returns the event that a schedule sends to its function (EventBridge user guide, "Schedule types")."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:events:{region}:{ACCOUNT}:rule/{schedule}"],
        "detail": {},
    }
