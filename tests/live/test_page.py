"""The page's server: what the page asks is done, and nothing that anybody else asks."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from drills.live import page as page_module
from drills.live.board import Board, Call
from drills.live.living import STRIKES, WORSE, NotNowError
from drills.live.page import make_app, serve
from drills.live.verbs import verbs
from drills.world.network import NetworkError

PORT = 8765
HERE = f"http://127.0.0.1:{PORT}"


class Living:
    """Stands for the living lab: notes what is done to it."""

    def __init__(self) -> None:
        self.board = Board()
        self.lab = SimpleNamespace(settings=SimpleNamespace(regions=("us-east-1", "us-west-2")))
        self.done: list[tuple[str, ...]] = []
        self.looks = 3
        self.refuses = False

    def _do(self, *what: str) -> None:
        if self.refuses:
            raise NotNowError("the lab is being built: wait for it")
        self.done.append(what)

    def strike(self, name: str) -> None:
        self._do("strike", name)

    def trouble(self, name: str) -> None:
        self._do("trouble", name)

    def mend(self) -> None:
        self._do("mend")

    def call(self, words: list[str]) -> Call:
        self._do(*words)
        return Call(0.0, "failoverctl", 1, "Refused: no")

    def is_closing(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.fixture
def living() -> Living:
    return Living()


@pytest.fixture
def client(living: Living) -> FlaskClient:
    return make_app(living, PORT).test_client()  # type: ignore[arg-type]


def token_of(client: FlaskClient) -> str:
    found = re.search(r'name="token" content="([^"]{40,})"', client.get("/", base_url=HERE).text)
    assert found
    return found[1]


def post(client: FlaskClient, path: str, data: Any = None, **headers: str) -> TestResponse:
    given = {"Origin": HERE, "X-Lab-Token": token_of(client)} | {key.replace("_", "-"): headers[key] for key in headers}
    return client.post(path, base_url=HERE, json={} if data is None else data, headers=given)


def test_the_page_has_a_button_for_each_outage_trouble_and_verb(client: FlaskClient) -> None:
    text = client.get("/", base_url=HERE).text
    posts = set(re.findall(r'data-post="([^"]+)"', text))
    assert posts == {*(f"/strike/{name}" for name in STRIKES), *(f"/trouble/{name}" for name in WORSE), "/mend"}
    assert set(re.findall(r'data-verb="([^"]+)"', text)) == set(verbs())
    modes = re.findall(r'<button name="mode" value="([^"]+)"', text)
    assert modes == ["failover", "switchover", "rehearsal", "reprotect", "failback"]


def test_a_button_does_what_it_says(client: FlaskClient, living: Living) -> None:
    assert post(client, "/strike/kill").status_code == 200
    assert post(client, "/trouble/rds-slow").status_code == 200
    assert post(client, "/mend").status_code == 200
    answer = post(client, "/verb/reject", {"reason": "no"})
    assert answer.json == {"code": 1, "printed": "Refused: no"}
    assert living.done == [
        ("strike", "kill"),
        ("trouble", "rds-slow"),
        ("mend",),
        ("reject", "--reason=no", "--yes"),
    ]


@pytest.mark.parametrize("path", ["/strike/kill", "/trouble/rds-slow", "/mend", "/verb/resume"])
def test_another_sites_page_can_do_nothing(client: FlaskClient, living: Living, path: str) -> None:
    for wrong in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"X_Lab_Token": "guessed"}):
        assert post(client, path, **wrong).status_code == 403
    assert client.post(path, base_url=HERE, json={}).status_code == 403  # no token: a form of another site
    token = token_of(client)
    elsewhere = "http://rebound.example:8765"  # a name that its owner has bent to 127.0.0.1
    answer = client.post(path, base_url=elsewhere, json={}, headers={"Origin": elsewhere, "X-Lab-Token": token})
    assert answer.status_code == 403
    assert not living.done


def test_no_other_name_reads_the_page_or_its_token(client: FlaskClient) -> None:
    for path in ("/", "/events", "/static/page.js"):
        assert client.get(path, base_url="http://rebound.example:8765").status_code == 403
        assert client.get(path, base_url="http://127.0.0.1:1").status_code == 403
    assert client.get("/", base_url=f"http://localhost:{PORT}").status_code == 200


def test_nothing_is_done_by_a_link(client: FlaskClient, living: Living) -> None:
    for path in ("/strike/kill", "/mend", "/verb/resume"):
        assert client.get(path, base_url=HERE).status_code == 405
    assert not living.done


def test_what_there_is_not_is_not_found(client: FlaskClient, living: Living) -> None:
    for path in ("/strike/quiet", "/strike/nothing", "/trouble/late-bootstrap", "/verb/watch", "/verb/rm"):
        assert post(client, path).status_code == 404
    assert post(client, "/verb/resume", ["--yes"]).status_code == 404
    assert not living.done


def test_a_refusal_says_why(client: FlaskClient, living: Living) -> None:
    assert post(client, "/verb/pause", {"lasts": "5m"}).json == {"refused": "pause needs --reason"}
    living.refuses = True
    for path in ("/strike/kill", "/mend", "/verb/resume"):
        answer = post(client, path)
        assert (answer.status_code, answer.json) == (409, {"refused": "the lab is being built: wait for it"})


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    answer = client.get("/", base_url=HERE)
    assert not re.findall(r'(?:src|href)="(?!/static/|#|data:,)', answer.text)
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read(scheme: int) -> None:
    style = (Path(page_module.__file__).parent / "static" / "page.css").read_text()
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{([^}]*--paper[^}]*)\}", style)[scheme]))
    on_ground = [(text, ground) for text in ("ink", "soft", "bad", "good") for ground in ("paper", "card")]
    on_card = [("region-0", "card"), ("region-1", "card"), ("ink", "line"), ("ink", "visited")]
    on_colour = [("on", ground) for ground in ("bad", "good", "region-0", "region-1", "active")]
    for text, ground in on_ground + on_card + on_colour:
        dark, light = sorted(luminance(colours[name]) for name in (text, ground))
        contrast = (light + 0.05) / (dark + 0.05)
        assert contrast >= 4.5, f"{text} on {ground}: {contrast:.2f}"  # WCAG 2.2, success criterion 1.4.3


def test_a_section_is_sent_when_it_has_changed(client: FlaskClient, living: Living) -> None:
    text = client.get("/events", base_url=HERE).text
    names = re.findall("^event: (.*)$", text, re.MULTILINE)
    assert names == ["history", *living.board.sections()]  # three looks, and nothing has changed meanwhile
    for data in re.findall("^data: (.*)$", text, re.MULTILINE):
        json.loads(data)


def test_it_listens_on_this_machine_only_and_says_when_the_port_is_taken(living: Living) -> None:
    address = serve(living, 0)  # type: ignore[arg-type]
    port = int(address.rsplit(":", 1)[1])
    assert address == f"http://127.0.0.1:{port}"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), 1)
    with pytest.raises(NetworkError, match=f"port {port} of 127.0.0.1: Address already in use"):
        serve(living, port)  # type: ignore[arg-type]
