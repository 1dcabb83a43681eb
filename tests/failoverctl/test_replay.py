"""``failoverctl salvage replay``: a dry run first, each row by itself, and words for what is not written."""

from __future__ import annotations

import json

import pytest

from failoverctl import replay
from failoverctl.errors import CannotTell
from failoverctl.replay import Conflict
from handlers.core.replay import rows
from handlers.core.salvage import Replay, Row, file_text, not_read
from tests.deployment import STANDBY, Deployment
from tests.failoverctl.conftest import Ctl

URL = "postgresql://ada@writer/payments"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:booking-AbCdEf"
RULES = Replay({"transfers": "transfer(id, amount)"})
LINES = [
    *(RULES.line("public.transfers", Row("missing", json.dumps({"id": number, "note": "it's"}))) for number in (1, 2)),
    RULES.line("public.transfers", Row("missing", json.dumps({"id": 13}))),
    RULES.line("public.transfers", Row("different", json.dumps({"id": 3}))),
    RULES.line("public.accounts", Row("missing", json.dumps({"id": 4, "text": "-- missing in public.x: SELECT"}))),
    not_read("public.secrets", "permission denied (42501)"),
]
TEXT = file_text(2, "us-east-1", 1, LINES)


class Bank:
    """A writer that has the bank's function, and takes no row with the number 13."""

    def __init__(self) -> None:
        self.has: set[str] = {"2"}
        self.writes = True
        self.breaks = False

    def is_writer(self) -> bool:
        return self.writes

    def write(self, sql: str, *, undone: bool) -> tuple[str, bool]:
        row = sql.split('"id": ')[1].split("}")[0].split(",")[0]
        if self.breaks:
            raise CannotTell("the connection broke; replay again, which does no harm")
        if row == "13":
            raise Conflict('insert violates foreign key constraint "customer"')
        if row in self.has:
            return "known", False
        if not undone:
            self.has.add(row)
        return "applied", True


@pytest.fixture
def bank(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """What epoch 2 left, and the writer that it is replayed on."""
    bucket = deployment.specification.regions[STANDBY].salvage_bucket
    for name, text in (("salvage.json", "{}"), ("salvage-001.sql", TEXT)):
        deployment.client("s3", STANDBY).put_object(Bucket=bucket, Key=f"epoch-2/{name}", Body=text.encode())
    made = Bank()
    monkeypatch.setattr(replay, "Connection", lambda url: made if url == URL else None)
    return made


def test_every_row_of_a_file_is_read_back_with_its_rule() -> None:
    assert [(one.table, one.rule) for one in rows([TEXT])] == [
        *[
            (
                "public.transfers",
                "written by transfer(id, amount), whose own rule decides about a row that is there already",
            )
        ]
        * 3,
        ("public.transfers", "not written: both writers have written the row, and a person decides"),
        ("public.accounts", "not written: salvage.replay names no function for the table"),
        ("public.secrets", "not written: nobody knows what of the table is lost"),
    ]


def test_a_dry_run_writes_nothing(ctl: Ctl, bank: Bank) -> None:
    said = ctl("salvage", "replay", "2", "--connection", URL, "--dry-run", "--json")
    assert bank.has == {"2"}
    assert said.data["dry_run"] is True
    assert said.data["tables"][0] == {
        "table": "public.transfers",
        "rule": "written by transfer(id, amount), whose own rule decides about a row that is there already",
        "rows": 3,
        "written": 1,
        "skipped": 1,
        "conflicts": 1,
    }


def test_rows_are_written_once_however_often_and_a_conflict_keeps_none_back(ctl: Ctl, bank: Bank) -> None:
    said = ctl("salvage", "replay", "2", "--connection", URL, "--yes")
    assert said.code == 1  # a row is in conflict
    assert bank.has == {"1", "2"}
    assert said.text.startswith("Dry run of epoch 2 on the writer in us-east-1; every row was rolled back.\n")
    assert "Written by arn:aws:sts::123456789012:user/moto; again, it would write nothing:\n" in said.text
    assert '  in conflict: public.transfers: insert violates foreign key constraint "customer"\n' in said.text
    again = ctl("salvage", "replay", "2", "--connection", URL, "--yes", "--json").data
    assert again["answers"] == {"known": 2}
    assert sum(table["written"] for table in again["tables"]) == 0


def test_nobody_is_here_to_be_asked(ctl: Ctl, bank: Bank) -> None:
    said = ctl("salvage", "replay", "2", "--connection", URL)
    assert said.code == 1
    assert bank.has == {"2"}


def test_a_standby_is_refused(ctl: Ctl, bank: Bank) -> None:
    bank.writes = False
    said = ctl("salvage", "replay", "2", "--connection", URL, "--yes")
    assert said.code == 1
    assert "that database is no writer: the writer is in us-east-1" in said.text


def test_a_connection_that_breaks_is_no_conflict(ctl: Ctl, bank: Bank) -> None:
    bank.breaks = True
    said = ctl("salvage", "replay", "2", "--connection", URL, "--yes")
    assert said.code == 2
    assert "replay again, which does no harm" in said.text


@pytest.mark.parametrize("ways", [(), ("--connection", URL, "--secret", SECRET)])
def test_one_way_to_the_writer_has_to_be_named(ctl: Ctl, bank: Bank, ways: tuple[str, ...]) -> None:
    said = ctl("salvage", "replay", "2", *ways, "--yes")
    assert said.code == 1
    assert "name one way to the writer" in said.text


def test_an_export_that_is_not_complete_is_not_replayed(ctl: Ctl, deployment: Deployment, bank: Bank) -> None:
    bucket = deployment.specification.regions[STANDBY].salvage_bucket
    deployment.client("s3", STANDBY).delete_object(Bucket=bucket, Key="epoch-2/salvage.json")
    said = ctl("salvage", "replay", "2", "--connection", URL, "--yes")
    assert said.code == 1
    assert "the export of epoch 2 is not complete" in said.text


def test_nothing_is_kept_of_that_epoch(ctl: Ctl, bank: Bank) -> None:
    assert "nothing is kept of epoch 3" in ctl("salvage", "replay", "3", "--connection", URL).text


def test_over_the_data_api(ctl: Ctl, bank: Bank, deployment: Deployment) -> None:
    deployment.trouble("rds-data.ExecuteStatement", "DatabaseErrorException", skip=2, times=1)  # the second row's trial
    said = ctl("salvage", "replay", "2", "--secret", SECRET, "--yes", "--json")
    assert said.code == 0
    assert said.data["answers"] == {"applied": 3}
    operations = [operation for _, _, operation in deployment.gate.seen if operation.startswith("rds-data.")]
    assert operations.count("rds-data.BeginTransaction") == operations.count("rds-data.RollbackTransaction") == 3
