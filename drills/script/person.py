"""The person on call, who reads the messages and, when asked for an approval, does what the drill's option says.

The person answers with the very command that the message gives, so a command that does not work fails the drill.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from drills.verdict.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drills.aws.cloud import Cloud
    from drills.show.timeline import Timeline
    from drills.verdict.seen import Message

# What a person fills in.
BLANKS = {"<your name>": "the person at the drill", "<why>": "the drill says no"}
# The commands of the AWS command line with which a person answers.
COMMANDS = {"yes": "send-task-success", "no": "send-task-failure"}


class Person:
    """Answers each request once."""

    def __init__(self, approve: str, cloud: Cloud, timeline: Timeline) -> None:
        """Takes what the person does: ``approve`` is ``yes``, ``no`` or ``never`` (says nothing)."""
        self._command = COMMANDS.get(approve)
        self._cloud = cloud
        self._timeline = timeline
        self._answered: set[str] = set()

    def read(self, messages: Iterable[Message]) -> None:
        """Reads the messages, and answers those that have not been answered."""
        if self._command is None:
            return
        for message in messages:
            options = command_in(message.text, self._command)
            token = options.get("task-token", "")
            if token and token not in self._answered:
                self._answered.add(token)
                self._timeline.event(Kind.NOTIFICATION, f"the person on call answers: {self._command}")
                self._send(options)

    def start(self, messages: Sequence[Message]) -> str | None:
        """Starts a workflow with the command from the latest message that has one; returns the execution's ARN."""
        for message in reversed(messages):
            if options := command_in(message.text, "start-execution"):
                self._timeline.event(Kind.NOTIFICATION, f"the person on call starts {options['state-machine-arn']}")
                client = self._cloud.client("stepfunctions", options["region"])
                started = client.start_execution(stateMachineArn=options["state-machine-arn"], input=options["input"])
                return str(started["executionArn"])
        return None

    def _send(self, options: dict[str, str]) -> None:
        client = self._cloud.client("stepfunctions", options["region"])
        if self._command == COMMANDS["yes"]:
            client.send_task_success(taskToken=options["task-token"], output=options["task-output"])
        else:
            client.send_task_failure(
                taskToken=options["task-token"], error=options.get("error", ""), cause=options.get("cause", "")
            )


def command_in(text: str, command: str) -> dict[str, str]:
    """Returns the options of ``aws stepfunctions <command>`` as a message gives it; empty when it does not."""
    start = text.find(f"aws stepfunctions {command}")
    if start < 0:
        return {}
    line = text[start:].splitlines()[0]
    for blank, word in BLANKS.items():
        line = line.replace(blank, word)
    words = shlex.split(line)[len(f"aws stepfunctions {command}".split()) :]
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
