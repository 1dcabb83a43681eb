"""Step Functions: moto's interpreter of state machines, moved into the lab's time and joined to its Lambda service.

How a state machine is interpreted is moto's. What is changed here, and why:

* Waits, retry intervals, time-outs and heartbeats follow the lab's clock, and so do the times in the history and in
  the context object, which handlers compare with their own.
* ``lambda:invoke`` calls the lab's Lambda service. moto would send itself a request, through a client that it
  makes for each task, and its Lambda needs Docker. With ``InvocationType`` ``Event``, which moto does not pass on, the
  task ends as soon as Lambda has taken the event.
* An execution that is started without a name gets a UUID (Step Functions API reference, ``StartExecution``); moto calls
  them all ``None``, so the second would be refused.
* A definition is parsed once, when the state machine is created. moto parses it again for each execution, which for
  ours takes about 0.4 s of an outage; parsed definitions hold no state.
* ``$.list[0].name`` gives what is there; moto gives a list with it inside.
* A branch that ends in an error of Step Functions' own, such as ``States.Timeout``, ends its Parallel state in that
  error, which Catch then sees (Step Functions guide, "Handling errors in Step Functions workflows"); moto mistakes the
  name for that of a function's error, which must not begin like that, and ends the execution in ``States.Runtime``.
* The cause that a person gives with ``SendTaskFailure`` reaches the state; moto loses it.
* An execution that is stopped is ``ABORTED`` at once; moto's is ``RUNNING`` until its task has ended.
* The end of an execution is an event on the region's bus (Step Functions guide, "Automating Step Functions event
  delivery with EventBridge"); its start is not, and of the event's fields the input and output are left out.
* Executions of a region that is down, and all of them when the lab closes, are aborted.

Limits: an execution whose region comes back does not go on, whereas Step Functions keeps its state; ``Wait`` with
``Timestamp`` compares with this machine's time.
"""

from __future__ import annotations

import datetime
import functools
import json
import logging
import re
import threading
import uuid
from typing import TYPE_CHECKING, Any
from unittest import mock

from botocore.exceptions import ClientError
from moto.core.config import default_user_config
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.parser import models as machines
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    ILLEGAL_CUSTOM_ERROR_PREFIX,
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.timeouts import heartbeat, timeout
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_lambda
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.responses import StepFunctionResponse

from drills.aws.happenings import Happening, Kind
from drills.aws.lambda_runtime import LambdaService, RegionDownError, ThrottledError, UnknownFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from drills.aws.happenings import Observe
    from drills.world.clock import Clock

# A path that may lead to several places gives a list, any other gives what is there (States Language, "Paths").
PLURAL_PATH = re.compile(r"\*|\.\.|\?\(|:|,")
HISTORY_KINDS = {
    "StateEntered": (Kind.STATE_ENTERED, "stateEnteredEventDetails", "input"),
    "StateExited": (Kind.STATE_EXITED, "stateExitedEventDetails", "output"),
}


