"""The parts of the benchmark: what they make of what they measured, and that a part can fail."""

from __future__ import annotations

from typing import Any

import pytest

from drills.aws.lambda_runtime import InitDuration
from drills.bench import claim, cold_start, cost, patroni, published, salvage
from drills.bench.findings import Findings


def starts(**medians_ms: float) -> dict[str, list[InitDuration]]:
    return {
        name: [InitDuration(900.0, median - 5), InitDuration(300.0, median), InitDuration(400.0, median + 90)]
        for name, median in medians_ms.items()
    }


@pytest.mark.parametrize(("slowest_ms", "passed"), [(202.0, True), (202.1, False)])
def test_a_cold_start_may_take_80_ms_more_than_boto3_alone(slowest_ms: float, passed: bool) -> None:
    found = cold_start.findings(starts(only_boto3=122.0, claim=160.0, notify=slowest_ms))
    assert found.passed is passed
    assert found.rows[1] == ("claim", "160", "+38", "1.31", "400")


def test_every_step_of_the_failover_and_what_watches_and_fences_is_measured() -> None:
    assert {"claim", "check_health", "promote", "notify", "monitor", "prober", "fence"} <= set(cold_start.MEASURED)


def contest(proceed: int) -> claim.Contest:
    told = {"proceed": proceed, "duplicate": claim.CONTENDERS - proceed}
    return claim.Contest(told, {"GetItem": 96, "UpdateItem": 47}, 4, 0.5, 2.0)


@pytest.mark.parametrize(("winners", "passed"), [(0, False), (1, True), (2, False)])
def test_one_contender_wins(winners: int, passed: bool) -> None:
    assert claim.findings({"people": [contest(1), contest(winners)]}).passed is passed


def judged(rto_s: float, *, held: bool = True) -> patroni.Judged:
    return patroni.Judged(rto_s, 1, 0, 0, held)


def test_candidates_are_compared_by_what_clients_saw() -> None:
    found = patroni.findings({patroni.OURS: [judged(12.0), judged(14.0)], "other": [judged(20.0), judged(30.0)]})
    assert found.rows[1] == ("other", "20.0 / 25.0 / 30.0", "1 to 1", "0", "0")
    assert found.passed
    assert not patroni.findings({patroni.OURS: [judged(12.0, held=False)]}).passed


def test_a_published_workflow_goes_on_at_its_first_look_after_the_end() -> None:
    ours, unplanned, planned = published.CANDIDATES
    assert ours.goes_on_after_s(30.0) == 30.0
    assert [unplanned.goes_on_after_s(promotion) for promotion in (30.0, 60.0, 61.0)] == [60.0, 60.0, 75.0]
    assert planned.goes_on_after_s(30.0) == 7.0 + 30.0 + 30.0  # it judges what it saw one look earlier


def size(found: int) -> salvage.Size:
    return salvage.Size(10, 10_000, 9_800_000, 0.01, 15, found, 0.5, None)


@pytest.mark.parametrize(("found", "passed"), [(salvage.LOST, True), (salvage.LOST - 1, False)])
def test_a_salvage_that_does_not_find_every_lost_row_fails(found: int, passed: bool) -> None:
    assert salvage.findings([size(found)]).passed is passed


def test_a_failover_costs_its_transitions_its_invocations_and_its_functions_time() -> None:
    texts = ["workflow started in us-west-2", "→ Claim", "→ IsClaimed", "→ WaitForLease", "task failed: LeaseLive"]
    result: dict[str, Any] = {
        "status": "passed",
        "events": [{"kind": "workflow", "text": text} for text in texts] + [{"kind": "lab", "text": "→ Claim"}],
        "marks": {"execution_started": 5.0, "execution_ended": 15.0},
    }
    found = cost.findings(result)
    counts = {row[0]: row[1] for row in found.rows}
    assert counts["state transitions, retries among them"] == "5"  # three states, a retry, the start
    assert counts["invocations of steps"] == "3"
    assert found.data["dollars"]["state transitions, retries among them"] == pytest.approx(5 * 0.025 / 1000)


def test_findings_are_a_table_for_a_terminal_and_for_a_document() -> None:
    found = Findings("What was measured, ms", ("", "ms"), (("claim", "38"),), {}, notes=("On one core.",))
    assert (
        found.markdown() == "### What was measured, ms\n\n|  | ms |\n| --- | ---: |\n| claim | 38 |\n\nOn one core.\n"
    )
    assert found.table().row_count == 1
