"""Step Functions: executions of the deployed workflows, run by `simulation.interpreter`.

A standard workflow starts once for a name (Step Functions API reference, "StartExecution"), tasks are invocations of
functions, and every bad end is an event that the region's end rule may match ("Automating Step Functions event
delivery").

Limits: nothing of Step Functions itself fails but its API; a region that is gone takes its executions' tasks with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from simulation.happened import RunEnded, RunStarted, StateEntered
from simulation.hooks import MACHINE
from simulation.interpreter import Ended, Execution, TaskFailed, Transition
from simulation.network import Reply
from simulation.stand_ins import Client, ClientError, refusal
from simulation.virtual_time import Process

if TYPE_CHECKING:
    from simulation.world import World

Workflow = Literal["failover", "reprotect"]
# States that wait for a person.
QUESTIONS = ("AskApproval", "AskRetirement")
# What Step Functions makes of the errors of Lambda's API.
API_ERRORS = {"TooManyRequestsException": "Lambda.TooManyRequestsException"}


class Place(Process):
    """A service of AWS in ``region``, which acts there by itself."""

    def __init__(self, name: str, region: str) -> None:
        super().__init__(name)
        self.region = region


class Workflows:
    """The executions of both regions, by their ARN's last part."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.runs: dict[str, Execution] = {}
        self._inputs: dict[str, str] = {}
        self._regions: dict[str, str] = {}
        self._places = {region: Place(f"Step Functions in {region}", region) for region in world.regions}

    def serve(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers a request to Step Functions."""
        del here
        if f":{MACHINE}" in request.get("stateMachineArn", "") + request.get("executionArn", ""):
            return self._world.hooks.serve(client, operation, request)
        takes = 0.02 * self._world.chance.uniform(0.5, 3)
        if operation == "start_execution":
            if not self.start(client.region, request["name"], json.loads(request["input"])):
                raise refusal("ExecutionAlreadyExists", operation)
            return Reply({}, takes)
        assert operation == "describe_execution", operation
        run = self.runs.get(request["executionArn"].rsplit(":", 1)[-1])
        if run is None:
            raise refusal("ExecutionDoesNotExist", operation)
        return Reply({"status": run.ended.status if run.ended else "RUNNING"}, takes)

    def start(self, region: str, name: str, asked: Any, workflow: Workflow = "failover") -> bool:
        """Starts an execution; False when there has been one of that name."""
        if name in self.runs:
            return False
        world = self._world
        world.tell(RunStarted(world.at, name, region, workflow, asked))
        machine = world.machines[region, workflow]

        def entered(step: Transition) -> None:
            world.tell(StateEntered(world.at, name, step.there, step.here, step.by))
            if step.there in QUESTIONS:
                world.people.asked(name)

        def invoke(_state: str, _resource: str, parameters: Mapping[str, Any]) -> Any:
            return self._invoke(region, parameters)

        execution = Execution(machine, name, asked, invoke, world.time, entered)
        self.runs[name], self._regions[name] = execution, region

        def run() -> None:
            self._over(region, name, workflow, execution.run())

        world.time.spawn(run, self._places[region])
        return True

    def stop(self, name: str) -> None:
        """As ``StopExecution``."""
        self.runs[name].stop()

    def _invoke(self, region: str, parameters: Mapping[str, Any]) -> Any:
        name = parameters["FunctionName"].rsplit(":", 1)[-1]
        try:
            outcome = self._world.functions.invoke(region, name, json.loads(json.dumps(parameters["Payload"])))
        except ClientError as error:
            raise TaskFailed(API_ERRORS[error.response["Error"]["Code"]], str(error)) from error
        if outcome.error is not None:
            raise TaskFailed(outcome.error, json.dumps({"errorType": outcome.error, "errorMessage": outcome.said}))
        return json.loads(json.dumps(outcome.value))

    def _over(self, region: str, name: str, workflow: Workflow, ended: Ended) -> None:
        world = self._world
        world.tell(RunEnded(world.at, name, ended.status, ended.output, ended.error))
        if ended.status != "SUCCEEDED":
            names = world.product.specification.names
            machine = names.state_machine_arn(region) if workflow == "failover" else names.reprotection_arn(region)
            detail = {
                "name": name,
                "stateMachineArn": machine,
                "status": ended.status,
                "error": ended.error,
                "cause": ended.cause,
            }
            world.events.run_ended(region, {key: value for key, value in detail.items() if value is not None})
