"""A whole deployment inside the test's process: what a test does to it, and the runs that it starts."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock

from aws_lambda_powertools.utilities.idempotency.persistence import base as idempotency_base
from aws_lambda_powertools.utilities.idempotency.persistence import dynamodb as idempotency_dynamodb
from moto import mock_aws
from moto.events.models import EventPattern

from drills.aws import atomic
from drills.aws.global_database import GlobalDatabase
from drills.aws.happenings import Happening, Kind
from drills.aws.step_functions import StepFunctions
from drills.world.reachability import Reachability
from handlers.core.approval import APPROVAL_S, RETIREMENT_APPROVAL_S
from handlers.core.heartbeat import Beat
from handlers.core.lease import LEASE_S
from handlers.gateways import names
from orchestration.settings import load
from orchestration.specification import describe
from tests.deployment import quicker
from tests.deployment.account import Account, decimal
from tests.deployment.clock import CLOCK, POWERTOOLS_TIME, patiently, real_monotonic, real_sleep
from tests.deployment.databases import Databases
from tests.deployment.executions import Run, Threads, hasten
from tests.deployment.functions import Killed, Lambdas, OfWorkflows
from tests.deployment.gate import Gate, Trouble
from tests.deployment.regions import ACCOUNT, STANDBY, WRITER
from tests.deployment.rights import Rights

# How the application's writes are written again.
REPLAY = {"transfers": "transfer(id, note)"}
# The steps that ask a person.
QUESTIONS = ("ask_approval", "ask_retirement")


class Deployment(Account):
    """Both regions, with their functions and their databases. Use it as a context manager."""

    def __init__(self, **asked: Any) -> None:
        """As the settings are by default, with those of ``asked`` beside."""
        settings = load(environment_suffix="test", environment="development", salvage={"replay": REPLAY}, **asked)
        specification = describe(settings, ACCOUNT)
        self.rds: GlobalDatabase  # the model, whose behaviour a test may choose
        self.databases = Databases(lambda: self.is_switched(STANDBY))
        self.lambdas = Lambdas(specification, {"prober": self.databases.probe, "salvage": self.databases.salvage})
        self.rights = Rights(specification)
        self.lambdas.starts = self.rights.starts
        self.endpoints_resolve = True  # outside the VPC
        super().__init__(specification, Gate(self.lambdas, self.databases, self.rights))
        self._stack = ExitStack()
        self._threads = Threads()
        self._ended: dict[str, threading.Event] = defaultdict(threading.Event)  # by execution's name
        self._at_work: set[str] = set()  # executions
        self._closing = threading.Event()
        self.hangs = 0  # functions that never return

    def __enter__(self) -> Deployment:
        """Create everything."""
        stack = self._stack
        stack.enter_context(mock_aws(config={"core": {"reset_boto3_session": False}}))
        quicker.install(stack)
        CLOCK.install(stack, self._sleep)
        stack.enter_context(mock.patch.object(idempotency_base, "dt", POWERTOOLS_TIME))
        stack.enter_context(mock.patch.object(idempotency_dynamodb, "dt", POWERTOOLS_TIME))
        stack.enter_context(mock.patch.object(names, "has_address", self._has_address))
        atomic.install(stack)
        of_workflows = OfWorkflows(self.lambdas, self.specification, self.rights)
        machines = StepFunctions(ACCOUNT, CLOCK, of_workflows, self._observe)  # type: ignore[arg-type]
        machines.announce_by(self._deliver)
        machines.install(stack)
        hasten(stack)
        self._threads.install(stack)
        self.rds = database = GlobalDatabase(
            self.specification,
            CLOCK,  # type: ignore[arg-type]
            Reachability([*self.specification.settings.regions]),
            databases=self.databases,
            promotion_seconds=0,
            observe=self._observe,
        )
        database.install(stack)
        database.create(self.client)
        self.create()
        self.guardian_was_here()
        self.gate.install(stack)
        self.lambdas.install(stack)
        stack.callback(self._threads.end, [partial(machines.abort, region) for region in self.specification.regions])
        return self

    def __exit__(self, *_: object) -> None:
        """Undo everything."""
        self._closing.set()
        try:
            self.lambdas.close()
        finally:
            self._stack.close()
        assert not self.rights.denied, self.rights.denied

    def _deliver(self, event: dict[str, Any]) -> None:
        """Deliver an event of Step Functions to the functions whose rule it matches; they end before anybody waits."""
        region = self.specification.regions[event["region"]]
        for rule in region.function_rules:
            if EventPattern.load(json.dumps(rule.event_pattern)).matches_event(event):  # type: ignore[arg-type]
                self.lambdas.invoke(event["region"], rule.function.name, event)

    def _has_address(self, _name: str, _within_s: float) -> bool:
        return self.endpoints_resolve

    def _observe(self, happening: Happening) -> None:
        if happening.kind is Kind.EXECUTION_STARTED:
            self._at_work.add(happening.subject)
        if happening.kind is Kind.EXECUTION_ENDED:
            self._at_work.discard(happening.subject)
            self._ended[happening.subject].set()

    def _sleep(self, seconds: float) -> None:
        """A function's sleep is skipped. So is a person's, unless an execution is at work: that one is waited for."""
        if self._at_work and not self.lambdas.doer():
            CLOCK.sleep_a_moment(seconds)
        else:
            CLOCK.sleep(seconds)

    def guardian_was_here(self, ago_s: float = 0.0) -> None:
        """So long ago the writer's guardian renewed its lease; its heartbeat has been replicated."""
        now = CLOCK.now() - ago_s
        beat = Beat(100, round(now, 3))
        self.databases.heartbeat = {WRITER: beat, STANDBY: beat}
        self.change_record(lease_expires_at=decimal(now + LEASE_S), heartbeat={"seq": 100, "at": decimal(beat.at)})

    def writer_dies(self) -> None:
        """The writer region is gone, and both observers have seen it, later than its lease; nothing was lost."""
        self.databases.up[WRITER] = False
        self.guardian_was_here(ago_s=15.0)

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
        self.hangs += 1
        self._closing.wait()
        raise Killed

    @staticmethod
    def wait_for(holds: Callable[[], bool], otherwise: str = "it does not happen") -> None:
        """Wait until something else in this process has happened; ``otherwise`` is said when it does not."""

        def look(seconds: float) -> bool:
            end = real_monotonic() + seconds
            while not (held := holds()) and real_monotonic() < end:
                real_sleep(0.001)
            return held

        assert patiently(look), otherwise

    def lose_region(self, region: str) -> Trouble:
        """Every endpoint of a region refuses connections, until the trouble's ``times`` are none."""
        return self.trouble("*", "refused", region=region, times=10**9)

    def wait_for_promotion(self) -> None:
        """Wait until Aurora has promoted the standby's cluster, which was detached."""
        self.wait_for(lambda: self.databases.writes[STANDBY], "the standby is not promoted")

    def wait_for_switch(self) -> None:
        """Wait until the writer switch leads to the standby region."""
        self.wait_for(lambda: self.is_switched(STANDBY), "the switch is not engaged")

    def is_switched(self, region: str) -> bool:
        """Whether the real writer switch sends clients to a region; both regions' switches answer alike."""
        with self.gate.wide_open():
            engaged: bool = self.lambdas.call(STANDBY, "writer_switch", {})["statusCode"] == 200
        return engaged == (region == STANDBY)  # the SECONDARY record's is the standby at deployment

    def answers(self, command: str, **answer: str) -> None:
        """A person answers every question with that command of the Step Functions client."""

        def answer_when_asked(step: str, event: Any) -> None:
            if step in QUESTIONS:
                with self.gate.wide_open():
                    getattr(self.client("stepfunctions", STANDBY), command)(taskToken=event["token"], **answer)

        self.lambdas.after = answer_when_asked

    def nobody_answers(self) -> None:
        """The time that a person has for an answer is over as soon as the question is asked."""
        asked: list[str] = []
        self.lambdas.after = lambda step, event: asked.append(step) if step in QUESTIONS else None
        CLOCK.limits |= {limit: lambda: len(asked) for limit in (APPROVAL_S, RETIREMENT_APPROVAL_S)}

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

    def wait_for_end(self, name: str) -> None:
        """Wait until the execution of that name has ended."""
        assert patiently(self._ended[name].wait), f"{name} does not end"

    def wait(self, arn: str) -> Run:
        """Wait for an execution's end, and until nothing that it has begun adds to its history or to what it did."""
        machines = self.client("stepfunctions", arn.split(":")[3])
        self.wait_for_end(arn.rsplit(":", 1)[1])
        self._threads.wait_for_branches(arn.rsplit(":", 1)[1])
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
        assert patiently(still.wait), f"{name} does not get to {step}"

    def stop(self, name: str, region: str = STANDBY) -> None:
        """Stop an execution by hand; what it has called is gone with it."""
        arn = self.specification.names.state_machine_arn(region).replace(":stateMachine:", ":execution:")
        self.client("stepfunctions", region).stop_execution(executionArn=f"{arn}:{name}")

    def old_region_returns(self) -> None:
        """The region that lost the writer lives again, its database as it was; the new writer goes on meanwhile."""
        self.databases.up = {WRITER: True, STANDBY: True}
        self.lambdas.before = lambda step, event: self.new_writer_beats() if step == "verify_replication" else None

    def new_writer_beats(self) -> None:
        """The new writer's guardian has just renewed; what it wrote is replicated to whoever follows it."""
        self.guardian_was_here()

    def reprotect(self, name: str = "reprotect-1") -> Run:
        """The old writer's region returns and is made the standby of the present writer, by the real workflow."""
        self.old_region_returns()
        asked = {"started_by": "ada", "retire_without_asking": True}
        return self.run(asked, name, self.record()["writer_region"], reprotect=True)
