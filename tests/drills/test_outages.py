"""The rows of outages: what each demands, what it does to the lab, and that none of them is half said."""

from __future__ import annotations

import re
from typing import Any

import pytest

from drills.ends import End
from drills.outages import MODES, OUTAGES, USUAL, Outage, UndemandedError, demanded_end


class Recorder:
    """Stands for the lab: notes what is done to it."""

    writer, standby = "us-east-1", "us-west-2"

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    def __getattr__(self, verb: str) -> Any:
        return lambda *arguments: self.done.append((verb, *map(str, arguments)))


# What each outage does, told once more in other words; every row has to be here.
STRIKES = {
    "kill": [("lose", "us-east-1", "refuse")],
    "hang": [("lose", "us-east-1", "hang")],
    "database": [("kill_database", "us-east-1")],
    "isolate": [("isolate", "us-east-1")],
    "lag": [("hold_replication",), ("lose", "us-east-1", "refuse")],
    "link": [("cut_link",)],
    "standby": [("lose", "us-west-2", "refuse")],
    "monitor": [("stop_monitors",)],
    "fading": [("cut_link",), ("lose", "us-east-1", "refuse")],
    "restart": [("restart_database", "us-east-1")],
    "quiet": [],
}


def outage_of(name: str | None) -> Outage | None:
    return OUTAGES[name] if name else None


@pytest.mark.parametrize("row", OUTAGES.values(), ids=lambda row: row.name)
def test_an_outage_does_what_its_sentence_says(row: Outage) -> None:
    lab = Recorder()
    if row.preparation:
        row.preparation.begin(lab)  # type: ignore[arg-type]
    row.strike(lab)  # type: ignore[arg-type]
    assert lab.done == STRIKES[row.name]


@pytest.mark.parametrize("row", OUTAGES.values(), ids=lambda row: row.name)
def test_a_row_says_all_that_a_drill_asks_of_it(row: Outage) -> None:
    sentences = [row.sentence, row.preparation.sentence] if row.preparation else [row.sentence]
    for sentence in sentences:
        assert not re.search(r"[{}]", sentence.format(writer="us-east-1", standby="us-west-2"))
    passes = row.passes_after_seconds is not None
    people_wait = (row.demanded is End.NOTHING_MOVED and not passes) or row.asks_person
    assert bool(row.told) == people_wait, "where nothing moves, people must be told why, unless it passes by itself"
    assert row.clients_lost or not row.clients_die
    assert row.goes_round or not row.surely_loses


def test_the_usual_outages_are_outages_of_their_mode() -> None:
    assert USUAL == {"failover": "kill", "circle": "isolate"}
    for mode, name in USUAL.items():
        assert mode in MODES
        demanded_end(mode, OUTAGES[name])


@pytest.mark.parametrize(
    ("name", "lost", "lost_for_ever"),
    [
        ("kill", True, True),
        ("lag", True, True),
        ("standby", True, True),
        ("hang", True, False),
        ("isolate", True, False),
        ("link", True, False),
        ("database", False, False),
        ("monitor", False, False),
        ("fading", True, True),
        ("restart", False, False),
        ("quiet", False, False),
    ],
)
def test_clients_that_died_with_their_region_do_not_come_back_with_it(
    name: str, lost: bool, lost_for_ever: bool
) -> None:
    row = OUTAGES[name]
    assert (row.loses_clients(comes_back=False), row.loses_clients(comes_back=True)) == (lost, lost_for_ever)


@pytest.mark.parametrize(
    ("mode", "outage", "approve", "end"),
    [
        ("failover", "kill", "yes", End.FAILED_OVER),
        ("failover", "hang", "yes", End.FAILED_OVER),
        ("failover", "database", "yes", End.FAILED_OVER),
        ("failover", "isolate", "yes", End.FAILED_OVER),
        ("failover", "lag", "yes", End.FAILED_OVER),
        ("failover", "lag", "no", End.HELD),
        ("failover", "lag", "never", End.HELD),
        ("failover", "kill", "never", End.FAILED_OVER),  # nobody is asked
        ("failover", "link", "yes", End.NOTHING_MOVED),
        ("failover", "standby", "yes", End.NOTHING_MOVED),
        ("failover", "monitor", "yes", End.NOTHING_MOVED),
        ("failover", "restart", "yes", End.NOTHING_MOVED),
        ("failover", "quiet", "yes", End.NOTHING_MOVED),
        ("failover", "fading", "yes", End.FAILED_OVER),
        ("failover", "fading", "no", End.HELD),
        ("switchover", None, "yes", End.SWITCHED_OVER),
        ("rehearsal", None, "yes", End.REHEARSED),
        ("rehearsal", "kill", "yes", End.REHEARSED),
        ("circle", "isolate", "yes", End.FULL_CIRCLE),
        ("circle", "kill", "yes", End.FULL_CIRCLE),
    ],
)
def test_what_the_design_demands(mode: str, outage: str | None, approve: str, end: End) -> None:
    assert demanded_end(mode, outage_of(outage), approve) == end


@pytest.mark.parametrize(
    ("mode", "outage"),
    [
        ("failover", None),
        ("switchover", "kill"),
        ("rehearsal", "link"),
        ("rehearsal", "standby"),
        ("rehearsal", "quiet"),
        ("circle", "restart"),
        ("panic", "kill"),
        ("circle", "lag"),
        ("circle", None),
    ],
)
def test_what_the_design_demands_nothing_for_is_named(mode: str, outage: str | None) -> None:
    with pytest.raises(UndemandedError, match=rf"mode {mode} with outage {outage or 'none'} .*kill, hang, database"):
        demanded_end(mode, outage_of(outage))


def test_a_circle_needs_a_person_who_approves() -> None:
    with pytest.raises(UndemandedError, match="a circle takes kill, database, isolate, and a person who approves"):
        demanded_end("circle", OUTAGES["isolate"], "no")
