"""Hooks: what a deployment has started when the writer moves, and what people are told of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from handlers.core.message import Message, command
from handlers.core.plain import shortened

Kind = Literal["function", "state_machine", "document"]
KINDS: dict[Kind, str] = {"function": "Lambda function", "state_machine": "state machine", "document": "SSM document"}
# Characters of a document's parameter (Systems Manager API reference, StartAutomationExecution).
LONGEST_PARAMETER = 512
ASSUMED_ROLE = "AutomationAssumeRole"  # the parameter that AWS's own runbooks take their role by
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
    role_arn
        the role that a document runs as; nothing else has one.
    parameters
        the fields of the event's detail that a document is given.
    """

    name: str
    when: str
    kind: Kind
    target: str
    timeout_s: float
    required: bool
    role_arn: str = ""
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class HookEnded:
    """How a hook has ended: ``error`` is None where it has done its work."""

    hook: Hook
    took_s: float
    error: str | None


def read_hooks(text: str) -> tuple[Hook, ...]:
    """Reads the hooks that the specification has written into a variable."""
    return tuple(Hook(**{**one, "parameters": tuple(one["parameters"])}) for one in json.loads(text))


def due(hooks: Iterable[Hook], event: str) -> list[Hook]:
    """Returns the hooks that an event starts."""
    return [hook for hook in hooks if hook.when == event]


def parameters(hook: Hook, detail: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns what a document is started with: its role, and the fields that it is given, as text.

    Systems Manager takes lists of texts only; what is no text is written as JSON.
    """
    given = {name: detail.get(name) for name in hook.parameters}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    return {
        ASSUMED_ROLE: [hook.role_arn],
        **{name: [shortened(text, LONGEST_PARAMETER)] for name, text in texts.items()},
    }


def failed(ended: Sequence[HookEnded]) -> list[HookEnded]:
    """Returns those that have not done their work, the required ones first."""
    return sorted((one for one in ended if one.error is not None), key=lambda one: not one.hook.required)


def noted(bad: Sequence[HookEnded]) -> list[dict[str, Any]]:
    """Returns what the run's record keeps of hooks that failed; `handlers.core.noted` reads it."""
    return [
        {"name": one.hook.name, "error": shortened(one.error or "", LONGEST_ERROR), "required": one.hook.required}
        for one in bad
    ]


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
