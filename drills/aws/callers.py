"""STS and access keys: who calls, from which region, and with which permissions.

Each function has an access key of its own, so the lab's endpoint knows its caller. A function that may assume a role
(STS API reference, ``AssumeRole``) gets a new key with the role's permissions; its region stays the function's, because
that is where its packets start. The global endpoint signs for us-east-1 and fails with it; a regional one does not.

Limits: of a role's trust policy only the names of the functions that it trusts are compared; sessions do not expire
and session policies are ignored; keys that the lab has not given out are somebody outside, who may do everything.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from moto.sts.exceptions import STSClientError
from moto.sts.responses import TokenResponse

from drills.aws.faults import CREDENTIAL
from drills.aws.lambda_runtime import access_key
from drills.world.reachability import OUTSIDE
from orchestration.specification.names import Names
from orchestration.specification.policies import permissions

if TYPE_CHECKING:
    from contextlib import ExitStack

    from moto.core.responses import ActionResult

    from orchestration.specification.model import Permission, Specification


class AccessDeniedError(STSClientError):
    """STS refuses to hand out a role."""

    status_code = 403
    code = "AccessDenied"

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Caller:
    """Somebody with an access key: a function, or a function in the role that it has assumed."""

    name: str
    region: str
    permissions: tuple[Permission, ...]


class Callers:
    """Everybody the lab has given an access key."""

    def __init__(self, specification: Specification) -> None:
        """Gives each function its key; the roles that may be assumed are those in which a region acts on the other."""
        names = Names(specification.settings, specification.account)
        roles = [role for region in specification.regions.values() for role in region.roles_for_others]
        self._names = names
        self._roles = {names.role_arn(role.name): role for role in roles}
        self._lock = threading.Lock()
        self._callers = {
            access_key(function): Caller(function.name, region.name, permissions(names, region)[function.name])
            for region in specification.regions.values()
            for function in region.functions.values()
        }

    def install(self, stack: ExitStack) -> None:
        """Gives assumed roles keys that the lab knows, until ``stack`` is closed."""
        callers, assume_role = self, TokenResponse.assume_role

        def assume(response: TokenResponse) -> ActionResult:
            answer = assume_role(response)
            credentials: Any = answer.result["Credentials"]  # type: ignore[index]  # moto's model of the session
            asking = CREDENTIAL.search(str(response.headers.get("Authorization", "")))
            credentials.access_key_id = callers.assume(asking["key"] if asking else "", response.params["RoleArn"])
            return answer

        stack.enter_context(mock.patch.object(TokenResponse, "assume_role", assume))

    def find(self, key: str) -> Caller | None:
        """Returns who has that access key; None for somebody outside."""
        with self._lock:
            return self._callers.get(key)

    def region_of(self, key: str) -> str:
        """Returns the region from which the owner of a key calls."""
        caller = self.find(key)
        return caller.region if caller else OUTSIDE

    def assume(self, key: str, role_arn: str) -> str:
        """Returns the access key of a new session of a role, for the owner of ``key``.

        Raises
        ------
        AccessDeniedError
            When there is no such role, or it does not trust the caller.
        """
        session = f"LAB-session-{uuid.uuid4().hex}"
        with self._lock:
            asking, role = self._callers.get(key), self._roles.get(role_arn)
            if asking is None or role is None or self._names.role_arn(asking.name) not in role.trusted:
                who = asking.name if asking else "somebody outside"
                raise AccessDeniedError(f"{who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")
            self._callers[session] = Caller(f"{asking.name} as {role.name}", asking.region, role.permissions)
        return session
