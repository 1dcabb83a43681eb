"""Lambda: the product's functions in environments, with cold starts, time limits and what else befalls them.

An environment serves one invocation at a time and is used again (Lambda developer guide, "Understanding the Lambda
execution environment lifecycle"); its first start takes longer. An invocation that lasts too long is killed with its
environment. Whoever asked may have given up long before: the invocation goes on.

An invocation may be carried out twice ("invoked twice"): an asynchronous one arrives at least once (Lambda developer
guide, "How Lambda handles errors and retries with asynchronous invocation"), and who invokes synchronously and loses
the answer asks again, as our workflows do (Step Functions guide, "Handle transient Lambda service exceptions").

Limits: an environment is never taken away for being idle; CPU costs no time. Nothing is carried out three times. Where
the world answers in a function's place (the prober, the salvage) an invocation stays one: nobody asks those with a
second attempt, and it would show nothing of the product's code. A fence that is invoked twice asks the prober twice.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from handlers.core.errors import FailoverError
from handlers.core.lease import CLOCK_MARGIN_S
from simulation.faults import TWICE
from simulation.hooks import FUNCTION
from simulation.network import Reply
from simulation.prober import ProberFailed, probe
from simulation.product import MODELLED
from simulation.salvage import salvage
from simulation.stand_ins import BotoCoreError, Carried, Client, ClientError, refusal
from simulation.tokens import IdempotencyAlreadyInProgressError
from simulation.virtual_time import Future, Process, Timer

if TYPE_CHECKING:
    from types import ModuleType

    from orchestration.specification.model import Function
    from simulation.faults import Fault
    from simulation.world import World

COLD_S = (0.25, 1.0)
# An invocation that freezes has got this far at most.
FREEZES_WITHIN_S = 0.5
# What ends a function as it should end; anything else that it raises is a defect of the product or of the world.
EXPECTED = (FailoverError, ProberFailed, BotoCoreError, ClientError, IdempotencyAlreadyInProgressError)


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: with ``value``, or with the error of that name."""

    value: Any
    error: str | None = None
    said: str = ""


GONE = Outcome(None, "Runtime.ExitError", "the environment is gone")


class Environment(Process):
    """An execution environment of ``function`` in ``region``."""

    def __init__(self, region: str, function: Function, clock_error: float) -> None:
        super().__init__(f"{function.step} in {region}", clock_error)
        self.region, self.role = region, function.name
        self.function = function
        self.module: ModuleType | None = None  # once it has been used
        self.limit: Timer | None = None  # of the invocation that it serves
        of_workflow = function.module.startswith(("handlers.failover.", "handlers.reprotect."))
        # What freezes it where it has just begun.
        self.freezes_by = "fence frozen" if function.step == "fence" else "step frozen" if of_workflow else "frozen"


