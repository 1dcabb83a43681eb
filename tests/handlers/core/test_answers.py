"""What a database's answer says of it: a row a test. Real answers: tests/drills/test_probes.py."""

from __future__ import annotations

import pytest

from handlers.core.answers import MEANINGS, Known, meaning
from handlers.core.health import Probe, known_of

ROWS: list[tuple[str, Known]] = [
    ("28000", "up"),  # no entry in pg_hba.conf, a role that may not log in, PAM (IAM) said no
    ("28P01", "up"),  # a wrong password, or a token that is too old
    ("53300", "up"),
    ("certificate", "up"),
    ("tls", "up"),
    ("57P03", "down"),  # starting up, for ever perhaps
    ("57P01", "down"),
    ("57P02", "down"),
    ("57014", "down"),
    ("53100", "down"),  # the disk is full
    ("53200", "down"),
    ("58000", "down"),
    ("58030", "down"),
    ("58P01", "down"),
    ("XX000", "down"),
    ("XX001", "down"),
    ("F0000", "down"),
    ("08006", "down"),
    ("refused", "down"),
    ("deadline", "down"),
    ("ended", "down"),
    ("no name", "down"),
    ("3D000", "up"),  # there is no such database on this server
    ("42501", "up"),  # the monitor lacks a right
    ("42P01", "up"),
    ("resolver", "unknown"),
    ("prober", "unknown"),
]


@pytest.mark.parametrize(("code", "known"), ROWS)
def test_p10_what_an_answer_says_of_the_database(code: str, known: Known) -> None:
    assert meaning(code).known == known


def test_every_row_of_the_table_is_tried() -> None:
    assert {meaning(code) for code, _ in ROWS} == set(MEANINGS)


@pytest.mark.parametrize("sqlstate", ["00000", "25006", "40001", "HV000", "P0001"])
def test_a_server_that_answers_anything_else_lives(sqlstate: str) -> None:
    assert meaning(sqlstate).known == "up"


def probe(role: str | None, refused: str | None = None) -> Probe:
    return Probe("own", role, None, None, 1.0, refused=refused)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reached", "known"),
    [
        (probe("writer"), "up"),
        (probe("reader"), "up"),
        (probe(None), "down"),
        (probe(None, "refuses the monitor's login"), "up"),
        (None, "unknown"),
    ],
)
def test_p10_three_values(reached: Probe | None, known: Known) -> None:
    assert known_of(reached) == known
