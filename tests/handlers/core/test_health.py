"""Is the writer down? And when does a row of failed probes count?"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import pytest

from handlers.core.health import Debounce, Evidence, Heartbeat, Membership, Probe, judge

ANSWERS = Probe("peer", "writer", "us-east-1", None, 70.0)
SILENT = Probe("peer", None, "us-east-1", "timed out", 900.0)
DEMOTED = Probe("peer", "reader", "us-east-1", None, 70.0)
STANDBY = Probe("own_reader", "reader", "us-west-2", None, 5.0)
FENCED = Probe("peer", "writer", "us-east-1", None, 70.0, fenced=True)
UNFENCED = replace(FENCED, fenced=False)
REFUSING = replace(SILENT, refused="refuses the monitor's login")
STANDBY_DOWN = Probe("own_reader", None, "us-west-2", "connection refused", 5.0)

RULES: list[tuple[str, Probe, Heartbeat, Probe, bool, bool, str]] = [
    ("begun already", ANSWERS, "healthy", STANDBY_DOWN, True, True, "the failover has to be finished"),
    (
        "the writer answers",
        ANSWERS,
        "missing",
        STANDBY,
        False,
        False,
        "the writer answers this region: no failover is due",
    ),
    (
        "its own region says healthy",
        SILENT,
        "healthy",
        STANDBY,
        False,
        False,
        "the writer's own region says that it is healthy",
    ),
    (
        "the standby is down",
        SILENT,
        "missing",
        STANDBY_DOWN,
        False,
        False,
        "does not answer (connection refused): it cannot take over",
    ),
    ("silent and missing", SILENT, "missing", STANDBY, False, True, "(timed out) and its heartbeat is missing"),
    ("silent and unhealthy", SILENT, "unhealthy", STANDBY, False, True, "(timed out) and its heartbeat is unhealthy"),
    (
        "the writer is fenced",
        FENCED,
        "unhealthy",
        STANDBY,
        False,
        True,
        "(it is fenced) and its heartbeat is unhealthy",
    ),
    ("the writer is fenced and healthy", FENCED, "healthy", STANDBY, False, False, "says that it is healthy"),
    (
        "p10: the writer refuses the monitor",
        REFUSING,
        "missing",
        STANDBY,
        False,
        False,
        "it refuses the monitor's login",
    ),
    ("the fence is lifted", UNFENCED, "missing", STANDBY, False, False, "the writer answers this region"),
    ("a reader and unhealthy", DEMOTED, "unhealthy", STANDBY, False, True, "(its endpoint leads to a reader)"),
]


@pytest.mark.parametrize(
    ("writer", "heartbeat", "standby", "only_forward", "proceed", "reason"),
    [row[1:] for row in RULES],
    ids=[row[0] for row in RULES],
)
def test_p5_rule(
    writer: Probe, heartbeat: Heartbeat, standby: Probe, only_forward: bool, proceed: bool, reason: str
) -> None:
    evidence = Evidence(writer, heartbeat, standby, "secondary")
    for mode in ("failover", "rehearsal"):  # a rehearsal says what a failover would
        health = judge(mode, evidence, only_forward=only_forward)
        assert health.proceed is proceed
        assert reason in health.reason
    assert health.evidence == evidence


MEMBERSHIPS: tuple[Membership, ...] = ("secondary", "primary", "none")


@pytest.mark.parametrize(
    ("membership", "reason"),
    [("primary", "is the global database's primary, not a standby"), ("none", "is no member of the global database")],
)
def test_p5_only_a_standby_takes_over_unless_a_run_has_begun_to_move_the_writer(
    membership: Membership, reason: str
) -> None:
    """Before re-protection the old region's cluster is whole, answers and lags by hours: it must not be promoted."""
    failover = judge("failover", Evidence(SILENT, "missing", STANDBY, membership), only_forward=False)
    switchover = judge("switchover", Evidence(ANSWERS, "healthy", STANDBY, membership), only_forward=False)
    for health in (failover, switchover):
        assert not health.proceed
        assert reason in health.reason
        assert "before it has been re-protected" in health.reason
    assert judge("failover", Evidence(SILENT, "missing", STANDBY, membership), only_forward=True).proceed


