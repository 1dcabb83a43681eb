"""Stands in for the databases, where a test of the lab's AWS has none."""

from pathlib import Path
from typing import Any

import psycopg

from drills.aws.cloud import Cloud
from drills.world.clock import Clock
from drills.world.reachability import Reachability
from orchestration.specification import Specification
from tests.drills.small_functions import write_package


class NoDatabases:
    """What RDS does to databases that are not there."""

    def promote(self, region: str) -> None: ...
    def drain(self, region: str) -> None: ...
    def follow(self, region: str, leader: str) -> None: ...
    def admit(self, region: str, *, clients: bool) -> None: ...
    def restart(self, region: str) -> None: ...
    def retire(self, region: str) -> None: ...
    def rebuild(self, region: str, leader: str) -> None: ...

    def connect(self, region: str, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        raise psycopg.OperationalError(f"no {database} in {region}")


def cloud_without_databases(specification: Specification, folder: Path, clock: Clock) -> Cloud:
    """A lab's AWS with small functions in place of the packages, that nobody watches."""
    package = write_package(folder / "package.zip", specification)
    settings = specification.settings
    return Cloud(
        specification,
        {"workflow": package, "database": package},
        folder,
        clock,
        Reachability([*settings.regions, settings.witness_region]),
        register=lambda pid: None,
        dns_servers=dict.fromkeys(settings.regions, ("127.0.0.1", 1)),
        databases=NoDatabases(),
        promotion_seconds=0,
        observe=lambda happening: None,
    )
