"""The page and what its buttons do, on this machine only.

It runs commands on the machine, so a page of another site must not be able to: requests that name another host are
refused (a name that was bent to this address), and whatever changes something needs the page's own token, and an
origin that is the page's.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, abort, jsonify, render_template, request
from werkzeug.serving import WSGIRequestHandler, make_server

from drills.live.board import LOOK_SECONDS
from drills.live.graph import STATE_HEIGHT, graph_of
from drills.live.living import STRIKES, WORSE, NotNowError
from drills.live.verbs import UnknownWordError, verbs
from drills.world.network import NetworkError
from orchestration.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.live.living import LivingLab

HOST = "127.0.0.1"
TOKEN = "X-Lab-Token"  # noqa: S105 - the header's name
MACHINES = ("failover", "reprotect")
HEADERS = {
    # Nothing but the page's own files, no other site's frame around it, and no copy of its token on the disk.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(living: LivingLab, port: int) -> Flask:
    """Returns the web application of a lab's page, to be served on that port of this machine."""
    app = Flask(__name__)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    page, gate = Page(living), Gate(port)
    app.before_request(gate.admit)
    app.after_request(_with_headers)
    app.add_url_rule("/", view_func=lambda: page.show(gate.token), endpoint="page")
    app.add_url_rule("/events", view_func=page.events)
    for path, view in (
        ("/strike/<name>", page.strike),
        ("/trouble/<name>", page.trouble),
        ("/mend", page.mend),
        ("/verb/<name>", page.call),
    ):
        app.add_url_rule(path, view_func=view, methods=["POST"])
    app.register_error_handler(NotNowError, lambda error: (jsonify(refused=str(error)), 409))
    app.register_error_handler(UnknownWordError, lambda error: (jsonify(refused=str(error)), 400))
    return app


class Gate:
    """Lets through what the page itself asks, and nobody else."""

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    def admit(self) -> None:
        """Ends the request with 403 unless it may be answered."""
        if request.host not in self._hosts:
            abort(403, "This page is at 127.0.0.1 alone.")
        if request.method in ("GET", "HEAD"):
            return
        here = f"http://{request.host}"
        if request.headers.get("Origin", here) != here:
            abort(403, "This comes from another site's page.")
        if not secrets.compare_digest(request.headers.get(TOKEN, "").encode(), self.token.encode()):
            abort(403, "The token is not that of this lab: load the page again.")


class Page:
    """The page, and what its buttons do; the lab raises `NotNowError` where it cannot."""

    def __init__(self, living: LivingLab) -> None:
        self._living = living
        self._verbs = verbs()
        self._graphs = [graph_of(PROJECT_ROOT / "statemachines" / f"{name}.asl.json") for name in MACHINES]

    def show(self, token: str) -> str:
        """Returns the page as it is before anything is known."""
        return render_template(
            "page.html",
            token=token,
            regions=self._living.lab.settings.regions,
            strikes=STRIKES.values(),
            troubles=WORSE.values(),
            verbs=self._verbs.values(),
            graphs=self._graphs,
            state_height=STATE_HEIGHT,
        )

    def events(self) -> Response:
        """Answers with server-sent events, until the lab is taken down."""
        return Response(_events(self._living), mimetype="text/event-stream")

    def strike(self, name: str) -> Response:
        """Makes an outage."""
        if name not in STRIKES:
            abort(404)
        self._living.strike(name)
        return jsonify(done=name)

    def trouble(self, name: str) -> Response:
        """Begins a trouble."""
        if name not in WORSE:
            abort(404)
        self._living.trouble(name)
        return jsonify(done=name)

    def mend(self) -> Response:
        """Ends every outage and trouble."""
        self._living.mend()
        return jsonify(done="mend")

    def call(self, name: str) -> Response:
        """Calls a verb of ``failoverctl``; the body has its fields' values."""
        given = request.get_json(silent=True)
        if name not in self._verbs or not isinstance(given, dict):
            abort(404)
        done = self._living.call(self._verbs[name].words(given))
        return jsonify(code=done.code, printed=done.printed)


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


def _events(living: LivingLab) -> Iterator[str]:
    """Yields server-sent events: first what the clients did, then each section of the board whenever it has changed."""
    yield _event("history", json.dumps(living.board.history()))
    sent: dict[str, str] = {}
    while not living.is_closing():
        for name, data in living.board.sections().items():
            text = json.dumps(data)
            if sent.get(name) != text:
                sent[name] = text
                yield _event(name, text)
        time.sleep(LOOK_SECONDS)


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


class _Quiet(WSGIRequestHandler):
    """Writes no line per request: the terminal shows what happens in the lab."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - its name
        """Discards what the server would print."""


def serve(living: LivingLab, port: int) -> str:
    """Serves a lab's page on a port of this machine (0 for any free one), in threads; returns its address.

    Raises
    ------
    NetworkError
        When the port is taken.
    """
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise NetworkError(f"port {port} of {HOST}: {error.strerror}; --port names another, --port 0 any") from error
    port = listener.getsockname()[1]
    server = make_server(
        HOST, port, make_app(living, port), threaded=True, request_handler=_Quiet, fd=listener.fileno()
    )
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, name="page", daemon=True).start()
    return f"http://{HOST}:{port}"
