"""Lambda: the real handlers, in environments that serve one invocation at a time."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import traceback
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from types import ModuleType
from typing import Any, ClassVar
from unittest import mock

import pytest
from aws_lambda_powertools import Metrics

from drills.aws.clusters import security_group
from drills.aws.lambda_runtime import Outcome, ThrottledError
from handlers.core.commands import WARM_UP
from handlers.machine import Machine
from orchestration.specification import Specification
from orchestration.specification.model import Function
from simulation import product
from tests.deployment.clock import CLOCK, patiently
from tests.deployment.regions import ACCOUNT, STANDBY
from tests.deployment.rights import Rights


class Killed(BaseException):
    """The process of a function is gone: no handler of errors runs, as with SIGKILL. Hence no `Exception`."""


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


# What an environment remembers from one invocation to the next, made anew where it begins: also of the functions that
# the simulator models, or shares among its environments.
REMEMBERED: dict[str, dict[str, Callable[[Any], Any]]] = product.REMEMBERED | {
    "readiness": product.REMEMBERED["monitor"],
    "prober": {
        "KEPT": lambda module: {key: module.KeptSession(writer=module.ROLES[key[0]]) for key in module.KEPT},
    },
}

_importing = threading.Lock()
NOBODY = ("", "")  # a step and its region


def load_step(name: str, variables: dict[str, str]) -> ModuleType:
    """Import the handler ``name`` as a new execution environment of Lambda does: with its own globals and telemetry.

    Other threads read the process's environment meanwhile, so nothing but the function's variables may change there.
    """
    with _importing, pytest.MonkeyPatch.context() as environment:
        for variable, value in variables.items():
            environment.setenv(variable, value)
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
    if "MACHINE" in vars(module):
        module.MACHINE = Machine(now=CLOCK.now, monotonic=CLOCK.now, sleep=CLOCK.sleep)  # type: ignore[attr-defined]
    return module


class Lambdas:
    """Lambda: environments that serve one invocation at a time and are used again unless they were killed."""

    # By region, function and variables: the modules of environments outlive a deployment, for importing is slow.
    _idle: ClassVar[dict[tuple[Any, ...], list[ModuleType]]] = defaultdict(list)

    def __init__(
        self, specification: Specification, stand_ins: Mapping[str, Callable[[str, Any], dict[str, Any]]]
    ) -> None:
        self._stand_ins = stand_ins
        self._functions = {
            (region.name, function.name): function
            for region in specification.regions.values()
            for function in region.functions.values()
        }
        self.starts: Callable[[str, str], None] = lambda region, step: None  # called when a function is started
        self.takes_no_events = False
        self.errors: dict[str, list[str]] = defaultdict(list)  # of each step, what its next invocations end in
        self.calls: list[str] = []  # the steps in the order of their invocations
        self.warmed_up: list[str] = []  # the steps that were only started
        self.does_not_start: set[str] = set()  # the steps of which a warm-up fails
        # Called around every invocation, with the step and its event.
        self.before: Callable[[str, Any], None] = lambda step, event: None
        self.after: Callable[[str, Any], None] = lambda step, event: None
        self.inside = threading.local()  # which step the present thread runs
        self._begun: set[ModuleType] = set()  # environments
        self._running = 0
        self._closed = False
        self._changed = threading.Condition()
        self.death = "Sandbox.Timedout"  # what Step Functions sees of a function that was killed

    @contextmanager
    def environment(self, region: str, step: str) -> Iterator[ModuleType]:
        """The module of a step, for one invocation, which is what this thread does meanwhile."""
        name, function = next(
            (name, found) for (where, name), found in self._functions.items() if where == region and found.step == step
        )
        self.starts(region, step)
        idle = self._idle[region, name, *sorted(function.environment.items())]
        try:
            module = idle.pop()
        except IndexError:
            module = load_step(function.module, variables(function, region))
        if module not in self._begun:
            self._begun.add(module)
            for what, make in REMEMBERED.get(step, {}).items():
                setattr(module, what, make(module))
        killed = False
        try:
            with self.doing(step, region):
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
            with self.environment(region, step) as module:
                result = json.loads(json.dumps(module.handler(event, Context(function.name, function.timeout_seconds))))
            self.after(step, event)
            return result

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            if self._closed:  # an execution that is still at work must not reach into the next deployment
                raise Killed
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
            assert patiently(partial(self._changed.wait_for, lambda: self._running == 0)), "a function does not end"

    def close(self) -> None:
        """Wait for them, and start none from then on."""
        with self._changed:
            try:
                self.wait_until_idle()
            finally:
                self._closed = True

    @contextmanager
    def doing(self, step: str, region: str) -> Iterator[None]:
        """What this thread does is done by the function of that step in that region."""
        before, self.inside.doer = self._doer(), (step, region)
        try:
            yield
        finally:
            self.inside.doer = before

    def doer(self) -> str:
        """The step that this thread runs."""
        return self._doer()[0]

    def doers_region(self) -> str:
        """The region of the function that this thread runs."""
        return self._doer()[1]

    def _doer(self) -> tuple[str, str]:
        return getattr(self.inside, "doer", NOBODY)

    def install(self, stack: ExitStack) -> None:
        """Have the threads that a step starts belong to it, until ``stack`` is closed."""
        submit = ThreadPoolExecutor.submit

        def submit_for_step(pool: ThreadPoolExecutor, work: Callable[..., Any], *args: Any, **named: Any) -> Any:
            step, region = self._doer()

            def run() -> Any:
                with self.doing(step, region):
                    return work(*args, **named)

            return submit(pool, run)

        stack.enter_context(mock.patch.object(ThreadPoolExecutor, "submit", submit_for_step))

    def invoke(self, region: str, name: str, event: Any) -> Outcome:
        """As `drills.aws.lambda_runtime.LambdaService.invoke`, for the model of Step Functions and for boto3."""
        function = self._functions[region, name.rsplit(":", 1)[-1]]
        if function.step in self._stand_ins:
            self.starts(region, function.step)
            return self._answer(lambda: self._stand_ins[function.step](region, event))
        if event == WARM_UP:
            return self._warm_up(region, function)
        if self.errors[function.step]:
            self.calls.append(function.step)
            return _failure(self.errors[function.step].pop(0), "made by the test")
        return self._answer(lambda: self.call(region, function.step, event))

    def _warm_up(self, region: str, function: Function) -> Outcome:
        """No work of a step: nothing that a test has to happen before or after one does."""
        self.warmed_up.append(function.step)
        if function.step in self.does_not_start:
            return _failure("Runtime.ExitError", "made by the test")
        context = Context(function.name, function.timeout_seconds)
        with self.environment(region, function.step) as module:
            return self._answer(lambda: module.handler(WARM_UP, context))

    def invoke_async(self, region: str, name: str, event: Any) -> None:
        """As `drills.aws.lambda_runtime.LambdaService.invoke_async`, but at once; nobody learns how it ended."""
        if self.takes_no_events:
            raise ThrottledError(name)
        self.invoke(region, name, event)

    def _answer(self, run: Callable[[], Any]) -> Outcome:
        try:
            return Outcome(json.dumps(run()), failed=False, request_id="")
        except Killed:
            return _failure(self.death, "the function is gone")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            return _failure(type(error).__name__, str(error), traceback.format_exc())


class OfWorkflows:
    """Lambda as the model of Step Functions sees it: each workflow invokes its steps in its own role."""

    def __init__(self, lambdas: Lambdas, specification: Specification, rights: Rights) -> None:
        self._lambdas = lambdas
        self._regions = specification.regions
        self._names = specification.names
        self._rights = rights

    def invoke(self, region: str, name: str, event: Any) -> Outcome:
        """As `Lambdas.invoke`."""
        self._note(region, name)
        return self._lambdas.invoke(region, name, event)

    def invoke_async(self, region: str, name: str, event: Any) -> None:
        """As `Lambdas.invoke_async`."""
        self._note(region, name)
        self._lambdas.invoke_async(region, name, event)

    def _note(self, region: str, name: str) -> None:
        invoked = next(one for one in self._regions[region].functions.values() if one.name == name)
        machines = {"failover": self._names.state_machine, "reprotect": self._names.reprotection}
        arn = self._names.function_arn(invoked.step, region)
        self._rights.does(machines[invoked.folder](region), "lambda:InvokeFunction", arn, region)


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
