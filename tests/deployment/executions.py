"""Executions of the state machines, as a test sees them, and moto's interpreter made quick enough to run hundreds."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from unittest import mock

from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branch_worker import BranchWorker
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint, CallbackOutcome
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.parser.utils import TMP_THREADS

from tests.deployment.clock import A_MOMENT_S, CLOCK, patiently, real_monotonic, real_sleep

# moto reads a definition when a state machine is created and at each of its starts (0.5 s), and each path at each use.
# Once will do: what was read holds no state.
_validate = cache(StepFunctionsParserBackend._validate_definition)
_parse_path = cache(json_path.parse)  # type: ignore[attr-defined]
_parse = cache(AmazonStateLanguageParser.parse)


def hasten(stack: ExitStack) -> None:
    """Have the interpreter skip retries' intervals and waits, and parse each text once, until ``stack`` is closed."""

    def skip(_wait: WaitFunction, **given: Any) -> None:
        CLOCK.sleep(given["wait_seconds"])

    stack.enter_context(mock.patch.object(WaitFunction, "_wait_interval", skip))
    stack.enter_context(mock.patch.object(retrier_decl, "time", CLOCK))
    stack.enter_context(mock.patch.object(AmazonStateLanguageParser, "parse", staticmethod(_parse)))
    stack.enter_context(mock.patch.object(json_path, "parse", _parse_path))
    stack.enter_context(mock.patch.object(StepFunctionsParserBackend, "_validate_definition", staticmethod(_validate)))


class Threads:
    """What is at work for the executions of a deployment, and for those who ask both regions."""

    def __init__(self) -> None:
        self._branches: dict[str, list[threading.Thread]] = defaultdict(list)  # by execution's name
        self._questions: list[CallbackEndpoint] = []

    def install(self, stack: ExitStack) -> None:
        """Note what is started, and the questions that wait for a person, until ``stack`` is closed."""
        start, wait = BranchWorker.start, CallbackEndpoint.wait

        def start_noted(worker: BranchWorker) -> None:
            start(worker)  # type: ignore[no-untyped-call]
            assert worker._worker_thread is not None
            execution = worker.env.states.context_object.context_object_data["Execution"]["Name"]
            self._branches[execution].append(worker._worker_thread)

        def wait_noted(question: CallbackEndpoint, timeout: float | None = None) -> CallbackOutcome | None:
            self._questions.append(question)
            return wait(question, timeout)

        TMP_THREADS.clear()  # moto notes its threads there, and forgets none
        stack.enter_context(mock.patch.object(BranchWorker, "start", start_noted))
        stack.enter_context(mock.patch.object(CallbackEndpoint, "wait", wait_noted))

    def wait_for_branches(self, execution: str) -> None:
        """Wait for those of an execution that is over: one that another branch has ended goes on for a moment."""
        branches = self._branches[execution]
        assert patiently(lambda seconds: _have_ended(branches, seconds)), f"a branch of {execution} does not end"

    def end(self, aborts: Collection[Callable[[], None]]) -> None:
        """Have every execution aborted, and wait until nothing is at work.

        It would go on in the deployment of the next test, and be taken for the one of the same name that ends there.
        """

        def end(seconds: float) -> bool:
            for abort in aborts:
                abort()
            for question in self._questions:
                question.interrupt_all()
            asking = [thread for thread in threading.enumerate() if thread.name.startswith("ask ")]
            known = [*TMP_THREADS]
            return _have_ended([*known, *asking], seconds) and len(TMP_THREADS) == len(known)

        assert patiently(end), "an execution does not end"


def _have_ended(threads: Collection[threading.Thread], within_s: float) -> bool:
    end = real_monotonic() + within_s
    for thread in threads:
        while thread.ident is None and real_monotonic() < end:  # it is about to be started
            real_sleep(A_MOMENT_S)
        if thread.ident is not None:
            thread.join(max(0.0, end - real_monotonic()))
    return not any(thread.ident is None or thread.is_alive() for thread in threads)


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
        """The last state. A branch that another one has ended may enter one of its own after that."""
        last = next(event for event in reversed(self.events) if event["type"].startswith("Execution"))
        entered = next(event for event in self.before(last) if "stateEnteredEventDetails" in event)
        return str(entered["stateEnteredEventDetails"]["name"])

    def before(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What came before an event in its own branch, the latest first."""
        while event["previousEventId"]:
            event = self._by_id[event["previousEventId"]]
            yield event

    @cached_property
    def _by_id(self) -> dict[int, dict[str, Any]]:
        return {event["id"]: event for event in self.events}
