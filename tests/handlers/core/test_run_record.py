"""The record of a run: what is known of it, and nothing that is not."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from handlers.core.lease import TICK_S
from handlers.core.outcome import HEADLINES, FailoverEnd, Outcome
from handlers.core.recorded import Phase, RecordedLag, RunRecord
from handlers.core.results import OldWriterFence
from handlers.core.run_record import run_record
from tests.handlers.core.kept import BEGAN, CLAIM, FENCE, LAG, LEASE, MOVED, PROMOTION, STARTED, timing, under_result
from tests.handlers.core.kept import FAILOVER as WHOLE
from tests.handlers.core.kept import kept as kept_of

NOW = BEGAN + 60


def recorded(outcome: Outcome = "recovered", **progress: Any) -> RunRecord:
    return run_record(FailoverEnd.read({"run": "run-1", "outcome": outcome, "progress": progress}), STARTED, NOW)


def test_p7_a_recovery_is_recorded_whole() -> None:
    assert recorded(**WHOLE) == RunRecord(
        run="run-1",
        outcome="recovered",
        mode="failover",
        started_by="ada",
        incident="outage 7",
        claim="the lock was free",
        cause="it is down",
        resumes=None,
        old_writer_region="us-east-1",
        target_region="us-west-2",
        epoch_before=4,
        epoch_after=5,
        started_at=BEGAN,
        ended_at=NOW,
        phases=[
            Phase("claim", **timing(0)),
            Phase("check_health", **timing(1)),
            Phase("verify_lag", **timing(1)),
            Phase("wait_for_lease", **timing(3)),
            Phase("fence_old_writer", **timing(4)),
            Phase("detach_secondary", **timing(4)),
            Phase("promote", **timing(5, 30)),
            Phase("repoint_dns", **timing(4)),
            Phase("commit_writer", **timing(36)),
            Phase("verify_recovery", **timing(38, 2)),
        ],
        lag=RecordedLag(lag_ms=2000.0, age_s=20.0, budget_ms=5000, source="heartbeats", heartbeats=1),
        gate="inside budget",
        approved_by=None,
        rto_s=60.0,
        rpo_ms=2000.0,
        rpo_resolution_ms=TICK_S * 1000,
        rpo_at_most_ms=None,
        rpo_if_guarded_ms=11_500.0,
        heartbeats_lost=1,
        tolerated=[],
        errors=[],
    )


@pytest.mark.parametrize("outcome", HEADLINES)
def test_p7_what_was_not_reached_stays_unknown(outcome: Outcome) -> None:
    found = asdict(recorded(outcome))
    known = {"run", "outcome", "started_at", "ended_at", "rpo_resolution_ms", "phases", "tolerated", "errors"}
    assert {name for name, value in found.items() if value is not None} == known
    assert (found["phases"], found["tolerated"], found["errors"]) == ([], [], [])


def test_every_part_of_a_run_may_be_missing() -> None:
    for part in WHOLE:
        json.dumps(asdict(recorded(**{name: found for name, found in WHOLE.items() if name != part})))
    for part in MOVED:
        moved = {name: found for name, found in MOVED.items() if name != part}
        json.dumps(asdict(recorded(**WHOLE | {"moved": moved})))


def seen(**fence: Any) -> dict[str, Any]:
    """What is kept when FenceOldWriter answered, 5 s after the run began."""
    return {"moved": MOVED | {"fence": under_result(replace(FENCE, **fence), 4)}}


@pytest.mark.parametrize(
    ("progress", "at_most_ms"),
    [
        ({}, None),
        (seen(writes_ended=True), 28_000.0),  # 22 s before the run, 5 s of it, 1 s for the clocks
        (seen(fenced=True), None),  # by its security group alone: sessions that were open go on
        ({"moved": MOVED | {"fence": {"Error": "States.Timeout", "Cause": "no answer"}}}, None),
        (seen(writes_ended=True) | {"lease": under_result(replace(LEASE, lease_expires_at=BEGAN - 30))}, 28_000.0),
        (
            {"moved": seen(writes_ended=True)["moved"] | {"promotion": kept_of(replace(PROMOTION, heartbeat=None))}},
            None,
        ),
        ({"fence_first": under_result(FENCE)}, 0.0),
    ],
    ids=["unseen", "seen", "by its group", "silent", "seen after its lease", "no heartbeat", "switchover"],
)
def test_p7_the_loss_is_bounded_by_what_was_seen_of_the_old_writer_or_not_at_all(
    progress: dict[str, Any], at_most_ms: float | None
) -> None:
    """A prober that is dead keeps the guardian from fencing: writes go on past the lease, which bounds nothing."""
    assert recorded(**(WHOLE | progress)).rpo_at_most_ms == at_most_ms


@pytest.mark.parametrize(
    ("progress", "if_guarded_ms"),
    [
        ({}, 11_500.0),
        ({"lease": under_result(replace(LEASE, lease_expires_at=BEGAN - 30))}, 0.0),
        ({"lease": under_result(replace(LEASE, lease_expires_at=None))}, None),
        ({"approved_lease": under_result(replace(LEASE, lease_expires_at=BEGAN))}, 22_000.0),
        ({"moved": MOVED | {"promotion": kept_of(replace(PROMOTION, heartbeat=None))}}, None),
        ({"fence_first": under_result(FENCE)}, 0.0),
        ({"lease": None, "claim": kept_of(replace(CLAIM, continues=True, lease_expires_at=BEGAN))}, 22_000.0),
    ],
    ids=["cut off", "over before", "never leased", "looked at again", "no heartbeat", "switchover", "taken over"],
)
def test_p7_what_a_writer_whose_guardian_fences_may_have_written_ends_with_its_lease(
    progress: dict[str, Any], if_guarded_ms: float | None
) -> None:
    assert recorded(**(WHOLE | progress)).rpo_if_guarded_ms == if_guarded_ms


@pytest.mark.parametrize(
    ("committed", "survived", "rpo_ms", "lost"),
    [
        ({"seq": 100, "at": BEGAN - 20}, {"seq": 100, "at": BEGAN - 20}, 0.0, 0),
        ({"seq": 100, "at": BEGAN - 20}, {"seq": 98, "at": BEGAN - 24}, 4000.0, 2),
        # The guardian was killed between the row and the record: the standby has more than the record knows of.
        ({"seq": 100, "at": BEGAN - 20}, {"seq": 101, "at": BEGAN - 18}, 0.0, 0),
        ({"seq": 100, "at": BEGAN - 20}, {"seq": 98, "at": BEGAN - 10}, 0.0, 2),  # a clock was set back
        (None, {"seq": 98, "at": BEGAN - 24}, None, None),
        ({"seq": 100, "at": BEGAN - 20}, None, None, None),
    ],
    ids=["nothing", "two", "less than nothing", "a clock", "no record", "no look"],
)
def test_p7_the_loss_is_measured_or_unknown(
    committed: Any, survived: Any, rpo_ms: float | None, lost: int | None
) -> None:
    moved = MOVED | {"promotion": WHOLE["moved"]["promotion"] | {"heartbeat": survived}}
    found = recorded(**WHOLE | {"claim": WHOLE["claim"] | {"heartbeat": committed}, "moved": moved})
    assert (found.rpo_ms, found.heartbeats_lost) == (rpo_ms, lost)


def test_p7_the_outage_of_a_switchover_begins_with_its_fence() -> None:
    assert recorded(**WHOLE | {"fence_first": under_result(FENCE, 10)}).rto_s == 30.0


def test_p7_an_outage_without_a_beginning_or_an_end_is_not_measured() -> None:
    assert recorded(**WHOLE | {"claim": kept_of(replace(CLAIM, heartbeat=None))}).rto_s is None
    assert recorded("needs_person", **{name: WHOLE[name] for name in WHOLE if name != "recovery"}).rto_s is None


CLOSED = {"lag": kept_of(replace(LAG, proceed=False, reason="lag is unknown", lag_ms=None, age_s=None))}
NOT_TAKEN = under_result(replace(LEASE, taken=False))


@pytest.mark.parametrize(
    ("progress", "gate", "approved_by"),
    [
        ({}, "inside budget", None),
        (
            {"assessment": CLOSED, "claim": kept_of(replace(CLAIM, accept_data_loss=True))},
            "accepted in the request",
            None,
        ),
        (
            {
                "assessment": CLOSED,
                "lease": NOT_TAKEN,
                "approved_lease": under_result(replace(LEASE, approved_by="grace")),
            },
            "approved by grace",
            "grace",
        ),
        ({"assessment": CLOSED, "lease": NOT_TAKEN}, None, None),
        ({"lease": NOT_TAKEN}, None, None),
    ],
    ids=["small lag", "accepted", "approved", "asked for nothing", "a live lease"],
)
def test_p7_who_opened_the_gate_is_recorded(
    progress: dict[str, Any], gate: str | None, approved_by: str | None
) -> None:
    found = recorded(**WHOLE | progress)
    assert (found.gate, found.approved_by) == (gate, approved_by)


@pytest.mark.parametrize(
    ("fence", "tolerated"),
    [
        (under_result(FENCE), []),
        (under_result(OldWriterFence(False, "no answer")), ["fence_old_writer: no answer"]),
        ({"Error": "States.Timeout", "Cause": "3 s are over"}, ["fence_old_writer: 3 s are over"]),
    ],
    ids=["fenced", "not fenced", "timed out"],
)
def test_p7_a_failure_that_was_tolerated_is_recorded(fence: dict[str, Any], tolerated: list[str]) -> None:
    assert recorded(**WHOLE | {"moved": MOVED | {"fence": fence}}).tolerated == tolerated


def test_p7_errors_are_recorded() -> None:
    error = {"Error": "DetachRejected", "Cause": json.dumps({"errorMessage": "RDS refuses"})}
    release = {"Error": "HalfWay", "Cause": "it keeps the lock"}
    found = recorded("needs_person", claim=WHOLE["claim"], error=error, release_error=release)
    assert found.errors == ["DetachRejected: RDS refuses", "HalfWay: it keeps the lock"]
