"""IAM for the functions of the deployment: who asks for what, whether its role may, and what was used of each role."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from drills.aws.requests import read
from orchestration.authorization import Authorization, Demand, Request, allows
from orchestration.specification import Specification
from orchestration.specification.model import Permission
from orchestration.specification.policies import permissions

SESSION_KEY = re.compile(rb"<AccessKeyId>(\w+)</AccessKeyId>")
NOT_FOUND = 404
# What everybody may ask (STS API reference, GetCallerIdentity).
FREE = {"sts:GetCallerIdentity"}


@dataclass(frozen=True)
class Call:
    """A request to AWS of a function: whose step made it, in which role, and which region's endpoint was asked."""

    step: str
    caller_region: str
    role: str
    action: str
    region: str
    host: str


@dataclass(frozen=True)
class Used:
    """A permission that was needed: a role's action on one of its statement's resources, as the statement has it."""

    role: str
    action: str
    resource: str
    conditions: str


def used_by(role: str, statement: Permission, action: str, resource: str) -> Used:
    tests = (f"{key} {value}" for found in (statement.conditions or {}).values() for key, value in found.items())
    return Used(role, action, resource, ", ".join(tests))


class Rights:
    """What every role may do, what was asked for, and by which of its permissions it was allowed."""

    def __init__(self, specification: Specification) -> None:
        self._names = specification.names
        self._authorization = Authorization(specification)
        self._permissions: dict[str, tuple[Permission, ...]] = {}
        self._trusted: dict[str, tuple[str, ...]] = {}
        for region in specification.regions.values():
            self._permissions |= permissions(specification.names, region)
            self._trusted |= {role.name: role.trusted for role in region.roles_for_others}
        self._lock = threading.Lock()
        self._sessions: dict[str, str] = {}  # access key: the role that it is a session of
        self.used: Counter[Used] = Counter()
        self.calls: list[Call] = []
        self.denied: list[str] = []

    def ask(self, step: str, region: str, request: Any) -> bool:
        """Note a function's request to AWS; whether its role allows it. ``request`` is boto3's, ready to be sent."""
        asked = _read(request)
        role = self._sessions.get(asked.key) or self._names.function(step, region)
        with self._lock:
            host = urlsplit(request.url).hostname or ""
            self.calls.append(Call(step, region, role, asked.action, asked.region, host))
        demands = self._authorization.demands(asked)
        if not demands:
            self.denied.append(f"{role} asks for something that is not known: {asked}")
        allowed = [self.demand(role, demand) for demand in demands]
        return bool(allowed) and all(allowed)

    def lets(self, granted: Iterable[Permission], request: Any) -> bool:
        """Whether somebody who is granted that, and no function, may make a request."""
        asked = _read(request)
        demands = self._authorization.demands(asked)
        allowed = [any(allows(each, demand) for each in granted) for demand in demands]
        return asked.action in FREE or (bool(allowed) and all(allowed))

    def answered(self, step: str, region: str, request: Any, answer: Any) -> None:
        """Note what follows from an answer: the key of a session, or that S3 was asked for what is not there."""
        asked = _read(request)
        if asked.action == "sts:AssumeRole" and (found := SESSION_KEY.search(_body(answer))):
            role = asked.parameters["RoleArn"].rsplit("/", 1)[-1]
            asking = self._names.role_arn(self._names.function(step, region))
            if asking not in self._trusted[role]:
                self.denied.append(f"{role} does not trust {asking}")
            self._sessions[found[1].decode()] = role
        if asked.action == "s3:GetObject" and answer.status_code == NOT_FOUND:
            # Who may not list the bucket is told "forbidden", whether the object is there or not (S3 API, GetObject).
            listing = Request("s3:ListBucket", asked.region, asked.key, asked.parameters)
            for demand in self._authorization.demands(listing):
                self.demand(self._names.function(step, region), demand)

    def starts(self, region: str, step: str) -> None:
        """Note that a function is started: Lambda decrypts its environment in its name."""
        for demand in self._authorization.uses_of_key(region, "kms:Decrypt"):
            self.demand(self._names.function(step, region), demand)

    def does(self, role: str, action: str, resource: str, region: str) -> None:
        """Note what an AWS service does in a role of ours, without a request that could be seen."""
        self.demand(role, Demand(action, resource, (("aws:RequestedRegion", region),)))

    def demand(self, role: str, demand: Demand) -> bool:
        """Note one demand; whether the role allows it."""
        matched = {
            used_by(role, statement, demand.action, pattern)
            for statement in self._permissions[role]
            for pattern in allows(statement, demand)
        }
        with self._lock:
            if not matched:
                self.denied.append(f"{role} may not {demand.action} on {demand.resource} {dict(demand.circumstances)}")
            self.used.update(matched)
        return bool(matched)


def _read(request: Any) -> Request:
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    found = read(request.method, request.url, headers, _bytes(request.body))
    assert found, f"{request.url} is not signed"
    return found


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def _bytes(body: Any) -> bytes:
    if hasattr(body, "read"):
        content: bytes = body.read()
        body.seek(0)
        return content
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def _body(answer: Any) -> bytes:
    return bytes(answer.content)
