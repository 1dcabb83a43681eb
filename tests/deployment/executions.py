"""Executions of the state machines, as a test sees them, and moto's interpreter made quick enough to run hundreds."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from tests.deployment.clock import CLOCK

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
