"""Messages to people, of any kind. Pure: what is said is decided elsewhere, sending it is the gateway's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers.core.plain import plain, shortened

LONGEST_SUBJECT = 100  # characters, all of them ASCII (SNS API reference, Publish)
# A message may have 256 KB. The longest line that we make names the tables that a salvage could not read.
LONGEST_LINE = 25_000


@dataclass(frozen=True)
class Message:
    """A message as SNS takes it."""

    subject: str
    text: str

    @classmethod
    def of(cls, lines: Sequence[str]) -> Message:
        """Makes a message from its lines; the first is also the subject.

        A subject that SNS would refuse would leave people without the message, so it loses the characters that do not
        fit; the text keeps them. A line stays one line, whatever a person or a database has put into it.
        """
        lines = [shortened(plain(line), LONGEST_LINE) for line in lines]
        subject = "".join(character for character in lines[0] if character.isascii() and character.isprintable())
        return cls(subject[:LONGEST_SUBJECT], "\n".join(lines))


@dataclass(frozen=True)
class Workflows:
    """The ARNs of the workflows whose commands a message may hold.

    ``failover`` moves the writer to this region and ``failover_there`` to the other one; ``reprotect`` makes a standby
    of the other region.
    """

    failover: str
    failover_there: str
    reprotect: str

    @property
    def here(self) -> str:
        """This region."""
        return region_of(self.failover)

    @property
    def there(self) -> str:
        """The other region."""
        return region_of(self.failover_there)


def command(arn: str, *words: str) -> str:
    """Returns a call of ``failoverctl`` for the deployment to which a regional ARN belongs, as a shell takes it."""
    return shlex.join(["failoverctl", *words, "--suffix", suffix_of(arn)])


def start_command(state_machine_arn: str, request: Mapping[str, object]) -> str:
    """Returns the command by which a person starts a workflow with that request; without a mode, the re-protection.

    It names no region: ``failoverctl`` starts the workflow of the one that the control record asks for.
    """
    options: list[str] = []
    for name, value in request.items():
        if name != "mode":
            options += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return command(state_machine_arn, "start", "--mode", str(request.get("mode", "reprotect")), *options)


def execution_arn(state_machine_arn: str, run: str) -> str:
    """Returns the ARN of a workflow's run."""
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{run}"


def whereabouts(state_machine_arn: str, run: str) -> list[str]:
    """Names a run, and says where the console shows it."""
    region = region_of(state_machine_arn)
    return [
        f"Run {run} of {state_machine_arn}",
        f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/"
        f"{execution_arn(state_machine_arn, run)}",
    ]


def suffix_of(arn: str) -> str:
    """Returns the deployment's suffix in a regional name such as ``failover-usw2-prod``; nothing where there is none.

    No thing has a digit in its name, so that the region's short name is the first part that ends with one.
    """
    found = re.search(r"-[a-z]+\d-(.+)$", arn.rsplit(":", 1)[-1])
    return found[1] if found else ""


def region_of(arn: str) -> str:
    """Returns the region that an ARN names."""
    return arn.split(":")[3]
