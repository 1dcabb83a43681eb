"""The health checkers of the writer switches: those that rest see whatever those see that never rest."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S
from simulation import dns, history
from simulation.control_table import WITNESS
from simulation.dns import INTERVAL_S
from simulation.events import Events
from simulation.faults import KINDS, Fault, Kind
from simulation.happened import NameLeadsTo

WRITER, STANDBY = "us-east-1", "us-west-2"
PLACES = (WRITER, STANDBY, WITNESS)
STRIKES = {
    "region": (WRITER, STANDBY),
    "path": tuple(f"{here}->{there}" for here in PLACES for there in PLACES if here != there),
    "all": ("",),
}
# Clients belong in SECONDARY's region from the first of these moments until the second, and else in PRIMARY's.
ENGAGED_AT_S, GIVEN_BACK_AT_S = 60.0, 120.0
# While the checkers rest; while they ask, for long already; as clients are given back; and when they rest again.
FAILS = ((15.0, 35.0), (80.0, 100.0), (115.0, 140.0), (155.0, 170.0))
# How much earlier or later an answer comes where other questions have been asked before: what is drawn is another.
ABOUT_S = 0.1

Led = list[tuple[str, float]]


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Led]:
    """Where the name leads in a world without monitors, in which somebody moves the writer by hand, and back."""

    def play(faults: tuple[Fault, ...], *, rest: bool) -> Led:
        def begin(events: Events, lasts: float) -> None:
            world = events._world
            for at, region in ((ENGAGED_AT_S, STANDBY), (GIVEN_BACK_AT_S, WRITER)):
                moved = {"writer_region": region}
                world.time.after(at, lambda moved=moved: world.table.change_by_hand(moved))  # type: ignore[misc]
            if not rest:
                world.dns.stir()

        with monkeypatch.context() as patch:
            patch.setattr(Events, "begin", begin)
            if not rest:
                patch.setattr(dns, "UNSETTLED_S", math.inf)
            played = history.run(1, faults)
        assert played.errors == ()
        return [(one.region, one.at) for one in played.happened if isinstance(one, NameLeadsTo)]

    return play


def at_its_worst(kind: Kind) -> tuple[Fault, ...]:
    """The faults of that kind, wherever it strikes, in each of the times."""
    how = {name: most for name, (_, most) in kind.how.items()}
    return tuple(
        Fault(kind.name, where, start, end - start, how) for start, end in FAILS for where in STRIKES[kind.strikes]
    )


def both(kind: str, start: float, end: float, **how: float) -> tuple[Fault, ...]:
    return tuple(Fault(kind, region, start, end - start, how) for region in (WRITER, STANDBY))


def sees_the_same(led: Callable[..., Led], faults: tuple[Fault, ...], about_s: float = ABOUT_S) -> Led:
    """Compares the checkers that rest with those that never do, and returns what they see."""
    seen, always = led(faults, rest=True), led(faults, rest=False)
    assert [region for region, _ in seen] == [region for region, _ in always], (seen, always)
    assert [at for _, at in seen] == pytest.approx([at for _, at in always], abs=about_s)
    return seen


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if not kind.name.startswith("person")], ids=lambda kind: kind.name
)
def test_checkers_that_rest_miss_nothing_that_fails(led: Callable[..., Led], kind: Kind) -> None:
    _, draws = kind.how.get("within", (0.0, 0.0))  # how much later an answer comes is chance
    sees_the_same(led, at_its_worst(kind), ABOUT_S + draws)


def test_nor_what_the_record_says(led: Callable[..., Led]) -> None:
    (there, at), (back, back_at) = sees_the_same(led, ())
    assert (there, back) == (STANDBY, WRITER)
    assert ENGAGED_AT_S < at < ENGAGED_AT_S + INTERVAL_S
    assert GIVEN_BACK_AT_S < back_at < GIVEN_BACK_AT_S + INTERVAL_S


@pytest.mark.parametrize("away_at", [ENGAGED_AT_S + 30.0, GIVEN_BACK_AT_S - 5.0, GIVEN_BACK_AT_S - 0.1])
def test_nor_the_age_of_what_a_switch_has_read(led: Callable[..., Led], away_at: float) -> None:
    """It repeats for a lease, by its clock, what it has read last, and that was a moment before."""
    table = both("table away", away_at, GIVEN_BACK_AT_S + 30.0)
    _, (region, at) = sees_the_same(led, table)
    assert region == WRITER
    assert away_at < at < away_at + LEASE_S + INTERVAL_S
    ahead, behind = both("clock wrong", 50.0, away_at, error=1.0), both("clock wrong", away_at, 150.0, error=-1.0)
    _, (region, later) = sees_the_same(led, (*table, *ahead, *behind))
    assert region == WRITER
    assert at <= later < at + 2 * CLOCK_MARGIN_S + INTERVAL_S


@pytest.mark.parametrize(
    "before",
    [both("region dead", 15.0, 20.0), (*both("region dead", 15.0, 20.0), *both("cold starts", 15.0, 50.0, takes=6.0))],
    ids=["a region was dead", "and nothing could start after it"],
)
def test_nor_an_environment_that_is_cold(led: Callable[..., Led], before: tuple[Fault, ...]) -> None:
    """That is slow while cold starts are; checkers that never rest keep one warm, and have their answer at once."""
    slow = both("cold starts", ENGAGED_AT_S - 5.0, ENGAGED_AT_S + 30.0, takes=4.0)
    (region, at), _ = sees_the_same(led, (*before, *slow))
    assert region == STANDBY
    assert at < ENGAGED_AT_S + INTERVAL_S
