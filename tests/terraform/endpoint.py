"""One endpoint for all of AWS: passes requests on to an emulator, can make regions dark and change what is said."""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
UPSTREAM_TIMEOUT_S = 120


class Endpoint:
    """Forwards to ``upstream`` (host, port). A request belongs to the region that its signature names.

    ``answers`` holds what upstream does not know: target of a request (``X-Amz-Target``) → the answer, as JSON; or a
    Query API's action → the answer, as XML.
    """

    def __init__(self, upstream: tuple[str, int], answers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.dark: Set[str] = frozenset()
        self.seen: Counter[tuple[str, str]] = Counter()  # (region, service): requests that arrived
        self._told: Mapping[str, str] = {}
        self._upstream = upstream
        self._answers = answers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where to send requests."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        """Serves inside the block."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    @contextmanager
    def without(self, *regions: str) -> Iterator[Counter[tuple[str, str]]]:
        """Inside the block these regions hang up on every request. Yields a count of what arrives meanwhile."""
        self.seen, self.dark = Counter(), frozenset(regions)
        try:
            yield self.seen
        finally:
            self.dark = frozenset()

    @contextmanager
    def telling(self, told: Mapping[str, str]) -> Iterator[None]:
        """Inside the block every answer has, in place of each key of ``told`` that the emulator says, its value."""
        self._told = told
        try:
            yield
        finally:
            self._told = {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                region, service = signed_for(self.headers.get("Authorization", ""))
                endpoint.seen[region, service] += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if region in endpoint.dark:
                    self.close_connection = True
                    return
                status, headers, answer = endpoint.ask(self.command, self.path, dict(self.headers.items()), body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(answer)))
                else:
                    self.send_header("Content-Length", "0")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = forward  # noqa: N815  # http.server's names

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Passes one request on; returns status, headers and body of the answer."""
        known = self._answers.get(headers.get("X-Amz-Target", ""))
        if known is not None:
            return 200, [("Content-Type", "application/x-amz-json-1.0")], known.encode()
        action = re.match(rb"Action=(\w+)", body)
        if action and (known := self._answers.get(action[1].decode())) is not None:
            return 200, [("Content-Type", "text/xml")], known.encode()
        connection = http.client.HTTPConnection(*self._upstream, timeout=UPSTREAM_TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            body = answer.read()
            for said, instead in self._told.items():
                body = body.replace(said.encode(), instead.encode())
            return answer.status, answer.getheaders(), body
        finally:
            connection.close()


def signed_for(authorization: str) -> tuple[str, str]:
    """Region and service of a request, from the credential scope of its signature (AWS Signature Version 4)."""
    scope = re.search(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request", authorization)
    return (scope[1], scope[2]) if scope else ("", "")
