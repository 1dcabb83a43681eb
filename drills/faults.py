"""Faults of the lab's AWS endpoint: what a region that is gone does to those who call it.

A layer in front of moto. It reads the region from the credential scope of the request's signature (AWS general
reference, "Signature Version 4"), so it hits what would be answered there and nothing else. Services without regions
sign for us-east-1 (Route 53, IAM, the global STS endpoint) and fail with it, as their control planes do.

Limits: a connection is taken before it is refused, since all regions share one port; it is then reset without an
answer, which clients treat alike. Unsigned requests belong to no region and always get through.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Any

# Access key id, date, region and service of ``Authorization: AWS4-HMAC-SHA256 Credential=.../aws4_request, ...``.
CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# SO_LINGER with a time of 0: closing sends a reset instead of an orderly end.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
UNAVAILABLE = b'{"__type": "ServiceUnavailable", "message": "The lab made this region unavailable"}'

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Fault(StrEnum):
    """What a region's endpoints do."""

    REFUSE = "refuse"
    HANG = "hang"
    UNAVAILABLE = "503"


class Faults:
    """Wraps a WSGI application; regions without a fault are answered by it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._faults: dict[str, Fault] = {}
        self._changed = threading.Condition()
        self._closed = False

    def set(self, region: str, fault: Fault | None) -> None:
        """Give a region a fault, or None to heal it; requests that hang there are then dropped."""
        with self._changed:
            if fault is None:
                self._faults.pop(region, None)
            else:
                self._faults[region] = fault
            self._changed.notify_all()

    def close(self) -> None:
        """Drop every request that hangs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request as WSGI wants it."""
        signed = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        fault = self._faults.get(signed["region"]) if signed else None
        try:
            if fault is None:
                return self._application(environ, start_response)
            if fault is Fault.UNAVAILABLE:
                start_response("503 Service Unavailable", [("Content-Type", "application/x-amz-json-1.0")])
                return [UNAVAILABLE]
            if signed and fault is Fault.HANG:
                self._wait_for_change(signed["region"])
            # The server takes this for a client that has gone. The application may raise it too.
            raise ConnectionResetError
        except ConnectionResetError:
            _drop(environ)
            raise

    def _wait_for_change(self, region: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._faults.get(region) is not Fault.HANG)


def _drop(environ: dict[str, Any]) -> None:
    """Have the server reset the connection, instead of waiting for another request on it."""
    connection = environ["werkzeug.socket"]
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        connection.shutdown(socket.SHUT_RD)
