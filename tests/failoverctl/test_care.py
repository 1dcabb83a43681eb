"""``failoverctl salvage``, ``bootstrap`` and ``apply-safe``."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from handlers.core.salvage import Place, Salvage
from orchestration import safe_to_apply
from tests.deployment import STANDBY, Deployment
from tests.failoverctl.conftest import Ctl

SUMMARY = Salvage(True, Place(1), part=1, missing=2, kept_at="s3://somewhere/epoch-2/")
FILES = {"salvage.json": json.dumps(asdict(SUMMARY)), "salvage-001.sql": "-- two rows\n"}


@pytest.fixture
def salvaged(deployment: Deployment) -> None:
    bucket = deployment.specification.regions[STANDBY].salvage_bucket
    for name, text in FILES.items():
        deployment.client("s3", STANDBY).put_object(Bucket=bucket, Key=f"epoch-2/{name}", Body=text.encode())


def test_what_is_kept_is_found_wherever_it_is(ctl: Ctl, salvaged: None) -> None:
    assert ctl("salvage", "list", "--json").data["salvage"] == [{"epoch": 2, "region": STANDBY, "files": sorted(FILES)}]
    said = ctl("salvage", "show", "2")
    assert said.code == 0
    assert "Salvage: 2 rows are missing on the new writer, 0 are different there (1 file in s3://" in said.text
    assert "s3://payments-salvage-usw2-test-123456789012/epoch-2/salvage-001.sql" in said.text
    assert ctl("salvage", "show", "2", "--file", "salvage-001.sql").text == FILES["salvage-001.sql"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("3",), "nothing is kept of epoch 3; `failoverctl salvage list` lists what is"),
        (("2", "--file", "salvage-9.sql"), "there is no file salvage-9.sql of epoch 2; there are salvage-001.sql, sal"),
    ],
)
def test_what_is_not_kept(ctl: Ctl, salvaged: None, words: tuple[str, ...], says: str) -> None:
    said = ctl("salvage", "show", *words)
    assert said.code == 1
    assert says in said.text


def test_nothing_is_kept(ctl: Ctl) -> None:
    said = ctl("salvage", "list")
    assert said.code == 0
    assert said.text.startswith("No re-protection has kept anything")


def test_a_bootstrap_that_refuses_says_why_in_its_own_words(ctl: Ctl) -> None:
    """There is no secret of the master user here."""
    said = ctl("bootstrap", "--yes")
    assert said.code == 1
    assert said.text.splitlines()[-1].startswith(
        "Refused: failover-bootstrap-database-use1-test refused: looking up the secret payments-master-test: "
    )


@pytest.mark.parametrize("kept", [0, 10])
def test_a_bootstrap_in_the_writers_region_says_what_it_did(ctl: Ctl, deployment: Deployment, kept: int) -> None:
    asked: list[object] = []
    done = {"cluster": "payments-use1-test", "statements": 9, "reserved_connections": kept}

    def answer(region: str, name: str, event: object) -> object:
        asked.append((region, name, event))
        return deployment.lambdas._answer(lambda: done)

    deployment.lambdas.invoke = answer  # type: ignore[method-assign,assignment]
    said = ctl("bootstrap", "--yes")
    assert said.code == 0
    assert "Done: 9 statements in payments-use1-test, all or none.\n" in said.text
    assert ("No connection is reserved for the monitor" in said.text) == (kept == 0)
    assert asked == [("us-east-1", "failover-bootstrap-database-use1-test", {})]


@pytest.mark.parametrize(("answer", "words"), [(0, []), (1, ["--stack", "us-west-2"]), (2, ["--stack", "global"])])
def test_apply_safe_passes_its_answer_on(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch, answer: int, words: list[str]
) -> None:
    asked: list[object] = []

    def judge(arguments: list[str]) -> int:
        asked.append(arguments)
        return answer

    monkeypatch.setattr(safe_to_apply, "main", judge)
    assert ctl("apply-safe", *words).code == answer
    assert asked == [words]
