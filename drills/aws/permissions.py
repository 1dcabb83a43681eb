"""IAM: a function may do what its role's permissions allow, and nothing else.

Models (IAM user guide, "Policy evaluation logic"): a request is denied unless statements allow all that it demands
(`orchestration.authorization`). The access key tells who asks (`drills.aws.callers`). A request whose action is not
understood is denied.

Limits: only functions and the roles they assume are checked, not the lab itself nor the state machines; there are no
resource policies and no explicit denials.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from drills.aws.happenings import Happening, Kind
from drills.aws.requests import RPC_PATH, read
from orchestration.authorization import Authorization, Demand, Request, allows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drills.aws.callers import Caller, Callers
    from drills.aws.faults import Application
    from drills.aws.happenings import Observe


class Permissions:
    """Wraps a WSGI application; it gets only the requests that their function may make."""

    def __init__(
        self, application: Application, callers: Callers, authorization: Authorization, observe: Observe
    ) -> None:
        self._application = application
        self._callers = callers
        self._authorization = authorization
        self._observe = observe

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request as WSGI wants it."""
        request = _request(environ)
        caller = self._callers.find(request.key) if request else None
        if request is None or caller is None:
            return self._application(environ, start_response)
        demands = self._authorization.demands(request)
        denied = [demand for demand in demands if not may(caller, demand)]
        if demands and not denied:
            return self._application(environ, start_response)
        detail = {"action": request.action, "resources": [demand.resource for demand in denied]}
        self._observe(Happening(Kind.ACCESS_DENIED, request.region, caller.name, detail))
        what = denied[0] if denied else Demand(request.action, "*", ())
        message = f"{caller.name} is not authorized to perform: {what.action} on resource: {what.resource}"
        return _deny(environ, start_response, message)


def may(caller: Caller, demand: Demand) -> bool:
    """Returns whether a caller's permissions allow what is demanded."""
    return any(allows(permission, demand) for permission in caller.permissions)


def _request(environ: dict[str, Any]) -> Request | None:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)  # the application reads it again
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return read(environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", ""), headers, body)


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
