"""Whether the role of a function, or the one that it has taken on, allows what it asks AWS for; nobody asks for more.

By what the tests and the lab compare with, `orchestration.authorization`: the action, what the request names, the
region and the other conditions, the use of keys, and whom a role trusts. A request that is not allowed is an error of
the history.

Limits: a new secondary's request carries none for the other region; people may do everything, and so may AWS's
services, which call nobody through the network here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from orchestration.authorization import ACTIONS, Authorization, Request, allows
from orchestration.specification import Specification
from orchestration.specification.policies import permissions

# IAM's name of an operation, or of a service, where it is not the client's.
OPERATIONS = {
    ("lambda", "invoke"): "lambda:InvokeFunction",
    ("s3", "head_object"): "s3:GetObject",
    ("s3", "list_objects_v2"): "s3:ListBucket",
}
SERVICES = {"stepfunctions": "states"}
_NAMES = {action.lower(): action for action in ACTIONS}
# By which conditions compare requests, beside their region.
NAMESPACE, ENTRIES = "Namespace", "Entries"
# Questions whose answers are kept: those that differ by the run that they name are many, and come once.
KEPT = 4096


@cache
def action_of(service: str, operation: str) -> str:
    """Returns the action that an operation of a client is; empty where it is not known."""
    found = OPERATIONS.get((service, operation))
    return found or _NAMES.get(f"{SERVICES.get(service, service)}:{operation.replace('_', '')}", "")


class Rights:
    """What every role of a deployment may ask for."""

    def __init__(self, specification: Specification) -> None:
        self._authorization = Authorization(specification)
        self._names = specification.names
        self.trusted = {
            role.name: role.trusted for region in specification.regions.values() for role in region.roles_for_others
        }
        self.permissions = {
            role: granted
            for region in specification.regions.values()
            for role, granted in permissions(specification.names, region).items()
        }
        self._denied = lru_cache(KEPT)(self._denied_anew)

    def denied(self, role: str, service: str, region: str, operation: str, request: Mapping[str, Any]) -> str:
        """Returns what a role is not allowed of a request to a service of ``region``; empty where it may make it."""
        action = action_of(service, operation)
        if not action:
            return f"{service}.{operation}, which orchestration/authorization.py does not know"
        names = _parameters(action)
        return self._denied(role, action, region, tuple(map(request.get, names)), _others(request))

    def _denied_anew(
        self, role: str, action: str, region: str, named: tuple[Any, ...], others: tuple[tuple[str, Any], ...]
    ) -> str:
        given = zip(_parameters(action), named, strict=True)
        parameters = {name: value for name, value in given if value is not None} | dict(others)
        if ENTRIES in parameters:
            parameters[ENTRIES] = [{"Source": source} for source in parameters[ENTRIES]]
        if action == "sts:AssumeRole":
            taken_on = parameters["RoleArn"].rpartition("/")[2]
            if self._names.role_arn(role) not in self.trusted[taken_on]:
                return f"{action}: {taken_on} does not trust it"
        demands = self._authorization.demands(Request(action, region, "", parameters))
        granted = self.permissions[role]
        return ", ".join(
            f"{one.action} on {one.resource}" for one in demands if not any(allows(each, one) for each in granted)
        )


@cache
def _parameters(action: str) -> tuple[str, ...]:
    """Returns the names of the parameters by which the requests of an action are told apart."""
    return (*dict.fromkeys(ACTIONS[action].values()), NAMESPACE, "TableName", "secretArn")


def _others(request: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Returns what else a request says that matters to IAM."""
    others: list[tuple[str, Any]] = []
    if "Key" in request and "Bucket" in request:
        others.append(("Object", f"{request['Bucket']}/{request['Key']}"))
    if ENTRIES in request:
        others.append((ENTRIES, tuple({entry["Source"] for entry in request[ENTRIES]})))
    if request.get("Tags"):
        others.append(("Tags.", ""))  # one of the form's fields, by which a request with tags is known
    return tuple(others)
