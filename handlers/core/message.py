"""Messages to people, of any kind. Pure: what is said is decided elsewhere, sending it is the gateway's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LONGEST_SUBJECT = 100  # characters, all of them ASCII (SNS API reference, Publish)


@dataclass(frozen=True)
class Message:
    """A message as SNS takes it."""

    subject: str
    text: str

    @classmethod
    def of(cls, lines: Sequence[str]) -> Message:
        """Makes a message from its lines; the first is also the subject.

        A subject that SNS would refuse would leave people without the message, so it loses the characters that do not
        fit; the text keeps them.
        """
        subject = "".join(character for character in lines[0] if character.isascii() and character.isprintable())
        return cls(subject[:LONGEST_SUBJECT], "\n".join(lines))


def start_command(state_machine_arn: str, request: Mapping[str, str]) -> str:
    """Returns the command by which a person starts a workflow with that request, in the workflow's region."""
    return (
        f"aws stepfunctions start-execution --region {region_of(state_machine_arn)} "
        f"--state-machine-arn {state_machine_arn} --input '{json.dumps(request)}'"
    )


def region_of(arn: str) -> str:
    """Returns the region that an ARN names."""
    return arn.split(":")[3]