def test_p5_nothing_moves_unless_both_observers_agree() -> None:
    heartbeats: tuple[Heartbeat, ...] = ("healthy", "missing", "unhealthy")
    for writer, heartbeat, standby, membership in itertools.product(
        (ANSWERS, SILENT, DEMOTED, FENCED, UNFENCED), heartbeats, (STANDBY, STANDBY_DOWN), MEMBERSHIPS
    ):
        both = writer not in (ANSWERS, UNFENCED) and heartbeat != "healthy"
        able = standby.role is not None and membership == "secondary"
        health = judge("failover", Evidence(writer, heartbeat, standby, membership), only_forward=False)
        assert health.proceed is (both and able)


SWITCHOVERS: list[tuple[str, Probe, Heartbeat, Probe, bool, bool, str]] = [
    ("begun already", SILENT, "missing", STANDBY, True, True, "the switchover has to be finished"),
    ("the writer is silent", SILENT, "healthy", STANDBY, False, False, "(timed out): a switchover needs it healthy"),
    ("the writer is a reader", DEMOTED, "healthy", STANDBY, False, False, "(its endpoint leads to a reader)"),
    (
        "its guardian is silent",
        ANSWERS,
        "missing",
        STANDBY,
        False,
        False,
        "is missing: a switchover needs its guardian",
    ),
    ("its guardian is unwell", ANSWERS, "unhealthy", STANDBY, False, False, "is unhealthy: a switchover needs"),
    ("the standby is down", ANSWERS, "healthy", STANDBY_DOWN, False, False, "does not answer (connection refused)"),
    ("both are healthy", ANSWERS, "healthy", STANDBY, False, True, "the writer and the standby are healthy"),
    ("fenced by a run before", FENCED, "healthy", STANDBY, False, True, "the writer and the standby are healthy"),
]


@pytest.mark.parametrize(
    ("writer", "heartbeat", "standby", "only_forward", "proceed", "reason"),
    [row[1:] for row in SWITCHOVERS],
    ids=[row[0] for row in SWITCHOVERS],
)
def test_p5_a_switchover_needs_everything_healthy(
    writer: Probe, heartbeat: Heartbeat, standby: Probe, only_forward: bool, proceed: bool, reason: str
) -> None:
    health = judge("switchover", Evidence(writer, heartbeat, standby, "secondary"), only_forward=only_forward)
    assert health.proceed is proceed
    assert reason in health.reason


def test_a_failover_that_has_begun_is_not_finished_by_a_switchover() -> None:
    health = judge("switchover", Evidence(ANSWERS, "healthy", STANDBY, "none"), only_forward=True)
    assert not health.proceed
    assert "a failover has to be finished; start it with mode failover" in health.reason


@pytest.mark.parametrize(
    ("probe", "writes"), [(ANSWERS, True), (UNFENCED, True), (FENCED, False), (DEMOTED, False), (SILENT, False)]
)
def test_applications_write_to_a_writer_that_is_not_fenced(probe: Probe, writes: bool) -> None:
    assert probe.writes is writes


@pytest.mark.parametrize(
    ("seen", "verdicts"),
    [
        ("", ""),
        ("x", "."),
        ("xx", ".."),
        ("xxx", "..!"),
        ("xxxxx", "..!!!"),
        ("xxoxx", "....."),
        ("xxxo", "..!."),
        ("xxxoxx", "..!..."),
        ("oooxxx", ".....!"),
    ],
)
def test_three_failures_in_a_row_count_and_one_success_ends_it(seen: str, verdicts: str) -> None:
    debounce = Debounce()
    said: list[Literal["!", "."]] = ["!" if debounce.saw(probe == "o") else "." for probe in seen]
    assert "".join(said) == verdicts
