"""The rows of troubles: what each does to the lab and when, with what it goes, and which end is demanded then."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, call

import pytest

from drills.aws.cloud import ACCOUNT
from drills.aws.rds_behaviour import Behaviour
from drills.aws.replicated_table import Condition
from drills.ends import End
from drills.outages import OUTAGES, Outage, UndemandedError
from drills.troubles import SWITCHOVER, TROUBLES, Trouble, When, at_its_worst, demanded_with
from orchestration.settings import load
from orchestration.specification import describe

NOW = 1000.0


def lab() -> Any:
    """A lab that notes what is done to it; what is set by value is the real thing."""
    made = MagicMock(writer="us-east-1", standby="us-west-2", clock=SimpleNamespace(now=lambda: NOW))
    made.cloud.database.behaviour = Behaviour()
    made.cloud.control_table = Condition()
    return made


# What each trouble does, told once more in other words: calls of the lab's, or values in it. Every row has to be here.
CALLS = {
    "probe-blink": call.silence_standby(5.0),
    "event-lost": call.cloud.lose_events_of_ours(),
    "bus-down": call.cloud.lose_every_event(),
    "alarm-late": call.cloud.alarms.see_late(60.0),
    "switch-down": call.cloud.stop_function("us-west-2", "writer_switch"),
    "crowded": call.visit("application", 200),
    "slow-database": call.slow_down_writer(3.0, 60.0),
    "owner-logged-in": call.visit("owner", 1),
    "early-person": call.start_by_hand("failover"),
    "run-stopped": call.stop_run(),
    "target-lost": call.lose("us-west-2", "refuse"),
    "monitor-refused": call.refuse_monitor(),
    "blind": call.cloud.stop_function("us-east-1", "prober"),
    "monitors-late": call.cloud.start_schedules_late(15.0),
    "late-bootstrap": call.bootstrap(),
}
VALUES = {
    "rds-busy": Behaviour(busy_until=NOW + 15),
    "rds-slow": Behaviour(answers_after_s=10, available_for_s=5, lists_until_promoted=True),
    "rds-lost": Behaviour(unanswered=1_000_000),
    "rds-down": Behaviour(down_until={"us-west-2": NOW + 60}),
    "control-blink": Condition(failing_until=NOW + 15),
}


def worst_of(row: Trouble) -> tuple[str, Outage | None]:
    return (SWITCHOVER, None) if row.worst == SWITCHOVER else ("failover", OUTAGES[row.worst])


@pytest.mark.parametrize("row", TROUBLES.values(), ids=lambda row: row.name)
def test_a_trouble_does_what_its_sentence_says(row: Trouble) -> None:
    struck = lab()
    row.begin(struck)
    if row.name in CALLS:
        assert struck.mock_calls == [CALLS[row.name]]
    else:
        assert VALUES[row.name] in (struck.cloud.database.behaviour, struck.cloud.control_table)
    assert not re.search(r"[{}]", row.sentence.format(writer="us-east-1", standby="us-west-2"))


def test_the_functions_that_a_trouble_stops_are_deployed() -> None:
    deployed = describe(load(), ACCOUNT).regions["us-west-2"].functions
    stopped = [stop.args[1] for stop in CALLS.values() if "stop_function" in str(stop)]
    assert stopped == ["writer_switch", "prober"]
    assert set(stopped) <= set(deployed)


@pytest.mark.parametrize("row", TROUBLES.values(), ids=lambda row: row.name)
def test_the_outage_that_hurts_most_is_one_that_goes_with_the_trouble_and_keeps_its_end(row: Trouble) -> None:
    mode, outage = worst_of(row)
    end = demanded_with(mode, outage, "yes", [row, *(TROUBLES[name] for name in row.beside)])
    assert end is (End.SETTLED if outage is None and row.when is When.PHASE else demanded_with(mode, outage, "yes", []))


def test_each_is_drilled_with_what_hurts_most_and_a_late_alarm_without_the_event_that_would_be_quicker() -> None:
    late, logged_in, lost = (
        " ".join(at_its_worst(TROUBLES[name])) for name in ("alarm-late", "owner-logged-in", "target-lost")
    )
    assert late == "--outage kill --trouble alarm-late --trouble event-lost"
    assert logged_in == "--outage restart --trouble owner-logged-in"
    assert lost == "--mode switchover --trouble target-lost"
    assert {row.name for row in TROUBLES.values() if row.beside} == {"alarm-late"}


def test_a_switchover_that_finds_rds_busy_may_be_given_back_and_a_failover_may_not() -> None:
    assert demanded_with(SWITCHOVER, None, "yes", [TROUBLES["rds-busy"]]) is End.SETTLED
    assert demanded_with("failover", OUTAGES["kill"], "yes", [TROUBLES["rds-busy"]]) is End.FAILED_OVER


@pytest.mark.parametrize(
    ("mode", "outage", "trouble"),
    [
        ("failover", "quiet", "rds-busy"),
        ("failover", "kill", "switch-down"),  # both writer switches would be gone
        ("failover", "hang", "switch-down"),
        ("failover", "kill", "slow-database"),
        ("failover", "kill", "monitor-refused"),
        ("failover", "kill", "target-lost"),
        ("failover", "restart", "early-person"),
        ("failover", "kill", "late-bootstrap"),
        ("switchover", None, "event-lost"),
        ("rehearsal", None, "rds-slow"),
        ("circle", "isolate", "rds-busy"),
    ],
)
def test_a_trouble_that_makes_no_sense_is_refused_and_says_with_what_it_goes(
    mode: str, outage: str | None, trouble: str
) -> None:
    row = TROUBLES[trouble]
    with pytest.raises(UndemandedError, match=f"trouble {trouble} goes with {row.company.words}"):
        demanded_with(mode, OUTAGES[outage] if outage else None, "yes", [row])


def test_a_switchover_that_is_broken_off_may_be_finished_or_given_back_and_a_failover_may_not() -> None:
    stopped = [TROUBLES["run-stopped"], TROUBLES["rds-slow"]]
    assert demanded_with(SWITCHOVER, None, "yes", stopped) is End.SETTLED
    assert demanded_with("failover", OUTAGES["kill"], "yes", stopped) is End.FAILED_OVER
    assert demanded_with(SWITCHOVER, None, "yes", stopped[1:]) is End.SWITCHED_OVER
