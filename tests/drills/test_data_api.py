"""The lab's RDS Data API, asked by the product's own gateway, on real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from drills.aws.cloud import ACCOUNT, Cloud
from drills.world import bank
from drills.world.clock import Clock
from drills.world.postgres import Server
from drills.world.reachability import Reachability
from failoverctl.lab import RunningLab
from handlers.core.errors import TransientFailure
from handlers.core.sql import statements
from handlers.gateways.aws import client
from handlers.gateways.data_api import DataApi, StatementRejected
from orchestration.settings import Database, load
from orchestration.specification import describe
from tests.drills.no_databases import NoDatabases
from tests.drills.small_functions import write_package

WRITER, STANDBY = "us-east-1", "us-west-2"
Reach = Callable[[str], DataApi]


class TwoServers(NoDatabases):
    """Real servers behind the clusters."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self._servers = servers

    def connect(self, region: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return self._servers[region].connect(database)


@pytest.fixture(scope="module")
def standby(server: Server, make_server: Callable[[str], Server]) -> Server:
    standby = make_server("payments-usw2")
    standby.follow(server.address)
    server.wait_until_streaming()
    return standby


@pytest.fixture(scope="module")
def reach(server: Server, standby: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reach]:
    """Reach the database of a region as a person does, over the lab's endpoint."""
    folder, settings = tmp_path_factory.mktemp("cloud"), load(environment_suffix="test")
    specification = describe(settings, ACCOUNT)
    package = write_package(folder / "package.zip", specification)
    with (
        pytest.MonkeyPatch.context() as environment,
        Cloud(
            specification,
            {"workflow": package, "database": package},
            folder,
            Clock.started_now(1.0),
            Reachability([*settings.regions, settings.witness_region]),
            register=lambda pid: None,
            dns_servers={WRITER: ("127.0.0.1", 1), STANDBY: ("127.0.0.1", 1)},
            databases=TwoServers({WRITER: server, STANDBY: standby}),
            promotion_seconds=0,
            observe=lambda happening: None,
        ) as cloud,
    ):
        there: dict[str, str] = {}
        RunningLab(cloud.endpoint, os.getpid(), {}).enter(there)
        for name, value in there.items():
            environment.setenv(name, value)
        names = specification.names
        yield lambda region: DataApi.as_user(
            client("rds-data", region, attempts=1),
            names.cluster_arn(region),
            client("secretsmanager", region),
            names.master_secret,
            "payments",
        )


def count(server: Server) -> int:
    return int(server.query("SELECT count(*) FROM recovery_proof")[0][0])


def test_the_bootstrap_runs_over_it(reach: Reach) -> None:
    database = reach(WRITER)
    assert database.is_writer()
    database.run_all(statements(bank.MONITORING_SQL.read_text()))
    assert database.reserved_connections() == Database().reserved_connections
    assert (database.other_databases(), database.passing()) == ([], [])


def test_of_a_transaction_all_or_nothing_is_kept(reach: Reach, server: Server) -> None:
    before = count(server)
    with pytest.raises(StatementRejected, match='relation "missing" does not exist'):
        reach(WRITER).run_all(["INSERT INTO recovery_proof (run, epoch) VALUES ('a', 1)", "SELECT * FROM missing"])
    assert count(server) == before
    reach(WRITER).run_all(["INSERT INTO recovery_proof (run, epoch) VALUES ('b', 1)"])
    assert count(server) == before + 1


def test_what_is_to_be_undone_is(reach: Reach, server: Server) -> None:
    before = count(server)
    insert = (
        "INSERT INTO recovery_proof (run, epoch) VALUES ('c', 1) RETURNING run, epoch, epoch > 2, NULL, 1.5::float8"
    )
    row = [{"stringValue": "c"}, {"longValue": 1}, {"booleanValue": False}, {"isNull": True}, {"doubleValue": 1.5}]
    assert reach(WRITER).run_one(insert, undone=True) == row
    assert count(server) == before
    assert reach(WRITER).run_one(insert, undone=False) == row
    assert count(server) == before + 1


@pytest.mark.parametrize("ask", [DataApi.is_writer, lambda database: database.run_all(["SELECT 1"])])
def test_a_cluster_without_a_writer_answers_nothing(reach: Reach, ask: Callable[[DataApi], object]) -> None:
    with pytest.raises(TransientFailure, match="has no writer instance"):
        ask(reach(STANDBY))


def test_nor_does_one_that_is_dead(reach: Reach, standby: Server) -> None:
    standby.kill()
    with pytest.raises(TransientFailure, match="DatabaseUnavailableException"):
        reach(STANDBY).is_writer()
    standby.start()