class StepFunctions:
    """The state machines of all regions."""

    def __init__(self, account: str, clock: Clock, lambdas: LambdaService, observe: Observe) -> None:
        self._account = account
        self._clock = clock
        self._lambdas = lambdas
        self._observe = observe
        self._closing = threading.Event()
        self._announce: Callable[[dict[str, Any]], None] = lambda _: None

    def announce_by(self, put: Callable[[dict[str, Any]], None]) -> None:
        """Has the end of each execution put on the event bus by ``put``."""
        self._announce = put

    def install(self, stack: ExitStack) -> None:
        """Changes moto's interpreter until ``stack`` is closed; then aborts what is still running."""
        stack.enter_context(mock.patch.dict(default_user_config, {"stepfunctions": {"execute_state_machine": True}}))
        # moto prints each failure of a state with half of its interpreter's stack; the timeline is told of them
        # instead. It stays so: a thread of an execution that was aborted may fail when the lab is gone already.
        logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
        self._scale_time(stack)
        self._repair(stack)
        self._join_lambda(stack)
        self._watch(stack)
        stack.callback(self._close)

    def abort(self, region: str) -> None:
        """Aborts every execution that runs in a region."""
        for machine in machines.stepfunctions_parser_backends[self._account][region].state_machines:
            executions: list[Any] = machine.executions
            for execution in list(executions):
                # One that has only just started may have no environment yet; its first task then finds nobody.
                if execution.status == "RUNNING" and execution.exec_worker and execution.exec_worker.env:
                    execution.stop(self._now(), None, None)

    def _close(self) -> None:
        self._closing.set()
        for region in list(machines.stepfunctions_parser_backends[self._account]):
            self.abort(region)

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC)

    def _scale_time(self, stack: ExitStack) -> None:
        model = self

        class Time:  # stands for the module `time`, of which the retrier uses `sleep` alone
            @staticmethod
            def sleep(seconds: float) -> None:
                model._closing.wait(model._clock.to_real(seconds))

        def wait_interval(_self: WaitFunction, env: Any, wait_seconds: float) -> None:
            end = model._clock.now() + wait_seconds
            while env.is_running() and (left := end - model._clock.now()) > 0:
                env.program_state_event.wait(model._clock.to_real(left))

        def run_program(program: Program, env: Any) -> None:
            # None: not begun. The branch of an execution that is stopped just now has nothing to begin.
            if env.program_state() is not None and not env.is_running():
                return
            env.next_state_name = program.start_at.start_at_name
            limit = program.timeout_seconds
            worker = threading.Thread(target=super(Program, program).eval, args=(env,), daemon=True)
            worker.start()
            worker.join(model._clock.to_real(limit.timeout_seconds) if limit else None)
            if worker.is_alive():
                env.set_timed_out()

        stack.enter_context(mock.patch.object(retrier_decl, "time", Time))
        stack.enter_context(mock.patch.object(WaitFunction, "_wait_interval", wait_interval))
        stack.enter_context(mock.patch.object(Program, "eval", run_program))
        for limits in (
            timeout.TimeoutSeconds,
            timeout.TimeoutSecondsPath,
            heartbeat.HeartbeatSeconds,
            heartbeat.HeartbeatSecondsPath,
        ):
            stack.enter_context(mock.patch.object(limits, "_eval_seconds", self._scaled(limits._eval_seconds)))
        stack.enter_context(mock.patch.object(EventManager, "_get_current_timestamp", staticmethod(self._now)))

    def _scaled(self, seconds: Any) -> Any:
        return lambda limit, env: self._clock.to_real(seconds(limit, env))

    def _repair(self, stack: ExitStack) -> None:
        start = machines.StepFunctionsParserBackend.start_execution

        def start_named(
            self: Any, state_machine_arn: str, name: str | None = None, *arguments: Any, **named: Any
        ) -> Execution:
            return start(self, state_machine_arn, name or str(uuid.uuid4()), *arguments, **named)

        stop = Execution.stop

        def stop_at_once(execution: Execution, *arguments: Any, **named: Any) -> None:
            stop(execution, *arguments, **named)
            execution.exec_status, execution.stop_date = ExecutionStatus.ABORTED, self._now()

        def error_of_branch(error_name: str | None) -> ErrorName:
            if error_name and error_name.startswith(ILLEGAL_CUSTOM_ERROR_PREFIX):
                return StatesErrorName.from_name(error_name)
            return CustomErrorName(error_name)

        def send_task_failure(response: StepFunctionResponse) -> ActionResult:
            token, error, cause = (response._get_param(name) for name in ("taskToken", "error", "cause"))
            backend: Any = response.stepfunction_backend  # the parser's, of which moto's types do not know
            backend.send_task_failure(token, error=error, cause=cause)
            return EmptyResult()

        stack.enter_context(mock.patch.object(StepFunctionResponse, "send_task_failure", send_task_failure))
        stack.enter_context(mock.patch.object(Execution, "stop", stop_at_once))
        stack.enter_context(mock.patch.object(branches_decl, "CustomErrorName", error_of_branch))
        parse = functools.cache(AmazonStateLanguageParser.parse)
        stack.enter_context(mock.patch.object(AmazonStateLanguageParser, "parse", staticmethod(parse)))
        stack.enter_context(mock.patch.object(machines.StepFunctionsParserBackend, "start_execution", start_named))
        stack.enter_context(
            mock.patch.object(json_path, "_is_singleton_array_access", lambda path: not PLURAL_PATH.search(path))
        )

    def _join_lambda(self, stack: ExitStack) -> None:
        def invoke(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:  # noqa: ARG001
            name, event = parameters["FunctionName"], json.loads(parameters["Payload"])
            try:
                if parameters.get("InvocationType") == "Event":
                    self._lambdas.invoke_async(region, name, event)
                    return {"StatusCode": 202, "Payload": ""}
                outcome = self._lambdas.invoke(region, name, event)
            except UnknownFunctionError as error:
                raise _client_error("ResourceNotFoundException", 404, str(error)) from error
            except ThrottledError as error:
                raise _client_error("TooManyRequestsException", 429, str(error)) from error
            except RegionDownError as error:
                raise _client_error("ServiceException", 500, str(error)) from error
            answer = {"ExecutedVersion": "$LATEST", "Payload": outcome.value, "StatusCode": 200}
            return answer | ({"FunctionError": "Unhandled"} if outcome.failed else {})

        stack.enter_context(mock.patch.object(lambda_eval_utils, "_invoke_lambda_function", invoke))
        known = state_task_service_lambda._SUPPORTED_API_PARAM_BINDINGS
        stack.enter_context(mock.patch.dict(known, {"invoke": known["invoke"] | {"InvocationType"}}))

    def _watch(self, stack: ExitStack) -> None:
        """Tells the timeline of executions and states, and gives executions virtual times."""
        model = self
        start, environment = Execution.start, ExecutionWorker._get_evaluation_environment
        terminated = BaseExecutionWorkerCommunication.terminated

        def watched_start(execution: Execution) -> None:
            execution.start_date = model._now()
            machine = execution.state_machine_arn.rsplit(":", 1)[-1]
            started = {"input": execution.execution_input, "machine": machine}
            model._tell(Kind.EXECUTION_STARTED, execution, execution.name, started)
            start(execution)

        def watched_environment(worker: ExecutionWorker) -> Any:
            made = environment(worker)
            made.event_manager = _WatchedHistory(model, worker._execution_communication.execution)  # type: ignore[attr-defined]
            return made

        def watched_end(communication: BaseExecutionWorkerCommunication) -> None:
            terminated(communication)
            execution = communication.execution
            execution.stop_date = model._now()
            end = {name: getattr(execution, name) for name in ("status", "error", "cause", "output")}
            if not model._closing.is_set():
                model._announce(model._status_change(execution))
            model._tell(Kind.EXECUTION_ENDED, execution, execution.name, end)

        stack.enter_context(mock.patch.object(Execution, "start", watched_start))
        stack.enter_context(mock.patch.object(ExecutionWorker, "_get_evaluation_environment", watched_environment))
        stack.enter_context(mock.patch.object(BaseExecutionWorkerCommunication, "terminated", watched_end))

    def _status_change(self, execution: Execution) -> dict[str, Any]:
        """Returns the event of an execution that has ended."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": self._account,
            "time": self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": execution.region_name,
            "resources": [execution.exec_arn],
            "detail": {
                "executionArn": execution.exec_arn,
                "stateMachineArn": execution.state_machine_arn,
                "name": execution.name,
                "status": str(execution.status),
                "error": execution.error,
                "cause": execution.cause,
            },
        }

    def _tell(self, kind: Kind, execution: Execution, subject: str, detail: dict[str, Any]) -> None:
        if not self._closing.is_set():
            self._observe(Happening(kind, execution.region_name, subject, detail))


class _WatchedHistory(EventManager):
    """The history of one execution, which also tells the timeline of it."""

    def __init__(self, model: StepFunctions, execution: Execution) -> None:
        super().__init__()
        self._model = model
        self._execution = execution

    def _publish_history_event(self, *arguments: Any, **named: Any) -> None:
        super()._publish_history_event(*arguments, **named)
        details = named["event_details"] or {}
        name = str(named["event_type"].value)
        detail: dict[str, Any] = {"execution": self._execution.name}
        for ending, (kind, part, data) in HISTORY_KINDS.items():
            if name.endswith(ending):
                detail[data] = details[part].get(data)
                self._model._tell(kind, self._execution, details[part]["name"], detail)
        if name in ("TaskFailed", "TaskTimedOut"):
            failed = next(iter(details.values()))
            detail["cause"] = failed.get("cause", "")
            self._model._tell(Kind.TASK_FAILED, self._execution, failed.get("error", name), detail)


def _client_error(code: str, status: int, message: str) -> ClientError:
    """Returns an error as boto3 would raise it."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": str(uuid.uuid4())},
    }
    return ClientError(answer, "Invoke")
