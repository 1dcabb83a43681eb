"""STS and access keys: who calls, from which region, and with which permissions.

Each function has an access key of its own, so the lab's endpoint knows its caller. A function that may assume a role
(STS API reference, ``AssumeRole``) gets a new key with the role's permissions; its region stays the function's, for
that is where its packets start. The global endpoint signs for us-east-1 and fails with it; a regional one does not.

Limits: a role's trust policy is not evaluated, only the caller's permission to assume it; sessions do not expire and
session policies are ignored; keys that the lab has not given out are somebody outside, who may do everything.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.sts.responses import TokenResponse

from drills.faults import CREDENTIAL
from drills.lambda_runtime import access_key
from drills.reachability import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from moto.core.responses import ActionResult

    from orchestration.specification.model import Permission, Specification


@dataclass(frozen=True)
class Caller:
    """Somebody with an access key: a function, or a function in the role that it has assumed."""

    name: str
    region: str
    permissions: tuple[Permission, ...]


class Callers:
    """Everybody the lab has given an access key."""

    def __init__(self, specification: Specification, roles: Mapping[str, tuple[Permission, ...]]) -> None:
        """``roles`` are those that functions may assume: their permissions, by ARN."""
        self._roles = roles
        self._lock = threading.Lock()
        self._callers = {
            access_key(function): Caller(function.name, region.name, function.permissions)
            for region in specification.regions.values()
            for function in region.functions.values()
        }

    def install(self, stack: ExitStack) -> None:
        """Give assumed roles keys that the lab knows, until ``stack`` is closed."""
        callers, assume_role = self, TokenResponse.assume_role

        def assume(response: TokenResponse) -> ActionResult:
            answer = assume_role(response)
            credentials: Any = answer.result["Credentials"]  # type: ignore[index]  # moto's model of the session
            asking = CREDENTIAL.search(str(response.headers.get("Authorization", "")))
            credentials.access_key_id = callers.assume(asking["key"] if asking else "", response.params["RoleArn"])
            return answer

        stack.enter_context(mock.patch.object(TokenResponse, "assume_role", assume))

    def find(self, key: str) -> Caller | None:
        """Return who has that access key; None for somebody outside."""
        with self._lock:
            return self._callers.get(key)

    def region_of(self, key: str) -> str:
        """Return the region from which the owner of a key calls."""
        caller = self.find(key)
        return caller.region if caller else OUTSIDE

    def assume(self, key: str, role_arn: str) -> str:
        """Return the access key of a new session of a role, for the owner of ``key``."""
        session = f"LAB-session-{uuid.uuid4().hex}"
        with self._lock:
            asking = self._callers.get(key)
            name = f"{asking.name if asking else 'somebody outside'} as {role_arn.rsplit('/', 1)[-1]}"
            region = asking.region if asking else OUTSIDE
            self._callers[session] = Caller(name, region, self._roles.get(role_arn, ()))
        return session
