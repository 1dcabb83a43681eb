"""The Lambda functions of a region, from the rows of both workflows and of the standing functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from orchestration.settings import Settings
from orchestration.specification import failover, reprotection, standing
from orchestration.specification.model import Function
from orchestration.specification.rows import STEP_CONCURRENCY, Place, Row, StandingFunction
from orchestration.specification.variables import FOR_POWERTOOLS, values
from orchestration.specification.workflows import step_timeouts

ROWS: tuple[Row, ...] = (*failover.STEPS, *reprotection.STEPS, *standing.FUNCTIONS)


def functions(settings: Settings, place: Place) -> dict[str, Function]:
    """Returns all functions of a region, by their rows' names and in their order."""
    told, timeouts = values(settings, place) | {"RESERVED_CONCURRENCY": _reservations(place)}, step_timeouts()
    steps = {row.name: _function(row, "failover", place, told, timeouts[row.name]) for row in failover.STEPS}
    steps |= {row.name: _function(row, "reprotect", place, told, timeouts[row.name]) for row in reprotection.STEPS}
    return steps | {row.name: _standing(row, place, told) for row in standing.FUNCTIONS if row.wanted(settings)}


def _function(
    row: Row,
    folder: Literal["failover", "reprotect", "standing"],
    place: Place,
    told: dict[str, str],
    timeout_seconds: int,
) -> Function:
    return Function(
        step=row.name,
        folder=folder,
        name=place.names.function(row.name, place.region),
        description=row.purpose,
        package="workflow",
        timeout_seconds=timeout_seconds,
        memory_mb=row.memory_mb,
        environment={name: told[name] for name in (*row.variables, *FOR_POWERTOOLS)},
        permissions=tuple(grant.at(place) for grant in row.may if grant.on(place)),
        concurrency=_concurrency(row),
    )


def _concurrency(row: Row) -> int | None:
    return row.concurrency or (STEP_CONCURRENCY if row in failover.STEPS else None)


def _reservations(place: Place) -> str:
    """Returns what is reserved for each function of a region, as its readiness is told."""
    reserved = ((place.names.function(row.name, place.region), _concurrency(row)) for row in ROWS)
    return ",".join(f"{name}={count}" for name, count in reserved if count)


def _standing(row: StandingFunction, place: Place, told: dict[str, str]) -> Function:
    return replace(
        _function(row, "standing", place, told, row.timeout_seconds),
        package="database" if row.in_vpc else "workflow",
        in_vpc=row.in_vpc,
        public_url=row.public_url,
        quiet=row.quiet,
        security_groups=row.security_groups,
    )
