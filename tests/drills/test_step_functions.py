"""What the lab changes of moto's interpreter of state machines."""

from __future__ import annotations

import datetime
from contextlib import ExitStack
from unittest import mock

from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped

from drills.aws.step_functions import StepFunctions
from drills.world.clock import Clock

ACCOUNT = "123456789012"


def test_a_branch_of_an_execution_that_is_stopped_begins_nothing() -> None:
    """A stop may come between a parallel state and the threads of its branches, as when the lab ends."""
    branch = mock.Mock(start_at=mock.Mock(start_at_name="One"))
    environment = object.__new__(Environment)
    environment._program_state = ProgramStopped(datetime.datetime.now(datetime.UTC), None, None)
    with ExitStack() as stack:
        StepFunctions(ACCOUNT, Clock.started_now(1), mock.Mock(), mock.Mock()).install(stack)
        Program.eval(branch, environment)
    assert isinstance(environment.program_state(), ProgramStopped)