class Functions:
    """The functions of both regions."""

    def __init__(self, world: World, warm: dict[str, int]) -> None:
        """Begins with so many environments of each function, by its step."""
        self._world = world
        self._idle = {
            (region, name): [Environment(region, function, 0.0) for _ in range(warm.get(function.step, 0))]
            for (region, name), function in world.product.functions.items()
        }
        self._names = {(region, one.step): name for (region, name), one in world.product.functions.items()}
        self.running: dict[Environment, None] = {}
        self._used: list[Environment] = []
        self._frozen: list[Fault] = []  # that have found whom to freeze

    # --- as others call it

    def serve(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers ``invoke`` as Lambda's API does."""
        del here, operation
        name = request["FunctionName"].rsplit(":", 1)[-1]
        if name == FUNCTION:
            return self._world.hooks.invoke(client.region)
        payload = request["Payload"]
        event = payload.value if isinstance(payload, Carried) else json.loads(payload)
        if request.get("InvocationType") == "Event":
            self.start(client.region, name, event)
            return Reply({})
        invoked = self.start(client.region, name, event)
        try:
            outcome = invoked.result(client.read_s)
        except TimeoutError:
            return Reply(None, 1.0)
        if outcome.error is None:
            return Reply({"Payload": Carried(outcome.value)})
        report = {"errorType": outcome.error, "errorMessage": outcome.said}
        return Reply({"Payload": BytesIO(json.dumps(report).encode()), "FunctionError": "Unhandled"})

    def start(self, region: str, name: str, event: Any) -> Future[Outcome]:
        """Starts an invocation, in an environment of its own; it ends by itself, or by the function's time limit.

        Raises
        ------
        ClientError
            it is throttled.
        """
        world = self._world
        throttled = None if self.is_dead(region) else world.faults.acting("throttled", region)
        if throttled is not None and world.chance.random() < throttled.how["share"]:
            raise refusal("TooManyRequestsException", "invoke", status=429)
        ended: Future[Outcome] = Future(world.time)
        twice = world.faults.acting(TWICE, region)
        modelled = world.product.functions[region, name].step in MODELLED
        if twice is None or modelled or world.chance.random() >= twice.how["share"]:
            self._begin(region, name, event, ended)
            return ended
        # Whoever asked gets the answer of one of the two.
        first, second = (ended, Future[Outcome](world.time))[:: world.chance.choice((1, -1))]
        self._begin(region, name, event, first)
        later = world.chance.uniform(0.0, twice.how["within"])
        world.time.after(later, lambda: self._begin(region, name, event, second))
        return ended

    def _begin(self, region: str, name: str, event: Any, ended: Future[Outcome]) -> None:
        """Begins an invocation, which settles ``ended``."""
        world = self._world
        if self.is_dead(region):
            ended.settle(Outcome(None, "Lambda.SdkClientException", "the region does not answer"), None)
            return
        function = world.product.functions[region, name]
        environment, cold = self._environment(region, name, function)
        self.running[environment] = None
        self._freeze_some(environment)
        self._looked_at(function)

        def run() -> None:
            outcome = GONE
            try:
                outcome = self._run(environment, event, cold=cold)
            finally:
                self._over(environment, ended, outcome)

        def limit() -> None:
            limit_s = function.timeout_seconds
            self._over(environment, ended, Outcome(None, "Sandbox.Timedout", f"timed out after {limit_s} seconds"))
            world.time.kill(environment)

        world.time.background(run, environment)
        environment.limit = world.time.timer(function.timeout_seconds, limit)

    def _over(self, environment: Environment, ended: Future[Outcome], outcome: Outcome) -> None:
        if not ended.done():
            self.running.pop(environment, None)
            if environment.limit is not None:
                environment.limit.call_off()
            self._looked_at(environment.function)
            ended.settle(outcome, None)
            if not environment.killed and outcome.error != "Sandbox.Timedout":
                self._idle[environment.region, environment.function.name].append(environment)

    def _looked_at(self, function: Function) -> None:
        """Without its monitor a writer is not expected to be open."""
        if function.step == "monitor":
            self._world.judge_fit()

    def is_guarded(self, region: str) -> bool:
        """Whether a monitor runs there now that is not frozen, and whose clock is right."""
        return any(
            one.region == region
            and one.function.step == "monitor"
            and one.module is not None
            and one.frozen_until <= self._world.time.now
            and abs(one.clock_error) <= CLOCK_MARGIN_S
            for one in self.running
        )

    def invoke(self, region: str, name: str, event: Any) -> Outcome:
        """Runs a function to its end, and raises as `start` does."""
        return self.start(region, name, event).result()

    def invoke_by_step(self, region: str, step: str, event: Any) -> Outcome:
        """Does the same, by the function's module."""
        return self.invoke(region, self._names[region, step], event)

    def invoke_quietly(self, region: str, step: str, event: Any) -> None:
        """Does the same for nobody; who is throttled is not called."""
        with suppress(ClientError):
            self.invoke_by_step(region, step, event)

    # --- environments

    def _environment(self, region: str, name: str, function: Function) -> tuple[Environment, bool]:
        idle = self._idle[region, name]
        error = self._world.clock_error(region, function.step)
        if idle:
            environment = idle.pop()
            environment.clock_error = error
            return environment, False
        return Environment(region, function, error), True

    def _run(self, environment: Environment, event: Any, *, cold: bool) -> Outcome:
        world, region, function = self._world, environment.region, environment.function
        if cold:
            slow = world.faults.acting("cold starts", region)
            world.time.sleep(world.chance.uniform(*COLD_S) if slow is None else slow.how["takes"])
        try:
            if function.step == "prober":
                return Outcome(probe(world, region, event))
            if function.step == "salvage":
                return Outcome(salvage(world, region, event))
            if environment.module is None:
                environment.module = world.product.module(region, function.name)
                self._used.append(environment)
                self._looked_at(function)
            return Outcome(environment.module.handler(event, None))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is how it ends
            if not isinstance(error, EXPECTED) and not _is_expected(error):
                world.defect(f"{environment.name} ended in {type(error).__name__}: {error}")
            return Outcome(None, type(error).__name__, str(error))

    def close(self) -> None:
        """Gives every module back; the history is over."""
        for environment in self._used:
            assert environment.module is not None
            self._world.product.give_back(environment.region, environment.function.name, environment.module)

    def is_dead(self, region: str) -> bool:
        """Whether nothing runs there."""
        return self._world.faults.acting("region dead", region) is not None

    def kill_all(self, region: str) -> None:
        """The region is gone, with everything that runs in it."""
        for environment in list(self.running):
            if environment.region == region:
                self._world.time.kill(environment)
        for (where, _), idle in self._idle.items():
            if where == region:
                idle.clear()

    def set_clocks(self) -> None:
        """Gives the machines of everything that runs the clocks that they have now."""
        for environment in self.running:
            environment.clock_error = self._world.clock_error(environment.region, environment.function.step)

    def freeze_monitors(self, fault: Fault) -> None:
        """No monitor of that region goes on before the fault is over, nor one that starts meanwhile."""
        for environment in self.running:
            if environment.region == fault.where and environment.function.step == "monitor":
                environment.freeze(self._world.time.now + fault.lasts)

    def _freeze_some(self, environment: Environment) -> None:
        """Freezes an invocation that has just begun, if it is to be; of the fence and of the steps, the first."""
        world, step, kind = self._world, environment.function.step, environment.freezes_by
        fault = world.faults.acting(kind, environment.region)
        if fault is None or (kind == "frozen" and step != "monitor") or (kind != "frozen" and fault in self._frozen):
            return
        self._frozen.append(fault)
        end = world.began + fault.start + fault.lasts

        def freeze() -> None:
            environment.freeze(end)
            self._looked_at(environment.function)

        world.time.after(world.chance.uniform(0.0, FREEZES_WITHIN_S), freeze)


def _is_expected(error: Exception) -> bool:
    return any(kind.__name__ == "FailoverError" for kind in type(error).__mro__)
