"""What only settings bring: functions of their own, in roles of their own, which most deployments do not have."""

from __future__ import annotations

from typing import Any

from orchestration.settings import load
from orchestration.specification import Specification, describe
from orchestration.specification.policies import permissions
from tests.deployment import ACCOUNT, STANDBY

# Of each kind one; what somebody else's function, state machine and document do stands in `tests.deployment`.
HOOKS: tuple[dict[str, Any], ...] = (
    {"name": "scale", "when": "WriterMoved", "function": "scale-out"},
    {"name": "ticket", "when": "WriterMoved", "state_machine": "tickets"},
    {
        "name": "runbook",
        "when": "WriterMoved",
        "document": "drain-queues",
        "document_role": "drain-queues",
        "parameters": ["run", "epoch"],
    },
)
APPLICATION_ALARM = "payments-errors"
# By the setting that asks for it, as a reader of the page finds it.
OPTIONS: dict[str, dict[str, Any]] = {
    "hooks": {"hooks": HOOKS},
    "application_alarms": {"application_alarms": (APPLICATION_ALARM,)},
    "database.capacity_follows": {"database": {"capacity_follows": True}},
}
ALL_OPTIONS: dict[str, Any] = {name: value for asked in OPTIONS.values() for name, value in asked.items()}


def described(**asked: Any) -> Specification:
    """A development deployment named ``test``, with these settings beside."""
    return describe(load(environment_suffix="test", environment="development", **asked), ACCOUNT)


def setting_of() -> dict[str, str]:
    """The setting without which a role is not there, by the role's name; the roles are those of us-west-2."""
    always = _roles()
    return {role: setting for setting, asked in OPTIONS.items() for role in _roles(**asked) - always}


def _roles(**asked: Any) -> set[str]:
    found = described(**asked)
    return set(permissions(found.names, found.regions[STANDBY]))
