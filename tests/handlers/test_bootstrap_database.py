"""The one-time bootstrap: what it sends to the Data API, and that it is all or nothing."""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from handlers.core.sql import statements
from handlers.gateways.catalog import OTHER_DATABASES, PASSING, RESERVED_CONNECTIONS, SHUT_OUT
from handlers.gateways.data_api import DataApi, StatementRejected
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import describe

ACCOUNT = "123456789012"
CLUSTER, SECRET, DATABASE = "arn:of:the:cluster", "arn:of:the:secret", "payments"
WHERE = {"resourceArn": CLUSTER, "secretArn": SECRET}
SCRIPT = (PROJECT_ROOT / "handlers" / "sql" / "monitoring.sql").read_text()


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as Lambda would import it."""
    function = describe(load(environment_suffix="test"), ACCOUNT).regions["us-east-1"].functions["bootstrap_database"]
    for name, value in {**function.environment, "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    return importlib.import_module("handlers.standing.bootstrap_database")


class Sql:
    """A Data API that expects these calls, in this order."""

    def __init__(self) -> None:
        self.client = boto3.client("rds-data", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        self.stub = Stubber(self.client)
        self.stub.activate()
        self.database = DataApi(self.client, CLUSTER, SECRET, DATABASE)

    def answers_as_writer(self, writer: bool) -> None:
        self.stub.add_response(
            "execute_statement",
            {"records": [[{"booleanValue": not writer}]]},
            {**WHERE, "database": DATABASE, "sql": "SELECT pg_is_in_recovery()"},
        )

    def has_databases(self, *names: str) -> None:
        self._answers([[{"stringValue": name}] for name in names], OTHER_DATABASES)

    def shuts_out(self, *roles: str) -> None:
        self._answers([[{"stringValue": role}] for role in roles], SHUT_OUT)

    def lets_pass(self, *roles: str) -> None:
        self._answers([[{"stringValue": role}] for role in roles], PASSING)

    def reserves(self, connections: int) -> None:
        self._answers([[{"longValue": connections}]], RESERVED_CONNECTIONS)

    def _answers(self, records: list[list[dict[str, Any]]], sql: str) -> None:
        self.stub.add_response("execute_statement", {"records": records}, {**WHERE, "database": DATABASE, "sql": sql})

    def begins(self) -> None:
        self.stub.add_response("begin_transaction", {"transactionId": "t-1"}, {**WHERE, "database": DATABASE})

    def statement(self, sql: str) -> dict[str, Any]:
        return {**WHERE, "database": DATABASE, "sql": sql, "transactionId": "t-1"}

    def ends(self, how: str) -> None:
        self.stub.add_response(f"{how}_transaction", {}, {**WHERE, "transactionId": "t-1"})


def environment(bootstrap: ModuleType) -> Any:
    return bootstrap.ENVIRONMENT


def test_the_script_runs_whole_in_one_transaction(bootstrap: ModuleType) -> None:
    sql = Sql()
    sql.answers_as_writer(True)
    sql.has_databases()
    sql.shuts_out()
    sql.lets_pass()
    sql.begins()
    for statement in statements(SCRIPT):
        sql.stub.add_response("execute_statement", {}, sql.statement(statement))
    sql.ends("commit")
    sql.reserves(10)
    done = bootstrap.bootstrap(sql.database, environment(bootstrap), SCRIPT)
    sql.stub.assert_no_pending_responses()
    assert done.cluster == "payments-use1-test"
    assert done.statements == len(statements(SCRIPT)) > 1
    assert done.reserved_connections == 10


def test_a_refused_statement_undoes_the_others(bootstrap: ModuleType) -> None:
    sql = Sql()
    sql.answers_as_writer(True)
    sql.has_databases()
    sql.shuts_out()
    sql.lets_pass()
    sql.begins()
    sql.stub.add_response("execute_statement", {}, sql.statement("SELECT 1"))
    sql.stub.add_client_error(
        "execute_statement", "DatabaseErrorException", "no such table", expected_params=sql.statement("SELECT x")
    )
    sql.ends("rollback")
    with pytest.raises(StatementRejected, match="SELECT x"):
        bootstrap.bootstrap(sql.database, environment(bootstrap), "SELECT 1; SELECT x; SELECT 2;")
    sql.stub.assert_no_pending_responses()


def test_p1_a_cluster_with_another_database_is_refused(bootstrap: ModuleType) -> None:
    sql = Sql()
    sql.answers_as_writer(True)
    sql.has_databases("audit", "ledger")
    with pytest.raises(bootstrap.UnknownDatabase, match="has the databases audit, ledger beside payments"):
        bootstrap.bootstrap(sql.database, environment(bootstrap), SCRIPT)
    sql.stub.assert_no_pending_responses()


def test_p10_nobody_who_logs_in_is_shut_out_of_an_adopted_database(bootstrap: ModuleType) -> None:
    """Its applications have roles of their own, and the bootstrap leaves `application` alone the right to connect."""
    sql = Sql()
    sql.answers_as_writer(True)
    sql.has_databases()
    sql.shuts_out("Orders", "batch")
    with pytest.raises(bootstrap.ShutsOut, match=r'"Orders", "batch" log in.*GRANT application TO "Orders"'):
        bootstrap.bootstrap(sql.database, environment(bootstrap), SCRIPT)
    sql.stub.assert_no_pending_responses()


def test_p1_nobody_may_connect_by_a_grant_that_a_fence_leaves(bootstrap: ModuleType) -> None:
    sql = Sql()
    sql.answers_as_writer(True)
    sql.has_databases()
    sql.shuts_out()
    sql.lets_pass("Orders", "batch")
    with pytest.raises(bootstrap.PassesFence, match=r'`REVOKE CONNECT ON DATABASE "payments" FROM "Orders", "batch"`'):
        bootstrap.bootstrap(sql.database, environment(bootstrap), SCRIPT)
    sql.stub.assert_no_pending_responses()


def test_a_standby_is_left_alone_and_the_other_function_is_named(bootstrap: ModuleType) -> None:
    sql = Sql()
    sql.answers_as_writer(False)
    with pytest.raises(bootstrap.NotTheWriter, match=r"us-east-1 is the standby.*us-west-2"):
        bootstrap.bootstrap(sql.database, environment(bootstrap), SCRIPT)
    sql.stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("script", "parts"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s;'; ", ["SELECT 'it''s;'"]),
        ('SELECT ";" FROM t', ['SELECT ";" FROM t']),
        ("-- one; two\nSELECT 1 -- three;\n; /* four; */", ["SELECT 1"]),
        ("DO $$ BEGIN a; b; END $$; SELECT 1", ["DO $$ BEGIN a; b; END $$", "SELECT 1"]),
        ("DO $x$ SELECT '$$;' $x$; SELECT $1", ["DO $x$ SELECT '$$;' $x$", "SELECT $1"]),
        (" ; \n;", []),
    ],
)
def test_statements_end_where_postgresql_ends_them(script: str, parts: list[str]) -> None:
    assert statements(script) == parts


def test_no_statement_holds_what_the_data_api_takes_for_a_parameter() -> None:
    for statement in statements(SCRIPT):
        assert not re.search(r"(?<!:):[A-Za-z_]", statement), statement
