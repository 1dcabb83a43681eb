"""The file of what was never replicated."""

from __future__ import annotations

import pytest

from handlers.core.errors import Misconfigured
from handlers.core.reading import Fields
from handlers.core.salvage import Place, Replay, Row, file_text

TRANSFER = Replay({"transfers": "transfer(id, cents)"})
ROW = Row("missing", '{"id": 7, "note": "it\'s; -- \\\\ DROP"}')


def test_a_missing_row_of_a_table_that_can_be_replayed_is_a_statement() -> None:
    assert TRANSFER.line("public.transfers", ROW) == (
        "SELECT transfer(id, cents) FROM jsonb_populate_record(NULL::public.transfers, "
        '\'{"id": 7, "note": "it\'\'s; -- \\\\ DROP"}\');'
    )


@pytest.mark.parametrize(
    ("table", "finding", "says"),
    [
        ("public.accounts", "missing", "-- missing in public.accounts: "),
        ("other.transfers", "missing", "-- missing in other.transfers: "),
        ("public.transfers", "different", "-- different in public.transfers: "),
    ],
)
def test_everything_else_is_a_comment(table: str, finding: str, says: str) -> None:
    row = Row(finding, ROW.data)  # type: ignore[arg-type]
    line = TRANSFER.line(table, row)
    assert line == says + ROW.data
    assert "\n" not in line


def test_a_table_in_another_schema_is_named_with_it() -> None:
    assert Replay({"bank.transfers": "t(id)"}).line("bank.transfers", ROW).startswith("SELECT t(id) FROM")


def test_a_part_says_what_it_is_and_how_it_is_replayed() -> None:
    text = file_text(2, "us-east-1", 1, ["one", "two"])
    assert text.startswith("-- Salvage of epoch 2, part 1: what the old writer in us-east-1 has")
    assert "psql --set ON_ERROR_STOP=1 --file" in text
    assert text.endswith("\none\ntwo\n")
    assert all(line.startswith("--") for line in text.splitlines()[:3])


@pytest.mark.parametrize(
    ("text", "says"), [("", "is not JSON"), ("[]", "must be a JSON object"), ('{"t": 1}', "'t' is 1")]
)
def test_a_variable_that_cannot_be_read_is_named(text: str, says: str) -> None:
    with pytest.raises(Misconfigured, match="SALVAGE_REPLAY") as wrong:
        Replay.read(text)
    assert says in str(wrong.value)


@pytest.mark.parametrize("after", ["(1)", "1,1", "(0,1); DROP"])
def test_a_place_that_is_none_is_refused(after: str) -> None:
    with pytest.raises(Misconfigured, match="after"):
        Place.read(Fields({"table": 0, "after": after}, "the place", Misconfigured))
