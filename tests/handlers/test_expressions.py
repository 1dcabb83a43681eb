"""DynamoDB's expressions say the same as the rows of which they are made: moto's DynamoDB carries them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from moto import mock_aws

from handlers.core.conditional_write import Copy, Increment, Row, Set, after, allowed
from handlers.core.transitions import ROWS, TRANSITIONS
from handlers.gateways import items
from handlers.gateways.expressions import compiled
from tests.handlers.cases import Case, cases, decisive

TABLE, KEY = "control", {"database": {"S": "payments"}}
EXAMPLES = 20  # of each row and run: every example is three requests
PROPERTY = settings(max_examples=EXAMPLES)
FEW = 3  # of the cases that decide the same way

# Carries a row out on a record in DynamoDB; returns whether it was allowed, and the record afterwards.
CarryOut = Callable[[Row, dict[str, Any], dict[str, Any]], tuple[bool, dict[str, Any]]]


@pytest.fixture(scope="module")
def carry_out() -> Iterator[CarryOut]:
    with mock_aws():
        dynamodb: Any = boto3.client("dynamodb", "us-west-2", aws_access_key_id="any", aws_secret_access_key="any")
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "database", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "database", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

        def carry_out(row: Row, record: dict[str, Any], values: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
            dynamodb.put_item(TableName=TABLE, Item=KEY | items.typed(record)["M"])
            done = True
            try:
                dynamodb.update_item(TableName=TABLE, Key=KEY, **compiled(row, values))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                done = False
            item = dynamodb.get_item(TableName=TABLE, Key=KEY)["Item"]
            return done, items.plain({name: value for name, value in item.items() if name not in KEY})

        yield carry_out


def stored(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it comes back from DynamoDB: its numbers are decimal."""
    return items.plain(items.typed(record)["M"])


def agree(row: Row, case: Case, carry_out: CarryOut) -> None:
    record = stored(case.record)
    expected = allowed(row, record, case.values)
    assert allowed(row, case.record, case.values) is expected, "binary and decimal numbers are told apart"
    wanted = stored(after(row, record, case.values)) if expected else record
    assert carry_out(row, case.record, case.values) == (expected, wanted)


EVERY_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@EVERY_ROW
def test_a_row_and_its_expressions_agree_on_any_record(row: Row, carry_out: CarryOut) -> None:
    @PROPERTY
    @given(cases(row))
    def check(case: Case) -> None:
        agree(row, case, carry_out)

    check()


@EVERY_ROW
def test_a_row_and_its_expressions_agree_where_all_conditions_hold_and_where_all_but_one_do(
    row: Row, carry_out: CarryOut
) -> None:
    allowing, refusing = decisive(row)
    for alike in (allowing, *refusing.values()):
        for case in alike[:FEW]:
            agree(row, case, carry_out)


@pytest.mark.parametrize(
    "effect", [Set("transition.run", "run-1"), Increment("epoch"), Increment("reprotection.epoch")], ids=str
)
def test_what_the_rows_cannot_do_dynamodb_refuses_as_invalid(effect: Set | Increment, carry_out: CarryOut) -> None:
    row, record = Row("row", "", (), (effect,)), {"reprotection": {"run": "run-1"}}
    with pytest.raises(KeyError):
        after(row, record, {})
    with pytest.raises(ClientError, match="ValidationException"):
        carry_out(row, record, {})


def test_what_is_copied_is_what_stood_there_before(carry_out: CarryOut) -> None:
    row = Row("row", "", (), (Set("epoch", 7), Copy("old_epoch", "epoch")))
    assert carry_out(row, {"epoch": 1}, {}) == (True, {"epoch": 7, "old_epoch": 1})


def test_a_request_takes_the_values_that_its_row_names_and_no_others() -> None:
    with pytest.raises(TypeError, match=r"end_stop takes \['run'\], but was given \['epoch', 'run'\]"):
        compiled(TRANSITIONS["end_stop"], {"run": "run-1", "epoch": 1})


def test_an_expression_can_be_read() -> None:
    assert compiled(TRANSITIONS["end_stop"], {"run": "run-1"}) == {
        "ConditionExpression": "#transition.#run = :run AND #transition.#phase = :literal1",
        "UpdateExpression": "REMOVE #transition",
        "ExpressionAttributeNames": {"#transition": "transition", "#run": "run", "#phase": "phase"},
        "ExpressionAttributeValues": {":run": {"S": "run-1"}, ":literal1": {"S": "stopping"}},
    }
