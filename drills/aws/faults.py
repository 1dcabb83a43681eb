"""Faults of the lab's AWS endpoint: what callers get when they do not reach the region that they call.

This is a layer in front of moto. It reads from the credential scope of the request's signature who calls which region
(AWS general reference, "Signature Version 4"), and asks `drills.world.reachability` whether that caller gets there.
Services without regions sign for us-east-1 (Route 53, IAM, the global STS endpoint) and fail with it, as their control
planes do.

Limits: a connection is taken before it is refused, since all regions share one port; it is then reset without an
answer, which clients treat alike. Unsigned requests belong to no region and always get through.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from drills.world.reachability import Fault

if TYPE_CHECKING:
    from drills.world.reachability import Reachability

# Access key id, date, region and service of ``Authorization: AWS4-HMAC-SHA256 Credential=.../aws4_request, ...``.
CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# SO_LINGER with a time of 0: closing sends a reset instead of an orderly end.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
UNAVAILABLE = b'{"__type": "ServiceUnavailable", "message": "The lab made this region unavailable"}'

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Faults:
    """Wraps a WSGI application; it gets the requests that reach it."""

    def __init__(self, application: Application, reachability: Reachability, region_of: Callable[[str], str]) -> None:
        """Takes ``region_of``, which tells from an access key where its caller is."""
        self._application = application
        self._reachability = reachability
        self._region_of = region_of

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers a request as WSGI wants it."""
        signed = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        way = (self._region_of(signed["key"]), signed["region"]) if signed else None
        fault = self._reachability.fault(*way) if way else None
        try:
            if fault is None:
                return self._application(environ, start_response)
            if fault is Fault.UNAVAILABLE:
                start_response("503 Service Unavailable", [("Content-Type", "application/x-amz-json-1.0")])
                return [UNAVAILABLE]
            if way and fault is Fault.HANG:
                self._reachability.wait_for(lambda: self._reachability.fault(*way) is not Fault.HANG)
            # To the server this looks like a client that has gone. The application may raise it too.
            raise ConnectionResetError
        except ConnectionResetError:
            _drop(environ)
            raise


def _drop(environ: dict[str, Any]) -> None:
    """Makes the server reset the connection instead of waiting for another request on it."""
    connection = environ["werkzeug.socket"]
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        connection.shutdown(socket.SHUT_RD)
