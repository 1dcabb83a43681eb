"""What a re-protection kept, read and replayed: files as the handlers write them, on a real server."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drills.aws.cloud import ACCOUNT
from drills.script import salvage
from drills.script.person import Person
from drills.verdict import ledger
from drills.world import bank
from drills.world.bank import REPLAY
from drills.world.clock import Clock
from drills.world.postgres import Server
from failoverctl.lab import RunningLab
from failoverctl.replay import Connection, replayed
from handlers.core.replay import rows
from handlers.core.salvage import Replay, Row, file_text
from orchestration.settings import load
from orchestration.specification import describe
from tests.drills.no_databases import cloud_without_databases

MakeServer = Callable[[str], Server]
WRITER, STANDBY = "us-east-1", "us-west-2"
LATE = str(uuid.UUID(int=77, version=4))
IDS = [str(uuid.UUID(int=number, version=4)) for number in (1, 2, 3)]


def file_with(*transfers: str) -> str:
    replay = Replay(REPLAY)
    rows = [{"id": name, "source": 1, "destination": 2, "amount_cents": 700} for name in transfers]
    lines = [replay.line("public.transfers", Row("missing", json.dumps(row))) for row in rows]
    lines.append(replay.line("public.accounts", Row("different", json.dumps({"id": 1, "balance_cents": 5}))))
    return file_text(2, "us-east-1", 1, lines)


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    made = make_server("payments-use1")
    made.initialise()
    bank.install(made)
    yield made
    made.kill()


def test_the_files_are_taken_by_epoch_and_in_order() -> None:
    objects = {
        "epoch-4/salvage-001.sql": "d",
        "epoch-2/salvage-002.sql": "b",
        "epoch-2/salvage-001.sql": "a",
        "epoch-2/salvage.json": "{}",
        "epoch-2/old-cluster.json": "{}",
    }
    assert salvage.files_of(objects) == {2: ["a", "b"], 4: ["d"]}


def test_the_transfers_in_a_file_are_those_that_it_would_write() -> None:
    commented = f'-- different in public.transfers: {{"id": "{IDS[2]}"}}\n'
    assert salvage.transfers_in([file_with(IDS[0]), file_with(IDS[1]) + commented]) == set(IDS[:2])


def test_a_replay_applies_each_transfer_once_however_often(server: Server) -> None:
    server.query("SELECT transfer(%s, 3, 4, 100)", (IDS[0],))
    texts = [file_with(IDS[0], IDS[1]), file_with(IDS[2])]
    writer = Connection(server.url)
    assert writer.is_writer()
    tried = replayed(rows(texts), writer, undone=True)
    assert tried.answers == {"known": 1, "applied": 2}
    assert ledger.transfers_on(server) == {IDS[0]}
    done = replayed(rows(texts), writer, undone=False)
    assert (done.total.rows, done.total.written, done.total.skipped, done.total.conflicts) == (5, 2, 1, 0)
    again = replayed(rows(texts), writer, undone=False)
    assert again.answers == {"known": 3}
    assert (again.total.written, again.total.skipped) == (0, 3)
    assert ledger.transfers_on(server) == set(IDS)
    assert not any(ledger.read_books(server).findings().values())


def test_a_row_that_the_writer_does_not_take_is_a_conflict_and_keeps_no_other_back(server: Server) -> None:
    nobody = str(uuid.UUID(int=9, version=4))
    row = {"id": nobody, "source": 1, "destination": 10**6, "amount_cents": 700}
    texts = [Replay(REPLAY).line("public.transfers", Row("missing", json.dumps(row))), file_with(IDS[1])]
    found = replayed(rows(texts), Connection(server.url), undone=False)
    assert found.total.conflicts == 1
    assert "violates foreign key constraint" in found.conflicts[0]
    assert nobody not in ledger.transfers_on(server)
    assert found.answers.total() == 1


def test_an_empty_file_has_no_rows() -> None:
    assert not list(rows([file_text(2, "us-east-1", 1, [])]))


def test_the_person_at_a_drill_replays_by_the_verb(server: Server, tmp_path: Path) -> None:
    specification = describe(load(environment_suffix="test"), ACCOUNT)
    with cloud_without_databases(specification, tmp_path, Clock.started_now(1.0)) as cloud:
        table, record = specification.control_table.name, specification.first_control_record
        cloud.client("dynamodb", WRITER).put_item(TableName=table, Item=record)
        for name, text in (("salvage.json", "{}"), ("salvage-001.sql", file_with(LATE))):
            bucket = specification.regions[STANDBY].salvage_bucket
            cloud.client("s3", STANDBY).put_object(Bucket=bucket, Key=f"epoch-2/{name}", Body=text.encode())
        lab = RunningLab(cloud.endpoint, os.getpid(), specification.settings.model_dump(mode="json")).announce(tmp_path)
        timeline: Any = SimpleNamespace(event=lambda kind, text: None)
        person = Person("yes", lab, timeline)
        said = [person.call(f"failoverctl salvage replay 2 --connection {server.url}")["answers"] for _ in range(2)]
    assert said == [{"applied": 1}, {"known": 1}]
    assert LATE in ledger.transfers_on(server)
