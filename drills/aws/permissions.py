"""IAM: a function may do what its specified permissions allow, and nothing else.

Models (IAM user guide, "Policy evaluation logic"; service authorization reference for the actions' names): a request is
denied unless a statement allows its action on every resource that it names. The access key tells who asks
(`drills.aws.callers`). A request whose action is not understood is denied.

Limits: only functions and the roles they assume are checked, not the lab itself nor the state machines; of the
conditions only ``aws:RequestedRegion`` is evaluated; resources are compared where the request names them plainly
(tables, functions, topics, roles, objects, and what RDS has), else the action alone decides; there are no resource
policies and no explicit denials.
"""

from __future__ import annotations

import io
import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from drills.aws.faults import CREDENTIAL
from drills.aws.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drills.aws.callers import Caller, Callers
    from drills.aws.faults import Application
    from drills.aws.happenings import Observe

# Where IAM's name for a service is not the one for which requests are signed.
IAM_SERVICES = {"monitoring": "cloudwatch"}
# The Smithy RPC v2 protocol, which CloudWatch's clients speak, has the action in the path.
RPC_PATH = re.compile(r"/service/\w+/operation/(\w+)")
OBJECT_ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
INVOKE_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class Permissions:
    """Wraps a WSGI application; it gets only the requests that their function may make."""

    def __init__(self, application: Application, callers: Callers, account: str, observe: Observe) -> None:
        self._application = application
        self._callers = callers
        self._account = account
        self._observe = observe

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request as WSGI wants it."""
        signed = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        caller = self._callers.find(signed["key"]) if signed else None
        if signed is None or caller is None:
            return self._application(environ, start_response)
        action, parameters = _request(environ, IAM_SERVICES.get(signed["service"], signed["service"]))
        resources = self._resources(action, parameters, signed["region"])
        if allows(caller, action, resources, signed["region"]):
            return self._application(environ, start_response)
        detail = {"action": action, "resources": resources}
        self._observe(Happening(Kind.ACCESS_DENIED, signed["region"], caller.name, detail))
        where = f" on resource: {', '.join(resources)}" if resources else ""
        return _deny(environ, start_response, f"{caller.name} is not authorized to perform: {action}{where}")

    def _resources(self, action: str, parameters: dict[str, str], region: str) -> list[str]:
        """Returns the ARNs of what a request names."""
        regional, everywhere = f"{region}:{self._account}", f":{self._account}"
        names = {
            "TableName": f"arn:aws:dynamodb:{regional}:table/",
            "FunctionName": f"arn:aws:lambda:{regional}:function:",
            "GlobalClusterIdentifier": f"arn:aws:rds:{everywhere}:global-cluster:",
            "DbClusterIdentifier": f"arn:aws:rds:{regional}:cluster:",
            "DBClusterIdentifier": f"arn:aws:rds:{regional}:cluster:",
            "TargetDbClusterIdentifier": "",
            "SourceDBClusterIdentifier": "",
            "DBInstanceIdentifier": f"arn:aws:rds:{regional}:db:",
            "DBClusterSnapshotIdentifier": f"arn:aws:rds:{regional}:cluster-snapshot:",
            "DBClusterParameterGroupName": f"arn:aws:rds:{regional}:cluster-pg:",
            "DBSubnetGroupName": f"arn:aws:rds:{regional}:subgrp:",
            "ObjectArn": "",
            "TopicArn": "",
            "RoleArn": "",
            "executionArn": "",
            "stateMachineArn": "",
        }
        return [
            parameters[name] if parameters[name].startswith("arn:") else prefix + parameters[name]
            for name, prefix in names.items()
            if name in parameters and action
        ]


def allows(caller: Caller, action: str, resources: list[str], region: str) -> bool:
    """Returns whether a caller's permissions allow an action on all these resources, asked for in ``region``."""
    statements = [
        one
        for one in caller.permissions
        if any(fnmatchcase(action, allowed) for allowed in one.actions)
        and (one.conditions or {}).get("StringEquals", {}).get("aws:RequestedRegion", region) == region
    ]
    allowed = [pattern for one in statements for pattern in one.resources]
    return bool(statements) and all(any(fnmatchcase(arn, pattern) for pattern in allowed) for arn in resources)


def _request(environ: dict[str, Any], service: str) -> tuple[str, dict[str, str]]:
    """Returns a request's action as IAM names it, empty when unknown, and its plain parameters."""
    path = environ.get("PATH_INFO", "")
    if invoked := INVOKE_PATH.fullmatch(path):
        return f"{service}:InvokeFunction", {"FunctionName": unquote(invoked[1])}
    if service == "s3":
        return _object_request(environ)
    if called := RPC_PATH.fullmatch(path):
        return f"{service}:{called[1]}", {}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)  # the application reads it again
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        parameters = json.loads(body or b"{}")
        plain = {name: value for name, value in parameters.items() if isinstance(value, str)}
        return f"{service}:{target.rsplit('.', 1)[-1]}", plain
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return (f"{service}:{form['Action']}" if "Action" in form else ""), form


def _object_request(environ: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Returns the action of a request to S3, which names its bucket and its object in the path."""
    bucket, _, key = unquote(environ.get("PATH_INFO", "")).strip("/").partition("/")
    method = environ.get("REQUEST_METHOD", "")
    action = OBJECT_ACTIONS.get(method, "") if key else {"GET": "s3:ListBucket"}.get(method, "")
    return action, {"ObjectArn": f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")}


def _deny(environ: dict[str, Any], start_response: Callable[..., Any], message: str) -> Iterable[bytes]:
    """Answers "access denied" in the protocol of the request."""
    headers = [("X-Amzn-ErrorType", "AccessDeniedException")]
    if RPC_PATH.fullmatch(environ.get("PATH_INFO", "")):
        headers += [("Content-Type", "application/cbor"), ("Smithy-Protocol", "rpc-v2-cbor")]
        body = _cbor({"__type": "AccessDeniedException", "message": message})
    elif "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
        headers.append(("Content-Type", "application/xml"))
        body = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>".encode()
    elif environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        headers.append(("Content-Type", "text/xml"))
        error = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>lab</RequestId></ErrorResponse>".encode()
    else:
        headers.append(("Content-Type", "application/json"))
        body = json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
    start_response("403 Forbidden", [*headers, ("Content-Length", str(len(body)))])
    return [body]


def _cbor(texts: dict[str, str]) -> bytes:
    """Returns a map of at most 23 texts in CBOR (RFC 8949): a text is 0x79, two bytes of length, and its bytes."""
    encoded = [text.encode() for pair in texts.items() for text in pair]
    return bytes([0xA0 + len(texts)]) + b"".join(b"\x79" + len(text).to_bytes(2, "big") + text for text in encoded)
