"""Hooks: what a deployment has started when the writer moves, and what people are told of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from handlers.core.message import Message, command
from handlers.core.plain import shortened

Kind = Literal["function", "state_machine"]
KINDS: dict[Kind, str] = {"function": "Lambda function", "state_machine": "state machine"}
LONGEST_ERROR = 1000  # characters of what a hook said that are worth passing on


@dataclass(frozen=True)
class Hook:
    """One hook.

    Attributes
    ----------
    name
        what the settings call it.
    when
        the event (`handlers.core.events`) with which it is started.
    kind, target
        what it is, and its name, or a state machine's ARN.
    timeout_s
        how long it may take; one that takes longer has failed, and goes on.
    required
        whether its failure pages, beside the message.
    """

    name: str
    when: str
    kind: Kind
    target: str
    timeout_s: float
    required: bool


@dataclass(frozen=True)
class HookEnded:
    """How a hook has ended: ``error`` is None where it has done its work."""

    hook: Hook
    took_s: float
    error: str | None


def read_hooks(text: str) -> tuple[Hook, ...]:
    """Reads the hooks that the specification has written into a variable."""
    return tuple(Hook(**one) for one in json.loads(text))


def due(hooks: Iterable[Hook], event: str) -> list[Hook]:
    """Returns the hooks that an event starts."""
    return [hook for hook in hooks if hook.when == event]


def failed(ended: Sequence[HookEnded]) -> list[HookEnded]:
    """Returns those that have not done their work, the required ones first."""
    return sorted((one for one in ended if one.error is not None), key=lambda one: not one.hook.required)


def message(event: str, detail: Mapping[str, Any], bad: Sequence[HookEnded], arn: str) -> Message:
    """Says which hooks of an event have failed, and why; ``arn`` is a regional one of the deployment."""
    names = ", ".join(one.hook.name for one in bad)
    run = str(detail.get("run", "not named"))
    return Message.of(
        [
            f"{'REQUIRED HOOK' if any(one.hook.required for one in bad) else 'HOOK'} FAILED after {event}: {names}",
            "",
            *(
                f"{one.hook.name}: {KINDS[one.hook.kind]} {one.hook.target}, after {one.took_s:.1f} s"
                f"{' (required)' if one.hook.required else ''}: {shortened(one.error or '', LONGEST_ERROR)}"
                for one in bad
            ),
            "",
            f"Run {run} went on without it: the database and its name are as the run's own message says.",
            "Do by hand what the hook should have done. What the run did:",
            command(arn, "show", run),
        ]
    )
