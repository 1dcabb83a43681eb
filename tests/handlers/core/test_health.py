"""Is a failover due, by both observers, and can the standby take over?"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from handlers.core.answers import Known
from handlers.core.health import Evidence, GuardianSeen, Membership, Probe, judge, writer_seen

ANSWERS = Probe("peer", "writer", "us-east-1", None, 70.0)
SILENT = Probe("peer", None, "us-east-1", "timed out", 900.0)
DEMOTED = Probe("peer", "reader", "us-east-1", None, 70.0)
STANDBY = Probe("own_reader", "reader", "us-west-2", None, 5.0)
FENCED = Probe("peer", "writer", "us-east-1", None, 70.0, fenced=True)
UNFENCED = replace(FENCED, fenced=False)
ALIVE = GuardianSeen("alive", "its guardian lives")
SILENT_GUARDIAN = GuardianSeen("silent", "its guardian has given no sign of life for 6 s")
SAYS_DOWN = GuardianSeen("says down", "its guardian has said for 26 s that its database is down")
NEW = GuardianSeen("unknown", "the first writer has had no lease yet: it is being set up")
REFUSING = replace(SILENT, refused="refuses the monitor's login")
STANDBY_DOWN = Probe("own_reader", None, "us-west-2", "connection refused", 5.0)

RULES: list[tuple[str, Probe, GuardianSeen, Probe, bool, bool, str]] = [
    ("begun already", ANSWERS, ALIVE, STANDBY_DOWN, True, True, "the failover has to be finished"),
    (
        "the writer answers",
        ANSWERS,
        SILENT_GUARDIAN,
        STANDBY,
        False,
        False,
        "the writer answers this region: no failover is due",
    ),
    (
        "its own region says healthy",
        SILENT,
        ALIVE,
        STANDBY,
        False,
        False,
        "the writer does not answer this region, but its guardian lives: no failover is due",
    ),
    (
        "the standby is down",
        SILENT,
        SILENT_GUARDIAN,
        STANDBY_DOWN,
        False,
        False,
        "does not answer (connection refused): it cannot take over",
    ),
    (
        "silent and missing",
        SILENT,
        SILENT_GUARDIAN,
        STANDBY,
        False,
        True,
        "(timed out), and its guardian has given no sign of life",
    ),
    (
        "silent and unhealthy",
        SILENT,
        SAYS_DOWN,
        STANDBY,
        False,
        True,
        "(timed out), and its guardian has said for 26 s",
    ),
    (
        "the writer is fenced",
        FENCED,
        SAYS_DOWN,
        STANDBY,
        False,
        True,
        "(it is fenced), and its guardian has said",
    ),
    ("the writer is fenced and healthy", FENCED, ALIVE, STANDBY, False, False, "but its guardian lives"),
    ("the fence is lifted", UNFENCED, SILENT_GUARDIAN, STANDBY, False, False, "the writer answers this region"),
    ("the first writer is being set up", SILENT, NEW, STANDBY, False, False, "it is being set up: no failover is due"),
    (
        "a reader and unhealthy",
        DEMOTED,
        SAYS_DOWN,
        STANDBY,
        False,
        True,
        "(its endpoint leads to a reader), and its guardian has said",
    ),
    (
        "p10: the writer refuses the monitor",
        REFUSING,
        SILENT_GUARDIAN,
        STANDBY,
        False,
        False,
        "it refuses the monitor's login",
    ),
]


@pytest.mark.parametrize(
    ("writer", "guardian", "standby", "only_forward", "proceed", "reason"),
    [row[1:] for row in RULES],
    ids=[row[0] for row in RULES],
)
def test_p5_rule(
    writer: Probe, guardian: GuardianSeen, standby: Probe, only_forward: bool, proceed: bool, reason: str
) -> None:
    evidence = Evidence(writer, guardian, standby, "secondary")
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
    failover = judge("failover", Evidence(SILENT, SILENT_GUARDIAN, STANDBY, membership), only_forward=False)
    switchover = judge("switchover", Evidence(ANSWERS, ALIVE, STANDBY, membership), only_forward=False)
    for health in (failover, switchover):
        assert not health.proceed
        assert reason in health.reason
        assert "before it has been re-protected" in health.reason
    assert judge("failover", Evidence(SILENT, SILENT_GUARDIAN, STANDBY, membership), only_forward=True).proceed


def test_p5_nothing_moves_unless_both_observers_agree() -> None:
    guardians = (ALIVE, SILENT_GUARDIAN, SAYS_DOWN, NEW)
    for writer, guardian, standby, membership in itertools.product(
        (ANSWERS, SILENT, DEMOTED, FENCED, UNFENCED), guardians, (STANDBY, STANDBY_DOWN), MEMBERSHIPS
    ):
        both = writer not in (ANSWERS, UNFENCED) and guardian in (SILENT_GUARDIAN, SAYS_DOWN)
        able = standby.role is not None and membership == "secondary"
        health = judge("failover", Evidence(writer, guardian, standby, membership), only_forward=False)
        assert health.proceed is (both and able)


SWITCHOVERS: list[tuple[str, Probe, GuardianSeen, Probe, bool, bool, str]] = [
    ("begun already", SILENT, SILENT_GUARDIAN, STANDBY, True, True, "the switchover has to be finished"),
    ("the writer is silent", SILENT, ALIVE, STANDBY, False, False, "(timed out): a switchover needs it healthy"),
    ("the writer is a reader", DEMOTED, ALIVE, STANDBY, False, False, "(its endpoint leads to a reader)"),
    (
        "its guardian is silent",
        ANSWERS,
        SILENT_GUARDIAN,
        STANDBY,
        False,
        False,
        "given no sign of life for 6 s: a switchover needs the writer's guardian",
    ),
    ("its guardian is unwell", ANSWERS, SAYS_DOWN, STANDBY, False, False, "its database is down: a switchover needs"),
    ("the standby is down", ANSWERS, ALIVE, STANDBY_DOWN, False, False, "does not answer (connection refused)"),
    ("both are healthy", ANSWERS, ALIVE, STANDBY, False, True, "the writer and the standby are healthy"),
    ("fenced by a run before", FENCED, ALIVE, STANDBY, False, True, "the writer and the standby are healthy"),
]


@pytest.mark.parametrize(
    ("writer", "guardian", "standby", "only_forward", "proceed", "reason"),
    [row[1:] for row in SWITCHOVERS],
    ids=[row[0] for row in SWITCHOVERS],
)
def test_p5_a_switchover_needs_everything_healthy(
    writer: Probe, guardian: GuardianSeen, standby: Probe, only_forward: bool, proceed: bool, reason: str
) -> None:
    health = judge("switchover", Evidence(writer, guardian, standby, "secondary"), only_forward=only_forward)
    assert health.proceed is proceed
    assert reason in health.reason


def test_a_failover_that_has_begun_is_not_finished_by_a_switchover() -> None:
    health = judge("switchover", Evidence(ANSWERS, ALIVE, STANDBY, "none"), only_forward=True)
    assert not health.proceed
    assert "a failover has to be finished; start it with mode failover" in health.reason


@pytest.mark.parametrize(
    ("probe", "known"), [(ANSWERS, "up"), (UNFENCED, "up"), (FENCED, "down"), (DEMOTED, "down"), (SILENT, "down")]
)
def test_p5_the_first_observer_asks_whether_applications_could_write(probe: Probe, known: Known) -> None:
    assert writer_seen(probe) == known
    assert probe.writes is (known == "up")


def test_p6_a_prober_that_gives_no_answer_says_nothing() -> None:
    assert writer_seen(None) == "unknown"
