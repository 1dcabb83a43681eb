"""The RDS Data API: SQL in this region's cluster over HTTPS, without a network path into the VPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from handlers.core.environment import Variables
from handlers.core.errors import FailoverError
from handlers.gateways.aws import client, code_of, named_errors
from handlers.gateways.catalog import OTHER_DATABASES, PASSING, RESERVED_CONNECTIONS, SHUT_OUT

if TYPE_CHECKING:
    from types_boto3_rds_data import RDSDataServiceClient
    from types_boto3_rds_data.type_defs import FieldOutputTypeDef
    from types_boto3_secretsmanager import SecretsManagerClient

# The Data API gives a statement 45 s (Aurora guide, "Using RDS Data API").
STATEMENT_TIMEOUT_S = 50


class StatementRejected(FailoverError):
    """PostgreSQL refused a statement. Nothing of its transaction was kept."""


class DataApiVariables(Variables):
    """This region's cluster, its database, and the name of the secret of the user who logs in."""

    cluster_arn: str
    database_name: str
    master_secret: str


class DataApi:
    """The database ``database`` of the cluster ``cluster_arn``, as the user whose secret is ``secret_arn``."""

    def __init__(self, client: RDSDataServiceClient, cluster_arn: str, secret_arn: str, database: str) -> None:
        self._client = client
        self._cluster = cluster_arn
        self._secret = secret_arn
        self._database = database

    @classmethod
    def of(cls, environment: DataApiVariables) -> DataApi:
        """Returns this region's cluster, as a function's environment names it.

        Raises
        ------
        Misconfigured
            there is no such secret in this region.
        """
        secrets = client("secretsmanager", environment.aws_region)
        # One attempt: a person is there, and a second BeginTransaction would leave the first one open.
        sql = client("rds-data", environment.aws_region, read_timeout_s=STATEMENT_TIMEOUT_S, attempts=1)
        return cls.as_user(sql, environment.cluster_arn, secrets, environment.master_secret, environment.database_name)

    @classmethod
    def as_user(
        cls, sql: RDSDataServiceClient, cluster_arn: str, secrets: SecretsManagerClient, secret: str, database: str
    ) -> DataApi:
        """Returns the database for the user whose secret has that name; raises `Misconfigured` where there is none."""
        with named_errors(f"looking up the secret {secret}"):
            arn = secrets.describe_secret(SecretId=secret)["ARN"]
        return cls(sql, cluster_arn, arn, database)

    def is_writer(self) -> bool:
        """Returns whether the cluster takes writes now."""
        ((recovering,),) = self._ask("asking whether the cluster takes writes", "SELECT pg_is_in_recovery()")
        return not recovering["booleanValue"]

    def other_databases(self) -> list[str]:
        """Returns the names of the databases beside this one that somebody may connect to."""
        return self._names("listing the databases", OTHER_DATABASES)

    def shut_out(self) -> list[str]:
        """Returns the roles that can log in now and are not in `application`: the bootstrap would shut them out."""
        return self._names("listing the roles that log in", SHUT_OUT)

    def passing(self) -> list[str]:
        """Returns the roles that a fence would not keep out, for they have a right to connect of their own."""
        return self._names("listing the roles that may connect", PASSING)

    def reserved_connections(self) -> int:
        """Returns how many connections are kept for the monitor; 0 also where it has no right to them."""
        ((kept,),) = self._ask(
            "asking for the monitor's connections",
            RESERVED_CONNECTIONS,
        )
        return kept["longValue"]

    def _names(self, doing: str, sql: str) -> list[str]:
        return [str(name["stringValue"]) for (name,) in self._ask(doing, sql)]

    def _ask(self, doing: str, sql: str) -> list[list[FieldOutputTypeDef]]:
        with _statement(doing):
            answer = self._client.execute_statement(
                resourceArn=self._cluster, secretArn=self._secret, database=self._database, sql=sql
            )
        return answer["records"]

    def run_all(self, statements: list[str]) -> None:
        """Runs the statements in one transaction: all of them, or none.

        Raises
        ------
        StatementRejected
            PostgreSQL refused one of them.
        TransientFailure
            the Data API did not answer; the transaction is rolled back, or rolls back by itself in 3 minutes.
        """
        with self._transaction() as transaction:
            for statement in statements:
                with _statement(f"running {statement.splitlines()[0]!r}"):
                    self._client.execute_statement(
                        resourceArn=self._cluster,
                        secretArn=self._secret,
                        database=self._database,
                        sql=statement,
                        transactionId=transaction,
                    )

    def run_one(self, sql: str, *, undone: bool) -> list[FieldOutputTypeDef]:
        """Runs one statement, rolled back where it is to be ``undone``; returns its first row. Raises as `run_all`."""
        if not undone:
            return self._ask("writing a row again", sql)[0]
        where = {"resourceArn": self._cluster, "secretArn": self._secret}
        with named_errors("beginning a transaction"):
            begun = self._client.begin_transaction(**where, database=self._database)["transactionId"]
        try:
            with _statement("trying a row"):
                tried = self._client.execute_statement(
                    resourceArn=self._cluster,
                    secretArn=self._secret,
                    database=self._database,
                    sql=sql,
                    transactionId=begun,
                )
        finally:
            with suppress(BotoCoreError, ClientError):  # else it rolls back by itself, in 3 minutes
                self._client.rollback_transaction(**where, transactionId=begun)
        return tried["records"][0]

    @contextmanager
    def _transaction(self) -> Iterator[str]:
        where = {"resourceArn": self._cluster, "secretArn": self._secret}
        with named_errors("beginning a transaction"):
            begun = self._client.begin_transaction(**where, database=self._database)["transactionId"]
        try:
            yield begun
        except FailoverError:
            with suppress(BotoCoreError, ClientError):  # else it rolls back by itself, in 3 minutes
                self._client.rollback_transaction(**where, transactionId=begun)
            raise
        with named_errors("committing the transaction"):
            self._client.commit_transaction(**where, transactionId=begun)


@contextmanager
def _statement(doing: str) -> Iterator[None]:
    with named_errors(doing):
        try:
            yield
        except ClientError as error:
            if code_of(error) == "DatabaseErrorException":
                raise StatementRejected(f"{doing}: {error}; correct the statement or what it needs") from error
            raise
